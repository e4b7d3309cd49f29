//! `history`, `report` and `ledger`.

use std::process::Stdio;

use provision::{model::DeviceId, record::Beat, sim::photon::PhotonConfig};
use serde_json::Value;

use crate::{
    bench::{Bench, Ended, ID},
    on_both,
    place::Place,
};

on_both! {
    what_was_done_is_told_as_a_table_as_json_and_as_csv
    many_processes_open_a_new_ledger_at_once
}

async fn asked(bench: &Bench, place: &Place, arguments: &[&str]) -> String {
    let run = bench.provision().with(arguments).env("PROVISION_LEDGER", &place.url).env("TZ", "UTC");
    let ended = run.ended().await;
    assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    ended.stdout
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn what_was_done_is_told_as_a_table_as_json_and_as_csv(place: Place) {
    let bench = Bench::new().await;
    let fault = "drop:code@7".parse().unwrap();
    let board = bench.plug_into_hub(PhotonConfig { faults: vec![fault], ..bench.board() });
    let run = |arguments: &[&str]| {
        let run = bench.run_in_hub(ID).env("PROVISION_LEDGER", &place.url).with(arguments);
        run.env("PROVISION_BENCH", "left").env("PROVISION_OPERATOR", "ann").ended()
    };
    // A dry run changes nothing, not even the ledger.
    place.ledger("left").open().await.unwrap();
    run(&["--dry-run"]).await.passes();
    assert_eq!(asked(&bench, &place, &["history", "--output", "json"]).await, "[]\n");
    run(&[]).await.passes();
    run(&["--customer", "somebody@else.example"]).await.fails_with(40, "owned-by-other");
    drop(board);

    let table = asked(&bench, &place, &["history"]).await;
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].starts_with("RUN       STARTED"), "{table}");
    assert!(rows[1].contains(ID) && rows[1].contains("failed: owned-by-other"), "{table}");
    assert!(rows[2].contains("customer5@example.com") && rows[2].contains("passed"), "{table}");
    let failed = asked(&bench, &place, &["history", "--failed", "--output", "json"]).await;
    let failed: Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed.as_array().unwrap().len(), 1);
    assert_eq!(failed[0]["failure_step"], "check-device");
    assert_eq!((&failed[0]["operator"], &failed[0]["bench"]), (&"ann".into(), &"left".into()));
    for (arguments, rows) in [
        (["--device", ID, "--since", "1h"], 2),
        (["--device", "111111111111111111111111", "--since", "yesterday"], 0),
        (["--device", ID, "--since", "2200-01-01"], 0),
    ] {
        let csv = asked(&bench, &place, &[&["history", "--output", "csv"][..], &arguments].concat()).await;
        assert_eq!(csv.lines().count(), rows + 1, "{csv}");
    }

    let name = rows[2].split(' ').next().unwrap();
    let shown = asked(&bench, &place, &["history", "show", name]).await;
    for part in
        ["result    passed", "Photon, Device OS 2.3.1", "again     after", "deliver", "left, operator ann"]
    {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    assert!(!shown.contains("may have"), "{shown}");
    let shown: Value =
        serde_json::from_str(&asked(&bench, &place, &["history", "show", name, "--output", "json"]).await)
            .unwrap();
    let intents: Vec<_> =
        shown["intents"].as_array().unwrap().iter().map(|i| i["step"].as_str().unwrap()).collect();
    assert_eq!(intents.len(), 3);
    assert_eq!(intents.last(), Some(&"deliver"));
    let deliver = shown["steps"].as_array().unwrap().iter().find(|step| step["step"] == "deliver").unwrap();
    assert_eq!((&deliver["tries"], &deliver["outcome"]), (&2.into(), &"done".into()));

    let report =
        asked(&bench, &place, &["report", "--format", "json", "--from", "1h", "--to", "today"]).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["runs"], serde_json::json!({"passed": 1, "failed": 1}));
    assert_eq!((&report["boards"], &report["passed_at_first"]), (&1.into(), &1.into()));
    assert_eq!(report["causes"][0]["code"], "owned-by-other");
    let csv = asked(&bench, &place, &["report", "--format", "csv"]).await;
    assert!(csv.contains("failures,owned-by-other,check-device,1,50.0,,,\n"), "{csv}");
    assert!(asked(&bench, &place, &["report", "--output", "text"]).await.starts_with("all runs\nABOUT"));

    let export = lines(&asked(&bench, &place, &["ledger", "export"]).await);
    assert_eq!(export.len(), 2);
    assert_eq!((&export[1]["schema"], &export[1]["steps"]), (&1.into(), &shown["steps"]));
    let csv = asked(&bench, &place, &["ledger", "export", "--format", "csv"]).await;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let content = place.content();
    for secret in bench.cloud.secrets() {
        assert!(!content.contains(&secret), "{secret}");
    }
}

async fn many_processes_open_a_new_ledger_at_once(place: Place) {
    let bench = Bench::new().await;
    place.make();
    let all = (0..6).map(|_| asked(&bench, &place, &["history", "--output", "json"]));
    for said in futures_util::future::join_all(all).await {
        assert_eq!(said, "[]\n");
    }
}

#[tokio::test]
async fn every_part_of_the_job_is_recorded() {
    let (bench, place) = (Bench::new().await, Place::sqlite().unwrap());
    let board = bench.plug_into_hub(PhotonConfig { wifi_known: false, ..bench.board() });
    let ticket = bench.home().join("ticket.json");
    let wifi = bench.home().join("wifi.json");
    std::fs::write(&wifi, r#"{"network": "Office", "security": "NONE"}"#).unwrap();
    let (ticket, wifi, hub) = (ticket.to_str().unwrap(), wifi.to_str().unwrap(), bench.hub());
    let hub = hub.to_str().unwrap();
    asked(&bench, &place, &["prepare", "--out", ticket, "--device-id", ID]).await;
    asked(&bench, &place, &["deliver", ticket, "--usb", ID, "--usb-dir", hub]).await;
    drop(board);
    let runs = lines(&asked(&bench, &place, &["ledger", "export"]).await);
    let told: Vec<_> =
        runs.iter().map(|run| (run["part"].as_str().unwrap(), run["outcome"].as_str().unwrap())).collect();
    assert_eq!(told, [("delivered", "passed"), ("prepared", "passed")]);
    // Over USB, for a board that does not come back.
    let device_id = DeviceId::parse("222222222222222222222222").unwrap();
    let _board = bench.plug_into_hub(PhotonConfig { device_id, wifi_known: true, ..bench.board() });
    let port =
        ["wifi", "--usb", "222222222222222222222222", "--usb-dir", hub, "--wifi", wifi, "--watch", "1s"];
    asked(&bench, &place, &port).await;
    let runs = lines(&asked(&bench, &place, &["ledger", "export"]).await);
    assert_eq!((&runs[0]["part"], &runs[0]["customer"]), (&"wifi".into(), &Value::Null));
    assert_eq!(runs[0]["intents"][0]["step"], "wifi");
}

#[tokio::test]
async fn without_a_ledger_nothing_is_done_unless_that_is_wanted() {
    let bench = Bench::new().await;
    let _board = bench.plug_into_hub(bench.board());
    let nowhere = bench.home().join("a-file");
    std::fs::write(&nowhere, "this is no database, whatever its name may be").unwrap();
    let run = |ledger: &str| bench.run_in_hub(ID).env("PROVISION_LEDGER", ledger).ended();
    run(nowhere.to_str().unwrap()).await.fails_with(50, "ledger-unusable").saying("cannot be written");
    run("/dev/null/ledger.sqlite").await.fails_with(50, "ledger-unusable");
    bench.knows_no_device();
    run("none").await.passes();
    let history: Ended = bench.provision().with(&["history"]).env("PROVISION_LEDGER", "none").ended().await;
    assert_eq!(history.status.code(), Some(2), "{history:?}");
}

#[tokio::test]
async fn a_ledger_that_is_only_read_has_to_be_there_if_somebody_named_it() {
    let bench = Bench::new().await;
    let mistyped = bench.home().join("mistyped.sqlite");
    let path = mistyped.to_str().unwrap();
    for command in [&["history"][..], &["report"], &["ledger", "export"], &["bench", "status"]] {
        let flag = bench.provision().with(command).with(&["--ledger", path]).ended().await;
        let variable = bench.provision().with(command).env("PROVISION_LEDGER", path).ended().await;
        for ended in [flag, variable] {
            assert_eq!(ended.status.code(), Some(2), "{command:?}: {ended:?}");
            assert!(ended.stderr.contains("there is no ledger"), "{command:?}: {ended:?}");
        }
    }
    assert!(!mistyped.exists());
}

#[tokio::test]
async fn who_only_reads_makes_no_ledger_and_is_told_that_there_is_none_yet() {
    let bench = Bench::new().await;
    for (command, empty) in [
        (&["history"][..], "[]\n"),
        (&["report"], "{\"schema\":1"),
        (&["ledger", "export"], ""),
        (&["bench", "status"], "[]\n"),
    ] {
        let ended = bench.provision().with(command).with(&["--output", "json"]).ended().await;
        assert_eq!(ended.status.code(), Some(0), "{command:?}: {ended:?}");
        assert!(
            ended.stderr.contains("nothing is recorded yet: there is no ledger"),
            "{command:?}: {ended:?}"
        );
        if command[0] == "report" {
            let report: Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!(report["boards"], 0);
        } else {
            assert_eq!(ended.stdout, empty, "{command:?}");
        }
    }
    let show = bench.provision().with(&["history", "show", "7k3f9qzp"]).ended().await;
    assert!(show.status.code() == Some(2) && show.stderr.contains("has no run 7k3f9qzp"), "{show:?}");
    assert!(!bench.home().join("data").exists());
}

#[tokio::test]
async fn every_command_finds_the_ledger_of_the_profile() {
    let bench = Bench::new().await;
    let config = bench.home().join("line.toml");
    std::fs::write(&config, "[profiles.left]\nledger = 'left.sqlite'\nbench = 'left'\n").unwrap();
    let profile = ["--config", config.to_str().unwrap(), "--profile", "left"];
    let board = bench.plug_into_hub(PhotonConfig { wifi_known: false, ..bench.board() });
    let (ticket, wifi) = (bench.home().join("ticket.json"), bench.home().join("wifi.json"));
    std::fs::write(&wifi, r#"{"network": "Office", "security": "NONE"}"#).unwrap();
    let (ticket, wifi, hub) = (ticket.to_str().unwrap(), wifi.to_str().unwrap(), bench.hub());
    let hub = hub.to_str().unwrap();
    let asked =
        async |command: &[&str]| bench.provision().with(command).with(&profile).ended().await.passes();
    asked(&["prepare", "--out", ticket, "--device-id", ID]).await;
    asked(&["deliver", ticket, "--usb", ID, "--usb-dir", hub]).await;
    drop(board);
    let _board = bench.plug_into_hub(bench.running_board());
    asked(&["wifi", "--usb", ID, "--usb-dir", hub, "--wifi", wifi, "--watch", "1s"]).await;
    asked(&["run", "--usb", ID, "--usb-dir", hub]).await;
    let path = asked(&["ledger", "path"]).await.stdout;
    assert!(path.ends_with("home/left.sqlite\n"), "{path}");
    let history = asked(&["history", "--output", "json"]).await;
    let runs: Value = serde_json::from_str(&history.stdout).unwrap();
    let told: Vec<_> = runs.as_array().unwrap().iter().map(|run| (&run["part"], &run["bench"])).collect();
    let parts = ["whole", "wifi", "delivered", "prepared"].map(Value::from);
    assert_eq!(told, parts.iter().map(|part| (part, &runs[0]["bench"])).collect::<Vec<_>>());
    assert_eq!(runs[0]["bench"], "left");
    assert_eq!(asked(&["ledger", "export"]).await.stdout.lines().count(), 4);
    assert!(asked(&["report"]).await.stdout.contains("passed"));
    assert_eq!(asked(&["bench", "status", "--output", "json"]).await.stdout, "[]\n");
    // Whoever reads may also go by the environment.
    let history = bench.provision().with(&["history", "--output", "csv"]).env("PROVISION_CONFIG", &config);
    assert_eq!(history.env("PROVISION_PROFILE", "left").ended().await.stdout.lines().count(), 5);
    // Nothing was left beside it, and nothing was written anywhere else.
    assert!(!bench.home().join("data").exists());
    for beside in ["left.sqlite-wal", "left.sqlite-shm"] {
        assert!(!bench.home().join(beside).exists(), "{beside}");
    }
}

#[tokio::test]
async fn no_file_is_left_beside_the_ledger_however_a_run_ends() {
    let bench = Bench::new().await;
    let gate = bench.cloud.gate(crate::bench::CLAIM_CODE).unwrap();
    let board = bench.plug_into_hub(bench.board());
    let ledger = bench.home().join("ledger.sqlite");
    let run = || bench.run_in_hub(ID).env("PROVISION_LEDGER", &ledger);
    let is_alone =
        || ["sqlite-wal", "sqlite-shm"].iter().all(|beside| !ledger.with_extension(beside).exists());
    let interrupted = run().start();
    gate.arrived().await;
    interrupted.interrupt();
    assert_eq!(interrupted.ended().await.status.code(), Some(130));
    assert!(ledger.exists() && is_alone());
    gate.open();
    run().ended().await.passes();
    assert!(is_alone());
    run().with(&["--customer", "somebody@else.example"]).ended().await.fails_with(40, "owned-by-other");
    assert!(is_alone());
    drop(board);
}

#[tokio::test]
async fn a_single_run_tells_of_boards_that_were_left_incomplete() {
    let bench = Bench::new().await;
    let ledger = bench.home().join("ledger.sqlite");
    let other = crate::bench::OTHER_ID;
    let device_id = DeviceId::parse(other).unwrap();
    let gate = bench.cloud.gate(crate::bench::CLAIM_CODE).unwrap();
    let _boards = [
        bench.plug_into_hub(bench.board()),
        bench.plug_into_hub(PhotonConfig { device_id, ..bench.board() }),
    ];
    let run = |id: &str| bench.run_in_hub(id).env("PROVISION_LEDGER", &ledger);
    let killed = run(other).start();
    gate.arrived().await;
    killed.kill().await;
    gate.open();
    let ended = run(ID).ended().await.passes();
    let line = format!("warning: left incomplete, and settled when the board is run again: {other}\n");
    assert_eq!(ended.stderr.matches(&line).count(), 1, "{ended:?}");
    // Of those of another bench it does not.
    let ended = run(ID).env("PROVISION_BENCH", "elsewhere").ended().await.passes();
    assert!(!ended.stderr.contains("left incomplete"), "{ended:?}");
    run(other).ended().await.passes();
    assert!(!run(ID).ended().await.passes().stderr.contains("left incomplete"));
}

#[tokio::test]
async fn a_report_ends_after_it_begins() {
    let bench = Bench::new().await;
    let report = ["report", "--from", "today", "--to", "yesterday"];
    let ended = bench.provision().with(&report).ended().await;
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is not before the end of --to"), "{ended:?}");
}

#[tokio::test]
async fn the_screen_has_local_times_and_programs_get_utc() {
    let (bench, place) = (Bench::new().await, Place::sqlite().unwrap());
    place.ledger("left").beat(&Beat::default()).await.unwrap();
    place.execute("UPDATE benches SET started = 1767225600000").await;
    for (output, started) in [
        ("text", "2026-01-01 05:30:00"),
        ("csv", "2026-01-01 05:30:00"),
        ("csv", "2026-01-01T00:00:00Z"),
        ("json", "2026-01-01T00:00:00Z"),
    ] {
        let status = bench.provision().with(&["bench", "status", "--output", output]);
        let ended = status.env("PROVISION_LEDGER", &place.url).env("TZ", "XST-5:30").ended().await;
        assert!(ended.stdout.contains(started), "{output}: {ended:?}");
    }
}

#[tokio::test]
async fn a_password_is_taken_from_the_environment_and_from_no_flag() {
    let bench = Bench::new().await;
    let url = "postgres://ann:xyzzy-plugh@127.0.0.1:9/ledger";
    let run = bench.provision().with(&["history", "--ledger", url]).stderr(Stdio::piped());
    let refused = run.ended().await;
    assert_eq!(refused.status.code(), Some(2));
    let path = bench.provision().with(&["ledger", "path"]).env("PROVISION_LEDGER", url).ended().await;
    assert_eq!(path.stdout, "postgres://ann@127.0.0.1:9/ledger\n");
    for ended in [refused, path] {
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("xyzzy"), "{ended:?}");
    }
}
