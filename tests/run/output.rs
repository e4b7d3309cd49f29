//! What is printed where. That each line of `--output json` is JSON with a schema, and the last one the
//! result, is checked for every run of these tests by the bench.

use std::{fs::OpenOptions, process::Stdio};

use crate::bench::{Bench, CUSTOMER, ID, is_online};

#[tokio::test]
async fn every_step_begins_before_it_ends_and_no_event_follows_the_result() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.passes();
    for (at, event) in ended.events.iter().enumerate() {
        assert!(event["at"].is_string(), "{event}");
        if event["event"] == "step-ended" {
            let begun = |e: &&serde_json::Value| e["event"] == "step-started" && e["step"] == event["step"];
            assert_eq!(ended.events[..at].iter().filter(begun).count(), 1, "{event}");
            assert!(event["seconds"].is_number(), "{event}");
        }
    }
    assert!(ended.events.iter().any(|e| e["event"] == "device-known" && e["device_id"] == ID));
}

#[tokio::test]
async fn without_a_terminal_there_are_plain_lines_and_the_result_stands_alone() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = || bench.provision().with(&["--usb"]).with(&[board.usb()]);
    let ended = run().ended().await.passes();
    let result: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(result.len(), 1, "{}", ended.stdout);
    for word in ["PASS", ID, CUSTOMER, "1319", "do not unplug while magenta"] {
        assert!(result[0].contains(word), "{}", result[0]);
    }
    for step in ["sign in: done", "import: done, imported", "deliver: done", "verify: done"] {
        assert!(ended.stderr.lines().any(|line| line.starts_with(step)), "{}", ended.stderr);
    }
    assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn a_failure_says_what_failed_and_what_to_do_next() {
    let bench = Bench::new().await;
    bench.seed(Some("somebody@else.example"));
    let board = bench.plug(bench.board());
    let ended = bench.provision().with(&["--usb"]).with(&[board.usb()]).ended().await;
    assert_eq!(ended.status.code(), Some(40));
    assert!(ended.stdout.starts_with(&format!("FAIL  {ID}  owned-by-other")), "{}", ended.stdout);
    assert!(ended.stderr.contains("error: check device: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("  next: "), "{}", ended.stderr);
}

#[tokio::test]
async fn an_output_that_is_full_or_closed_does_not_fail_the_run() {
    for output in ["json", "text"] {
        for to in ["full", "closed"] {
            let bench = Bench::new().await;
            let board = bench.plug(bench.board());
            let stdout = match to {
                "full" => Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()),
                _ => {
                    let (reader, writer) = std::io::pipe().unwrap();
                    drop(reader);
                    Stdio::from(writer)
                }
            };
            let run = bench.provision().with(&["--usb"]).with(&[board.usb()]).with(&["--output", output]);
            let ended = run.stdout(stdout).ended().await;
            assert_eq!(ended.status.code(), Some(0), "{output}, {to}: {ended:?}");
            bench.holds_one_claim();
            is_online(&board).await;
        }
    }
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_done() {
    let bench = Bench::new().await;
    for arguments in [
        &["run", "--usb", ""][..],
        &["run", "--usb", "auto", "--device-id", "no-id"],
        &["run", "--usb", "auto", "--owner", "nobody"],
        &["run", "--usb", "auto", "--wait", "soon"],
        &["--no-such-flag"],
        &["run", "--usb", "auto", "--client-secret", "hunter2-hunter2"],
        &["run", "--usb", "auto", "--product", "../1319"],
    ] {
        let ended = bench.provision().with(arguments).ended().await;
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    assert_eq!(bench.requests(), [""; 0]);
}

#[tokio::test]
async fn on_a_terminal_the_steps_are_drawn_and_the_colours_can_be_turned_off() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    for colour in [true, false] {
        let bench = Bench::new().await;
        let board = bench.plug(bench.board());
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let screen = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
        let run = bench.provision().with(&["--usb"]).with(&[board.usb()]).env("TERM", "xterm");
        let run = if colour { run } else { run.env("NO_COLOR", "1") };
        let shown = tokio::task::spawn_blocking({
            let keep = screen();
            move || {
                let mut shown = Vec::new();
                let mut chunk = [0; 4096];
                while !String::from_utf8_lossy(&shown).contains("PASS") {
                    let n = rustix::io::read(&terminal, &mut chunk).unwrap();
                    shown.extend_from_slice(&chunk[..n]);
                }
                drop(keep);
                String::from_utf8_lossy(&shown).into_owned()
            }
        });
        let ended = run.stdout(screen()).stderr(screen()).ended().await.passes();
        assert_eq!(ended.stderr, "");
        let shown = crate::bench::guarded(shown).await.unwrap();
        assert!(shown.contains("verify"), "{shown:?}");
        assert_eq!(shown.contains("\u{1b}[32;1;7m PASS"), colour, "{shown:?}");
    }
}
