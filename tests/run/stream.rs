//! The product's event stream. It tells sooner what would be found by looking, so nothing that happens to
//! it fails a run; and only it tells of firmware updates.

use std::time::Duration;

use provision::{
    cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
    model::{CustomerTemplate, DeviceId, EventKind, Events, ProductRef, Step, Ticket},
    sim::{
        cloud::Gate,
        photon::{FirmwareUpdate, PhotonConfig, SimPhoton},
    },
    workflow::{Job, Naming, Owner, Policy, Unrecorded, parts},
};
use serde_json::{Value, json};

use crate::bench::{Bench, CUSTOMER, ID, PRODUCT, Running, STREAM, all, guarded};

/// A board of which the cloud hears only what [`Bench::comes_online`] tells.
fn silent_board(bench: &Bench) -> SimPhoton {
    bench.plug(PhotonConfig { cloud_url: None, ..bench.board() })
}

/// Whether a step has told this.
fn told(event: &Value, step: &str, words: &str) -> bool {
    event["step"] == step && event["note"].as_str().is_some_and(|note| note.contains(words))
}

/// A run that verifies with the stream open, until the stream is cut: the next one waits at the gate.
async fn cut_while_verifying(bench: &Bench, board: &SimPhoton) -> (Running, Gate) {
    let first = bench.cloud.gate(STREAM).unwrap();
    let mut run = bench.run(board).start();
    run.reaches("step-started", "verify").await;
    guarded(first.arrived()).await;
    let second = bench.cloud.gate(STREAM).unwrap();
    first.open();
    // Whether it is open by now cannot be seen from here.
    guarded(async {
        while second.count() == 0 {
            bench.cloud.cut_streams();
            tokio::task::yield_now().await;
        }
    })
    .await;
    (run, second)
}

#[tokio::test]
async fn a_stream_that_is_cut_is_opened_again_and_tells_on() {
    let bench = Bench::new().await;
    let board = silent_board(&bench);
    let (run, second) = cut_while_verifying(&bench, &board).await;
    second.open();
    bench.comes_online(ID, &board).await;
    run.ended().await.passes();
    bench.holds_one_claim();
    assert_eq!(bench.count(STREAM), 2);
}

#[tokio::test]
async fn a_stream_that_does_not_come_back_is_done_without() {
    let bench = Bench::new().await;
    let board = silent_board(&bench);
    let (run, second) = cut_while_verifying(&bench, &board).await;
    bench.comes_online(ID, &board).await;
    run.ended().await.passes();
    bench.holds_one_claim();
    assert_eq!(second.count(), 1);
}

#[tokio::test]
async fn a_stream_that_cannot_be_had_is_done_without() {
    let faults = [
        "401",
        "403",
        "404",
        "429:retry-after=3600",
        "500",
        "302",
        "drop",
        "drop-after",
        "html",
        "empty",
        "garbage",
        "truncate",
        "endless",
        "delay:3600000", // one that never comes
    ];
    all(faults, async |fault| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{STREAM}={fault}").parse().unwrap());
        let board = bench.plug(bench.board());
        let ended = bench.run(&board).ended().await.passes();
        assert_eq!(ended.outcome("verify"), Some("done"), "{fault}");
        bench.holds_one_claim();
    })
    .await;
}

#[tokio::test]
async fn beside_a_stream_that_tells_nothing_the_record_is_looked_at() {
    let bench = Bench::new().await;
    bench.cloud.add_fault(format!("{STREAM}=silent").parse().unwrap());
    let board = bench.plug(bench.board());
    bench.run(&board).ended().await.passes();
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_board_that_is_to_settle_passes_once_its_update_is_over_or_none_comes() {
    let update = |fails| Some(FirmwareUpdate { takes: Duration::from_millis(300), fails });
    let cases = [
        (None, "already-so", "no firmware update has begun"),
        (update(false), "done", "its firmware was updated"),
        (update(true), "done", "a firmware update failed"),
    ];
    all(cases, async |(update, outcome, words)| {
        let bench = Bench::new().await;
        let board = bench.plug(PhotonConfig { update, ..bench.board() });
        let ended = bench.run(&board).with(&["--settle"]).ended().await.passes();
        assert_eq!(ended.outcome("settle"), Some(outcome), "{ended:?}");
        assert!(ended.events.iter().any(|event| told(event, "settle", words)), "{ended:?}");
        assert_eq!(ended.result()["settled"], true);
        // Back from the update, too.
        let state = board.state();
        assert!(state.online && !state.updating, "{state:?}");
        bench.holds_one_claim();
    })
    .await;
}

#[tokio::test]
async fn an_update_that_takes_too_long_is_not_cut_off_by_a_pass() {
    let bench = Bench::new().await;
    let update = Some(FirmwareUpdate { takes: Duration::from_secs(3600), fails: false });
    let board = bench.plug(PhotonConfig { update, ..bench.board() });
    let run = bench.run(&board).with(&["--settle=8s"]);
    let ended = run.ended().await.fails_with(30, "not-settled").at("settle").saying("still under way");
    assert!(ended.events.iter().any(|event| told(event, "settle", "do not unplug the board")), "{ended:?}");
    bench.holds_one_claim();
}

#[tokio::test]
async fn without_the_stream_nobody_knows_that_a_board_has_settled() {
    let bench = Bench::new().await;
    bench.cloud.add_fault(format!("{STREAM}=403").parse().unwrap());
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["--settle=1s"]);
    run.ended()
        .await
        .fails_with(30, "not-settled")
        .at("settle")
        .saying("the cloud's event stream cannot be had");
    bench.holds_one_claim();
}

/// The cloud, the ticket, and a board of `CUSTOMER`'s that is online.
async fn claimed(bench: &Bench) -> (Cloud, Ticket) {
    let client =
        OAuthClient { id: bench.info.client_id.clone(), secret: bench.info.client_secret.clone().into() };
    let api_url = ApiUrl::parse(&bench.info.api_url).unwrap();
    let cloud =
        Cloud::new(CloudSettings { api_url, client: Some(client), ..CloudSettings::default() }).unwrap();
    let job = Job {
        owner: Owner::Customer {
            product: ProductRef::parse(&PRODUCT.to_string()).unwrap(),
            customer: CustomerTemplate::parse(CUSTOMER).unwrap(),
        },
        wifi: None,
        device_id: Some(DeviceId::parse(ID).unwrap()),
        naming: Naming::default(),
        reclaim: false,
        dry_run: false,
        policy: Policy::default(),
    };
    let (_, ticket) =
        parts::prepare(&job, &cloud, &Events::ignored(), &Unrecorded, std::future::pending()).await.unwrap();
    let ticket = ticket.unwrap();
    bench.board_does(ID, "session", &json!({"platform_id": 6})).await;
    bench.board_does(ID, "claim", &json!({"claim_code": ticket.claim_code.expose()})).await;
    (cloud, ticket)
}

#[tokio::test]
async fn an_update_that_ends_while_the_cloud_is_down_is_not_waited_for_in_vain() {
    // Where the board is when the cloud goes away; what it does then is never told.
    all([false, true], async |is_restarting| {
        let bench = Bench::new().await;
        let (cloud, ticket) = claimed(&bench).await;
        let policy = Policy {
            settle: Some(Duration::from_secs(6)),
            quiet: Duration::from_millis(200),
            ..Policy::bench()
        };
        let (tell, mut notes) = tokio::sync::mpsc::unbounded_channel();
        let events = Events::new(0, move |event| {
            if let EventKind::StepNote { step: Step::Settle, note }
            | EventKind::StepRetried { step: Step::Settle, note } = event.kind
            {
                let _ = tell.send(note);
            }
        });
        let never = std::future::pending();
        let run = parts::verify(&ticket, &cloud, policy, &events, &Unrecorded, never);
        let outage = async {
            // Whether it is heard yet cannot be seen from here.
            while !notes.try_recv().is_ok_and(|note| note.contains("do not unplug")) {
                bench.board_does(ID, "update", &json!({"status": "started"})).await;
            }
            if is_restarting {
                bench.board_does(ID, "update", &json!({"status": "success"})).await;
                while !notes.recv().await.unwrap().contains("starts anew") {}
            }
            bench.cloud.add_fault("* /v1/**=503".parse().unwrap());
            bench.cloud.cut_streams();
            // By the sixth try the pauses between them come to more than a board is given to settle.
            for _ in 0..6 {
                while !notes.recv().await.unwrap().contains("trying again") {}
            }
            bench.board_does(ID, "session", &json!({"platform_id": 6})).await;
            bench.cloud.clear_faults();
        };
        let (ended, ()) = guarded(async { tokio::join!(run, outage) }).await;
        assert!(ended.unwrap().settled);
    })
    .await;
}
