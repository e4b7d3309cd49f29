//! Programs that are run about boards.

use std::{io::Write as _, path::Path};

use provision::{
    record::{HookState, RunQuery},
    sim::cloud::DeviceSeed,
};
use serde_json::{Value, json};

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

/// What became of the hooks of this board's runs, the first run first.
async fn hooks_of(floor: &Floor, number: usize) -> Vec<Option<HookState>> {
    let query = RunQuery { device_id: Some(id(number)), ..RunQuery::default() };
    let runs = floor.open_ledger().runs(&query).await.unwrap();
    runs.into_iter().rev().map(|run| run.hook.map(|hook| hook.state)).collect()
}

/// A hook that has begun, and does not end before it is let go.
struct Held {
    begun: std::path::PathBuf,
    fifo: std::path::PathBuf,
}

impl Held {
    fn new(floor: &Floor) -> Self {
        let (begun, fifo) = (floor.bench.home().join("begun"), floor.bench.home().join("fifo"));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        Self { begun, fifo }
    }

    fn command(&self) -> String {
        format!("sh -c 'touch {}; read x < {}'", self.begun.display(), self.fifo.display())
    }

    async fn has_begun(&self) {
        exists(&self.begun).await;
    }

    fn let_go(&self) {
        // What opens it for reading and writing does not wait.
        let mut open = std::fs::File::options().read(true).write(true).open(&self.fifo).unwrap();
        open.write_all(b"x\n").unwrap();
        // Until it has been read.
        while rustix::io::ioctl_fionread(&open).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}

async fn exists(file: &Path) {
    crate::bench::guarded(async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_bench_that_is_killed_while_a_hook_runs_runs_it_when_the_board_is_back() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let held = Held::new(&floor);
    let shift = floor.shift_of(&["--any", "--on-pass", &held.command()]).start();
    held.has_begun().await;
    shift.kill().await;
    held.let_go();
    assert_eq!(hooks_of(&floor, 0).await, [Some(HookState::Due)]);

    let (pass, passed) = writer(&floor, "passed");
    let pass = format!("{pass} {{device_id}} '{{slot}}'");
    let which = ["--any", "--count", "1", "--on-pass", &pass];
    let sum = whole(floor.shift_of(&which).start()).await.is(0, 1, 1, json!({}));
    assert_eq!(sum.events("left-over")[0]["hooks"], json!([id(0)]));
    // Its place has no name, and nothing stands for one.
    let label = format!("{}||0\n", id(0));
    assert_eq!(std::fs::read_to_string(&passed).unwrap(), label);
    assert!(sum.ended.events.iter().all(|event| event["slot"].is_null()));
    // What is done is done.
    let sum = whole(floor.shift_of(&which).start()).await.is(0, 1, 1, json!({}));
    assert!(sum.events("left-over").is_empty() && sum.events("hook").is_empty());
    assert_eq!(std::fs::read_to_string(&passed).unwrap(), label);
    assert_eq!(hooks_of(&floor, 0).await, [Some(HookState::Due), Some(HookState::Done), None]);
}

#[tokio::test]
async fn a_hook_that_fails_is_run_again_when_its_board_is_back_until_it_has_done_its_work() {
    let floor = Floor::new().await;
    let board = floor.plug(0);
    let (paper, label) = (floor.bench.home().join("paper"), floor.bench.home().join("label"));
    let script = "test -e $1 || { echo no paper >&2; exit 3; }; echo $3 >> $2";
    let pass = format!("sh -c '{script}' x {} {} {{device_id}}", paper.display(), label.display());
    let mut shift = floor.shift_of(&["--any", "--blip", "1s", "--on-pass", &pass]).start();
    let failed = until(&mut shift, is("hook")).await;
    assert_eq!((&failed["ok"], &failed["hook"]), (&json!(false), &json!("on-pass")));
    std::fs::write(&paper, "").unwrap();
    for is_run in [true, false] {
        board.unplug();
        until(&mut shift, is("unplugged")).await;
        board.plug();
        assert_eq!(until(&mut shift, is_end_of(0)).await["already"], true);
        if is_run {
            assert_eq!(until(&mut shift, is("hook")).await["ok"], true);
        }
    }
    shift.interrupt();
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("hook").len(), 2);
    assert_eq!(std::fs::read_to_string(label).unwrap(), format!("{}\n", id(0)));
    assert_eq!(hooks_of(&floor, 0).await, [Some(HookState::Failed), Some(HookState::Done), None]);

    let ask = async |arguments: &[&str]| {
        let run = floor.bench.provision().with(arguments).with(&["--ledger", &floor.ledger]);
        run.ended().await.passes().stdout
    };
    let runs: Value = serde_json::from_str(&ask(&["history", "--output", "json"]).await).unwrap();
    let error = "it ended with exit code 3: no paper";
    assert_eq!((&runs[2]["hook"]["state"], &runs[2]["hook"]["error"]), (&json!("failed"), &json!(error)));
    let show = ask(&["history", "show", runs[2]["id"].as_str().unwrap()]).await;
    assert!(show.contains(&format!("on-pass failed: {error}\n")), "{show}");
    let export = ask(&["ledger", "export"]).await;
    assert!(export.contains(r#""hook":{"#), "{export}");
    assert!(
        ask(&["ledger", "export", "--format", "csv"]).await.contains(&format!("on-pass failed: {error}"))
    );
}

#[tokio::test]
async fn a_board_that_passed_where_no_hook_was_wanted_gets_none_later() {
    let floor = Floor::new().await;
    let _boards = [floor.plug(0), floor.plug(1)];
    let alone = floor.bench.run_in_hub(id(0).as_str()).env("PROVISION_LEDGER", &floor.ledger);
    alone.env("PROVISION_CUSTOMER", customer_of(&id(0))).ended().await.passes();
    whole(floor.shift().with(&["--count", "2"]).start()).await.is(0, 2, 1, json!({}));
    let (pass, passed) = writer(&floor, "passed");
    let sum = whole(floor.shift_of(&["--any", "--count", "2", "--on-pass", &pass]).start()).await;
    assert!(sum.is(0, 2, 2, json!({})).events("hook").is_empty());
    assert!(!passed.exists());
}

#[tokio::test]
async fn a_hook_that_runs_at_one_bench_is_waited_for_at_another() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let held = Held::new(&floor);
    let one = floor.shift_of(&["--any", "--count", "1", "--on-pass", &held.command()]).start();
    held.has_begun().await;
    let (pass, passed) = writer(&floor, "passed");
    let which = ["--any", "--count", "1", "--bench-name", "other", "--on-pass", &pass];
    let mut other = floor.shift_of(&which).start();
    let waits = |event: &Value| event["note"].as_str().is_some_and(|note| note.starts_with("another run"));
    until(&mut other, waits).await;
    held.let_go();
    whole(one).await.is(0, 1, 0, json!({}));
    assert!(whole(other).await.is(0, 1, 1, json!({})).events("hook").is_empty());
    assert!(!passed.exists());
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
    assert_eq!(sum.last["hooks_failed"], 1);
    let which = ["--any", "--on-pass", "print {serial}"];
    let ended = floor.plain_shift(&which).ended().await;
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("knows no {serial}"), "{}", ended.stderr);
}

/// A hook that tells by a file that it has begun, and ends when there is another one.
fn slow(floor: &Floor) -> (String, std::path::PathBuf, std::path::PathBuf) {
    let [begun, end] = ["begun", "end"].map(|name| floor.bench.home().join(name));
    let script = format!("touch {}; until [ -e {} ]; do sleep 0.02; done", begun.display(), end.display());
    (format!("sh -c '{script}'"), begun, end)
}

#[tokio::test]
async fn a_board_that_is_put_back_during_its_hook_is_taken_up_again_after_that() {
    for owner in [None, Some("somebody@else.example")] {
        let floor = Floor::new().await;
        if owner.is_some() {
            assert!(floor.bench.cloud.add_device(DeviceSeed {
                id: id(0).to_string(),
                owner: owner.map(str::to_owned),
                product_id: Some(PRODUCT),
                ..DeviceSeed::default()
            }));
        }
        let (hook, begun, end) = slow(&floor);
        let board = floor.plug(0);
        let which =
            ["--any", "--blip", "1s", "--on-pass", &hook, "--on-fail", &hook, "--hook-timeout", "15m"];
        let mut shift = floor.shift_of(&which).start();
        until(&mut shift, is_end_of(0)).await;
        exists(&begun).await;
        board.unplug();
        until(&mut shift, is("unplugged")).await;
        board.plug();
        assert_eq!(until(&mut shift, is("waiting")).await["why"], "hook");
        std::fs::write(end, "").unwrap();
        until(&mut shift, is("hook")).await;
        let again = until(&mut shift, is_end_of(0)).await;
        shift.interrupt();
        let sum = whole(shift).await;
        if owner.is_some() {
            assert_eq!(again["error"]["code"], "owned-by-other");
            sum.is(3, 0, 0, json!({"owned-by-other": 1}));
        } else {
            assert_eq!(again["already"], true);
            sum.is(0, 1, 0, json!({}));
        }
    }
}

#[tokio::test]
async fn the_second_ctrl_c_ends_hooks_too_and_the_sum_is_told() {
    let floor = Floor::new().await;
    let _board = floor.plug(0);
    let begun = floor.bench.home().join("begun");
    let hook = format!("sh -c 'touch {}; exec sleep 900'", begun.display());
    let mut shift = floor.shift_of(&["--any", "--on-pass", &hook, "--hook-timeout", "15m"]).start();
    until(&mut shift, is_end_of(0)).await;
    exists(&begun).await;
    shift.interrupt();
    until(&mut shift, is("stopping")).await;
    shift.interrupt();
    let sum = whole(shift).await.is(0, 1, 0, json!({}));
    assert_eq!(sum.events("hook")[0]["error"], "the bench was stopped");
}
