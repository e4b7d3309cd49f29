//! Boards that are pulled out and put back while they are worked on.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use provision::{
    record::{Outcome, RunQuery},
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

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
async fn boards_that_are_gone_before_the_bench_has_missed_them_were_pulled_out_once() {
    const BOARDS: usize = 6;
    let floor = Floor::new().await;
    // Nothing is known of the boards yet but what USB tells, and none has been opened.
    let gate = floor.bench.cloud.gate("GET /v1/products/1319/devices/*").unwrap();
    let boards: Vec<_> = (0..BOARDS).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--count", &BOARDS.to_string()]).start();
    guarded(gate.arrived_times(BOARDS)).await;
    drop(boards);
    gate.open();
    for _ in 0..BOARDS {
        let ended = until(&mut shift, is("result")).await;
        assert_eq!(ended["error"]["code"], "pulled-out");
    }
    let _boards: Vec<_> = (0..BOARDS).map(|n| floor.plug(n)).collect();
    let sum = whole(shift).await.is(0, BOARDS, 0, json!({}));
    assert_eq!(sum.events("result").len(), 2 * BOARDS);
    floor.agrees(0..BOARDS).await;
}

#[tokio::test]
async fn a_board_that_is_pulled_out_and_not_back_at_the_end_has_not_failed() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let board = floor.plug(0);
    let mut shift = floor.shift().with(&["--blip", "1s"]).start();
    guarded(gate.arrived()).await;
    drop(board);
    until(&mut shift, is_end_of(0)).await;
    shift.interrupt();
    let sum = whole(shift).await.is(3, 0, 0, json!({}));
    assert_eq!(sum.last["unfinished"], json!({"pulled-out": 1}));
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

/// A board that keeps what is in its flash, in a socket of the hub or on the table.
struct Moving<'a> {
    floor: &'a Floor,
    name: String,
    photon: SimPhoton,
    /// Where its port is, whichever socket the board is in.
    port: PathBuf,
    socket: Option<PathBuf>,
}

impl<'a> Moving<'a> {
    fn on_the_table(floor: &'a Floor, table: &Path, number: usize) -> Self {
        let port = table.join(number.to_string());
        let connect_delay = std::time::Duration::from_millis(30);
        let config = PhotonConfig { connect_delay, link: Some(port.clone()), ..floor.board(number) };
        Self { floor, name: id(number).to_string(), photon: floor.bench.plug(config), port, socket: None }
    }

    fn put_into(&mut self, socket: usize) {
        let link = self.floor.bench.hub().join(format!("{}@1-1.{}", self.name, socket + 1));
        self.photon.plug();
        symlink(&self.port, &link).unwrap();
        self.socket = Some(link);
    }

    fn pull_out(&mut self) {
        if let Some(link) = self.socket.take() {
            std::fs::remove_file(link).unwrap();
            self.photon.unplug();
        }
    }
}

/// Boards are pulled out at any time, put back into any socket, and restarted.
#[tokio::test]
async fn a_storm_of_boards_that_come_and_go_passes() {
    const BOARDS: usize = 24;
    const PULLS: usize = 60;
    let floor = Floor::new().await;
    let table = tempfile::tempdir().unwrap();
    let mut boards: Vec<_> = (0..BOARDS).map(|n| Moving::on_the_table(&floor, table.path(), n)).collect();
    for (socket, board) in boards.iter_mut().enumerate() {
        board.put_into(socket);
    }
    let run = floor.shift().with(&["--blip", "1s", "--slots", "8"]).with(&["--count", &BOARDS.to_string()]);
    let mut shift = run.start();
    let (mut pulls, mut seen, mut events) = (0, 0, 0);
    while let Some(event) = shift.next_event().await {
        events += 1;
        seen += usize::from(event["event"] == "result" && event["ok"] == true);
        // Now and then somebody lays a hand on a board, whichever it is.
        if pulls < PULLS && events % 7 == 0 {
            pulls += 1;
            let board = &mut boards[fastrand::usize(..BOARDS)];
            match (fastrand::u8(..4), &board.socket) {
                (0, Some(_)) => board.photon.reset(),
                (_, Some(_)) => board.pull_out(),
                (_, None) => board.put_into(fastrand::usize(..BOARDS)),
            }
        }
        if pulls == PULLS || seen == BOARDS {
            pulls = PULLS + 1;
            let out = boards.iter_mut().enumerate().filter(|(_, board)| board.socket.is_none());
            out.for_each(|(socket, board)| board.put_into(socket));
        }
    }
    let ended = shift.ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(floor.owners().len(), BOARDS);
    floor.agrees(0..BOARDS).await;
    // None was left in listening mode.
    for board in &mut boards {
        if board.socket.is_none() {
            board.put_into(0);
        }
        guarded(board.photon.wait_for(|state| state.mode == Mode::Running)).await;
    }
}

/// Whether the bench has seen that the board is away, or only its run has.
#[tokio::test]
async fn that_a_board_was_pulled_out_is_the_reason_everywhere() {
    for blip in ["1s", "1h"] {
        let floor = Floor::new().await;
        let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
        let board = floor.plug(0);
        let mut shift = floor.shift().with(&["--blip", blip, "--wait", "1s"]).start();
        guarded(gate.arrived()).await;
        until(&mut shift, |e| e["event"] == "step-ended" && e["step"] == "listening").await;
        drop(board);
        gate.open();
        assert_eq!(until(&mut shift, is_end_of(0)).await["error"]["code"], "pulled-out", "{blip}");
        shift.interrupt();
        whole(shift).await;
        let runs = floor.open_ledger().runs(&RunQuery::default()).await.unwrap();
        let told: Vec<_> = runs.iter().map(|run| (run.outcome, run.failure_code.as_deref())).collect();
        assert_eq!(told, [(Outcome::Interrupted, Some("pulled-out"))], "{blip}");
        let report = floor.bench.provision().with(&["report", "--format", "json", "--ledger", &floor.ledger]);
        let report: Value = serde_json::from_str(&report.ended().await.passes().stdout).unwrap();
        assert_eq!(report["causes"][0]["code"], "pulled-out", "{report}");
    }
}
