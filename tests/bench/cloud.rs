//! A cloud that refuses, slows down, and goes away.

use provision::sim::photon::PhotonConfig;
use serde_json::json;

use crate::{
    bench::{SIGN_IN, all, guarded},
    floor::{Floor, id, is, until, whole},
};

#[tokio::test]
async fn a_refused_sign_in_stops_all_long_before_the_lock_out() {
    let floor = Floor::new().await;
    let _boards: Vec<_> = (0..12).map(|n| floor.plug(n)).collect();
    let run = floor.shift().env("PARTICLE_CLIENT_SECRET", "not-the-secret");
    let sum = whole(run.start()).await;
    assert_eq!(sum.ended.status.code(), Some(20), "{}", sum.last);
    assert_eq!(sum.events("stopping")[0]["why"], "failure");
    let refused = floor.bench.requests().iter().filter(|r| *r == SIGN_IN).count();
    assert!(refused < 6, "{refused}");
    assert!(floor.owners().is_empty());
}

#[tokio::test]
async fn boards_wait_for_a_cloud_that_is_down_and_none_fails_for_it() {
    let floor = Floor::new().await;
    // Until it is told that the cloud is back, every request is answered with a failure.
    floor.bench.cloud.add_fault("* /v1/**=503".parse().unwrap());
    let _boards: Vec<_> = (0..8).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--count", "8"]).start();
    for _ in 0..24 {
        until(&mut shift, |event| {
            let note = event["note"].as_str().unwrap_or_default();
            note.contains("trying again")
        })
        .await;
    }
    floor.bench.cloud.clear_faults();
    whole(shift).await.is(0, 8, 0, json!({}));
    floor.agrees(0..8).await;
}

#[tokio::test]
async fn boards_that_are_to_be_verified_wait_longer_for_a_cloud_that_is_down_than_for_themselves() {
    all(["503", "drop", "429:retry-after=1"], async |fault| {
        let floor = Floor::new().await;
        // The cloud hears of them only what is told below.
        let plug = |n| floor.bench.plug_into_hub(PhotonConfig { cloud_url: None, ..floor.board(n) });
        let boards: Vec<_> = (0..3).map(plug).collect();
        let mut shift = floor.shift().with(&["--count", "3", "--timeout", "2s"]).start();
        // Their records were read, and are not read again before the boards are let out.
        for _ in &boards {
            until(&mut shift, |event| event["event"] == "step-ended" && event["step"] == "check-device")
                .await;
        }
        floor.bench.cloud.add_fault(format!("GET /v1/products/*/devices/*={fault}").parse().unwrap());
        // By the fifth try the pauses between them come to more than two seconds.
        let mut tries = [0; 3];
        while tries.iter().any(|tries| *tries < 5) {
            let again = until(&mut shift, |event| event["step"] == "verify" && is("step-note")(event)).await;
            tries[usize::try_from(again["lane"].as_u64().unwrap()).unwrap()] += 1;
        }
        for (number, board) in boards.iter().enumerate() {
            floor.bench.comes_online(id(number).as_str(), board).await;
        }
        floor.bench.cloud.clear_faults();
        whole(shift).await.is(0, 3, 0, json!({}));
        floor.agrees(0..3).await;
    })
    .await;
}

#[tokio::test]
async fn limits_make_a_bench_slower_and_fail_nothing() {
    let floor = Floor::new().await;
    floor.bench.cloud.add_fault("POST /v1/products/1319/customers=429:retry-after=1x3".parse().unwrap());
    let _boards: Vec<_> = (0..6).map(|n| floor.plug(n)).collect();
    whole(floor.shift().with(&["--count", "6"]).start()).await.is(0, 6, 0, json!({}));
    floor.agrees(0..6).await;
}

#[tokio::test]
async fn one_sign_in_is_enough_for_a_shift() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate(SIGN_IN).unwrap();
    let _boards: Vec<_> = (0..6).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--count", "6"]).start();
    guarded(gate.arrived()).await;
    gate.open();
    until(&mut shift, is("stopping")).await;
    whole(shift).await.is(0, 6, 0, json!({}));
    assert_eq!(floor.bench.count(SIGN_IN), 1);
}
