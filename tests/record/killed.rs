//! The program is killed at any point, and run again.

use provision::{model::DeviceId, record::Outcome, sim::photon::PhotonConfig};

use crate::{
    bench::{Bench, guarded},
    checker::agrees,
    on_both,
    place::Place,
};

on_both! {
    a_run_that_is_killed_at_any_point_claims_no_more_than_happened
    two_runs_at_the_same_board_take_turns
}

/// More than a run has events.
const POINTS: u64 = 26;

async fn a_run_that_is_killed_at_any_point_claims_no_more_than_happened(place: Place) {
    let bench = Bench::new().await;
    for point in 0..POINTS {
        let id = format!("{point:024x}");
        let board =
            bench.plug_into_hub(PhotonConfig { device_id: DeviceId::parse(&id).unwrap(), ..bench.board() });
        let run = || bench.run_in_hub(&id).env("PROVISION_LEDGER", &place.url).env("PROVISION_BENCH", "left");
        let mut killed = run().start();
        let mut result = None;
        for _ in 0..point {
            match killed.next_event().await {
                Some(event) => result = Some(event).filter(|event| event["event"] == "result"),
                None => break,
            }
        }
        killed.kill().await;
        let ledger = place.ledger("office");
        let before = agrees(&ledger, &bench, &board, &id).await;
        assert!(before.len() <= 1);
        if result.is_some() {
            assert_eq!(before[0].run.outcome, Outcome::Passed, "a finished row is lost");
        }
        let left = ledger.incomplete_runs("left").await.unwrap();
        let is_left = left.iter().any(|run| run.device_id.as_deref() == Some(&*id));
        assert_eq!(is_left, before.first().is_some_and(|story| story.run.outcome == Outcome::Incomplete));

        run().ended().await.passes();
        assert_eq!(ledger.incomplete_runs("left").await.unwrap(), [], "all are settled");
        let after = agrees(&ledger, &bench, &board, &id).await;
        let last = &after[0].run;
        assert!(matches!(last.outcome, Outcome::Passed | Outcome::Already), "{last:?}");
        for story in &after[1..] {
            let settled =
                story.run.outcome == Outcome::Abandoned && story.run.settled_by.as_ref() == Some(&last.id);
            assert!(settled || result.is_some(), "{:?}", story.run);
        }
    }
}

async fn two_runs_at_the_same_board_take_turns(place: Place) {
    let bench = Bench::new().await;
    let id = format!("{:024x}", 7);
    let _board =
        bench.plug_into_hub(PhotonConfig { device_id: DeviceId::parse(&id).unwrap(), ..bench.board() });
    let run = |name| bench.run_in_hub(&id).env("PROVISION_LEDGER", &place.url).env("PROVISION_BENCH", name);
    let both = async { tokio::join!(run("left").ended(), run("right").ended()) };
    let (left, right) = guarded(both).await;
    let already = |ended: &crate::bench::Ended| ended.result()["already"] == true;
    let (left, right) = (left.passes(), right.passes());
    assert_ne!(already(&left), already(&right), "{left:?} {right:?}");
    assert_eq!(bench.cloud.snapshot()["devices"].as_array().unwrap().len(), 1);
}
