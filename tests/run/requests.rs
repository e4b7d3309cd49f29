//! How little is asked, and what is asked at the same time. Nothing here is proved by time.

use provision::{
    model::DeviceId,
    sim::photon::{Mode, PhotonConfig},
};

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, IMPORT, OTHER_ID, SIGN_IN, STREAM, codes,
    guarded,
};

/// Requests other than looks at the device's record, sorted, and the number of those looks.
fn asked(bench: &Bench) -> (Vec<String>, usize) {
    let (looks, mut others): (Vec<_>, Vec<_>) = bench.requests().into_iter().partition(|r| r == ASK_DEVICE);
    others.sort();
    (others, looks.len())
}

/// A bench whose program has signed in, for another device of another customer.
async fn warm() -> Bench {
    let bench = Bench::new().await;
    let other = DeviceId::parse(OTHER_ID).unwrap();
    let board = bench.plug(PhotonConfig { device_id: other, ..bench.board() });
    bench.run(&board).with(&["--customer", "another@example.com"]).ended().await.passes();
    bench.forget_requests();
    bench
}

#[tokio::test]
async fn a_warm_run_of_a_new_device_asks_for_as_little_as_there_is() {
    let bench = warm().await;
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.passes();
    assert_eq!(ended.outcome("sign-in"), Some("already-so"));
    let (others, looks) = asked(&bench);
    assert_eq!(others, [ASK_PRODUCT, CREATE_CUSTOMER, CLAIM_CODE, IMPORT, STREAM].sorted());
    // One before anything is changed, and the rest to verify.
    assert!(looks >= 2);
    assert_eq!(codes(&board).len(), 1);
}

#[tokio::test]
async fn a_cold_run_signs_in_once_more() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.passes();
    assert_eq!(ended.outcome("sign-in"), Some("done"));
    assert_eq!(asked(&bench).0, [ASK_PRODUCT, CREATE_CUSTOMER, CLAIM_CODE, IMPORT, SIGN_IN, STREAM].sorted());
}

#[tokio::test]
async fn a_customer_whose_token_is_kept_is_not_made_again() {
    let bench = Bench::new().await;
    let other = DeviceId::parse(OTHER_ID).unwrap();
    bench.run(&bench.plug(PhotonConfig { device_id: other, ..bench.board() })).ended().await.passes();
    bench.forget_requests();
    bench.run(&bench.plug(bench.board())).ended().await.passes();
    assert_eq!(asked(&bench).0, [ASK_PRODUCT, CLAIM_CODE, IMPORT, STREAM].sorted());
}

#[tokio::test]
async fn a_member_is_not_imported_again() {
    let bench = warm().await;
    bench.seed(None);
    bench.run(&bench.plug(bench.board())).ended().await.passes();
    assert_eq!(asked(&bench).0, [ASK_PRODUCT, CREATE_CUSTOMER, CLAIM_CODE, STREAM].sorted());
}

#[tokio::test]
async fn a_warm_run_of_a_provisioned_device_looks_and_leaves() {
    let bench = Bench::new().await;
    bench.run(&bench.plug(bench.board())).ended().await.passes();
    bench.forget_requests();
    let board = bench.plug(bench.board());
    bench.run(&board).ended().await.passes();
    assert_eq!(asked(&bench), (vec![ASK_PRODUCT.into()], 1));
    crate::bench::is_untouched(&board);
}

#[tokio::test]
async fn signing_in_making_the_customer_and_asking_the_console_go_on_at_once() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let (sign_in, customer) =
        (bench.cloud.gate(SIGN_IN).unwrap(), bench.cloud.gate(CREATE_CUSTOMER).unwrap());
    let mut run = bench.run(&board).start();
    guarded(sign_in.arrived()).await;
    guarded(customer.arrived()).await;
    run.reaches("step-ended", "know-device").await;
    sign_in.open();
    customer.open();
    run.ended().await.passes();
}

#[tokio::test]
async fn the_product_and_the_device_are_asked_for_at_once() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let (product, device) = (bench.cloud.gate(ASK_PRODUCT).unwrap(), bench.cloud.gate(ASK_DEVICE).unwrap());
    let run = bench.run(&board).start();
    guarded(product.arrived()).await;
    guarded(device.arrived()).await;
    assert_eq!((bench.count(IMPORT), bench.count(CLAIM_CODE)), (0, 0));
    product.open();
    device.open();
    run.ended().await.passes();
}

#[tokio::test]
async fn the_import_and_the_claim_code_are_asked_for_at_once_while_the_board_comes_to_listening() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    let (import, code) = (bench.cloud.gate(IMPORT).unwrap(), bench.cloud.gate(CLAIM_CODE).unwrap());
    let mut run = bench.run_in_hub("auto").start();
    guarded(import.arrived()).await;
    guarded(code.arrived()).await;
    run.reaches("step-ended", "listening").await;
    assert_eq!(board.state().mode, Mode::Listening);
    assert_eq!(codes(&board).len(), 0);
    import.open();
    code.open();
    run.ended().await.passes();
}

#[tokio::test]
async fn a_board_that_usb_names_is_not_disturbed_before_the_cloud_has_cleared_it() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    let device = bench.cloud.gate(ASK_DEVICE).unwrap();
    let run = bench.run_in_hub("auto").start();
    guarded(device.arrived()).await;
    // Whoever holds the port now would be in the way of a run that opened it too early.
    let held = guarded(crate::bench::open(&board)).await;
    assert_eq!(board.state().mode, Mode::Running);
    drop(held);
    device.open();
    run.ended().await.passes();
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl<const N: usize> Sorted for [&str; N] {
    fn sorted(mut self) -> Self {
        self.sort_unstable();
        self
    }
}
