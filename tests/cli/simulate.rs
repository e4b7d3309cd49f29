use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    program::{Ended, Home},
    simulators::ID,
};

/// A simulator that has said that it is ready.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, stdout, ready }
    }

    /// Sends the signal; gives the exit code, and what came on standard output after the first line.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only after a failed assertion is there still somebody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keys(ready: &Value) -> Vec<&str> {
    ready.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_cloud_says_on_one_line_how_to_reach_it_and_ends_well_on_a_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let cloud = Running::start(home.command().args(["simulate", "cloud"]));
        assert_eq!(
            keys(&cloud.ready),
            [
                "api_url",
                "client_id",
                "client_secret",
                "product",
                "product_slug",
                "user",
                "user_password",
                "user_token"
            ]
        );
        let (_, port) = cloud.ready["api_url"].as_str().unwrap().rsplit_once(':').unwrap();
        std::net::TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
        assert_eq!(cloud.stop(signal), (Some(0), String::new()));
    }
}

#[test]
fn the_cloud_with_tls_says_which_certificate_to_trust() {
    let home = Home::new();
    let start =
        |args: &[&str]| Running::start(home.command().args(["simulate", "cloud", "--tls"]).args(args));
    let ask = |cloud: &Running, ca_file: &str| {
        let mut command = home.command();
        let [url, id, secret] =
            ["api_url", "client_id", "client_secret"].map(|key| cloud.ready[key].as_str());
        command.args(["prepare", "--out", "ticket.json", "--customer", "a@example.com", "--product", "1319"]);
        command.args(["--api-url", url.unwrap(), "--client-id", id.unwrap(), "--ca-file", ca_file]);
        Ended::of(command.env("PARTICLE_CLIENT_SECRET", secret.unwrap()))
    };
    let temporary = start(&[]);
    assert!(temporary.ready["api_url"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    let ca_file = temporary.ready["ca_file"].as_str().unwrap().to_owned();
    ask(&temporary, &ca_file).with_code(0);
    let named = start(&["--ca-out", "ca.pem"]);
    assert_eq!(named.ready["ca_file"], "ca.pem");
    ask(&named, "ca.pem").with_code(0);
    // Another cloud's certificate is no good.
    ask(&named, &ca_file).with_code(22).saying("signed by nobody whom this computer trusts");
    assert_eq!(temporary.stop(Signal::TERM), (Some(0), String::new()));
    assert!(!std::path::Path::new(&ca_file).exists());
    assert_eq!(named.stop(Signal::INT), (Some(0), String::new()));
}

#[test]
fn the_cloud_keeps_its_state_in_a_file() {
    let home = Home::new();
    let start = || Running::start(home.command().args(["simulate", "cloud", "--state", "state.json"]));
    let client = |ready: &Value| (ready["client_id"].clone(), ready["client_secret"].clone());
    let first = start();
    let known = client(&first.ready);
    assert_eq!(first.stop(Signal::INT).0, Some(0));
    let second = start();
    assert_eq!(client(&second.ready), known);
    assert_eq!(second.stop(Signal::INT).0, Some(0));
}

#[test]
fn the_photon_says_on_one_line_where_it_is_and_takes_its_link_away() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let link = home.path().join("photon");
        let mut command = home.command();
        command.args(["simulate", "photon", "--device-id", ID, "--link"]).arg(&link);
        let photon = Running::start(&mut command);
        assert_eq!(photon.ready, serde_json::json!({"device_id": ID, "usb": link}));
        home.provision(&["identify", "--usb", "photon"]).with_code(0);
        assert_eq!(photon.stop(signal), (Some(0), String::new()));
        assert!(link.symlink_metadata().is_err());
    }
}

#[test]
fn the_photon_obeys_the_hands_on_standard_input_and_outlives_their_leaving() {
    let home = Home::new();
    let mut command = home.command();
    command.args(["simulate", "photon", "--not-listening", "--link", "photon"]);
    let mut photon = Running::start(&mut command);
    home.provision(&["identify", "--usb", "photon"]).with_code(11);
    let mut hands = photon.child.stdin.take().unwrap();
    hands.write_all(b"setup\n").unwrap();
    drop(hands);
    // The hand may still be on its way when the first one asks.
    let mut asked = (0..20).map(|_| home.provision(&["identify", "--usb", "photon"]).code);
    assert!(asked.any(|code| code == Some(0)));
    assert_eq!(photon.stop(Signal::INT), (Some(0), String::new()));
}

#[test]
fn what_cannot_be_simulated_is_a_usage_error() {
    let home = Home::new();
    home.write("taken", "somebody's file");
    home.write("broken.json", "{");
    for args in [
        &["cloud", "--fault", "POST /oauth/token=explode"][..],
        &["cloud", "--listen", "nowhere"],
        &["cloud", "--ca-out", "ca.pem"],
        &["cloud", "--tls", "--ca-out", "no/such/directory/ca.pem"],
        &["cloud", "--state", "broken.json"],
        &["photon", "--firmware", "9.9.9"],
        &["photon", "--firmware", "new"],
        &["photon", "--platform", "13"],
        &["photon", "--fault", "fire"],
        &["photon", "--left-in", "bed"],
        &["photon", "--link", "taken"],
    ] {
        let ended = home.provision(&[&["simulate"], args].concat()).with_code(2).saying("error: ");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}
