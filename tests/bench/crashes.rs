//! `kill -9`, again and again.

use std::collections::BTreeMap;

use provision::{
    record::OrderState,
    sim::{
        cloud::CloudConfig,
        photon::{PhotonConfig, SimPhoton},
    },
};

use crate::floor::{Floor, id};

const BOARDS: usize = 200;
const KILLS: usize = 50;
/// About how many events a board's run has.
const EVENTS: usize = 25;

#[tokio::test]
async fn a_bench_that_is_killed_at_any_time_loses_nothing_and_does_nothing_twice() {
    let floor = Floor::with(CloudConfig { limits: false, ..CloudConfig::default() }).await;
    let rows: String = (0..BOARDS).map(|n| format!("customer-{n}@b.example,board {n}\n")).collect();
    let orders = floor.file("orders.csv", &format!("customer,name\n{rows}"));
    let which = ["--any", "--orders", orders.to_str().unwrap()];
    // Some have to be put into listening mode first, which takes them longer.
    let board = |n: usize| PhotonConfig { listening: !n.is_multiple_of(10), ..floor.board(n) };
    let mut boards: BTreeMap<String, SimPhoton> =
        (0..BOARDS).map(|n| (id(n).to_string(), floor.bench.plug_into_hub(board(n)))).collect();
    // The operator takes each board away that has passed.
    let take_away = |boards: &mut BTreeMap<String, SimPhoton>, event: &serde_json::Value| {
        if event["event"] == "result" && event["ok"] == true {
            boards.remove(event["device_id"].as_str().unwrap());
        }
    };
    for kill in 0..KILLS {
        let mut shift = floor.shift_of(&which).start();
        let per_kill = boards.len() * EVENTS / (KILLS - kill);
        for _ in 0..fastrand::usize(0..=2 * per_kill) {
            // Some are left for the shifts to come.
            if boards.len() == KILLS - kill {
                break;
            }
            let Some(event) = shift.next_event().await else { panic!("it ended: {}", shift.told()) };
            take_away(&mut boards, &event);
        }
        shift.kill().await;
    }
    let mut shift = floor.shift_of(&which).start();
    while !boards.is_empty() {
        let Some(event) = shift.next_event().await else { panic!("it ended first: {}", shift.told()) };
        take_away(&mut boards, &event);
    }
    shift.interrupt();
    let ended = shift.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");

    // Every order was used once, and its board has its customer and its name.
    let orders = floor.open_ledger().orders("orders.csv").await.unwrap();
    assert_eq!(orders.len(), BOARDS);
    let mut wanted = BTreeMap::new();
    for order in orders {
        assert_eq!(order.state, OrderState::Done, "{order:?}");
        let board = order.bound_to.clone().unwrap();
        let record = floor.bench.cloud.device(&board).unwrap();
        assert_eq!(record["name"].as_str(), order.name.as_deref(), "{order:?} {record}");
        assert_eq!(wanted.insert(board, order.customer.clone().unwrap()), None, "{order:?}");
    }
    // The cloud and the ledger say the same of every board.
    assert_eq!(wanted.len(), BOARDS);
    assert_eq!(floor.owners(), wanted);
    floor.ledger_agrees(&wanted).await;
    // Whatever was lost on the way, no code is left with anybody else than the board's customer.
    let unused = floor.bench.cloud.snapshot()["unused_claim_codes"].clone();
    for owner in unused.as_object().unwrap().keys() {
        assert!(wanted.values().any(|customer| customer == owner), "{owner}");
    }
}
