//! Secrets stay where they belong: in the cache of tokens, in the `Authorization` header, and on the
//! board.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use provision::sim::{cloud::DeviceSeed, photon::PhotonConfig};

use crate::bench::{Bench, Ended, ID, codes};

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[track_caller]
fn holds_no_secret(bench: &Bench, whose: &str, text: &str) {
    for secret in bench.cloud.secrets() {
        if let Some(at) = text.find(&secret) {
            let line = text[..at].lines().count();
            panic!("{whose}, line {line}, holds {secret}:\n{text}");
        }
    }
}

#[track_caller]
fn is_discreet(bench: &Bench, ended: &Ended) {
    holds_no_secret(bench, "standard output", &ended.stdout);
    holds_no_secret(bench, "standard error", &ended.stderr);
    for request in bench.cloud.requests() {
        holds_no_secret(bench, "a path", &request.path);
    }
    let tokens = bench.home().join("cache/provision/tokens");
    for file in files(&bench.home()) {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert_eq!(mode(file.parent().unwrap()), 0o700, "{}", file.display());
        if file.parent() != Some(&tokens) {
            holds_no_secret(bench, &file.to_string_lossy(), &fs::read_to_string(&file).unwrap());
        }
    }
}

#[tokio::test]
async fn a_run_that_tells_everything_it_can_tells_no_secret() {
    for (log, output) in [("", "json"), ("trace", "json"), ("", "text"), ("trace", "text")] {
        let bench = Bench::new().await;
        // The cloud echoes the token when it is asked for a device that is not in the product, and the
        // board logs the code it was given.
        assert!(bench.cloud.add_device(DeviceSeed { id: ID.into(), ..DeviceSeed::default() }));
        let faults = ["log-code", "drop:code@9", "log:before-reply"].map(|fault| fault.parse().unwrap());
        let board = bench.plug(PhotonConfig { faults: faults.into(), ..bench.board() });
        let run = bench.provision().with(&["--usb"]).with(&[board.usb()]).with(&["--output", output]);
        let run = if log.is_empty() { run } else { run.env("RUST_LOG", log) };
        let ended = run.with(&["-vvv"]).ended().await;
        assert!(ended.status.success(), "{ended:?}");
        is_discreet(&bench, &ended);
        // It did have something to say.
        assert!(ended.stderr.lines().count() > 10, "{}", ended.stderr);
        // Secret, product's token and its companion, customer's and its, developer's, and the code.
        assert!(bench.cloud.secrets().len() >= 7);
        let delivered = codes(&board);
        assert!(delivered.iter().all(|code| bench.cloud.secrets().contains(code)) && !delivered.is_empty());
        let kept = files(&bench.home().join("cache/provision/tokens"));
        assert_eq!(kept.len(), 2);
        assert!(fs::read_to_string(&kept[0]).unwrap().contains("\"token\""));
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_the_token_is_shown_without_it() {
    for output in ["json", "text"] {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        let seed = DeviceSeed { id: ID.into(), product_id: Some(7), ..DeviceSeed::default() };
        assert!(bench.cloud.add_device(seed));
        let board = bench.plug(bench.board());
        let run = bench.provision().with(&["-vvv", "--usb"]).with(&[board.usb()]);
        let ended = run.with(&["--output", output]).env("RUST_LOG", "trace").ended().await;
        assert_eq!(ended.status.code(), Some(40));
        is_discreet(&bench, &ended);
    }
}

#[tokio::test]
async fn a_developers_run_tells_no_secret_and_keeps_none() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["-vvv", "--owner", "developer"]).env("RUST_LOG", "trace");
    let ended = run.env("PARTICLE_ACCESS_TOKEN", &bench.info.user_token).ended().await.passes();
    is_discreet(&bench, &ended);
    assert!(!bench.home().join("cache/provision/tokens").exists());
}

#[tokio::test]
async fn a_failed_sign_in_and_an_interrupted_run_tell_no_secret() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = || bench.run(&board).with(&["-vvv"]).env("RUST_LOG", "trace");
    let wrong = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee0";
    let ended = run().env("PARTICLE_CLIENT_SECRET", wrong).ended().await.fails_with(20, "sign-in-refused");
    assert!(!ended.stdout.contains(wrong) && !ended.stderr.contains(wrong));
    let mut run = run().start();
    run.reaches("step-started", "deliver").await;
    run.interrupt();
    is_discreet(&bench, &run.ended().await);
}
