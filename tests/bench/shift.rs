//! What a shift does with the boards that come and go.

use provision::sim::{
    cloud::DeviceSeed,
    photon::{Mode, PhotonConfig},
};
use serde_json::json;

use crate::{
    bench::{PRODUCT, guarded, is_untouched, open},
    floor::{Floor, customer_of, id, is, is_end_of, until, whole},
};

#[tokio::test]
async fn boards_are_taken_up_by_themselves_and_each_gets_its_customer() {
    let floor = Floor::new().await;
    let _first: Vec<_> = (0..3).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--count", "5"]).start();
    until(&mut shift, is_end_of(2)).await;
    let _later: Vec<_> = (3..5).map(|n| floor.plug(n)).collect();
    let sum = whole(shift).await.is(0, 5, 0, json!({}));
    assert_eq!(sum.events("stopping")[0]["why"], "count");
    assert!(sum.last["boards_per_minute"].as_f64().unwrap() > 0.0);
    assert!(sum.last["slowest"]["step"].is_string());
    floor.agrees(0..5).await;
}

#[tokio::test]
async fn a_board_that_is_done_is_left_untouched_when_it_comes_back_and_says_so() {
    let floor = Floor::new().await;
    let board = floor.plug(0);
    whole(floor.shift().with(&["--count", "1"]).start()).await.is(0, 1, 0, json!({}));
    let before = board.effects().len();
    let sum = whole(floor.shift().with(&["--count", "1"]).start()).await.is(0, 1, 1, json!({}));
    assert_eq!(sum.events("result")[0]["already"], true);
    assert_eq!(board.effects().len(), before);
    // Within a shift, too.
    let mut shift = floor.shift().with(&["--blip", "1s"]).start();
    until(&mut shift, is_end_of(0)).await;
    board.unplug();
    until(&mut shift, is("unplugged")).await;
    board.plug();
    let again = until(&mut shift, is_end_of(0)).await;
    assert_eq!(again["already"], true);
    shift.interrupt();
    whole(shift).await.is(0, 1, 1, json!({}));
    floor.agrees([0]).await;
}

#[tokio::test]
async fn only_boards_that_are_meant_are_touched() {
    let floor = Floor::new().await;
    let (meant, other) =
        (floor.plug(0), floor.bench.plug_into_hub(PhotonConfig { listening: true, ..floor.board(1) }));
    let unknown = floor.bench.hub().join("00000000050C");
    let unnamed = floor.bench.plug(PhotonConfig { listening: true, link: Some(unknown), ..floor.board(2) });
    let list = floor.file("list.txt", &format!("# box 1\n{}\n", id(0)));
    let which = ["--allow", list.to_str().unwrap(), "--count", "1"];
    let sum = whole(floor.shift_of(&which).start()).await.is(0, 1, 0, json!({}));
    let mut left: Vec<_> = sum.events("left-alone").iter().map(|e| e["why"].as_str().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, ["not-meant", "unknown"]);
    is_untouched(&other);
    is_untouched(&unnamed);
    assert!(!meant.effects().is_empty());
    floor.agrees([0]).await;
}

#[tokio::test]
async fn what_is_meant_has_to_be_said() {
    let floor = Floor::new().await;
    for which in [&[][..], &["--orders", "orders.csv"], &["--any", "--allow", "x"], &["--scan"]] {
        let orders = floor.file("orders.csv", "customer\na@b.example\n");
        let which: Vec<_> =
            which.iter().map(|w| if *w == "orders.csv" { orders.to_str().unwrap() } else { w }).collect();
        let ended = floor.plain_shift(&which).ended().await;
        assert_eq!(ended.status.code(), Some(2), "{which:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_failed_board_has_its_line_until_it_is_unplugged_and_is_taken_up_again() {
    let floor = Floor::new().await;
    let seed = |owner: Option<&str>| DeviceSeed {
        id: id(0).to_string(),
        owner: owner.map(str::to_owned),
        product_id: Some(PRODUCT),
        ..DeviceSeed::default()
    };
    assert!(floor.bench.cloud.add_device(seed(Some("somebody@else.example"))));
    let board = floor.plug_into(floor.board(0), "1-1.4");
    let map = floor.file("slots", "1-1.4 = A4\n");
    let which = ["--any", "--slot-map", map.to_str().unwrap()];
    let mut shift = floor.shift_of(&which).start();
    let failed = until(&mut shift, is_end_of(0)).await;
    assert_eq!(failed["error"]["code"], "owned-by-other");
    assert_eq!((failed["slot"].as_str(), failed["lane"].as_u64()), (Some("A4"), Some(0)));
    assert!(failed["error"]["hint"].as_str().unwrap().contains("put it aside"));
    board.unplug();
    until(&mut shift, is("unplugged")).await;
    board.plug();
    until(&mut shift, is("plugged")).await;
    until(&mut shift, is_end_of(0)).await;
    shift.interrupt();
    whole(shift).await.is(3, 0, 0, json!({"owned-by-other": 1}));
}

#[tokio::test]
async fn as_many_as_there_are_slots_are_worked_on_at_once() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/customers").unwrap();
    let _boards: Vec<_> = (0..4).map(|n| floor.plug(n)).collect();
    let mut shift = floor.shift().with(&["--slots", "2", "--count", "4"]).start();
    let waiting = until(&mut shift, is("waiting")).await;
    assert_eq!(waiting["why"], "free-lane");
    gate.arrived_times(2).await;
    assert_eq!(gate.count(), 2);
    gate.open();
    whole(shift).await.is(0, 4, 0, json!({}));
    floor.agrees(0..4).await;
}

#[tokio::test]
async fn the_first_ctrl_c_finishes_the_boards_under_way_and_takes_up_no_more() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let _board = floor.plug(0);
    let mut shift = floor.shift().start();
    gate.arrived().await;
    shift.interrupt();
    assert_eq!(until(&mut shift, is("stopping")).await["why"], "asked");
    let late = floor.plug(1);
    assert_eq!(until(&mut shift, is("left-alone")).await["why"], "stopping");
    gate.open();
    whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(late.effects(), []);
    floor.agrees([0]).await;
}

#[tokio::test]
async fn the_second_ctrl_c_ends_them_too_and_leaves_them_tidy() {
    let floor = Floor::new().await;
    let gate = floor.bench.cloud.gate("POST /v1/products/1319/device_claims").unwrap();
    let board = floor.plug(0);
    let mut shift = floor.shift().start();
    gate.arrived().await;
    until(&mut shift, |e| e["event"] == "step-ended" && e["step"] == "listening").await;
    shift.interrupt();
    until(&mut shift, is("stopping")).await;
    shift.interrupt();
    let sum = whole(shift).await.is(3, 0, 0, json!({}));
    assert_eq!(sum.last["unfinished"], json!({"interrupted": 1}));
    drop(open(&board).await);
    guarded(board.wait_for(|state| state.mode == Mode::Running)).await;
    gate.open();
    // The exit command that ended it may have been one too many: it ends the next listening, but not the run.
    let shift = floor.shift().with(&["--count", "1"]).start();
    whole(shift).await.is(0, 1, 0, json!({}));
}

#[tokio::test]
async fn a_shift_is_over_when_its_time_is() {
    let floor = Floor::new().await;
    let sum = whole(floor.shift().with(&["--for", "1s"]).start()).await.is(0, 0, 0, json!({}));
    assert_eq!(sum.events("stopping")[0]["why"], "time");
}

#[tokio::test]
async fn a_board_whose_port_another_program_has_waits_for_it_and_has_not_failed() {
    let floor = Floor::new().await;
    let board = floor.plug(0);
    let port = open(&board).await;
    let mut shift = floor.shift().with(&["--count", "1"]).start();
    let waits =
        |e: &serde_json::Value| e["note"].as_str().is_some_and(|note| note.contains("another program"));
    until(&mut shift, waits).await;
    drop(port);
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("result").len(), 1);
    floor.agrees([0]).await;
}

#[tokio::test]
async fn a_place_that_is_no_hub_is_no_place_to_work() {
    let floor = Floor::new().await;
    let run = floor.bench.provision().with(&["bench", "--any", "--usb-dir", "/no/such/hub"]);
    let ended = run.ended().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("/no/such/hub"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_hub_that_cannot_be_seen_for_a_while_is_told_once_and_so_is_its_end() {
    let floor = Floor::new().await;
    let mut shift = floor.shift().with(&["--count", "2"]).start();
    let board = floor.plug(0);
    until(&mut shift, is_end_of(0)).await;
    drop(board);
    std::fs::remove_dir(floor.bench.hub()).unwrap();
    let trouble = until(&mut shift, is("trouble")).await;
    assert_eq!((trouble["with"].as_str(), trouble["why"].is_string()), (Some("BOARDS CANNOT BE SEEN"), true));
    std::fs::create_dir(floor.bench.hub()).unwrap();
    assert!(until(&mut shift, is("trouble")).await["why"].is_null());
    let _next = floor.plug(1);
    whole(shift).await.is(0, 2, 0, json!({}));
}

#[tokio::test]
async fn a_log_file_gets_plain_lines_and_the_sum() {
    let floor = Floor::new().await;
    let _boards = [floor.plug_into(floor.board(0), "1-1.4"), floor.plug_into(floor.board(1), "1-1.5")];
    let ended = floor.plain_shift(&["--any", "--count", "2"]).ended().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let lines: Vec<_> = ended.stdout.lines().collect();
    for (n, slot) in [(0, "1-1.4"), (1, "1-1.5")] {
        let start =
            format!("[{slot} {}] PASS  {}  customer {}", &id(n).as_str()[18..], id(n), customer_of(&id(n)));
        assert!(lines.iter().any(|line| line.starts_with(&start)), "{}", ended.stdout);
    }
    assert!(ended.stdout.contains("Shift: 2 boards in 0:00:"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'));
    assert!(ended.stderr.contains("[1-1.4 000000] verify: done"), "{}", ended.stderr);
}

#[tokio::test]
async fn its_own_wording_leaves_no_secret_behind() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let ended = floor.plain_shift(&["--any", "--count", "1", "-vvv"]).ended().await;
    let secret = &floor.bench.info.client_secret;
    let ledger = std::fs::read(&floor.ledger).unwrap();
    for text in [ended.stdout.as_bytes(), ended.stderr.as_bytes(), &ledger] {
        assert!(!text.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
