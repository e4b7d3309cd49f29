//! What must hold of every ledger, whatever was killed or went wrong, compared with what really happened.

use provision::{
    record::{Ledger, Outcome, RunQuery, Story},
    sim::photon::SimPhoton,
};

use crate::bench::{Bench, codes};

/// The stories of this board, which agree with it and with the cloud.
pub async fn agrees(ledger: &Ledger, bench: &Bench, board: &SimPhoton, id: &str) -> Vec<Story> {
    let all = ledger.stories_of(&RunQuery::default()).await.unwrap();
    let stories: Vec<_> =
        all.into_iter().filter(|story| story.run.device_id.as_deref() == Some(id)).collect();
    let record = bench.cloud.device(id);
    let is_meant = |step: &str| stories.iter().any(|s| s.intents.iter().any(|intent| intent.step == step));
    // Nothing has happened that was not meant to in the ledger.
    if record.as_ref().is_some_and(|record| record["product_id"].is_number()) {
        assert!(is_meant("import"), "{stories:?}");
    }
    if !codes(board).is_empty() {
        assert!(is_meant("deliver"), "{stories:?}");
    }
    for Story { run, steps, .. } in &stories {
        // Nothing is claimed that has not happened.
        let has = |step: &str| steps.iter().any(|s| s.step == step && s.outcome.as_deref() == Some("done"));
        if has("import") {
            assert!(record.is_some(), "{run:?}");
        }
        if has("deliver") {
            assert!(!codes(board).is_empty(), "{run:?}");
        }
        if matches!(run.outcome, Outcome::Passed | Outcome::Already) {
            let owner = record.as_ref().and_then(|record| record["owner"].as_str());
            assert_eq!(owner, run.customer.as_deref(), "{run:?}");
        }
        assert_eq!(
            run.ended.is_some(),
            !matches!(run.outcome, Outcome::Incomplete | Outcome::Abandoned),
            "{run:?}"
        );
    }
    stories
}
