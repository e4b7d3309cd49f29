//! Boards that need nothing.

use provision::sim::photon::Mode;

use crate::bench::{ASK_DEVICE, ASK_PRODUCT, Bench, CUSTOMER, guarded, is_untouched, open};

#[tokio::test]
async fn a_port_is_not_opened_when_usb_tells_an_id_that_is_provisioned() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    // Held by the test: whoever opens it is told that it is in use.
    let _held = guarded(open(&board)).await;
    bench.run_in_hub("auto").ended().await.fails_with(10, "port-busy");
    bench.seed(Some(CUSTOMER));
    let ended = bench.run_in_hub("auto").ended().await.passes();
    assert_eq!(ended.result()["already"], true);
    assert_eq!((board.effects(), board.state().mode), (vec![], Mode::Running));
}

#[tokio::test]
async fn a_board_whose_console_tells_that_it_is_provisioned_stays_as_it_is() {
    let bench = Bench::new().await;
    bench.seed(Some(CUSTOMER));
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.passes();
    assert_eq!(ended.result()["already"], true);
    is_untouched(&board);
}

#[tokio::test]
async fn the_customers_name_knows_no_case() {
    let bench = Bench::new().await;
    bench.seed(Some(CUSTOMER));
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["--customer", &CUSTOMER.to_uppercase()]);
    assert_eq!(run.ended().await.passes().result()["already"], true);
}

#[tokio::test]
async fn a_second_run_asks_for_the_product_and_the_device_only() {
    let bench = Bench::new().await;
    let _board = bench.plug_into_hub(bench.board());
    bench.run_in_hub("auto").ended().await.passes();
    bench.forget_requests();
    let ended = bench.run_in_hub("auto").ended().await.passes();
    assert_eq!(ended.result()["already"], true);
    let mut asked = bench.requests();
    asked.sort();
    assert_eq!(asked, [ASK_PRODUCT, ASK_DEVICE]);
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_device_that_waits_in_quarantine_is_taken_in() {
    use provision::sim::cloud::DeviceSeed;

    let bench = Bench::new().await;
    bench.cloud.add_device(DeviceSeed {
        id: crate::bench::ID.into(),
        product_id: Some(crate::bench::PRODUCT),
        quarantined: true,
        ..DeviceSeed::default()
    });
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.passes();
    assert_eq!(ended.outcome("import"), Some("done"));
    bench.holds_one_claim();
}
