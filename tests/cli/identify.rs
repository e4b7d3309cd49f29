use std::{fs, os::unix::fs::symlink};

use provision::{
    model::FirmwareVersion,
    sim::photon::{PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power, listening},
};

fn identify(photon: &SimPhoton, args: &[&str]) -> Ended {
    let port = photon.usb();
    Ended::of(Home::new().command().args(["identify", "--usb"]).arg(port).args(args))
}

#[test]
fn a_listening_board_is_told_as_text_and_as_json() {
    let power = Power::on();
    let photon = power.photon(PhotonConfig { claimed: true, ..listening() });
    let ended = identify(&photon, &[]).with_code(0);
    assert_eq!(
        ended.stdout,
        format!(
            "device id      {ID}\nplatform       Photon\nfirmware       2.3.1\nclaimed        yes\n\
             mac            6c:0b:84:44:1f:0e\n"
        )
    );
    assert_eq!(ended.stderr, "");

    let ended = identify(&photon, &["--output", "json"]).with_code(0);
    assert_eq!(
        ended.lines(),
        [json!({
            "schema": 1, "device_id": ID, "platform": "Photon", "platform_id": 6, "firmware": "2.3.1",
            "claimed": true, "mac": "6c:0b:84:44:1f:0e",
        })]
    );
}

#[test]
fn what_old_firmware_cannot_tell_is_absent() {
    let power = Power::on();
    let photon = power.photon(PhotonConfig { firmware: FirmwareVersion::new(0, 5, 3), ..listening() });
    let told: Vec<Value> = identify(&photon, &["--output", "json"]).with_code(0).lines();
    assert_eq!(told[0]["firmware"], "0.5.3");
    assert!(told[0].get("claimed").is_none(), "{told:?}");
}

#[test]
fn a_dialogue_that_somebody_left_open_is_left_and_the_board_told() {
    let power = Power::on();
    let left_in = Some("C:abc".parse().unwrap());
    let photon = power.photon(PhotonConfig { left_in, ..listening() });
    let ended = identify(&photon, &[]).with_code(0);
    assert!(ended.stdout.starts_with(&format!("device id      {ID}\n")), "{ended:?}");
    assert_eq!(photon.effects(), []);
}

#[test]
fn a_board_that_is_not_listening_stays_as_it_is_and_is_exit_code_11() {
    let power = Power::on();
    let photon = power.photon(PhotonConfig { listening: false, ..listening() });
    let ended = identify(&photon, &[]).with_code(11).saying("does not answer in listening mode");
    assert!(ended.stderr.contains("hold SETUP for 3 seconds"), "{ended:?}");
    assert_eq!(ended.stdout, "");
    let ended = identify(&photon, &["--output", "json"]).with_code(11);
    assert_eq!(ended.result()["error"]["code"], "not-listening");
    assert_eq!(ended.stderr, "");
    assert_eq!(photon.effects(), []);
}

#[test]
fn without_a_board_it_says_which_kind_of_nothing() {
    let home = Home::new();
    home.provision(&["identify"]).with_code(2).saying("no board was named");
    let gone = home.provision(&["identify", "--usb", "/dev/ttyACM987"]).with_code(10);
    gone.saying("there is no port /dev/ttyACM987");
    home.write("notes.txt", "not a port");
    home.provision(&["identify", "--usb", "notes.txt"]).with_code(10).saying("is not a serial port");
    fs::create_dir(home.path().join("usb")).unwrap();
    for target in ["auto", ID] {
        home.provision(&["identify", "--usb-dir", "usb", "--usb", target]).with_code(10);
    }
}

#[test]
fn several_boards_and_none_named_are_listed() {
    let (home, power) = (Home::new(), Power::on());
    let (one, other) = (power.photon(listening()), power.photon(listening()));
    let usb = home.path().join("usb");
    fs::create_dir(&usb).unwrap();
    let second = "4c0021001747353236343033";
    symlink(one.usb(), usb.join(ID)).unwrap();
    symlink(other.usb(), usb.join(second)).unwrap();
    let ended = home.provision(&["identify", "--usb-dir", "usb", "--usb", "auto"]).with_code(10);
    let ended = ended.saying(ID).saying(second).saying("name one of them");
    assert_eq!(ended.stdout, "");
    home.provision(&["identify", "--usb-dir", "usb", "--usb", ID]).with_code(0);
}

#[test]
fn it_needs_no_network_and_no_settings() {
    let (home, power) = (Home::new(), Power::on());
    let photon = power.photon(listening());
    home.config("this is not TOML");
    let mut command = home.command();
    command.args(["identify", "--usb"]).arg(photon.usb());
    for proxy in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        command.env(proxy, "not a proxy");
    }
    command
        .env("PARTICLE_API_URL", "nowhere")
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere");
    Ended::of(&mut command).with_code(0);
    assert!(!home.path().join("cache").exists());
}
