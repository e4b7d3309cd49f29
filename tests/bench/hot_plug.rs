//! Boards that are pulled out and put back while they are worked on.

use provision::sim::photon::{Mode, PhotonConfig};
use serde_json::json;

use crate::{
    bench::guarded,
    floor::{Floor, id, is, is_end_of, until, whole},
};

#[tokio::test]
async fn a_board_that_is_pulled_out_goes_on_when_it_is_back_in_another_socket() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let board = floor.plug_into(floor.board(0), "1-1.1");
    let mut shift = floor.shift().with(&["--count", "1", "--blip", "1s"]).start();
    guarded(gate.arrived()).await;
    drop(board);
    let ended = until(&mut shift, is_end_of(0)).await;
    assert_eq!(ended["error"]["code"], "pulled-out");
    gate.open();
    let _board = floor.plug_into(floor.board(0), "1-1.2");
    assert_eq!(until(&mut shift, is("plugged")).await["slot"], "1-1.2");
    whole(shift).await.is(0, 1, 0, json!({}));
    floor.agrees([0]).await;
}

#[tokio::test]
async fn a_board_that_only_starts_anew_is_no_new_board() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let board = floor.plug(0);
    let mut shift = floor.shift().with(&["--count", "1", "--blip", "1h"]).start();
    guarded(gate.arrived()).await;
    board.reset();
    gate.open();
    until(&mut shift, is_end_of(0)).await;
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("plugged").len(), 1);
    assert_eq!(sum.events("result").len(), 1);
    floor.agrees([0]).await;
}

/// Boards are pulled out at any time, put back into any socket, and restarted.
#[tokio::test]
async fn a_storm_of_boards_that_come_and_go_passes() {
    const BOARDS: usize = 24;
    let floor = Floor::new().await;
    let plug = |n: usize, socket: usize| {
        let config = PhotonConfig { connect_delay: std::time::Duration::from_millis(30), ..floor.board(n) };
        floor.plug_into(config, &format!("1-1.{}", socket + 1))
    };
    let mut boards: Vec<_> = (0..BOARDS).map(|n| Some(plug(n, n))).collect();
    let run = floor.shift().with(&["--blip", "1s", "--slots", "8"]).with(&["--count", &BOARDS.to_string()]);
    let mut shift = run.start();
    let mut pulls = 0;
    let mut seen = 0;
    let mut events = 0;
    while let Some(event) = shift.next_event().await {
        events += 1;
        seen += usize::from(event["event"] == "result" && event["ok"] == true);
        // Now and then somebody lays a hand on a board, whichever it is.
        if pulls < 60 && events % 7 == 0 {
            pulls += 1;
            let n = fastrand::usize(..BOARDS);
            match (fastrand::u8(..4), &boards[n]) {
                (0, Some(board)) => board.reset(),
                (_, Some(_)) => boards[n] = None,
                (_, None) => boards[n] = Some(plug(n, fastrand::usize(..BOARDS))),
            }
        }
        if pulls == 60 {
            pulls += 1;
            for (n, board) in boards.iter_mut().enumerate() {
                board.get_or_insert_with(|| plug(n, n));
            }
        }
        if seen == BOARDS {
            pulls = pulls.max(60);
        }
    }
    let ended = shift.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(floor.owners().len(), BOARDS);
    floor.agrees(0..BOARDS).await;
    // None was left in listening mode, or with somebody else's code.
    for (n, board) in boards.iter().enumerate() {
        if let Some(board) = board {
            guarded(board.wait_for(|state| state.mode == Mode::Running)).await;
        } else {
            assert!(floor.owners().contains_key(id(n).as_str()));
        }
    }
}
