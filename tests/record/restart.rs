//! A database server that goes away in the middle, and comes back or does not.

use std::{sync::Arc, time::Duration};

use provision::{
    model::{FailureCode, Step},
    record::{Ledger, Location, Outcome, RunQuery, Who},
    workflow::Journal,
};

use crate::{
    bench::{Bench, ID},
    cluster::Cluster,
    place::ledger,
    suite::{begun, story, summary},
};

#[tokio::test]
async fn a_server_that_restarts_is_waited_for_and_nothing_is_lost() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    let ledger = ledger(&cluster.database(), "left");
    let recording = begun(&ledger).await;
    cluster.stop();
    // It is asked while it is away, and answers once it is back.
    let intends = recording.intend(Step::Import);
    let away = cluster.clone();
    let comes_back = async { tokio::task::spawn_blocking(move || away.start_again()).await.unwrap() };
    let (intended, ()) = tokio::join!(intends, comes_back);
    intended.unwrap();
    cluster.stop();
    cluster.start_again();
    recording.end(Ok(summary())).await.unwrap();
    let told = story(&ledger, &recording).await;
    assert_eq!((told.run.outcome, told.intents.len()), (Outcome::Passed, 1));
}

#[tokio::test]
async fn a_server_that_stays_away_stops_what_cannot_be_taken_back() {
    let Some(cluster) = Cluster::start() else { return };
    let who = Who { bench: "left".into(), operator: "ann".into(), host: "desk".into() };
    let url = cluster.database();
    let location = Location::parse(&url).unwrap();
    let ledger = Ledger::with_patience(location, who, Duration::from_millis(100));
    let recording = begun(&ledger).await;
    cluster.stop();
    for refused in [recording.intend(Step::Import).await, recording.end(Ok(summary())).await.map(drop)] {
        assert_eq!(refused.unwrap_err().code, FailureCode::LedgerUnusable);
    }
    cluster.start_again();
    let told = story(&self::ledger(&url, "office"), &recording).await;
    assert_eq!((told.run.outcome, told.intents.len()), (Outcome::Incomplete, 0));
}

#[tokio::test]
async fn a_whole_run_lives_through_a_restart_of_the_server() {
    let Some(cluster) = Cluster::start().map(Arc::new) else { return };
    let (bench, url) = (Bench::new().await, cluster.database());
    let _board = bench.plug_into_hub(bench.board());
    let mut run = bench.run_in_hub(ID).env("PROVISION_LEDGER", &url).start();
    run.reaches("step-started", "sign-in").await;
    cluster.stop();
    let away = cluster.clone();
    tokio::task::spawn_blocking(move || away.start_again()).await.unwrap();
    run.ended().await.passes();
    let runs = ledger(&url, "office").runs(&RunQuery::default()).await.unwrap();
    assert_eq!((runs.len(), runs[0].outcome), (1, Outcome::Passed));
    bench.holds_one_claim();
}
