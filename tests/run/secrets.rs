//! Secrets stay where they belong: in the cache of tokens, in the `Authorization` header, and on the
//! board.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use provision::sim::{
    cloud::{Certificate, CloudConfig, DeviceSeed},
    photon::PhotonConfig,
};

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, Ended, ID, IMPORT, Run, SIGN_IN, all, codes,
};

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A secret in the spellings in which it could get out.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret).unwrap();
    let base64 = (0..3).map(|before| {
        let text = BASE64_STANDARD.encode([&[0; 2][..before], secret.as_bytes()].concat());
        // Not the characters that hold bits of what could stand before or after it.
        text[(before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6].to_owned()
    });
    let plain = [json[1..json.len() - 1].to_owned(), percent, hex.to_uppercase(), hex, secret.to_owned()];
    plain.into_iter().chain(base64).collect()
}

#[track_caller]
fn holds_none(secrets: &[String], whose: &str, text: &str) {
    for secret in secrets.iter().flat_map(|secret| spellings(secret)) {
        if let Some(at) = text.find(&secret) {
            let line = text[..at].lines().count();
            panic!("{whose}, line {line}, holds {secret}:\n{text}");
        }
    }
}

#[track_caller]
fn is_discreet(bench: &Bench, ended: &Ended) {
    is_discreet_about(bench, ended, &[]);
}

/// Nothing that it wrote holds one of these secrets, nor any of the cloud's.
#[track_caller]
fn is_discreet_about(bench: &Bench, ended: &Ended, more: &[&str]) {
    let secrets: Vec<_> =
        bench.cloud.secrets().into_iter().chain(more.iter().map(|s| s.to_string())).collect();
    holds_none(&secrets, "standard output", &ended.stdout);
    holds_none(&secrets, "standard error", &ended.stderr);
    for request in bench.cloud.requests() {
        holds_none(&secrets, "a path", &request.path);
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    if bench.trace().exists() {
        assert_eq!(mode(&bench.trace()), 0o600);
        holds_none(&secrets, "the trace", &fs::read_to_string(bench.trace()).unwrap());
    }
    let tokens = bench.home().join("cache/provision/tokens");
    for file in files(&bench.home()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        assert_eq!(mode(file.parent().unwrap()), 0o700, "{}", file.display());
        if file.parent() != Some(&tokens) {
            let content = fs::read(&file).unwrap();
            holds_none(&secrets, &file.to_string_lossy(), &String::from_utf8_lossy(&content));
        }
    }
}

/// One that says all it can, and traces its requests.
fn loud(bench: &Bench, run: Run) -> Run {
    run.with(&["-vvv"]).env("RUST_LOG", "trace").with(&["--trace-http"]).with(&[bench.trace()])
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
        let run = if log.is_empty() { run.with(&["-vvv"]) } else { loud(&bench, run) };
        let ended = run.ended().await;
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
        let run = loud(&bench, bench.provision().with(&["--usb"]).with(&[board.usb()]));
        let ended = run.with(&["--output", output]).ended().await;
        assert_eq!(ended.status.code(), Some(40));
        is_discreet(&bench, &ended);
    }
}

#[tokio::test]
async fn a_developers_run_tells_no_secret_and_keeps_none() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = loud(&bench, bench.run(&board).with(&["--owner", "developer"]));
    let ended = run.env("PARTICLE_ACCESS_TOKEN", &bench.info.user_token).ended().await.passes();
    is_discreet(&bench, &ended);
    assert!(!bench.home().join("cache/provision/tokens").exists());
}

#[tokio::test]
async fn a_failed_sign_in_and_an_interrupted_run_tell_no_secret() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = || loud(&bench, bench.run(&board));
    let wrong = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee0";
    let ended = run().env("PARTICLE_CLIENT_SECRET", wrong).ended().await.fails_with(20, "sign-in-refused");
    is_discreet_about(&bench, &ended, &[wrong]);
    let mut run = run().start();
    run.reaches("step-started", "deliver").await;
    run.interrupt();
    is_discreet(&bench, &run.ended().await);
}

const PASS_PHRASE: &str = "correct \"horse\" & 100%";
const NETWORK: &str = "Office:WPA2_AES:6:-52:correct \"horse\" & 100%25";

fn on_its_own_network(bench: &Bench) -> PhotonConfig {
    let anywhere = Some(([127, 0, 0, 1], 0).into());
    let networks = vec![NETWORK.parse().unwrap()];
    PhotonConfig { softap_http: anywhere, softap_tcp: anywhere, networks, wifi_known: false, ..bench.board() }
}

#[tokio::test]
async fn a_run_over_softap_with_wifi_tells_no_secret_nor_does_one_whose_pass_phrase_is_wrong() {
    for (tls, tcp, pass_phrase) in
        [(false, false, PASS_PHRASE), (true, true, PASS_PHRASE), (false, false, "wrong \"horse\" & 100%")]
    {
        let tls = tls.then_some(Certificate::Good);
        let bench = Bench::with(CloudConfig { tls, ..CloudConfig::default() }).await;
        let photon = bench.plug(on_its_own_network(&bench));
        let address = match tcp {
            true => format!("tcp://{}", photon.softap_tcp().unwrap()),
            false => photon.softap_http().unwrap().to_string(),
        };
        let run = bench.provision().with(&["run", "--softap", &address, "--wifi-ssid", "Office"]);
        let run = loud(&bench, run.env("PROVISION_WIFI_PASSWORD", pass_phrase));
        let ended = run.json().ended().await;
        assert_eq!(ended.status.success(), pass_phrase == PASS_PHRASE, "{ended:?}");
        assert!(ended.stderr.lines().count() > 10, "{}", ended.stderr);
        is_discreet_about(&bench, &ended, &[pass_phrase]);
    }
}

#[tokio::test]
async fn a_run_over_usb_with_wifi_and_a_talkative_board_tells_no_secret() {
    let bench = Bench::new().await;
    let faults =
        ["log-code", "log:before-reply", "log:after-prompt"].map(|fault| fault.parse().unwrap()).into();
    let board = bench.plug(PhotonConfig { faults, ..on_its_own_network(&bench) });
    let run = bench.run(&board).with(&["--wifi-ssid", "Office"]).with(&["--wifi-security", "WPA2_AES"]);
    let ended = loud(&bench, run.env("PROVISION_WIFI_PASSWORD", PASS_PHRASE)).ended().await.passes();
    is_discreet_about(&bench, &ended, &[PASS_PHRASE]);
}

#[tokio::test]
async fn the_parts_of_a_run_tell_no_secret_outside_of_the_ticket() {
    let bench = Bench::new().await;
    let photon = bench.plug(on_its_own_network(&bench));
    let ticket = bench.trace().with_file_name("ticket.json");
    let prepare = bench.provision().with(&["prepare", "--device-id", ID, "--wifi-ssid", "Office", "--out"]);
    let prepare = prepare.with(&[&ticket]).env("PROVISION_WIFI_PASSWORD", PASS_PHRASE);
    let deliver = bench.provision().with(&["deliver"]).with(&[&ticket]);
    let deliver = deliver.with(&["--softap", &photon.softap_http().unwrap().to_string()]);
    for run in [prepare, deliver, bench.provision().with(&["verify"]).with(&[&ticket])] {
        let ended = loud(&bench, run.json()).ended().await.passes();
        is_discreet_about(&bench, &ended, &[PASS_PHRASE]);
    }
    bench.holds_one_claim();
}

#[tokio::test]
async fn what_the_cloud_says_back_is_told_without_the_secrets_in_it() {
    let routes = [SIGN_IN, ASK_PRODUCT, ASK_DEVICE, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];
    let faults = routes
        .into_iter()
        .flat_map(|route| [(route, "echo"), (route, "echo-after:409"), (route, "echo:200")]);
    all(faults, async |(route, fault)| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{route}={fault}").parse().unwrap());
        let board = bench.plug(bench.board());
        let ended = loud(&bench, bench.run(&board)).ended().await;
        // A client that may not see a device takes it for one that is not there.
        if (route, fault) != (ASK_DEVICE, "echo-after:403") {
            assert_ne!(ended.status.code(), Some(0), "{route}={fault}");
            assert!(ended.message().contains("Refused: [redacted]"), "{route}={fault}: {}", ended.message());
        }
        is_discreet(&bench, &ended);
    })
    .await;
}
