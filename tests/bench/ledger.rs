//! One ledger for several benches, and one that cannot be used for a while.

use std::collections::{BTreeMap, BTreeSet};

use provision::{
    model::DeviceId,
    record::{Lease, NewOrder, Outcome, RunQuery},
    sim::photon::PhotonConfig,
};
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::{
    bench::{codes, guarded},
    cluster::Cluster,
    floor::{Floor, id, is, is_end_of, until, whole},
};

async fn on_postgres(cluster: &Cluster) -> Floor {
    Floor { ledger: cluster.database(), ..Floor::new().await }
}

#[tokio::test]
async fn two_benches_share_boards_orders_and_limits() {
    const BOARDS: usize = 16;
    let Some(cluster) = Cluster::shared() else { return };
    let floor = on_postgres(cluster).await;
    let rows: String = (0..BOARDS).map(|n| format!("customer-{n}@b.example\n")).collect();
    let orders = floor.file("orders.csv", &format!("customer\n{rows}"));
    let _boards: Vec<_> = (0..BOARDS)
        .map(|n| floor.bench.plug_into_hub(PhotonConfig { listening: true, ..floor.board(n) }))
        .collect();
    let start = |name: &str| {
        let which = ["--any", "--orders", orders.to_str().unwrap(), "--bench-name", name, "--slots", "4"];
        floor.shift_of(&which).start()
    };
    // All boards are seen at both.
    let (mut here, mut there) = (start("here"), start("there"));
    let mut done = [BTreeSet::new(), BTreeSet::new()];
    let follow = async |shift: &mut crate::bench::Running, done: &mut BTreeSet<String>| {
        while done.len() < BOARDS {
            let event = until(shift, is("result")).await;
            assert_eq!(event["ok"], true, "{event}");
            done.insert(event["device_id"].as_str().unwrap().to_owned());
        }
    };
    let [one, other] = &mut done;
    tokio::join!(follow(&mut here, one), follow(&mut there, other));
    let status =
        floor.bench.provision().with(&["bench", "status", "--output", "json", "--ledger", &floor.ledger]);
    let status: Value = serde_json::from_str(&status.ended().await.passes().stdout).unwrap();
    let mut alive: Vec<_> =
        status.as_array().unwrap().iter().map(|b| (b["name"].clone(), b["alive"].clone())).collect();
    alive.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(alive, [(json!("here"), json!(true)), (json!("there"), json!(true))]);
    here.interrupt();
    there.interrupt();
    let (here, there) = tokio::join!(whole(here), whole(there));
    let told = |sum: &crate::floor::Sum| sum.events("benches").iter().any(|event| event["alive"] == 2);
    assert!(told(&here) || told(&there), "neither knew of the other");
    let already = here.last["already"].as_u64().unwrap() + there.last["already"].as_u64().unwrap();
    assert_eq!(already, BOARDS as u64, "each board was done at one bench and found done at the other");
    let owners = floor.owners();
    assert_eq!(owners.values().collect::<BTreeSet<_>>().len(), BOARDS);
    floor.ledger_agrees(&owners).await;
}

#[tokio::test]
async fn a_database_that_restarts_in_the_middle_costs_no_board() {
    let Some(cluster) = Cluster::start() else { return };
    let floor = on_postgres(&cluster).await;
    let _boards: Vec<_> = (0..8).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--count", "8", "--slots", "4"]).start();
    until(&mut shift, |event| event["event"] == "step-started" && event["step"] == "deliver").await;
    cluster.stop();
    cluster.start_again();
    whole(shift).await.is(0, 8, 0, json!({}));
    floor.agrees(0..8).await;
}

#[tokio::test]
async fn a_cable_that_is_pulled_and_put_back_costs_no_board_and_uses_no_order_twice() {
    const BOARDS: usize = 8;
    let Some(cluster) = Cluster::shared() else { return };
    let (url, cable) = cluster.database_over_tcp();
    let mut floor = Floor { ledger: url, ..Floor::new().await };
    let rows: String = (0..BOARDS).map(|n| format!("customer-{n}@b.example\n")).collect();
    let orders = floor.file("orders.csv", &format!("customer\n{rows}"));
    let _boards: Vec<_> = (0..BOARDS).map(|n| floor.plug(n)).collect();
    let which = ["--any", "--orders", orders.to_str().unwrap(), "--count", "8", "--slots", "4"];
    let mut shift = floor.shift_of(&which).start();
    // Some have passed by then, some are under way, and some wait.
    until(&mut shift, is("result")).await;
    cable.pull();
    let trouble = until(&mut shift, is("trouble")).await;
    assert_eq!(trouble["with"], "NO NEW BOARDS");
    assert!(trouble["why"].is_string(), "{trouble}");
    cable.put_back_for_new_ones();
    let sum = whole(shift).await.is(0, BOARDS, 0, json!({}));
    assert!(sum.events("trouble").last().unwrap()["why"].is_null(), "{}", sum.last);
    floor.ledger = cluster.beside(&floor.ledger);
    let owners = floor.owners();
    assert_eq!(owners.values().collect::<BTreeSet<_>>().len(), BOARDS);
    floor.ledger_agrees(&owners).await;
    // What the bench had said of those that had passed is so.
    for passed in sum.events("result").iter().filter(|result| result["ok"] == true) {
        assert!(owners.contains_key(passed["device_id"].as_str().unwrap()), "{passed}");
    }
    let orders = floor.open_ledger().orders("orders.csv").await.unwrap();
    let used: BTreeMap<_, _> =
        orders.into_iter().map(|order| (order.bound_to.unwrap(), order.customer.unwrap())).collect();
    assert_eq!(used, owners);
}

#[tokio::test]
async fn a_bench_whose_cable_is_pulled_can_be_ended() {
    let Some(cluster) = Cluster::shared() else { return };
    let (url, cable) = cluster.database_over_tcp();
    let floor = Floor { ledger: url, ..Floor::new().await };
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let _board = floor.plug(0);
    let mut shift = floor.shift().start();
    guarded(gate.arrived()).await;
    cable.pull();
    shift.interrupt();
    until(&mut shift, is("stopping")).await;
    shift.interrupt();
    let sum = whole(shift).await;
    assert_eq!(sum.last["passed"], 0, "{}", sum.last);
    cable.put_back();
    // The run is incomplete, and is settled when its board comes back.
    gate.open();
    whole(floor.shift().with(&["--count", "1"]).start()).await.is(0, 1, 0, json!({}));
    floor.agrees([0]).await;
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_stops_new_boards_and_says_so() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let first = floor.plug(0);
    let mut shift = floor.shift().with(&["--count", "2"]).start();
    guarded(gate.arrived()).await;
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", floor.ledger)).await.unwrap();
    sqlx::raw_sql("ALTER TABLE runs RENAME TO away; ALTER TABLE benches RENAME TO gone")
        .execute(&mut file)
        .await
        .unwrap();
    gate.open();
    // The one under way does not pass, because nobody could say later that it did.
    let ended = until(&mut shift, is("result")).await;
    assert_eq!(ended["error"]["code"], "ledger-unusable");
    let trouble = until(&mut shift, is("trouble")).await;
    assert_eq!(trouble["with"], "NO NEW BOARDS");
    assert!(trouble["why"].is_string(), "{trouble}");
    let other = floor.plug(1);
    let waiting = |event: &Value| event["event"] == "waiting" && event["device_id"] == id(1).as_str();
    assert_eq!(until(&mut shift, waiting).await["why"], "ledger");
    assert_eq!(other.effects(), []);
    sqlx::raw_sql("ALTER TABLE away RENAME TO runs; ALTER TABLE gone RENAME TO benches")
        .execute(&mut file)
        .await
        .unwrap();
    let sum = whole(shift).await;
    assert_eq!(sum.ended.status.code(), Some(0), "{}", sum.last);
    assert!(sum.events("trouble").iter().any(|event| event["why"].is_null()));
    drop(first);
    floor.agrees([0, 1]).await;
}

#[tokio::test]
async fn a_board_that_could_not_write_a_ledger_which_is_well_again_is_tried_again_and_no_alarm() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let _board = floor.plug(0);
    let mut shift = floor.shift().with(&["--count", "1"]).start();
    guarded(gate.arrived()).await;
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", floor.ledger)).await.unwrap();
    // The bench itself can write at any time, and the board cannot.
    sqlx::raw_sql("ALTER TABLE intents RENAME TO away").execute(&mut file).await.unwrap();
    gate.open();
    for _ in 0..2 {
        assert_eq!(until(&mut shift, is("result")).await["error"]["code"], "ledger-unusable");
    }
    sqlx::raw_sql("ALTER TABLE away RENAME TO intents").execute(&mut file).await.unwrap();
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("trouble"), [&Value::Null; 0]);
    floor.agrees([0]).await;
}

#[tokio::test]
async fn a_board_that_waits_for_the_ledger_at_the_end_has_not_failed_and_its_run_has_its_end() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let _board = floor.plug(0);
    let mut shift = floor.shift().start();
    guarded(gate.arrived()).await;
    let mut file = SqliteConnection::connect(&format!("sqlite://{}", floor.ledger)).await.unwrap();
    // The bench itself can write at any time, and the run neither what it is about to do nor its end.
    sqlx::raw_sql("ALTER TABLE leases RENAME TO away").execute(&mut file).await.unwrap();
    gate.open();
    until(&mut shift, |event| event["event"] == "waiting" && event["why"] != "free-lane").await;
    sqlx::raw_sql("ALTER TABLE away RENAME TO leases").execute(&mut file).await.unwrap();
    shift.interrupt();
    let sum = whole(shift).await;
    // It may have been taken up once more just before.
    let fate = (sum.last["passed"].clone(), sum.last["failed"].clone(), sum.last["unfinished"].clone());
    let waits = (json!(0), json!({}), json!({"ledger-unusable": 1}));
    assert!(fate == waits || fate == (json!(1), json!({}), json!({})), "{fate:?}");
    let runs = floor.open_ledger().runs(&RunQuery::default()).await.unwrap();
    assert!(runs.iter().all(|run| run.outcome == Outcome::Failed || fate != waits), "{runs:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_stops_new_boards_until_there_is_room_again() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let first = floor.plug(0);
    let mut shift = floor.shift().with(&["--count", "3"]).told_of_full_disks().start();
    guarded(gate.arrived()).await;
    shift.limit_files(Some(0));
    gate.open();
    let trouble = until(&mut shift, is("trouble")).await;
    assert_eq!(trouble["with"], "NO NEW BOARDS");
    // The board that was under way has got nothing that the ledger could not take down first.
    assert!(codes(&first).is_empty());
    let others = [floor.plug(1), floor.plug(2)];
    for _ in 0..2 {
        assert_eq!(until(&mut shift, |e| e["event"] == "waiting" && e["why"] == "ledger").await["schema"], 1);
    }
    assert!(others.iter().all(|board| board.effects().is_empty()));
    shift.limit_files(None);
    let sum = whole(shift).await.is(0, 3, 0, json!({}));
    assert!(sum.events("trouble").last().unwrap()["why"].is_null(), "{}", sum.last);
    assert!(!std::path::Path::new(&format!("{}-wal", floor.ledger)).exists(), "it is not closed");
    floor.agrees(0..3).await;
}

#[tokio::test]
async fn a_board_that_waits_for_another_bench_takes_no_lane() {
    let floor = Floor::new().await;
    let other = floor.open_ledger();
    assert_eq!(other.lease(&id(0), "another run").await.unwrap(), Lease::Ours);
    let _board = floor.plug(0);
    let mut shift = floor.shift().with(&["--slots", "1", "--count", "2"]).start();
    let waits = |event: &Value| event["note"].as_str().is_some_and(|note| note.contains("another run"));
    until(&mut shift, waits).await;
    let _next = floor.plug(1);
    assert_eq!(until(&mut shift, is("result")).await["device_id"], id(1).as_str());
    other.release("another run").await.unwrap();
    whole(shift).await.is(0, 2, 0, json!({}));
    floor.agrees([0, 1]).await;
}

#[tokio::test]
async fn a_ledger_that_is_no_ledger_is_no_place_to_work() {
    let floor = Floor::new().await;
    let place = floor.file("notes.txt", "no database at all, but a text of some length\n");
    let run = floor.bench.provision().with(&["bench", "--any", "--usb-dir"]).with(&[floor.bench.hub()]);
    let ended = run.with(&["--ledger"]).with(&[&place]).ended().await;
    assert_eq!(ended.status.code(), Some(50), "{}", ended.stderr);
    let run = floor.bench.provision().with(&["bench", "--any", "--ledger", "none"]);
    assert_eq!(run.ended().await.status.code(), Some(2));
}

#[tokio::test]
async fn runs_at_a_bench_tell_their_slot() {
    let floor = Floor::new().await;
    let _board = floor.plug_into(floor.board(0), "1-1.4");
    whole(floor.shift().with(&["--count", "1"]).start()).await.is(0, 1, 0, json!({}));
    let query = RunQuery { device_id: DeviceId::parse(id(0).as_str()).ok(), ..RunQuery::default() };
    let runs = floor.open_ledger().runs(&query).await.unwrap();
    assert_eq!(runs[0].slot.as_deref(), Some("1-1.4"));
}

#[tokio::test]
async fn a_board_that_fails_before_its_run_begins_is_in_the_ledger_too() {
    let floor = Floor::new().await;
    let (read, write) = std::io::pipe().unwrap();
    let file = floor.bench.home().join("failed");
    let fail = format!("sh -c 'echo $1 >> {}' x {{code}}-{{customer}}", file.display());
    // An order that no file could bring in.
    let order = NewOrder { device_id: Some(id(1)), customer: Some("{nobody}".into()), ..NewOrder::default() };
    floor.open_ledger().add_order("scanned", &order).await.unwrap();
    let _board = floor.plug(0);
    let which = ["--any", "--scan", "--on-fail", &fail];
    let mut shift = floor.shift_of(&which).stdin(read).start();
    std::io::Write::write_all(&mut &write, format!("{}\n", id(7)).as_bytes()).unwrap();
    assert_eq!(until(&mut shift, is_end_of(0)).await["error"]["code"], "wrong-device");
    assert_eq!(until(&mut shift, is("hook")).await["ok"], true);
    let _other = floor.plug(1);
    assert_eq!(until(&mut shift, is_end_of(1)).await["error"]["code"], "configuration");
    whole(shift).await;
    let runs = floor.open_ledger().runs(&RunQuery::default()).await.unwrap();
    let told: Vec<_> =
        runs.iter().map(|run| (run.device_id.as_deref(), run.failure_code.as_deref())).collect();
    let (one, other) = (id(0), id(1));
    assert_eq!(
        told,
        [(Some(other.as_str()), Some("configuration")), (Some(one.as_str()), Some("wrong-device"))]
    );
    assert!(runs[1].detail.as_deref().unwrap().contains(id(7).as_str()), "{:?}", runs[1]);
    assert_eq!((runs[0].customer.as_deref(), runs[1].customer.as_deref()), (None, None));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "wrong-device-\nconfiguration-\n");
}
