//! The board and its cable at their worst, through the whole run.

use provision::sim::photon::{Mode, PhotonConfig};

use crate::bench::{Bench, CLAIM_CODE, all, codes, guarded, is_at_its_idle_prompt, is_online};

#[tokio::test]
async fn what_the_line_loses_doubles_delays_and_mixes_in_does_not_fail_the_run() {
    let faults = [
        "drop:code@1",
        "drop:code",
        "drop:code@63",
        "drop:code@64",
        "drop:codex2",
        "double:code@1",
        "double:code",
        "double:code@63",
        "double:code@64",
        "delay:code:50",
        "delay:3:20",
        "drop-sent:code",
        "drop-sent:20",
        "double-sent:code",
        "double-sent:20",
        "drop:40x3",
        "double:40x3",
        "garbage",
        "log:before-promptx3",
        "log:after-promptx3",
        "log:before-replyx6",
        "log:after-replyx6",
        "log-code",
        "hang-up:code@1",
        "hang-up:code",
        "hang-up:code@64",
        "hang-up:2",
        "hang-up:code:300",
    ];
    all(faults, async |fault| {
        let bench = Bench::new().await;
        let faults = vec![fault.parse().unwrap()];
        let board = bench.plug_into_hub(PhotonConfig { faults, ..bench.board() });
        let ended = bench.run_in_hub("auto").ended().await;
        assert!(ended.status.success(), "{fault}: {ended:?}");
        bench.holds_one_claim();
        is_online(&board).await;
    })
    .await;
}

#[tokio::test]
async fn a_code_that_never_arrives_whole_is_given_up_and_the_console_left_idle() {
    let bench = Bench::new().await;
    let faults = vec!["drop:code@7x99".parse().unwrap()];
    let board = bench.plug(PhotonConfig { faults, ..bench.board() });
    let ended = bench.run(&board).ended().await.fails_with(12, "code-refused").at("deliver");
    assert!(ended.result()["error"]["hint"].as_str().unwrap().contains("cable"));
    assert_eq!((codes(&board), board.state().mode), (vec![], Mode::Listening));
    is_at_its_idle_prompt(&board).await;
    assert_eq!(bench.owner(), None);
}

#[tokio::test]
async fn a_port_that_does_not_come_back_is_no_answer() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.board());
    let gate = bench.cloud.gate(CLAIM_CODE).unwrap();
    let mut run = bench.run_in_hub("auto").start();
    guarded(gate.arrived()).await;
    run.reaches("step-ended", "listening").await;
    board.unplug();
    guarded(board.wait_for(|state| state.mode == Mode::Off)).await;
    gate.open();
    run.ended().await.fails_with(11, "no-answer").at("deliver");
    assert_eq!(bench.owner(), None);
}

#[tokio::test]
async fn a_typed_code_arrives_as_well() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    bench.run(&board).with(&["--pace", "1"]).ended().await.passes();
    bench.holds_one_claim();
    assert_eq!(codes(&board).len(), 1);
}

#[tokio::test]
async fn a_console_that_somebody_left_inside_a_dialogue_is_brought_back() {
    let places = [
        "C",
        "C:abc",
        "w:ssid",
        "w:ssid:half",
        "w:security",
        "w:password",
        "w:eap-type",
        "w:username",
        "w:client-certificate",
        "w:root-ca",
        "ymodem",
        "scanning",
    ];
    all(places, async |place| {
        let bench = Bench::new().await;
        let left_in = Some(place.parse().unwrap());
        let board = bench.plug(PhotonConfig { left_in, ..bench.board() });
        let ended = bench.run(&board).ended().await;
        assert!(ended.status.success(), "{place}: {ended:?}");
        bench.holds_one_claim();
        is_online(&board).await;
        assert_eq!((codes(&board).len(), board.state().saved.len()), (1, 1), "{place}");
    })
    .await;
}

#[tokio::test]
async fn a_console_whose_every_answer_would_save_something_is_left_alone() {
    all(["w:cipher", "w:private-key", "w:outer-identity"], async |place| {
        let bench = Bench::new().await;
        let left_in = Some(place.parse().unwrap());
        let board = bench.plug(PhotonConfig { left_in, ..bench.board() });
        let ended = bench.run(&board).ended().await.fails_with(11, "console-stuck").at("listening");
        assert!(ended.result()["error"]["hint"].as_str().unwrap().contains("RESET"));
        assert_eq!((codes(&board).len(), board.state().saved.len()), (0, 1), "{place}");
        bench.knows_no_device();
    })
    .await;
}
