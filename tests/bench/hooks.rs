//! Programs that are run about boards.

use provision::sim::cloud::DeviceSeed;
use serde_json::json;

use crate::{
    bench::PRODUCT,
    floor::{Floor, customer_of, id, is, is_end_of, until, whole},
};

/// A script that writes its arguments, and what it finds in its environment, into this file.
fn writer(floor: &Floor, name: &str) -> (String, std::path::PathBuf) {
    let said = floor.bench.home().join(name);
    let script = "printf '%s|' \"$@\" >> \"$0\"; env | grep -c -E '^(PARTICLE|PROVISION|PG)' >> \"$0\"; true";
    (format!("sh -c '{}' {}", script.replace('\'', "'\\''"), said.display()), said)
}

#[tokio::test]
async fn a_board_that_passes_or_fails_has_its_hook_run_once() {
    let floor = Floor::new().await;
    let seed = DeviceSeed {
        id: id(1).to_string(),
        owner: Some("somebody@else.example".into()),
        product_id: Some(PRODUCT),
        ..DeviceSeed::default()
    };
    assert!(floor.bench.cloud.add_device(seed));
    let _boards = [floor.plug_into(floor.board(0), "1-1.4"), floor.plug(1)];
    let (pass, passed) = writer(&floor, "passed");
    let (fail, failed) = writer(&floor, "failed");
    let (pass, fail) =
        (format!("{pass} {{device_id}} {{customer}} {{slot}} 'x {{product}}'"), format!("{fail} {{code}}"));
    let which = ["--any", "--count", "2", "--on-pass", &pass, "--on-fail", &fail];
    let sum = whole(floor.shift_of(&which).start()).await.is(3, 1, 0, json!({"owned-by-other": 1}));
    assert!(sum.events("hook").iter().all(|hook| hook["ok"] == true), "{:?}", sum.events("hook"));
    let about = format!("{}|{}|1-1.4|x 1319|0\n", id(0), customer_of(&id(0)));
    assert_eq!(std::fs::read_to_string(&passed).unwrap(), about);
    assert_eq!(std::fs::read_to_string(failed).unwrap(), "owned-by-other|0\n");
    // What is done has its label.
    whole(floor.shift_of(&which).start()).await.is(3, 1, 1, json!({"owned-by-other": 1}));
    assert_eq!(std::fs::read_to_string(passed).unwrap(), about);
}

#[tokio::test]
async fn a_board_that_was_done_when_the_bench_was_killed_still_gets_its_label() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let mut shift = floor.shift().start();
    until(&mut shift, |e| e["event"] == "step-ended" && e["step"] == "finish").await;
    shift.kill().await;
    crate::bench::guarded(async {
        while floor.owners().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (pass, passed) = writer(&floor, "passed");
    let pass = format!("{pass} {{device_id}}");
    let sum = whole(floor.shift_of(&["--any", "--count", "1", "--on-pass", &pass]).start()).await;
    let sum = sum.is(0, 1, 1, json!({}));
    assert_eq!(sum.events("left-over")[0]["device_ids"], json!([id(0)]));
    assert_eq!(std::fs::read_to_string(passed).unwrap(), format!("{}|0\n", id(0)));
}

#[tokio::test]
async fn a_hook_that_fails_is_shown_and_the_board_has_passed_all_the_same() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let which = ["--any", "--count", "1", "--on-pass", "sh -c 'echo no paper >&2; exit 3'"];
    let sum = whole(floor.shift_of(&which).start()).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("hook")[0]["error"], "it ended with exit code 3: no paper");
    let which = ["--any", "--on-pass", "print {serial}"];
    let ended = floor.plain_shift(&which).ended().await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("knows no {serial}"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_second_ctrl_c_ends_hooks_too_and_the_sum_is_told() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let begun = floor.bench.home().join("begun");
    let hook = format!("sh -c 'touch {}; exec sleep 900'", begun.display());
    let mut shift = floor.shift_of(&["--any", "--on-pass", &hook, "--hook-timeout", "15m"]).start();
    until(&mut shift, is_end_of(0)).await;
    crate::bench::guarded(async {
        while !begun.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    shift.interrupt();
    until(&mut shift, is("stopping")).await;
    shift.interrupt();
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("hook")[0]["error"], "the bench was stopped");
}
