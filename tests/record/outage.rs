//! A network between a bench and its ledger that loses answers, falls silent, and comes back.

use provision::{
    model::{FailureCode, Part, Step},
    record::{Beat, Lease, Ledger, Location, NewOrder, OrderState, Outcome, Recording, RunQuery, Who},
    workflow::{Job, Journal},
};
use tokio::time::Instant;

use crate::{
    bench::{Bench, CLAIM_CODE, ID, guarded},
    cable::Cable,
    cluster::Cluster,
    place::ledger,
    suite::{begun, device, id, job, order, story, summary},
};

/// A bench's ledger at the end of a cable, and one that is beside the database.
fn desk(cluster: &Cluster) -> (Ledger, Cable, Ledger) {
    let (url, cable) = cluster.database_over_tcp();
    let beside = cluster.beside(&url);
    (ledger(&url, "left"), cable, ledger(&beside, "right"))
}

/// Does this with the answer to its COMMIT lost, and something else before it is tried again.
async fn unanswered<T>(
    cable: &Cable,
    work: impl Future<Output = T>,
    meanwhile: impl Future<Output = ()>,
) -> T {
    cable.lose_answer();
    let between = async {
        cable.answer_is_lost().await;
        meanwhile.await;
        cable.put_back();
    };
    guarded(async { tokio::join!(work, between) }).await.0
}

#[tokio::test]
async fn a_run_whose_answers_are_lost_is_written_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, office) = desk(cluster);
    let nothing = || std::future::ready(());
    unanswered(&cable, left.open(), nothing()).await.unwrap();
    let recording = Recording::new(&left, None);
    unanswered(&cable, recording.begin(&job(), Part::Whole), nothing()).await.unwrap();
    unanswered(&cable, recording.take(&id(), &|_| panic!("nobody else has it")), nothing()).await.unwrap();
    assert_eq!(office.under_way().await.unwrap().len(), 1);
    unanswered(&cable, recording.intend(Step::Import), nothing()).await.unwrap();
    unanswered(&cable, recording.intend(Step::Deliver), nothing()).await.unwrap();
    unanswered(&cable, recording.end(Ok(summary())), nothing()).await.unwrap();
    let stories = office.stories_of(&RunQuery::default()).await.unwrap();
    assert_eq!((stories.len(), stories[0].run.outcome), (1, Outcome::Passed));
    assert_eq!(stories[0].intents.len(), 2);
    assert!(office.under_way().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_end_whose_answer_is_lost_settles_no_run_that_began_after_it() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, right) = desk(cluster);
    let first = begun(&left).await;
    let next = Recording::new(&right, None);
    let meanwhile = async {
        next.begin(&Job { device_id: Some(id()), ..job() }, Part::Whole).await.unwrap();
        next.take(&id(), &|_| panic!("the first has ended")).await.unwrap();
    };
    unanswered(&cable, first.end(Ok(summary())), meanwhile).await.unwrap();
    let told = story(&right, &next).await.run;
    assert_eq!((told.outcome, told.settled_by), (Outcome::Incomplete, None));
    next.intend(Step::Deliver).await.unwrap();
}

#[tokio::test]
async fn orders_whose_answers_are_lost_are_used_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, right) = desk(cluster);
    left.open().await.unwrap();
    let nothing = || std::future::ready(());
    let file = [order("a"), order("b")];
    let imported = unanswered(&cable, left.import_orders("today", &file), nothing()).await.unwrap();
    assert_eq!(imported.new + imported.known, 2);
    let claimed =
        unanswered(&cable, left.claim_order("today", &device(1)), nothing()).await.unwrap().unwrap();
    assert_eq!(claimed.customer.as_deref(), Some("a"));
    let other = right.claim_order("today", &device(2)).await.unwrap().unwrap();
    assert_eq!(other.customer.as_deref(), Some("b"));
    unanswered(&cable, left.settle_order(&claimed.id, OrderState::Done), nothing()).await.unwrap();
    // One that is scanned is one, whether it names its board or not.
    let scanned = NewOrder { device_id: Some(device(3)), ..order("c") };
    let added = unanswered(&cable, left.add_order("today", &scanned), nothing()).await.unwrap();
    assert_eq!((added.bound_to.as_deref(), added.state), (Some(device(3).as_str()), OrderState::Bound));
    unanswered(&cable, left.add_order("today", &order("d")), nothing()).await.unwrap();
    let all = right.orders("today").await.unwrap();
    let told: Vec<_> = all.iter().map(|o| (o.customer.as_deref().unwrap(), o.state)).collect();
    let states = [OrderState::Done, OrderState::Bound, OrderState::Bound, OrderState::Open];
    assert_eq!(told, ["a", "b", "c", "d"].into_iter().zip(states).collect::<Vec<_>>());
    let positions: Vec<_> = all.iter().map(|order| order.position).collect();
    assert_eq!(positions, [1, 2, 3, 4]);
}

#[tokio::test]
async fn an_order_that_is_given_back_and_taken_by_another_meanwhile_stays_the_others() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, right) = desk(cluster);
    left.import_orders("today", &[order("a")]).await.unwrap();
    let ours = left.claim_order("today", &device(1)).await.unwrap().unwrap();
    let meanwhile = async {
        let theirs = right.claim_order("today", &device(2)).await.unwrap().unwrap();
        assert_eq!(theirs.id, ours.id);
    };
    unanswered(&cable, left.give_back_order(&ours), meanwhile).await.unwrap();
    let told = right.orders("today").await.unwrap();
    assert_eq!((told[0].bound_to.as_deref(), told[0].state), (Some(device(2).as_str()), OrderState::Bound));
    assert_eq!(left.claim_order("today", &device(1)).await.unwrap(), None);
}

#[tokio::test]
async fn leases_and_beats_whose_answers_are_lost_are_taken_once() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, right) = desk(cluster);
    left.open().await.unwrap();
    let nothing = || std::future::ready(());
    assert_eq!(unanswered(&cable, left.lease(&id(), "one"), nothing()).await.unwrap(), Lease::Ours);
    assert_eq!(right.lease(&id(), "two").await.unwrap(), Lease::Theirs { bench: "left".into() });
    // Somebody else takes it as soon as it is given back, and keeps it.
    let meanwhile = async {
        assert_eq!(right.lease(&id(), "two").await.unwrap(), Lease::Ours);
    };
    unanswered(&cable, left.release("one"), meanwhile).await.unwrap();
    assert_eq!(left.lease(&id(), "one").await.unwrap(), Lease::Theirs { bench: "right".into() });
    assert_eq!(unanswered(&cable, left.beat(&Beat::default()), nothing()).await.unwrap(), 1);
    assert_eq!(right.beat(&Beat::default()).await.unwrap(), 2);
    unanswered(&cable, left.leave(&Beat::default()), nothing()).await.unwrap();
    assert_eq!(right.alive().await.unwrap(), 1);
}

#[tokio::test]
async fn a_line_that_falls_silent_holds_nothing_up_for_ever() {
    let Some(cluster) = Cluster::shared() else { return };
    let (url, cable) = cluster.database_over_tcp();
    let who = Who { bench: "left".into(), operator: "ann".into(), host: "desk".into() };
    let left = Ledger::new(Location::parse(&url).unwrap(), who);
    let office = ledger(&cluster.beside(&url), "office");
    let recording = begun(&left).await;
    let idle = ledger(&url, "idle");
    idle.open().await.unwrap();
    cable.pull();
    // While nothing arrives, the clock may go as fast as it likes.
    tokio::time::pause();
    let pulled = Instant::now();
    let intend = async |step| recording.intend(step).await.unwrap_err();
    let beat = async { left.beat(&Beat::default()).await.unwrap_err() };
    let all = async { tokio::join!(intend(Step::Import), intend(Step::Deliver), intend(Step::Wifi), beat) };
    let (a, b, c, d) = guarded(all).await;
    for failure in [a, b, c, d] {
        assert_eq!(failure.code, FailureCode::LedgerUnusable);
    }
    assert!(pulled.elapsed() <= Ledger::PATIENCE + Ledger::ONE_TRY, "{:?}", pulled.elapsed());
    // It is away for all, and each of those who come now asks once.
    let known = Instant::now();
    assert!(recording.end(Ok(summary())).await.is_err());
    left.close().await;
    assert!(known.elapsed() < Ledger::PATIENCE, "{:?}", known.elapsed());
    guarded(idle.close()).await;
    tokio::time::resume();
    cable.put_back_for_new_ones();
    recording.end_late().await.unwrap();
    let told = story(&office, &recording).await;
    assert_eq!((told.run.outcome, told.intents.len()), (Outcome::Passed, 0));
}

#[tokio::test]
async fn a_line_that_is_cut_is_made_anew() {
    let Some(cluster) = Cluster::shared() else { return };
    let (left, cable, office) = desk(cluster);
    let recording = begun(&left).await;
    cable.cut();
    recording.intend(Step::Deliver).await.unwrap();
    cable.cut();
    recording.end(Ok(summary())).await.unwrap();
    let told = story(&office, &recording).await;
    assert_eq!((told.run.outcome, told.intents.len()), (Outcome::Passed, 1));
}

#[tokio::test]
async fn a_run_whose_cable_is_pulled_can_be_ended_and_is_settled_by_the_next() {
    let Some(cluster) = Cluster::shared() else { return };
    let (bench, (url, cable)) = (Bench::new().await, cluster.database_over_tcp());
    let _board = bench.plug_into_hub(bench.board());
    let gate = bench.cloud.gate(CLAIM_CODE).unwrap();
    let run = || bench.run_in_hub(ID).env("PROVISION_LEDGER", &url).env("PROVISION_BENCH", "left");
    let pulled = run().start();
    guarded(gate.arrived()).await;
    cable.pull();
    pulled.interrupt();
    assert_eq!(pulled.ended().await.status.code(), Some(130));
    gate.open();
    cable.put_back_for_new_ones();
    let office = ledger(&cluster.beside(&url), "office");
    assert_eq!(office.incomplete_runs("left").await.unwrap().len(), 1);
    let next = run().ended().await.passes();
    assert!(next.stderr.contains("left incomplete"), "{next:?}");
    let runs = office.runs(&RunQuery::default()).await.unwrap();
    let outcomes: Vec<_> = runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Abandoned]);
    bench.holds_one_claim();
}
