//! Ctrl-C: the console is left at its idle prompt, and a board that was put into listening mode is let
//! out of it.

use std::time::Duration;

use provision::sim::photon::{Effect, ListenEnd, Mode, PhotonConfig};

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, IMPORT, SIGN_IN, all, codes, guarded,
    is_at_its_idle_prompt, is_online, is_untouched,
};

#[tokio::test]
async fn while_the_cloud_is_asked_a_listening_board_stays_as_it_is() {
    let routes = [SIGN_IN, ASK_PRODUCT, ASK_DEVICE, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];
    all(routes, async |route| {
        let bench = Bench::new().await;
        let board = bench.plug(bench.board());
        let gate = bench.cloud.gate(route).unwrap();
        let mut run = bench.run(&board).start();
        guarded(gate.arrived()).await;
        run.reaches("step-ended", "listening").await;
        run.interrupt();
        run.ended().await.fails_with(130, "interrupted");
        is_untouched(&board);
        is_at_its_idle_prompt(&board).await;
        drop(gate);
        bench.run(&board).ended().await.passes();
        bench.holds_one_claim();
    })
    .await;
}

#[tokio::test]
async fn a_board_that_this_run_put_into_listening_mode_is_let_out() {
    all([IMPORT, CLAIM_CODE], async |route| {
        let bench = Bench::new().await;
        let board = bench.plug_into_hub(bench.running_board());
        let gate = bench.cloud.gate(route).unwrap();
        let mut run = bench.run_in_hub("auto").start();
        guarded(gate.arrived()).await;
        run.reaches("step-ended", "listening").await;
        assert_eq!(board.state().mode, Mode::Listening);
        run.interrupt();
        run.ended().await.fails_with(130, "interrupted");
        is_online(&board).await;
        assert_eq!(board.effects(), [Effect::ListenEnd { reason: ListenEnd::Exit }]);
    })
    .await;
}

#[tokio::test]
async fn a_board_that_is_on_its_way_into_listening_mode_does_not_stay_there() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    let mut run = bench.run_in_hub("auto").start();
    run.reaches("step-note", "listening").await;
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
    guarded(board.wait_for(|state| !state.effects.is_empty())).await;
    is_online(&board).await;
    assert_eq!(board.effects(), [Effect::ListenEnd { reason: ListenEnd::Exit }]);
}

#[tokio::test]
async fn a_board_that_a_person_brought_there_at_the_runs_wish_is_let_out() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.running_board());
    let gate = bench.cloud.gate(CLAIM_CODE).unwrap();
    let mut run = bench.run(&board).start();
    run.reaches("action-needed", "listening").await;
    board.press_setup();
    run.reaches("step-ended", "listening").await;
    guarded(gate.arrived()).await;
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
    is_online(&board).await;
}

#[tokio::test]
async fn a_failure_lets_it_out_as_well() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    let gate = bench.cloud.gate(CLAIM_CODE).unwrap();
    bench.cloud.add_fault(format!("{CLAIM_CODE}=403").parse().unwrap());
    let mut run = bench.run_in_hub("auto").start();
    run.reaches("step-ended", "listening").await;
    gate.open();
    run.ended().await.fails_with(21, "cloud-refused").at("claim-code");
    is_online(&board).await;
    assert_eq!(board.effects(), [Effect::ListenEnd { reason: ListenEnd::Exit }]);
}

#[tokio::test]
async fn while_a_person_is_waited_for() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { wifi_known: false, ..bench.running_board() });
    let mut run = bench.run(&board).start();
    run.reaches("action-needed", "listening").await;
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
    assert_eq!((board.effects(), board.state().mode), (vec![], Mode::Running));
    bench.knows_no_device();
}

#[tokio::test]
async fn in_the_middle_of_the_claim_code() {
    let bench = Bench::new().await;
    // A byte of the code gets lost in each try: the second try, which types, stops within the line.
    let faults = vec!["drop:code@5x99".parse().unwrap()];
    let board = bench.plug(PhotonConfig { faults, ..bench.board() });
    let mut run = bench.run(&board).start();
    run.reaches("step-note", "deliver").await;
    run.reaches("step-note", "deliver").await;
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
    assert_eq!((codes(&board), board.state().mode), (vec![], Mode::Listening));
    is_at_its_idle_prompt(&board).await;
}

#[tokio::test]
async fn on_the_way_out_of_a_dialogue_that_somebody_left() {
    all(["C:abc", "w:ssid", "w:password", "w:username"], async |place| {
        let bench = Bench::new().await;
        let left_in = Some(place.parse().unwrap());
        // Slow enough to be on the way when the signal comes.
        let byte_latency = Duration::from_millis(2);
        let board = bench.plug(PhotonConfig { left_in, byte_latency, ..bench.board() });
        let mut run = bench.run(&board).start();
        run.reaches("step-note", "listening").await;
        run.interrupt();
        run.ended().await.fails_with(130, "interrupted");
        assert_eq!((board.state().mode, board.state().saved.len()), (Mode::Listening, 1), "{place}");
        is_at_its_idle_prompt(&board).await;
    })
    .await;
}

#[tokio::test]
async fn as_soon_as_the_delivery_has_begun() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    let mut run = bench.run_in_hub("auto").start();
    run.reaches("step-started", "deliver").await;
    run.interrupt();
    // It may have been through already.
    let ended = run.ended().await;
    if !ended.status.success() {
        ended.fails_with(130, "interrupted");
    }
    is_online(&board).await;
}

#[tokio::test]
async fn while_the_record_is_looked_at() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { connect_delay: Duration::from_secs(3600), ..bench.board() });
    let mut run = bench.run(&board).start();
    run.reaches("step-started", "verify").await;
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
    // The code is on the board, and the board is on its way.
    assert_eq!((codes(&board).len(), board.state().mode), (1, Mode::Running));
}

#[tokio::test]
async fn the_second_time_it_leaves_at_once() {
    let bench = Bench::new().await;
    // The first try loses a byte; the second one types, and after two characters the board is busy for
    // an hour. Such a board cannot be left tidy, and the run would try to.
    let faults = ["drop:code@5", "delay:78:3600000"].map(|fault| fault.parse().unwrap());
    let board = bench.plug(PhotonConfig { faults: faults.into(), ..bench.board() });
    let mut run = bench.run(&board).start();
    run.reaches("step-note", "deliver").await;
    run.reaches("step-note", "deliver").await;
    // Signals that come together count as one, so they are sent until one has come apart.
    run.interrupt();
    while !run.has_ended_within(Duration::from_millis(20)).await {
        run.interrupt();
    }
    let ended = run.ended().await;
    assert_eq!(ended.status.code(), Some(130));
    let last = ended.events.last().unwrap();
    assert_eq!(last["error"]["message"], "interrupted again, and left at once, without tidying up");
}
