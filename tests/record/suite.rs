use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use provision::{
    model::{
        ClaimCode, CustomerTemplate, DeviceId, EventKind, Events, Failure, FailureCode, FirmwareVersion,
        Identity, Outcome as StepOutcome, Part, Platform, ProductRef, Step, Summary, guard,
    },
    record::{
        Beat, HookKind, HookState, Lease, Ledger, NewOrder, Order, OrderState, Outcome, Recording, RunQuery,
        Story,
    },
    workflow::{Job, Journal, Naming, Owner, Policy},
};

use crate::{on_both, place::Place};

const ID: &str = "3b0021001747353236343033";

on_both! {
    a_run_is_incomplete_until_it_ends_and_then_tells_it_all
    a_run_that_fails_tells_where_and_why
    a_later_run_settles_one_that_never_ended
    a_hook_is_due_with_the_end_of_its_run_until_it_has_done_its_work
    a_board_that_is_found_done_has_the_hook_that_its_last_run_lacked
    an_end_that_was_not_taken_is_written_later
    one_run_at_a_time_has_a_device
    a_lease_that_nobody_renews_ends_by_time_alone
    a_run_that_waits_for_its_turn_is_not_one_that_never_ended
    orders_are_the_same_however_often_they_are_read
    an_order_is_never_used_twice
    an_order_that_its_file_does_not_hold_any_more_is_withdrawn
    an_order_is_found_by_what_it_says
    benches_count_each_other
    a_run_that_does_not_know_its_board_yet_is_under_way
    a_run_that_ends_before_it_has_its_board_keeps_the_one_that_was_meant
    a_run_that_never_got_to_begin_is_recorded_all_the_same
    many_open_a_new_ledger_at_once
    many_boards_share_a_ledger_and_one_that_is_stopped_takes_nothing_with_it
    a_newer_schema_is_refused
    an_older_schema_is_brought_up_to_date
    no_secret_is_kept
    runs_are_asked_for_by_what_they_are
}

pub fn id() -> DeviceId {
    DeviceId::parse(ID).unwrap()
}

pub fn job() -> Job {
    Job {
        owner: Owner::Customer {
            product: ProductRef::parse("1319").unwrap(),
            customer: CustomerTemplate::parse("{device_id}@shadow.example").unwrap(),
        },
        wifi: None,
        device_id: None,
        naming: Naming::default(),
        reclaim: false,
        dry_run: false,
        policy: Policy::default(),
    }
}

fn identity() -> Identity {
    Identity {
        id: id(),
        platform: Some(Platform::Photon),
        firmware: Some(FirmwareVersion::new(2, 3, 1)),
        claimed: None,
        mac: None,
        serial_number: None,
    }
}

pub fn summary() -> Summary {
    Summary {
        settled: false,
        part: Part::Whole,
        device_id: Some(id()),
        platform: Some(Platform::Photon),
        firmware: Some(FirmwareVersion::new(2, 3, 1)),
        customer: None,
        product: None,
        already: false,
        dry_run: false,
    }
}

fn events(recording: &Recording) -> Events {
    let recording = recording.clone();
    Events::new(0, move |event| recording.hear(&event))
}

fn ended(step: Step) -> EventKind {
    EventKind::StepEnded { step, outcome: StepOutcome::Done, note: "told only".into(), took: Duration::ZERO }
}

pub async fn story(ledger: &Ledger, recording: &Recording) -> Story {
    let mut stories = ledger.stories(recording.id().short()).await.unwrap();
    assert_eq!(stories.len(), 1);
    stories.remove(0)
}

pub async fn begun(ledger: &Ledger) -> Recording {
    let recording = Recording::new(ledger, Some("3".into()));
    recording.begin(&job(), Part::Whole).await.unwrap();
    recording.take(&id(), &|_| {}).await.unwrap();
    recording
}

async fn a_run_is_incomplete_until_it_ends_and_then_tells_it_all(place: Place) {
    let (ledger, reader) = (place.ledger("left"), place.ledger("office"));
    let recording = Recording::new(&ledger, Some("3".into()));
    recording.begin(&job(), Part::Whole).await.unwrap();
    let run = story(&reader, &recording).await.run;
    assert_eq!((run.outcome, run.device_id, run.ended), (Outcome::Incomplete, None, None));
    assert_eq!((run.bench.as_str(), run.slot.as_deref(), run.operator.as_str()), ("left", Some("3"), "ann"));

    let events = events(&recording);
    events.send(EventKind::StepStarted { step: Step::KnowDevice });
    recording.take(&id(), &|_| unreachable!("nobody else has it")).await.unwrap();
    events.send(ended(Step::KnowDevice));
    recording.met(&identity());
    events.send(EventKind::StepStarted { step: Step::Deliver });
    recording.intend(Step::Deliver).await.unwrap();
    let told = story(&reader, &recording).await;
    assert_eq!(told.run.device_id.as_deref(), Some(ID));
    assert_eq!(told.run.customer.as_deref(), Some("3b0021001747353236343033@shadow.example"));
    assert_eq!(told.run.firmware.as_deref(), Some("2.3.1"));
    assert_eq!(told.intents.iter().map(|i| i.step.as_str()).collect::<Vec<_>>(), ["deliver"]);
    let open = told.steps.iter().find(|step| step.step == "deliver").unwrap();
    assert_eq!((open.ended, open.outcome.as_deref()), (None, None));

    events.send(EventKind::StepRetried { step: Step::Deliver, note: "an echo got lost".into() });
    events.send(ended(Step::Deliver));
    recording.end(Ok(summary())).await.unwrap();
    let told = story(&reader, &recording).await;
    assert_eq!(told.run.outcome, Outcome::Passed);
    assert!(told.run.ended.is_some_and(|ended| ended >= told.run.started));
    assert_eq!((told.run.platform.as_deref(), told.run.product.as_deref()), (Some("Photon"), Some("1319")));
    let deliver = told.steps.iter().find(|step| step.step == "deliver").unwrap();
    assert_eq!((deliver.tries, deliver.outcome.as_deref()), (2, Some("done")));
    assert!(deliver.ended.is_some());
    assert_eq!(
        (told.retries[0].step.as_str(), told.retries[0].why.as_str()),
        ("deliver", "an echo got lost")
    );
    assert!(!serde_json::to_string(&told).unwrap().contains("told only"));
}

async fn a_run_that_fails_tells_where_and_why(place: Place) {
    let ledger = place.ledger("left");
    for (code, outcome) in
        [(FailureCode::CodeRefused, Outcome::Failed), (FailureCode::Interrupted, Outcome::Interrupted)]
    {
        let recording = begun(&ledger).await;
        let events = events(&recording);
        for step in [Step::SignIn, Step::Deliver] {
            events.send(EventKind::StepStarted { step });
        }
        let failure = Failure::new(code, "the device said no").in_step(Step::Deliver);
        recording.end(Err(failure)).await.unwrap_err();
        let told = story(&ledger, &recording).await;
        assert_eq!(told.run.outcome, outcome);
        assert_eq!(told.run.failure_code, Some(code.as_str()));
        assert_eq!(told.run.failure_step.as_deref(), Some("deliver"));
        assert_eq!(told.run.detail.as_deref(), Some("the device said no"));
        let outcome = |name| told.steps.iter().find(|s| s.step == name).and_then(|s| s.outcome.clone());
        assert_eq!(outcome("deliver").as_deref(), Some("failed"));
        assert_eq!(outcome("sign-in").as_deref(), Some("stopped"));
    }
}

async fn a_run_that_ends_before_it_has_its_board_keeps_the_one_that_was_meant(place: Place) {
    let ledger = place.ledger("left");
    let recording = Recording::new(&ledger, None);
    recording.begin(&Job { device_id: Some(id()), ..job() }, Part::Whole).await.unwrap();
    let failure = Failure::new(FailureCode::SignInRefused, "no such client").in_step(Step::SignIn);
    recording.end(Err(failure)).await.unwrap_err();
    let query = RunQuery { device_id: Some(id()), ..RunQuery::default() };
    let runs = ledger.runs(&query).await.unwrap();
    assert_eq!((runs.len(), runs[0].outcome), (1, Outcome::Failed));
    assert_eq!(runs[0].customer.as_deref(), Some("3b0021001747353236343033@shadow.example"));
}

async fn a_run_that_never_got_to_begin_is_recorded_all_the_same(place: Place) {
    let ledger = place.ledger("left");
    let job = Job { device_id: Some(id()), ..job() };
    // Stopped before the ledger has answered.
    let stopped = Recording::new(&ledger, None);
    assert!(futures_util::FutureExt::now_or_never(stopped.begin(&job, Part::Whole)).is_none());
    stopped.end(Err(Failure::new(FailureCode::Interrupted, "interrupted"))).await.unwrap_err();
    let run = story(&ledger, &stopped).await.run;
    assert_eq!((run.outcome, run.device_id.as_deref()), (Outcome::Interrupted, Some(ID)));
    // Refused before anything was asked of the board.
    let refused = Recording::new(&ledger, None);
    let failure =
        Failure::new(FailureCode::WrongDevice, "the barcode said another").in_step(Step::KnowDevice);
    refused.refuse(&job, failure, Some(HookKind::OnFail)).await.unwrap_err();
    assert_eq!(refused.hook(), Some(HookKind::OnFail));
    let run = story(&ledger, &refused).await.run;
    assert_eq!((run.outcome, run.failure_code.as_deref()), (Outcome::Failed, Some("wrong-device")));
    assert_eq!(run.detail.as_deref(), Some("the barcode said another"));
    assert_eq!(
        (run.device_id.as_deref(), run.product.as_deref(), run.customer),
        (Some(ID), Some("1319"), None)
    );
    assert!(run.ended.is_some());
}

async fn a_later_run_settles_one_that_never_ended(place: Place) {
    let ledger = place.ledger("left");
    let lost = begun(&ledger).await;
    // It was on another computer, and its lease has run out.
    place.execute("UPDATE runs SET place = NULL").await;
    assert_eq!(place.ledger("left").incomplete_runs("left").await.unwrap(), [], "it may still be at work");
    ledger.release(lost.id().as_str()).await.unwrap();
    let next = place.ledger("left");
    assert_eq!(next.incomplete_runs("left").await.unwrap().len(), 1);
    assert_eq!(next.incomplete_runs("right").await.unwrap(), []);
    assert_eq!(ledger.incomplete_runs("left").await.unwrap(), [], "a process knows of its own runs");
    let found = begun(&next).await;
    found.end(Ok(Summary { already: true, ..summary() })).await.unwrap();
    assert_eq!(story(&next, &found).await.run.outcome, Outcome::Already);
    let lost = story(&next, &lost).await.run;
    assert_eq!((lost.outcome, lost.settled_by.as_ref()), (Outcome::Abandoned, Some(found.id())));
    assert_eq!(next.incomplete_runs("left").await.unwrap(), []);
}

fn hook_of(story: &Story) -> Option<(HookKind, HookState, Option<&str>)> {
    story.run.hook.as_ref().map(|hook| (hook.kind, hook.state, hook.error.as_deref()))
}

/// Ends a run that has found all done, and gives the hook that is due then.
async fn found_done(ledger: &Ledger) -> (Recording, Option<HookKind>) {
    let run = begun(ledger).await;
    run.end_with(Ok(Summary { already: true, ..summary() }), Some(HookKind::OnPass)).await.unwrap();
    let hook = run.hook();
    (run, hook)
}

async fn a_hook_is_due_with_the_end_of_its_run_until_it_has_done_its_work(place: Place) {
    let (ledger, other) = (place.ledger("left"), place.ledger("left"));
    let open = async || {
        let open = other.open_hooks("left").await.unwrap();
        open.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let first = begun(&ledger).await;
    first.end_with(Ok(summary()), Some(HookKind::OnPass)).await.unwrap();
    assert_eq!(hook_of(&story(&ledger, &first).await), Some((HookKind::OnPass, HookState::Due, None)));
    assert_eq!(first.hook(), Some(HookKind::OnPass));
    // Nobody else takes the board, and with it the hook, as long as it may be under way.
    assert_eq!(open().await, []);
    assert_eq!(other.lease(&id(), "another").await.unwrap(), Lease::Theirs { bench: "left".into() });
    place.execute("UPDATE runs SET place = NULL").await;
    assert_eq!(open().await, []);
    ledger.release(first.id().as_str()).await.unwrap();
    assert_eq!(open().await, [first.id().clone()]);

    // The board is back, and the hook fails.
    let (second, hook) = found_done(&ledger).await;
    assert_eq!(hook, Some(HookKind::OnPass));
    second.hook_ended(Some("it ended with exit code 3: \u{1b}[1mno paper")).await.unwrap();
    let told = story(&ledger, &second).await;
    assert_eq!(
        hook_of(&told),
        Some((HookKind::OnPass, HookState::Failed, Some(r"it ended with exit code 3: \u{1b}[1mno paper")))
    );
    assert!(told.run.hook.unwrap().ended.is_some());
    place.execute("UPDATE runs SET place = NULL").await;
    assert_eq!(open().await, [second.id().clone()]);
    // A run without hooks changes nothing about that.
    let without = begun(&ledger).await;
    without.end(Ok(Summary { already: true, ..summary() })).await.unwrap();
    assert_eq!(without.hook(), None);
    let (third, hook) = found_done(&ledger).await;
    assert_eq!(hook, Some(HookKind::OnPass));
    third.hook_ended(None).await.unwrap();
    assert_eq!(hook_of(&story(&ledger, &third).await), Some((HookKind::OnPass, HookState::Done, None)));
    place.execute("UPDATE runs SET place = NULL").await;
    assert_eq!(open().await, []);
    let (fourth, hook) = found_done(&ledger).await;
    assert_eq!((hook, hook_of(&story(&ledger, &fourth).await)), (None, None));
    assert_eq!(other.lease(&id(), "another").await.unwrap(), Lease::Ours);
    other.release("another").await.unwrap();

    // A failed board's own next run says what is to be done about it.
    let failed = begun(&ledger).await;
    let no = || Err(Failure::new(FailureCode::OwnedByOther, "it is somebody else's"));
    failed.end_with(no(), Some(HookKind::OnFail)).await.unwrap_err();
    ledger.release(failed.id().as_str()).await.unwrap();
    place.execute("UPDATE runs SET place = NULL").await;
    assert_eq!(open().await, [failed.id().clone()]);
    let (_, hook) = found_done(&ledger).await;
    assert_eq!(hook, None, "it had its own long ago");
    assert_eq!(open().await, []);
}

async fn a_board_that_is_found_done_has_the_hook_that_its_last_run_lacked(place: Place) {
    let ledger = place.ledger("left");
    let delivered = async || {
        let run = begun(&ledger).await;
        run.intend(Step::Deliver).await.unwrap();
        run
    };
    // By whom it was done nobody knows.
    let (_, hook) = found_done(&ledger).await;
    assert_eq!(hook, None);
    // It never ended, or not well.
    let killed = delivered().await;
    ledger.release(killed.id().as_str()).await.unwrap();
    let (run, hook) = found_done(&ledger).await;
    assert_eq!(hook, Some(HookKind::OnPass));
    run.hook_ended(None).await.unwrap();
    let failure = Failure::new(FailureCode::NotVerified, "not in time");
    delivered().await.end(Err(failure)).await.unwrap_err();
    let (run, hook) = found_done(&ledger).await;
    assert_eq!(hook, Some(HookKind::OnPass));
    run.hook_ended(None).await.unwrap();
    // It was touched by none that failed.
    begun(&ledger).await.end(Err(Failure::new(FailureCode::OwnedByOther, "no"))).await.unwrap_err();
    assert_eq!(found_done(&ledger).await.1, None);
    // It passed where no label was wanted.
    delivered().await.end(Ok(summary())).await.unwrap();
    assert_eq!(found_done(&ledger).await.1, None);
}

async fn an_end_that_was_not_taken_is_written_later(place: Place) {
    let ledger = place.ledger("left");
    let run = begun(&ledger).await;
    place.execute("ALTER TABLE runs RENAME TO out_of_reach").await;
    let failure = run.end(Ok(summary())).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::LedgerUnusable);
    place.execute("ALTER TABLE out_of_reach RENAME TO runs").await;
    assert_eq!(story(&ledger, &run).await.run.outcome, Outcome::Incomplete);
    run.end_late().await.unwrap();
    assert_eq!(story(&ledger, &run).await.run.outcome, Outcome::Passed);
    assert_eq!(ledger.lease(&id(), "another").await.unwrap(), Lease::Ours);
    ledger.release("another").await.unwrap();

    let run = begun(&ledger).await;
    run.end_with(Ok(summary()), Some(HookKind::OnPass)).await.unwrap();
    place.execute("ALTER TABLE runs RENAME TO out_of_reach").await;
    assert_eq!(run.hook_ended(None).await.unwrap_err().code, FailureCode::LedgerUnusable);
    place.execute("ALTER TABLE out_of_reach RENAME TO runs").await;
    assert!(run.is_unended());
    run.end_late().await.unwrap();
    assert!(!run.is_unended());
    assert_eq!(hook_of(&story(&ledger, &run).await), Some((HookKind::OnPass, HookState::Done, None)));
    assert_eq!(ledger.lease(&id(), "another").await.unwrap(), Lease::Ours);
}

async fn one_run_at_a_time_has_a_device(place: Place) {
    let (left, right) = (place.ledger("left"), place.ledger("right"));
    let first = begun(&left).await;
    let second = Recording::new(&right, None);
    second.begin(&job(), Part::Whole).await.unwrap();
    let (waits, waiting) = tokio::sync::oneshot::channel();
    let waits = std::sync::Mutex::new(Some(waits));
    let device = id();
    let tell = |_| waits.lock().unwrap().take().unwrap().send(()).unwrap();
    let take = second.take(&device, &tell);
    let end = async {
        waiting.await.unwrap();
        assert_eq!(story(&left, &second).await.run.device_id, None);
        assert!(
            matches!(right.lease(&device, "another").await, Ok(Lease::Theirs { bench }) if bench == "left")
        );
        first.intend(Step::Import).await.unwrap();
        first.end(Ok(summary())).await.unwrap();
    };
    let (taken, ()) = tokio::join!(take, end);
    taken.unwrap();
    assert_eq!(left.lease(&device, "another").await.unwrap(), Lease::Theirs { bench: "right".into() });
    // Taken twice by the same is taken once; given back it is free.
    assert_eq!(right.lease(&device, second.id().as_str()).await.unwrap(), Lease::Ours);
    right.release(second.id().as_str()).await.unwrap();
    assert_eq!(left.lease(&device, "another").await.unwrap(), Lease::Ours);
    // Who has lost its device does nothing more to it.
    let failure = second.intend(Step::Deliver).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::DeviceTaken);
    assert_eq!(story(&left, &second).await.intents, []);
}

async fn a_lease_that_nobody_renews_ends_by_time_alone(place: Place) {
    // Processes that cannot be seen from here: on a computer that tells nothing of it, and on another one.
    for elsewhere in
        ["UPDATE leases SET place = NULL", "UPDATE leases SET place = 'another boot/another space/1'"]
    {
        let (left, right) = (place.ledger("left"), place.ledger("right"));
        let first = begun(&left).await;
        first.intend(Step::Import).await.unwrap();
        place.execute(elsewhere).await;
        // As long as it lasts, by the clock of the ledger, nobody else has the device.
        place.execute("UPDATE leases SET until = until + 3600000").await;
        let theirs = Lease::Theirs { bench: "left".into() };
        assert_eq!(right.lease(&id(), "another").await.unwrap(), theirs);
        assert_eq!(right.under_way().await.unwrap().len(), 1);
        place.execute("UPDATE leases SET until = until - 3600000 - 30000").await;
        assert_eq!(right.under_way().await.unwrap().len(), 0);
        let second = begun(&right).await;
        // The first is back, and does nothing more that could not be taken back.
        let refused = first.intend(Step::Deliver).await.unwrap_err();
        assert_eq!(refused.code, FailureCode::DeviceTaken);
        first.end(Err(refused)).await.unwrap_err();
        second.intend(Step::Deliver).await.unwrap();
        second.end(Ok(summary())).await.unwrap();
        let (first, second) = (story(&left, &first).await, story(&left, &second).await);
        let steps = |story: &Story| story.intents.iter().map(|i| i.step.clone()).collect::<Vec<_>>();
        assert_eq!((steps(&first), steps(&second)), (vec!["import".to_owned()], vec!["deliver".to_owned()]));
        assert_eq!(first.run.failure_code.as_deref(), Some("device-taken"));
        assert_eq!(second.run.outcome, Outcome::Passed);
        // One that lost its lease and whose device nobody took goes on.
        let late = begun(&left).await;
        place.execute(elsewhere).await;
        place.execute("UPDATE leases SET until = until - 30000").await;
        late.intend(Step::Deliver).await.unwrap();
        assert_eq!(right.lease(&id(), "another").await.unwrap(), theirs);
        late.end(Ok(summary())).await.unwrap();
    }
}

async fn a_run_that_waits_for_its_turn_is_not_one_that_never_ended(place: Place) {
    let (left, right) = (place.ledger("left"), place.ledger("right"));
    let second = Recording::new(&right, None);
    second.begin(&Job { device_id: Some(id()), ..job() }, Part::Whole).await.unwrap();
    let first = begun(&left).await;
    first.end(Ok(summary())).await.unwrap();
    second.take(&id(), &|_| unreachable!("the first has ended")).await.unwrap();
    let told = story(&left, &second).await.run;
    assert_eq!((told.outcome, told.settled_by), (Outcome::Incomplete, None));
}

pub fn order(customer: &str) -> NewOrder {
    NewOrder { customer: Some(customer.into()), ..NewOrder::default() }
}

pub fn device(n: usize) -> DeviceId {
    DeviceId::parse(&format!("{n:024x}")).unwrap()
}

async fn orders_are_the_same_however_often_they_are_read(place: Place) {
    let ledger = place.ledger("left");
    let file = [order("a"), order("b"), order("a"), NewOrder { device_id: Some(device(7)), ..order("c") }];
    let imported = ledger.import_orders("today.csv", &file).await.unwrap();
    assert_eq!((imported.new, imported.known), (4, 0));
    let claimed = ledger.claim_order("today.csv", &device(1)).await.unwrap().unwrap();
    assert_eq!(claimed.customer.as_deref(), Some("a"));
    // Read again after a crash, by another bench, and with a line more.
    let again = place.ledger("right");
    let longer: Vec<_> = file.iter().cloned().chain([order("d")]).collect();
    let imported = again.import_orders("today.csv", &longer).await.unwrap();
    assert_eq!((imported.new, imported.known), (1, 4));
    assert_eq!(again.import_orders("tomorrow.csv", &file).await.unwrap().new, 4);
    let customers = |orders: Vec<Order>| orders.into_iter().filter_map(|o| o.customer).collect::<Vec<_>>();
    assert_eq!(customers(again.orders("today.csv").await.unwrap()), ["a", "b", "a", "c", "d"]);

    // The same board keeps its order, also when it is done; the one that names a board goes to no other.
    again.settle_order(&claimed.id, OrderState::Done).await.unwrap();
    let same = again.claim_order("today.csv", &device(1)).await.unwrap().unwrap();
    assert_eq!((same.id, same.state), (claimed.id, OrderState::Done));
    let mut got = Vec::new();
    for n in [7, 2, 3, 4, 5] {
        let order = again.claim_order("today.csv", &device(n)).await.unwrap();
        got.push(order.and_then(|order| order.customer).unwrap_or_default());
    }
    assert_eq!(got, ["c", "b", "a", "d", ""]);
    // What is scanned is new each time.
    for _ in 0..2 {
        ledger.add_order("scanner", &order("a")).await.unwrap();
    }
    assert_eq!(ledger.orders("scanner").await.unwrap().len(), 2);
    // More than are written at once.
    let many: Vec<_> = (0..1201).map(|n| order(&n.to_string())).collect();
    assert_eq!(ledger.import_orders("many.csv", &many).await.unwrap().new, 1201);
    let numbers = (0..1201).map(|n: u32| n.to_string()).collect::<Vec<_>>();
    assert_eq!(customers(ledger.orders("many.csv").await.unwrap()), numbers);
}

async fn an_order_that_its_file_does_not_hold_any_more_is_withdrawn(place: Place) {
    let ledger = place.ledger("left");
    let names = |customer| NewOrder { device_id: Some(device(7)), ..order(customer) };
    let claimed = async |n| {
        let claimed = ledger.claim_order("today.csv", &device(n)).await.unwrap();
        claimed.and_then(|order| order.customer)
    };
    ledger.import_orders("today.csv", &[order("used"), order("typo"), names("wrong")]).await.unwrap();
    assert_eq!(claimed(1).await.as_deref(), Some("used"));
    // What a board has is its own for good.
    ledger.import_orders("today.csv", &[order("right"), names("mended")]).await.unwrap();
    for (n, customer) in [(1, Some("used")), (7, Some("mended")), (2, Some("right")), (3, None)] {
        assert_eq!(claimed(n).await.as_deref(), customer);
    }
    assert!(!ledger.has_open_order("today.csv").await.unwrap());
    assert_eq!(ledger.claim_order_that_says("today.csv", &device(3), "typo").await.unwrap(), None);
    ledger.import_orders("today.csv", &[order("right"), order("typo")]).await.unwrap();
    assert_eq!(claimed(3).await.as_deref(), Some("typo"));
}

async fn an_order_is_never_used_twice(place: Place) {
    let orders: Vec<_> = (0..40).map(|n| order(&format!("customer {n}"))).collect();
    let ledgers: Vec<_> = (0..8).map(|n| place.ledger(&format!("bench {n}"))).collect();
    // All read the file, too.
    let imports = ledgers.iter().map(|ledger| ledger.import_orders("today.csv", &orders));
    let new: usize = join_all(imports).await.into_iter().map(|imported| imported.unwrap().new).sum();
    assert_eq!(new, 40);
    let claims = ledgers.iter().enumerate().map(|(bench, ledger)| async move {
        let mut claimed = Vec::new();
        for n in 0..6 {
            // Two benches see each board.
            let board = device(bench / 2 * 6 + n);
            claimed.push((board.clone(), ledger.claim_order("today.csv", &board).await.unwrap().unwrap()));
        }
        claimed
    });
    let claimed: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
    let pairs: HashSet<_> = claimed.iter().map(|(board, order)| (board.clone(), order.id.clone())).collect();
    let (boards, orders): (HashSet<_>, HashSet<_>) = pairs.iter().cloned().unzip();
    assert_eq!((pairs.len(), boards.len(), orders.len()), (24, 24, 24));
}

async fn an_order_is_found_by_what_it_says(place: Place) {
    let ledger = place.ledger("left");
    let named = |customer: &str, name: &str| NewOrder { name: Some(name.into()), ..order(customer) };
    let mine = NewOrder { device_id: Some(device(7)), ..named("mine", "SN-9") };
    ledger.import_orders("a.csv", &[named("ann", "SN-1"), named("bob", "SN-2"), mine]).await.unwrap();
    let claim = async |n, text: &str| {
        let order = ledger.claim_order_that_says("a.csv", &device(n), text).await.unwrap();
        order.and_then(|order| order.customer)
    };
    assert!(ledger.has_open_order("a.csv").await.unwrap());
    assert_eq!(claim(1, "SN-2").await.as_deref(), Some("bob"));
    assert_eq!(claim(1, "bob").await.as_deref(), Some("bob"));
    assert_eq!(claim(2, "SN-2").await, None);
    assert_eq!(claim(2, "SN-9").await, None);
    // The other is free again.
    assert_eq!(claim(1, "ann").await.as_deref(), Some("ann"));
    assert_eq!(claim(2, "SN-2").await.as_deref(), Some("bob"));
    assert_eq!(claim(3, "no such").await, None);
    assert!(!ledger.has_open_order("a.csv").await.unwrap());
    let bob = ledger.order_of("a.csv", &device(2)).await.unwrap().unwrap();
    ledger.give_back_order(&bob).await.unwrap();
    assert!(ledger.has_open_order("a.csv").await.unwrap());
    // One that names its board is nobody's, and no other's.
    let mine = ledger.claim_order("a.csv", &device(7)).await.unwrap().unwrap();
    ledger.give_back_order(&mine).await.unwrap();
    assert_eq!(ledger.order_of("a.csv", &device(7)).await.unwrap(), None);
    let orders = ledger.orders("a.csv").await.unwrap();
    let states: Vec<_> = orders.iter().map(|order| order.state).collect();
    assert_eq!(states, [OrderState::Bound, OrderState::Open, OrderState::Failed]);
    assert_eq!(ledger.claim_order("a.csv", &device(7)).await.unwrap().unwrap().id, mine.id);
}

async fn a_run_that_does_not_know_its_board_yet_is_under_way(place: Place) {
    let ledger = place.ledger("left");
    let recording = Recording::new(&ledger, None);
    recording.begin(&job(), Part::Whole).await.unwrap();
    assert!(ledger.under_way().await.unwrap().contains(recording.id().as_str()));
    // Its process was killed.
    place.execute("UPDATE runs SET place = 'elsewhere/1'").await;
    assert!(ledger.under_way().await.unwrap().is_empty());
}

async fn benches_count_each_other(place: Place) {
    let (left, right) = (place.ledger("left"), place.ledger("right"));
    let beat = Beat { slots: 16, under_way: 2, passed: 5, failed: 1 };
    assert_eq!(left.beat(&beat).await.unwrap(), 1);
    assert_eq!(right.beat(&Beat { slots: 4, ..Beat::default() }).await.unwrap(), 2);
    assert_eq!(left.beat(&Beat { passed: 6, ..beat }).await.unwrap(), 2);
    let benches = left.benches(Duration::from_secs(3600)).await.unwrap();
    let told: HashSet<_> = benches.iter().map(|b| (b.name.as_str(), b.slots, b.passed, b.alive)).collect();
    assert_eq!(told, HashSet::from([("left", 16, 6, true), ("right", 4, 0, true)]));
    assert_eq!(benches[0].pid, std::process::id());
    right.leave(&Beat::default()).await.unwrap();
    assert_eq!(left.alive().await.unwrap(), 1);
    assert_eq!(left.benches(Duration::from_secs(3600)).await.unwrap().len(), 2);

    assert_eq!(right.beat(&Beat::default()).await.unwrap(), 2);
    if cfg!(target_os = "linux") {
        // Killed: no process has this number.
        place
            .execute(
                "UPDATE benches SET place = RTRIM(place, '0123456789') || '2147483647' WHERE name = 'right'",
            )
            .await;
        assert_eq!((left.alive().await.unwrap(), left.beat(&beat).await.unwrap()), (1, 1));
        let benches = left.benches(Duration::from_secs(3600)).await.unwrap();
        let told: HashSet<_> = benches.iter().map(|b| (b.name.as_str(), b.alive)).collect();
        assert_eq!(told, HashSet::from([("left", true), ("right", false)]));
    }
}

async fn many_open_a_new_ledger_at_once(place: Place) {
    let ledgers: Vec<_> = (0..8).map(|n| place.ledger(&format!("bench {n}"))).collect();
    for opened in join_all(ledgers.iter().map(Ledger::open)).await {
        opened.unwrap();
    }
}

async fn many_boards_share_a_ledger_and_one_that_is_stopped_takes_nothing_with_it(place: Place) {
    let ledger = place.ledger("left");
    let runs = (0..48).map(|n| {
        let ledger = &ledger;
        async move {
            let recording = Recording::new(ledger, None);
            recording.begin(&job(), Part::Whole).await.unwrap();
            recording.take(&device(n), &|_| {}).await.unwrap();
            recording.intend(Step::Import).await.unwrap();
            // Stopped somewhere in the middle of it, as a signal does.
            let mut polls = n;
            let stop = std::future::poll_fn(|cx| {
                polls = polls.saturating_sub(1);
                cx.waker().wake_by_ref();
                if polls == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            });
            let done = tokio::select! {
                done = recording.intend(Step::Deliver) => done.is_ok(),
                () = stop => false,
            };
            recording.end(Ok(summary())).await.unwrap();
            (recording.id().clone(), done)
        }
    });
    let ended = join_all(runs).await;
    let stories = place.ledger("office").stories_of(&RunQuery::default()).await.unwrap();
    assert_eq!(stories.len(), 48);
    for story in &stories {
        let (_, delivered) = ended.iter().find(|(id, _)| *id == story.run.id).unwrap();
        let is_meant = |step: &str| story.intents.iter().any(|intent| intent.step == step);
        assert!(story.run.outcome == Outcome::Passed && is_meant("import"), "{story:?}");
        assert!(is_meant("deliver") || !delivered, "{story:?}");
    }
    assert!(ledger.under_way().await.unwrap().is_empty());
}

async fn a_newer_schema_is_refused(place: Place) {
    place.ledger("left").open().await.unwrap();
    place.ledger("left").open().await.unwrap();
    place.execute("INSERT INTO ledger_schema (version) VALUES (4711)").await;
    let failure = place.ledger("left").open().await.unwrap_err();
    assert_eq!(failure.code, FailureCode::LedgerNewer);
    assert!(failure.to_string().contains("schema 4711"), "{failure}");
}

async fn an_older_schema_is_brought_up_to_date(place: Place) {
    let ledger = place.ledger("left");
    let run = begun(&ledger).await;
    run.end(Ok(summary())).await.unwrap();
    drop(ledger);
    place
        .execute(
            "ALTER TABLE runs DROP COLUMN hook; ALTER TABLE runs DROP COLUMN hook_ended; \
             ALTER TABLE runs DROP COLUMN hook_error; UPDATE ledger_schema SET version = 3",
        )
        .await;
    let ledger = place.ledger("left");
    assert_eq!(hook_of(&story(&ledger, &run).await), None);
    let run = begun(&ledger).await;
    run.end_with(Ok(summary()), Some(HookKind::OnPass)).await.unwrap();
    assert_eq!(hook_of(&story(&ledger, &run).await), Some((HookKind::OnPass, HookState::Due, None)));
}

async fn no_secret_is_kept(place: Place) {
    let secret = "xyzzy-plugh-plover";
    guard(secret);
    let code = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";
    let _code = ClaimCode::parse(code).unwrap();
    let token = "5724113917ac1e1cbf80cae2e24dd27c56245bdb";
    let ledger = place.ledger("left");
    let recording = begun(&ledger).await;
    let events = events(&recording);
    events.send(EventKind::StepStarted { step: Step::Deliver });
    let said = format!("marker: {secret} {code} {token} ?access_token=abcdef");
    events.send(EventKind::StepRetried { step: Step::Deliver, note: said.clone() });
    let failure = Failure::new(FailureCode::CodeRefused, &said).because(std::io::Error::other(said.clone()));
    recording.end_with(Err(failure), Some(HookKind::OnFail)).await.unwrap_err();
    recording.hook_ended(Some(&said)).await.unwrap();
    drop((ledger, recording, events));
    let content = place.content();
    assert!(content.contains("marker: "), "what is looked into is not the ledger");
    for secret in [secret, code, token, "abcdef"] {
        assert!(!content.contains(secret), "{secret}");
    }
}

async fn runs_are_asked_for_by_what_they_are(place: Place) {
    let (left, right) = (place.ledger("left"), place.ledger("right"));
    let mut ids = Vec::new();
    for (n, ledger) in [(1, &left), (2, &right), (1, &right)] {
        let recording = Recording::new(ledger, None);
        recording.begin(&job(), Part::Whole).await.unwrap();
        recording.take(&device(n), &|_| {}).await.unwrap();
        let failure = Failure::new(FailureCode::NoAnswer, "it stopped answering");
        let _ = recording.end(if n == 2 { Err(failure) } else { Ok(summary()) }).await;
        ids.push(recording.id().clone());
    }
    let mut sorted = ids.clone();
    sorted.sort();
    let ask = async |query: RunQuery| {
        left.runs(&query).await.unwrap().into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let reversed: Vec<_> = sorted.iter().rev().cloned().collect();
    assert_eq!(ask(RunQuery::default()).await, reversed);
    assert_eq!(ask(RunQuery { limit: 1, ..RunQuery::default() }).await, reversed[..1]);
    assert_eq!(
        ask(RunQuery { before: Some(reversed[0].clone()), ..RunQuery::default() }).await,
        reversed[1..]
    );
    assert_eq!(ask(RunQuery { failed: true, ..RunQuery::default() }).await, [ids[1].clone()]);
    assert_eq!(ask(RunQuery { bench: Some("left".into()), ..RunQuery::default() }).await, [ids[0].clone()]);
    let of_one = ask(RunQuery { device_id: Some(device(1)), ..RunQuery::default() }).await;
    assert_eq!(of_one.len(), 2);
    let future = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
    assert_eq!(ask(RunQuery { since: Some(future), ..RunQuery::default() }).await, []);
    assert_eq!(ask(RunQuery { until: Some(future), ..RunQuery::default() }).await.len(), 3);
    assert_eq!(left.stories_of(&RunQuery::default()).await.unwrap().len(), 3);
}
