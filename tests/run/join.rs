//! `--join`: onto the Photon's network and back, whatever happens, with a NetworkManager that is strict.
//!
//! The Photon can be reached only while the radio is on its network, and the cloud only while it is not.

use std::ffi::OsString;

use provision::{
    model::FirmwareVersion,
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};
use rustix::process::Signal;

use crate::{
    bench::{Bench, ID, OTHER_ID, Run, codes},
    door::Door,
    network_manager::{Bus, Joining, NetworkManager, Setup},
};

const PHOTON: &str = "Photon-ABCD";
const OFFICE: &str = "Office:WPA2_AES:6:-52:correct horse";

/// A Photon on its own network, a cloud on the office's, and the computer between them.
struct Laptop {
    bench: Bench,
    photon: SimPhoton,
    nm: NetworkManager,
    to_photon: Door,
    to_cloud: Door,
}

impl Laptop {
    async fn new(setup: Setup) -> Option<Self> {
        Self::with(setup, |photon| photon).await
    }

    async fn with(setup: Setup, photon: impl FnOnce(PhotonConfig) -> PhotonConfig) -> Option<Self> {
        let nm = NetworkManager::start(setup).await?;
        let bench = Bench::new().await;
        let anywhere = Some(([127, 0, 0, 1], 0).into());
        let networks = vec![OFFICE.parse().unwrap()];
        let board = PhotonConfig { softap_http: anywhere, networks, wifi_known: false, ..bench.board() };
        let photon = bench.plug(photon(board));
        let cloud = bench.info.api_url.parse::<url::Url>().unwrap();
        let cloud = cloud.socket_addrs(|| None).unwrap()[0];
        let to_photon = nm.door(photon.softap_http().unwrap(), PHOTON).await;
        let to_cloud = nm.door(cloud, "Office").await;
        Some(Self { bench, photon, nm, to_photon, to_cloud })
    }

    /// The program, with what every command has.
    fn provision(&self, arguments: &[&str]) -> Run {
        let cloud = format!("http://{}", self.to_cloud.address);
        let run = self.bench.provision().env("PARTICLE_API_URL", cloud);
        run.env("DBUS_SYSTEM_BUS_ADDRESS", &self.nm.bus.address)
            .env("PROVISION_WIFI_PASSWORD", "correct horse")
            .with(arguments)
    }

    /// The same, over SoftAP and with the network to join.
    fn joining(&self, arguments: &[&str]) -> Run {
        let address = self.to_photon.address.to_string();
        self.provision(arguments).with(&["--softap", &address, "--join", PHOTON])
    }

    fn whole_run(&self) -> Run {
        self.joining(&["run", "--device-id", ID, "--wifi-ssid", "Office", "--wifi-security", "WPA2_AES"])
            .json()
    }

    /// Nobody was asked at the wrong time, and all is as it was.
    #[track_caller]
    fn was_left_as_it_was(&self) {
        self.nm.is_as_before();
        assert_eq!((self.to_photon.knocks(), self.to_cloud.knocks()), (0, 0), "{:?}", self.nm.said());
    }
}

macro_rules! or_skip {
    ($laptop:expr) => {
        match $laptop.await {
            Some(laptop) => laptop,
            None => return,
        }
    };
}

#[tokio::test]
async fn a_run_prepares_joins_delivers_goes_back_and_verifies() {
    let laptop = or_skip!(Laptop::new(Setup::default()));
    let ended = laptop.whole_run().ended().await.passes();
    let order: Vec<_> = ended
        .events
        .iter()
        .filter(|event| event["event"] == "step-ended")
        .map(|event| event["step"].as_str().unwrap())
        .filter(|step| ["claim-code", "join", "deliver", "go-back", "verify"].contains(step))
        .collect();
    assert_eq!(order, ["claim-code", "join", "deliver", "go-back", "verify"]);
    assert_eq!(laptop.nm.did(), ["join Photon-ABCD", "activate Office"]);
    assert_eq!(codes(&laptop.photon).len(), 1);
    laptop.bench.holds_one_claim();
    laptop.was_left_as_it_was();
    // Nobody is asked to do what the program does.
    assert!(!ended.events.iter().any(|event| event["event"] == "action-needed"), "{}", ended.stdout);
}

#[tokio::test]
async fn the_parts_can_be_done_apart_and_only_delivering_joins() {
    let laptop = or_skip!(Laptop::new(Setup::default()));
    let ticket = laptop.bench.home().join("ticket.json");
    let ticket = ticket.to_str().unwrap();
    laptop
        .provision(&["prepare", "--device-id", ID, "--wifi-ssid", "Office", "--out", ticket])
        .ended()
        .await
        .passes();
    assert_eq!(laptop.nm.said(), [""; 0]);
    let delivered = laptop.joining(&["deliver", ticket]).ended().await.passes();
    assert!(delivered.stdout.starts_with("DELIVERED  "), "{}", delivered.stdout);
    assert_eq!(laptop.nm.did(), ["join Photon-ABCD", "activate Office"]);
    laptop.was_left_as_it_was();
    laptop.provision(&["verify", ticket]).ended().await.passes();
    laptop.bench.holds_one_claim();
}

#[tokio::test]
async fn who_identifies_scans_or_gives_wifi_goes_back_as_well() {
    for (command, says) in [("identify", ID), ("scan", "Office"), ("wifi", "SAVED")] {
        let laptop = or_skip!(Laptop::new(Setup::default()));
        let mut run = laptop.joining(&[command]);
        if command == "wifi" {
            run = run.with(&["--wifi-ssid", "Office", "--watch", "1s"]);
        }
        let ended = run.ended().await.passes();
        assert!(ended.stdout.contains(says), "{}", ended.stdout);
        assert_eq!(laptop.nm.did(), ["join Photon-ABCD", "activate Office"], "{command}");
        laptop.was_left_as_it_was();
    }
}

#[tokio::test]
async fn a_network_that_goes_away_with_the_setup_mode_is_no_loss() {
    let laptop = or_skip!(Laptop::new(Setup::default()));
    let goes = async {
        laptop.photon.wait_for(|state| state.mode != Mode::Listening).await;
        laptop.nm.vanish(PHOTON).await;
    };
    let (ended, ()) = tokio::join!(laptop.whole_run().ended(), goes);
    ended.passes();
    laptop.bench.holds_one_claim();
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn where_there_was_no_connection_there_is_none_afterwards() {
    let laptop = or_skip!(Laptop::new(Setup { before: None, ..Setup::default() }));
    laptop.joining(&["identify"]).ended().await.passes();
    assert_eq!(laptop.nm.said(), ["join Photon-ABCD", "deactivate"]);
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn a_join_that_is_refused_ends_the_run_before_the_board_is_touched() {
    for (reason, says) in
        [(11, "could not get into it"), (17, "no address"), (53, "out of the air"), (250, "250")]
    {
        let laptop = or_skip!(Laptop::new(Setup { joining: Joining::Fails(reason), ..Setup::default() }));
        let code = if reason == 53 { "network-not-seen" } else { "join-refused" };
        laptop.whole_run().ended().await.fails_with(11, code).at("join").saying(says);
        assert!(laptop.photon.effects().is_empty());
        laptop.was_left_as_it_was();
    }
}

#[tokio::test]
async fn a_network_that_is_not_there_is_looked_for_first() {
    let air = vec![(b"Office".to_vec(), true), (b"Photon-ABCE".to_vec(), false)];
    let laptop = or_skip!(Laptop::new(Setup { air, ..Setup::default() }));
    laptop.whole_run().ended().await.fails_with(11, "network-not-seen").at("join").saying(PHOTON);
    assert_eq!(laptop.nm.said(), ["scan"; 3]);
    laptop.was_left_as_it_was();
}

#[tokio::test]
async fn a_network_with_a_password_is_no_photons() {
    let air = vec![(b"Office".to_vec(), true), (PHOTON.into(), true)];
    let laptop = or_skip!(Laptop::new(Setup { air, ..Setup::default() }));
    laptop.whole_run().ended().await.fails_with(11, "join-refused").at("join").saying("password");
    assert_eq!(laptop.nm.said(), [""; 0]);
}

#[tokio::test]
async fn what_this_computer_or_its_user_cannot_do_is_told_apart() {
    for (setup, exit_code, code) in [
        (Setup { joining: Joining::Forbidden, ..Setup::default() }, 10, "join-forbidden"),
        (Setup { has_radio: false, before: None, ..Setup::default() }, 2, "no-wifi"),
        (Setup { radio_is_on: false, before: None, ..Setup::default() }, 2, "no-wifi"),
    ] {
        let laptop = or_skip!(Laptop::new(setup));
        let ended = laptop.joining(&["identify"]).json().ended().await;
        ended.fails_with(exit_code, code);
        laptop.was_left_as_it_was();
    }
    let laptop = or_skip!(Laptop::new(Setup::default()));
    let other = laptop.joining(&["identify", "--join-interface", "wlan9"]).json().ended().await;
    other.fails_with(2, "no-wifi").saying("wlan9");
    laptop.joining(&["identify", "--join-interface", "wlan0"]).ended().await.passes();
    laptop.was_left_as_it_was();
}

#[tokio::test]
async fn without_networkmanager_or_a_bus_that_is_said() {
    let bus = or_skip!(Bus::start());
    let bench = Bench::new().await;
    for address in [bus.address.as_str(), "unix:path=/nowhere/at/all"] {
        let run = bench.provision().with(&["identify", "--softap", "127.0.0.1:9", "--join", PHOTON]).json();
        let ended = run.env("DBUS_SYSTEM_BUS_ADDRESS", address).ended().await;
        ended.fails_with(2, "no-network-manager");
    }
}

#[tokio::test]
async fn a_network_that_is_lost_half_way_is_told_at_once() {
    let slow = |photon| PhotonConfig { faults: vec!["softap-slow:600000:set".parse().unwrap()], ..photon };
    let laptop = or_skip!(Laptop::with(Setup::default(), slow));
    let mut run = laptop.whole_run().start();
    run.reaches("step-started", "deliver").await;
    laptop.nm.vanish(PHOTON).await;
    run.ended().await.fails_with(11, "network-lost").at("deliver");
    // NetworkManager has gone back by itself, and is not told to do it again.
    assert_eq!(laptop.nm.said(), ["join Photon-ABCD", "(Photon-ABCD vanishes)", "(connects by itself)"]);
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn signals_in_the_middle_lead_back() {
    let slow = |photon| PhotonConfig { faults: vec!["softap-slow:600000:set".parse().unwrap()], ..photon };
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let laptop = or_skip!(Laptop::with(Setup::default(), slow));
        let mut run = laptop.whole_run().start();
        run.reaches("step-started", "deliver").await;
        assert_eq!(laptop.nm.connected().as_deref(), Some("provision: Photon-ABCD"));
        run.send(signal);
        let ended = run.ended().await.fails_with(130, "interrupted");
        assert_eq!(ended.outcome("go-back"), Some("done"));
        assert_eq!(laptop.nm.did(), ["join Photon-ABCD", "activate Office"]);
        laptop.was_left_as_it_was();
    }
}

#[tokio::test]
async fn a_signal_while_it_joins_leads_back() {
    let laptop = or_skip!(Laptop::new(Setup { joining: Joining::NeverEnds, ..Setup::default() }));
    let run = laptop.whole_run().start();
    laptop.nm.wait_for(|nm| nm.said() == ["join Photon-ABCD"]).await;
    run.send(Signal::TERM);
    run.ended().await.fails_with(130, "interrupted");
    laptop.was_left_as_it_was();
}

#[tokio::test]
async fn a_signal_leads_back_outside_a_run_as_well() {
    let slow = |photon| PhotonConfig { faults: vec!["softap-slow:600000".parse().unwrap()], ..photon };
    let laptop = or_skip!(Laptop::with(Setup::default(), slow));
    let run = laptop.joining(&["identify"]).json().start();
    laptop.nm.wait_for(|nm| nm.connected().is_some_and(|name| name.ends_with(PHOTON))).await;
    run.send(Signal::TERM);
    run.ended().await.fails_with(130, "interrupted");
    assert_eq!(laptop.nm.did(), ["join Photon-ABCD", "activate Office"]);
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_way_back_that_was_taken() {
    let slow = |photon| PhotonConfig { faults: vec!["softap-slow:600000:set".parse().unwrap()], ..photon };
    let laptop = or_skip!(Laptop::with(Setup { back_never_ends: true, ..Setup::default() }, slow));
    let mut run = laptop.whole_run().start();
    run.reaches("step-started", "deliver").await;
    run.interrupt();
    run.reaches("step-started", "go-back").await;
    laptop.nm.wait_for(|nm| nm.did() == ["join Photon-ABCD", "activate Office"]).await;
    run.interrupt();
    assert_eq!(run.ended().await.status.code(), Some(130));
    assert_eq!(laptop.nm.profiles(), ["Office"]);
}

#[tokio::test]
async fn a_way_back_that_is_blocked_is_told_and_undoes_nothing() {
    let laptop = or_skip!(Laptop::new(Setup { back_is_blocked: true, ..Setup::default() }));
    let ticket = laptop.bench.home().join("ticket.json");
    let prepare = laptop.provision(&["prepare", "--device-id", ID, "--wifi-ssid", "Office", "--out"]);
    prepare.with(&[&ticket]).ended().await.passes();
    let ended = laptop.joining(&["deliver", ticket.to_str().unwrap()]).json().ended().await.passes();
    let told = ended.events.iter().find(|event| event["event"] == "step-note" && event["step"] == "go-back");
    let note = told.unwrap()["note"].as_str().unwrap();
    assert!(note.contains("could not go back to Office: it went out of the air; choose"), "{note}");
    assert_eq!(codes(&laptop.photon).len(), 1);
    assert_eq!(laptop.nm.profiles(), ["Office"]);
}

#[tokio::test]
async fn killed_the_program_leaves_it_to_networkmanager_to_go_back() {
    let slow = |photon| PhotonConfig { faults: vec!["softap-slow:600000:set".parse().unwrap()], ..photon };
    let laptop = or_skip!(Laptop::with(Setup::default(), slow));
    let mut run = laptop.whole_run().start();
    run.reaches("step-started", "deliver").await;
    run.kill().await;
    laptop.nm.wait_for(|nm| nm.connected().as_deref() == Some("Office")).await;
    assert_eq!(laptop.nm.said(), ["join Photon-ABCD", "(connects by itself)"]);
    laptop.was_left_as_it_was();
}

#[tokio::test]
async fn another_board_on_the_network_gets_nothing_and_this_computer_goes_back() {
    let other = |photon| PhotonConfig { device_id: OTHER_ID.parse().unwrap(), ..photon };
    let laptop = or_skip!(Laptop::with(Setup::default(), other));
    laptop.whole_run().ended().await.fails_with(10, "wrong-device").saying(OTHER_ID);
    assert!(laptop.photon.effects().is_empty());
    laptop.was_left_as_it_was();
}

#[tokio::test]
async fn a_wrong_pass_phrase_shows_by_the_network_coming_back() {
    let firmware = FirmwareVersion::new(2, 3, 1);
    let laptop = or_skip!(Laptop::with(Setup::default(), |photon| PhotonConfig { firmware, ..photon }));
    let run = laptop.whole_run().env("PROVISION_WIFI_PASSWORD", "battery staple");
    let goes_and_comes = async {
        laptop.photon.wait_for(|state| state.mode != Mode::Listening).await;
        laptop.nm.vanish(PHOTON).await;
        laptop.nm.wait_for(|nm| nm.said().iter().any(|said| said == "scan")).await;
        laptop.nm.appear(PHOTON);
    };
    let (ended, ()) = tokio::join!(run.ended(), goes_and_comes);
    ended.fails_with(30, "back-to-listening");
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn a_name_of_any_bytes_is_joined() {
    use std::os::unix::ffi::OsStringExt;
    let name = b"Photon-\xff".to_vec();
    let air = vec![(b"Office".to_vec(), true), (name.clone(), false)];
    let laptop = or_skip!(Laptop::new(Setup { air, joining: Joining::Fails(11), ..Setup::default() }));
    let run = laptop
        .provision(&["identify", "--softap", "127.0.0.1:9", "--join"])
        .with(&[OsString::from_vec(name)]);
    run.json().ended().await.fails_with(11, "join-refused");
    assert_eq!(laptop.nm.said()[0], "join Photon-\u{fffd}");
    laptop.nm.is_as_before();
}

#[tokio::test]
async fn without_a_name_a_person_has_to_be_there() {
    let laptop = or_skip!(Laptop::new(Setup::default()));
    let address = laptop.to_photon.address.to_string();
    let run = laptop.provision(&["identify", "--softap", &address, "--join"]).json();
    run.ended().await.fails_with(2, "configuration").saying("lets a person choose");
    assert_eq!(laptop.nm.said(), [""; 0]);
    // Nothing is joined but for the sake of a board on its own network.
    let usb = laptop.provision(&["identify", "--usb", "auto", "--join", PHOTON]).ended().await;
    assert_eq!(usb.status.code(), Some(2), "{}", usb.stderr);
}
