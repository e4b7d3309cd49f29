//! The device over USB, against the simulated Photon on a real pty.
#![cfg(unix)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use provision::{
    device::{Manner, Note, Patience, SetupDevice, UsbPhoton},
    link::{
        discovery::{UsbTarget, lister},
        serial::SystemPorts,
    },
    model::{Action, ClaimCode, DeviceId, FailureCode, FirmwareVersion, Platform},
    sim::photon::{Effect, Mode, PhotonConfig, SimPhoton},
};

const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";

fn id() -> DeviceId {
    DeviceId::parse("3b0021001747353236343033").unwrap()
}

fn code() -> ClaimCode {
    ClaimCode::parse(CODE).unwrap()
}

fn config() -> PhotonConfig {
    PhotonConfig::new(id())
}

/// Silence is judged quickly here: the simulator answers within microseconds.
fn patience() -> Patience {
    Patience { silence: Duration::from_millis(300), ..Patience::default() }
}

fn at(port: PathBuf) -> UsbPhoton {
    UsbPhoton::new(UsbTarget::Port(port), Arc::from(lister(None)), Arc::new(SystemPorts), patience(), None)
}

fn quiet(_: Note) {}

/// The codes that the board stored, in order.
fn stored(photon: &SimPhoton) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::ClaimCode { code, .. } => Some(code.0.iter().map(|&b| char::from(b)).collect()),
        _ => None,
    };
    photon.effects().iter().filter_map(text).collect()
}

#[tokio::test]
async fn a_listening_board_tells_everything_in_one_exchange() {
    let photon = SimPhoton::start(PhotonConfig { claimed: true, ..config() }).unwrap();
    let mut device = at(photon.usb());
    let identity = device.reach(Manner::LookOnly, &quiet).await.unwrap();
    assert_eq!(identity.id, id());
    assert_eq!(identity.platform, Some(Platform::Photon));
    assert_eq!(identity.firmware, Some(FirmwareVersion::new(2, 3, 1)));
    assert_eq!(identity.claimed, Some(true));
    assert_eq!(identity.mac.as_deref(), Some("6c:0b:84:44:1f:0e"));
}

#[tokio::test]
async fn the_code_is_delivered_and_the_board_let_out() {
    let photon = SimPhoton::start(PhotonConfig { wifi_known: true, ..config() }).unwrap();
    let mut device = at(photon.usb());
    device.reach(Manner::Touch, &quiet).await.unwrap();
    device.set_claim_code(&code(), &quiet).await.unwrap();
    device.finish().await.unwrap();
    photon.wait_for(|state| state.online).await;
    assert_eq!(stored(&photon), [CODE]);
}

#[tokio::test]
async fn a_board_without_wifi_is_seen_to_come_back() {
    let photon = SimPhoton::start(config()).unwrap();
    let mut device = at(photon.usb());
    device.reach(Manner::Touch, &quiet).await.unwrap();
    device.set_claim_code(&code(), &quiet).await.unwrap();
    device.finish().await.unwrap();
    device.back().await;
    assert_eq!(photon.state().mode, Mode::Listening);
}

#[tokio::test]
async fn boards_with_a_factory_serial_number_answer_in_the_other_form() {
    let serial_number = Some("PHHMAB123456789".to_owned());
    let photon = SimPhoton::start(PhotonConfig { serial_number: serial_number.clone(), ..config() }).unwrap();
    let identity = at(photon.usb()).reach(Manner::LookOnly, &quiet).await.unwrap();
    assert_eq!((identity.id, identity.serial_number), (id(), serial_number));
}

#[tokio::test]
async fn firmware_before_0_6_is_recognised_by_its_version() {
    for version in [FirmwareVersion::new(0, 4, 9), FirmwareVersion::new(0, 5, 3)] {
        let photon = SimPhoton::start(PhotonConfig { firmware: version.clone(), ..config() }).unwrap();
        let mut device = at(photon.usb());
        let identity = device.reach(Manner::Touch, &quiet).await.unwrap();
        assert_eq!((identity.firmware.clone(), identity.claimed), (Some(version), None));
        let refused = device.takes_claim_code(&identity).unwrap_err();
        assert_eq!(refused.code, FailureCode::FirmwareTooOld);
    }
}

#[tokio::test]
async fn every_firmware_with_the_dialogue_takes_the_code() {
    for version in ["0.6.0", "0.7.0", "1.5.2", "2.3.1", "3.3.1"] {
        let firmware = FirmwareVersion::parse(version).unwrap();
        let photon = SimPhoton::start(PhotonConfig { firmware, ..config() }).unwrap();
        let mut device = at(photon.usb());
        let identity = device.reach(Manner::Touch, &quiet).await.unwrap();
        device.takes_claim_code(&identity).unwrap();
        device.set_claim_code(&code(), &quiet).await.unwrap();
        assert_eq!(stored(&photon), [CODE], "{version}");
    }
}

#[tokio::test]
async fn consoles_that_somebody_left_inside_a_dialogue_are_brought_back() {
    let places = [
        "C",
        "C:abc",
        "w:ssid",
        "w:ssid:half",
        "w:security",
        "w:password",
        "w:password:half",
        "w:eap-type",
        "w:username",
        "w:client-certificate",
        "w:root-ca",
        "ymodem",
        "scanning",
    ];
    for place in places {
        let left_in = Some(place.parse().unwrap());
        let photon = SimPhoton::start(PhotonConfig { left_in, ..config() }).unwrap();
        let mut device = at(photon.usb());
        let reached = device.reach(Manner::Touch, &quiet).await;
        assert!(reached.is_ok(), "{place}: {reached:?}");
        device.set_claim_code(&code(), &quiet).await.unwrap();
        assert_eq!(stored(&photon).last().map(String::as_str), Some(CODE), "{place}");
        assert!(photon.state().saved.is_empty(), "{place}");
    }
}

#[tokio::test]
async fn a_dialogue_whose_every_answer_could_save_something_is_not_answered() {
    for place in ["w:cipher", "w:cipher-open", "w:peap-password", "w:private-key", "w:outer-identity"] {
        let left_in = Some(place.parse().unwrap());
        let photon = SimPhoton::start(PhotonConfig { left_in, ..config() }).unwrap();
        let failure = at(photon.usb()).reach(Manner::Touch, &quiet).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::ConsoleStuck, "{place}");
        assert!(photon.state().saved.is_empty(), "{place}");
    }
}

#[tokio::test]
async fn what_the_line_does_to_the_code_is_noticed_and_mended() {
    let faults = [
        "drop:code@1",
        "drop:code",
        "drop:code@63",
        "drop:code@64",
        "double:code@1",
        "double:code",
        "double:code@63",
        "double:code@64",
        "delay:code:50",
        "drop-sent:code",
        "double-sent:code",
        "drop:40x3",
        "garbage",
        "log:before-promptx3",
        "log:after-promptx3",
        "log:before-replyx6",
        "log:after-replyx6",
        "log-code",
    ];
    for fault in faults {
        let photon =
            SimPhoton::start(PhotonConfig { faults: vec![fault.parse().unwrap()], ..config() }).unwrap();
        let mut device = at(photon.usb());
        let reached = device.reach(Manner::Touch, &quiet).await;
        assert_eq!(reached.map(|i| i.id).map_err(|f| f.to_string()), Ok(id()), "{fault}");
        let delivered = device.set_claim_code(&code(), &quiet).await;
        assert!(delivered.is_ok(), "{fault}: {delivered:?}");
        assert_eq!(stored(&photon).last().map(String::as_str), Some(CODE), "{fault}");
        assert_eq!(photon.state().mode, Mode::Listening, "{fault}");
    }
}

#[tokio::test]
async fn a_port_that_drops_in_the_middle_of_the_code_is_opened_again() {
    for fault in ["hang-up:code@1", "hang-up:code", "hang-up:code@64"] {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("photon");
        let photon = SimPhoton::start(PhotonConfig {
            faults: vec![fault.parse().unwrap()],
            link: Some(link.clone()),
            ..config()
        })
        .unwrap();
        let mut device = at(link);
        device.reach(Manner::Touch, &quiet).await.unwrap();
        device.set_claim_code(&code(), &quiet).await.unwrap();
        assert_eq!(stored(&photon).last().map(String::as_str), Some(CODE), "{fault}");
    }
}

/// A board that runs its firmware, in a directory where the link's name is its USB serial number.
fn running(name: &str) -> (tempfile::TempDir, SimPhoton) {
    let directory = tempfile::tempdir().unwrap();
    let link = Some(directory.path().join(name));
    let photon =
        SimPhoton::start(PhotonConfig { listening: false, wifi_known: true, link, ..config() }).unwrap();
    (directory, photon)
}

fn in_directory(directory: &tempfile::TempDir, patience: Patience) -> UsbPhoton {
    let lister = Arc::from(lister(Some(directory.path().to_owned())));
    UsbPhoton::new(UsbTarget::Auto, lister, Arc::new(SystemPorts), patience, None)
}

#[tokio::test]
async fn the_line_speed_brings_a_board_that_usb_proves_new_enough_to_listening() {
    let (directory, photon) = running(id().as_str());
    let mut device = in_directory(&directory, patience());
    assert_eq!(device.find().await.unwrap().device_id, Some(id()));
    device.reach(Manner::Touch, &quiet).await.unwrap();
    assert_eq!(photon.state().mode, Mode::Listening);
    // A run that ends here lets it out again: listening mode has no time-out of its own.
    device.release().await;
    photon.wait_for(|state| state.mode == Mode::Running).await;
}

#[tokio::test]
async fn an_exit_command_that_waits_for_the_next_listening_does_not_make_a_board_look_old() {
    for left_over in ["x", "ix", "ivxi"] {
        let (directory, photon) = running(id().as_str());
        std::fs::write(photon.usb(), left_over).unwrap();
        let mut device = in_directory(&directory, patience());
        let identity = device.reach(Manner::Touch, &quiet).await.unwrap();
        device.takes_claim_code(&identity).unwrap();
        assert_eq!(photon.state().mode, Mode::Listening, "{left_over}");
    }
}

#[tokio::test]
async fn a_board_that_may_be_old_is_left_to_a_persons_hands() {
    let (directory, photon) = running("00000000050C");
    let mut device = in_directory(&directory, patience());
    let asked = std::sync::Mutex::new(0);
    let identity = device
        .reach(Manner::Touch, &|note| {
            if note == Note::Action(Action::HoldSetupButton) {
                *asked.lock().unwrap() += 1;
                photon.press_setup();
            }
        })
        .await
        .unwrap();
    assert_eq!((identity.id, *asked.lock().unwrap()), (id(), 1));
}

#[tokio::test]
async fn a_board_that_nobody_brings_to_listening_is_given_up_with_the_reason() {
    let (directory, photon) = running("00000000050C");
    let mut device =
        in_directory(&directory, Patience { listening: Duration::from_millis(400), ..patience() });
    let failure = device.reach(Manner::Touch, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NotListening);
    assert_ne!(photon.state().mode, Mode::Listening);
}

#[tokio::test]
async fn looking_never_switches_modes() {
    let (directory, photon) = running(id().as_str());
    let mut device = in_directory(&directory, patience());
    let failure = device.reach(Manner::Tidy, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NotListening);
    assert_ne!(photon.state().mode, Mode::Listening);
}

#[tokio::test]
async fn a_port_is_opened_by_one_run_at_a_time() {
    let photon = SimPhoton::start(config()).unwrap();
    let mut first = at(photon.usb());
    first.reach(Manner::Touch, &quiet).await.unwrap();
    let failure = at(photon.usb()).reach(Manner::Touch, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::PortBusy);
    first.release().await;
    at(photon.usb()).reach(Manner::Touch, &quiet).await.unwrap();
}

#[tokio::test]
async fn another_board_behind_a_name_is_refused() {
    let other = "111111111111111111111111";
    let directory = tempfile::tempdir().unwrap();
    let link = Some(directory.path().join(other));
    let _photon = SimPhoton::start(PhotonConfig { link, ..config() }).unwrap();
    let mut device = in_directory(&directory, patience());
    device.find().await.unwrap();
    let failure = device.reach(Manner::Touch, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::WrongDevice);
}

#[tokio::test]
async fn an_interrupted_delivery_leaves_the_console_at_its_idle_prompt() {
    let fault = "drop:code@64x9".parse().unwrap();
    let photon = SimPhoton::start(PhotonConfig { faults: vec![fault], ..config() }).unwrap();
    let mut device = at(photon.usb());
    device.reach(Manner::Touch, &quiet).await.unwrap();
    // Dropped in the middle of the dialogue: the line end got lost, so the device still waits.
    let stopped =
        tokio::time::timeout(Duration::from_millis(100), device.set_claim_code(&code(), &quiet)).await;
    assert!(stopped.is_err());
    device.release().await;
    at(photon.usb()).reach(Manner::LookOnly, &quiet).await.unwrap();
}

fn left_in(place: &str) -> SimPhoton {
    SimPhoton::start(PhotonConfig { left_in: Some(place.parse().unwrap()), ..config() }).unwrap()
}

#[tokio::test]
async fn looking_finds_a_dialogue_and_answers_nothing_in_it() {
    let nearly = format!("C:{}", &CODE[..62]);
    for place in [
        "C",
        "C:abc",
        &nearly,
        "w:ssid",
        "w:ssid:half",
        "w:security",
        "w:cipher-open",
        "w:password:half",
        "w:eap-type",
        "w:username",
        "w:peap-password",
        "w:private-key",
        "w:root-ca",
    ] {
        let photon = left_in(place);
        for _ in 0..3 {
            let mut device = at(photon.usb());
            let failure = device.reach(Manner::LookOnly, &quiet).await.unwrap_err();
            assert_eq!(failure.code, FailureCode::InDialogue, "{place}: {failure}");
            device.release().await;
        }
        assert_eq!(photon.effects(), [], "{place}");
        assert_eq!(photon.state().mode, Mode::Listening, "{place}");
        assert!(photon.state().claim_code.is_none(), "{place}");
    }
}

#[tokio::test]
async fn a_full_line_ends_with_whatever_byte_comes_and_that_is_told() {
    let photon = left_in(&format!("C:{CODE}"));
    let failure = at(photon.usb()).reach(Manner::LookOnly, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::InDialogue);
    assert!(failure.detail.contains("with a full line"), "{failure}");
    assert_eq!(stored(&photon), [CODE]);
}

#[tokio::test]
async fn looking_leaves_a_transfer_and_a_scan_to_themselves() {
    let photon = left_in("ymodem");
    let failure = at(photon.usb()).reach(Manner::LookOnly, &quiet).await.unwrap_err();
    assert!(failure.detail.contains("firmware transfer"), "{failure}");
    let scan_delay = Duration::from_secs(3600);
    let left_in = Some("scanning".parse().unwrap());
    let photon = SimPhoton::start(PhotonConfig { left_in, scan_delay, ..config() }).unwrap();
    let failure = at(photon.usb()).reach(Manner::LookOnly, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NotListening);
    assert_eq!(photon.effects(), []);
}

#[tokio::test]
async fn what_a_look_typed_in_vain_does_nothing_at_the_next_listening() {
    let (directory, photon) = running("00000000050C");
    let failure = in_directory(&directory, patience()).reach(Manner::LookOnly, &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::NotListening);
    photon.press_setup();
    photon.wait_for(|state| state.mode == Mode::Listening).await;
    let mut device = in_directory(&directory, patience());
    assert_eq!(device.reach(Manner::LookOnly, &quiet).await.unwrap().id, id());
    assert_eq!(photon.effects(), []);
}
