//! Wi-Fi on both wires, and the device over SoftAP, against the simulated Photon on real sockets.
#![cfg(unix)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use provision::{
    cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
    device::{Manner, Note, Patience, SetupDevice, SoftApPhoton, UsbPhoton},
    link::{
        discovery::{UsbTarget, lister},
        serial::SystemPorts,
        softap::SoftApTarget,
    },
    model::{
        ClaimCode, CustomerTemplate, DeviceId, EventKind, Events, FailureCode, Passphrase, ProductRef, Ssid,
        WifiAccess, WifiCredentials, WifiSecurity,
    },
    sim::{
        cloud::{CloudConfig, SimCloud},
        photon::{Mode, PhotonConfig, SimPhoton},
    },
    workflow::{self, Job, Naming, Owner, Policy, Unrecorded, parts},
};

const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";
const OFFICE: &str = "Office:WPA2_AES:6:-52:correct horse";

fn id() -> DeviceId {
    DeviceId::parse("3b0021001747353236343033").unwrap()
}

fn loopback() -> Option<SocketAddr> {
    Some(([127, 0, 0, 1], 0).into())
}

fn photon() -> SimPhoton {
    plug(PhotonConfig::new(id()))
}

fn plug(config: PhotonConfig) -> SimPhoton {
    let networks = vec![OFFICE.parse().unwrap(), "Café:NONE:1:-70".parse().unwrap()];
    SimPhoton::start(PhotonConfig { softap_http: loopback(), softap_tcp: loopback(), networks, ..config })
        .unwrap()
}

/// The board over each of SoftAP's wires.
fn wires(photon: &SimPhoton) -> [String; 2] {
    let (http, tcp) = (photon.softap_http().unwrap(), photon.softap_tcp().unwrap());
    [http.to_string(), format!("tcp://{tcp}")]
}

fn at(address: &str, expected: Option<DeviceId>) -> SoftApPhoton {
    SoftApPhoton::new(address.parse::<SoftApTarget>().unwrap(), expected, Patience::default())
}

fn over_usb(photon: &SimPhoton) -> UsbPhoton {
    let patience = Patience { silence: Duration::from_millis(300), ..Patience::default() };
    let port = UsbTarget::Port(photon.usb());
    UsbPhoton::new(port, Arc::from(lister(None)), Arc::new(SystemPorts), patience, None)
}

fn wpa2(ssid: &str, security: Option<WifiSecurity>, passphrase: &str) -> WifiCredentials {
    let access = WifiAccess::Shared(Passphrase::new(passphrase).unwrap());
    WifiCredentials::new(Ssid::new(ssid).unwrap(), security, None, access).unwrap()
}

fn quiet(_: Note) {}

#[tokio::test]
async fn both_wires_tell_who_it_is_and_take_code_and_network() {
    for wire in 0..2 {
        let photon = photon();
        let mut device = at(&wires(&photon)[wire], Some(id()));
        assert_eq!(device.reach(Manner::LookOnly, &quiet).await.unwrap().id, id());
        device.set_claim_code(&ClaimCode::parse(CODE).unwrap(), &quiet).await.unwrap();
        device.set_wifi(&wpa2("Office", Some(WifiSecurity::Wpa2Aes), "correct horse"), &quiet).await.unwrap();
        device.finish().await.unwrap();
        let state = photon.wait_for(|state| state.online).await;
        assert_eq!(state.saved.len(), 1);
        let effects = serde_json::to_value(photon.effects()).unwrap();
        let events: Vec<_> = effects.as_array().unwrap().iter().map(|effect| &effect["event"]).collect();
        assert_eq!(events[..3], ["claim_code", "wlan_set_credentials", "connect_ap"]);
    }
}

#[tokio::test]
async fn a_security_that_was_left_out_is_taken_from_the_devices_own_scan() {
    for wire in 0..2 {
        let photon = photon();
        let mut device = at(&wires(&photon)[wire], None);
        device.reach(Manner::LookOnly, &quiet).await.unwrap();
        device.set_wifi(&wpa2("Office", None, "correct horse"), &quiet).await.unwrap();
        let unseen = device.set_wifi(&wpa2("Elsewhere", None, "correct horse"), &quiet).await.unwrap_err();
        assert_eq!(unseen.code, FailureCode::WifiCannotArrive);
    }
}

#[tokio::test]
async fn a_network_that_the_device_does_not_see_is_refused_with_the_reason() {
    let photon = photon();
    let mut device = at(&wires(&photon)[0], None);
    device.reach(Manner::LookOnly, &quiet).await.unwrap();
    let hidden = wpa2("Hidden", Some(WifiSecurity::Wpa2Aes), "correct horse");
    let refused = device.set_wifi(&hidden, &quiet).await.unwrap_err();
    assert_eq!(refused.code, FailureCode::WifiRefused);
    assert!(refused.detail.contains("over USB it can"), "{refused}");
    // Over USB the same network is saved.
    let mut device = over_usb(&photon);
    device.reach(Manner::Touch, &quiet).await.unwrap();
    device.set_wifi(&hidden, &quiet).await.unwrap();
    assert_eq!(photon.state().saved.len(), 1);
}

#[tokio::test]
async fn a_wrong_pass_phrase_shows_by_the_device_coming_back_on_every_wire() {
    let wrong = wpa2("Office", Some(WifiSecurity::Wpa2Aes), "battery staple");
    for wire in 0..3 {
        let photon = photon();
        let mut device: Box<dyn SetupDevice> = match wire {
            2 => Box::new(over_usb(&photon)),
            wire => Box::new(at(&wires(&photon)[wire], None)),
        };
        device.reach(Manner::Touch, &quiet).await.unwrap();
        device.set_wifi(&wrong, &quiet).await.unwrap();
        device.finish().await.unwrap();
        device.back().await;
        assert_eq!(photon.state().mode, Mode::Listening, "wire {wire}");
    }
}

#[tokio::test]
async fn what_cannot_arrive_is_refused_before_anything_is_sent_naming_the_wire_that_can() {
    let photon = photon();
    let quoted = wpa2("say \"hi\"", Some(WifiSecurity::Wpa2Aes), "correct horse");
    let refused = at(&wires(&photon)[0], None).carries(&quoted, None).unwrap_err();
    assert_eq!(refused.code, FailureCode::WifiCannotArrive);
    assert!(refused.detail.contains("the USB console can"), "{refused}");
    over_usb(&photon).carries(&quoted, None).unwrap();
}

#[tokio::test]
async fn another_device_than_the_expected_one_gets_nothing() {
    let other = DeviceId::parse("111111111111111111111111").unwrap();
    let photon = photon();
    for address in wires(&photon) {
        let refused = at(&address, Some(other.clone())).reach(Manner::Touch, &quiet).await.unwrap_err();
        assert_eq!(refused.code, FailureCode::WrongDevice);
    }
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn over_usb_a_security_that_cannot_be_known_ends_the_dialogue_and_saves_nothing() {
    let photon = photon();
    let mut device = over_usb(&photon);
    device.reach(Manner::Touch, &quiet).await.unwrap();
    let refused = device.set_wifi(&wpa2("Hidden", None, "correct horse"), &quiet).await.unwrap_err();
    assert_eq!(refused.code, FailureCode::WifiRefused);
    assert!(photon.state().saved.is_empty());
    device.reach(Manner::LookOnly, &quiet).await.unwrap();
}

/// A cloud, and the client of its product.
async fn cloud(config: CloudConfig) -> (SimCloud, Cloud) {
    let sim = SimCloud::start(config).await.unwrap();
    let info = sim.info();
    let cloud = client(&info.api_url, &info.client_id, &info.client_secret);
    (sim, cloud)
}

fn client(api_url: &str, id: &str, secret: &str) -> Cloud {
    let client = Some(OAuthClient { id: id.into(), secret: secret.into() });
    let api_url = ApiUrl::parse(api_url).unwrap();
    Cloud::new(CloudSettings { api_url, client, ..CloudSettings::default() }).unwrap()
}

fn job(device_id: Option<DeviceId>) -> Job {
    Job {
        owner: Owner::Customer {
            product: ProductRef::parse("1319").unwrap(),
            customer: CustomerTemplate::parse("ann@example.com").unwrap(),
        },
        wifi: Some(wpa2("Office", Some(WifiSecurity::Wpa2Aes), "correct horse")),
        device_id,
        naming: Naming::default(),
        reclaim: false,
        dry_run: false,
        policy: Policy { out_of_reach: Duration::from_millis(200), ..Policy::default() },
    }
}

fn with_cloud(sim: &SimCloud) -> SimPhoton {
    plug(PhotonConfig { cloud_url: sim.info().api_url.parse().ok(), ..PhotonConfig::new(id()) })
}

#[tokio::test]
async fn the_parts_run_apart_with_a_ticket_between_them() {
    for known in [Some(id()), None] {
        let (sim, cloud) = cloud(CloudConfig::default()).await;
        let photon = with_cloud(&sim);
        let (never, events) = (|| std::future::pending::<()>(), Events::ignored());
        let (_, ticket) =
            parts::prepare(&job(known.clone()), &cloud, &events, &Unrecorded, never()).await.unwrap();
        let mut ticket = ticket.unwrap();
        assert_eq!(ticket.imported, known.is_some());
        // Whoever delivers needs no internet: this cloud is nowhere.
        let nowhere = client("http://127.0.0.1:9", "id", "some-secret");
        let mut device = at(&wires(&photon)[0], None);
        let delivered =
            parts::deliver(&ticket, &nowhere, &mut device, &events, &Unrecorded, never()).await.unwrap();
        ticket.device_id = delivered.device_id;
        assert_eq!(ticket.device_id, Some(id()));
        if known.is_none() {
            // It shows its code before it is in the product, and the simulated cloud is strict there.
            continue;
        }
        parts::verify(&ticket, &cloud, Policy::default(), &events, &Unrecorded, never()).await.unwrap();
        assert_eq!(sim.device(id().as_str()).unwrap()["owner"], "ann@example.com");
    }
}

#[tokio::test]
async fn a_cloud_out_of_reach_is_waited_for_and_the_run_goes_on() {
    // A port that is free now, for a cloud that comes later: the computer is on the Photon's network.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let state = tempfile::tempdir().unwrap();
    let config = CloudConfig {
        listen: port,
        state_file: Some(state.path().join("state.json")),
        ..CloudConfig::default()
    };
    let first = SimCloud::start(config.clone()).await.unwrap();
    let info = first.info();
    first.shutdown().await.unwrap();
    let cloud = client(&info.api_url, &info.client_id, &info.client_secret);
    let photon = plug(PhotonConfig { cloud_url: info.api_url.parse().ok(), ..PhotonConfig::new(id()) });
    let actions = Arc::new(Mutex::new(Vec::new()));
    let (asked, mut online) = tokio::sync::mpsc::unbounded_channel();
    let events = Events::new(0, {
        let actions = actions.clone();
        move |event| {
            if let EventKind::ActionNeeded { action, .. } = event.kind {
                actions.lock().unwrap().push(action);
                let _ = asked.send(());
            }
        }
    });
    let mut device = at(&wires(&photon)[0], None);
    let wanted = job(None);
    let run = workflow::run(&wanted, &cloud, &mut device, &events, &Unrecorded, std::future::pending());
    let comes_back = async {
        online.recv().await;
        SimCloud::start(config).await.unwrap()
    };
    let (ended, sim) = tokio::join!(run, comes_back);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(*actions.lock().unwrap(), [provision::model::Action::GoOnline]);
    assert_eq!(sim.device(id().as_str()).unwrap()["owner"], "ann@example.com");
}

/// The program itself, with a home of its own.
struct Program<'a> {
    home: tempfile::TempDir,
    sim: &'a SimCloud,
}

impl<'a> Program<'a> {
    fn new(sim: &'a SimCloud) -> Self {
        let home = tempfile::tempdir().unwrap();
        let wifi = r#"{"network":"Office","security":"WPA2_AES","password":"correct horse"}"#;
        std::fs::write(home.path().join("wifi.json"), wifi).unwrap();
        Self { home, sim }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    /// Exit code, standard output, standard error.
    async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let info = self.sim.info();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provision"));
        command.args(arguments).env_clear().env("HOME", self.home.path());
        command.env("PARTICLE_API_URL", info.api_url).env("PARTICLE_PRODUCT", info.product.to_string());
        command.env("PARTICLE_CLIENT_ID", info.client_id).env("PARTICLE_CLIENT_SECRET", info.client_secret);
        command.env("PROVISION_CUSTOMER", "ann@example.com");
        let output = command.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test]
async fn the_program_scans_identifies_and_provisions_over_softap_and_shows_no_secret() {
    let (sim, _) = cloud(CloudConfig::default()).await;
    let program = Program::new(&sim);
    for wire in 0..2 {
        let photon = plug(PhotonConfig {
            cloud_url: sim.info().api_url.parse().ok(),
            ..PhotonConfig::new(DeviceId::parse(&format!("{wire:024x}")).unwrap())
        });
        let address = &wires(&photon)[wire];
        let (code, out, _) = program.run(&["scan", "--softap", address, "--output", "json"]).await;
        let seen: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &seen[0]["ssid"], &seen[0]["security"]), (0, &"Office".into(), &"WPA2_AES".into()));
        let (code, out, _) = program.run(&["identify", "--softap", address]).await;
        assert!(code == 0 && out.contains(&format!("{wire:024x}")) && !out.contains("firmware"), "{out}");
        let wifi = program.path("wifi.json");
        let (code, out, err) = program.run(&["--softap", address, "--wifi", &wifi, "-vvv"]).await;
        assert_eq!(code, 0, "{err}");
        assert!(out.starts_with("PASS  ") && !err.contains("correct horse"), "{err}");
        let stored = photon.effects().iter().find_map(|effect| {
            let effect = serde_json::to_value(effect).ok()?;
            Some(effect.get("code")?.as_str()?.to_owned())
        });
        assert!(!err.contains(&stored.unwrap()), "{err}");
    }
}

#[tokio::test]
async fn over_usb_a_scan_is_refused_with_the_way_that_works() {
    let (sim, _) = cloud(CloudConfig::default()).await;
    let photon = photon();
    let port = photon.usb().display().to_string();
    let (code, _, err) = Program::new(&sim).run(&["scan", "--usb", &port]).await;
    assert!(code == 2 && err.contains("SoftAP"), "{err}");
}

#[tokio::test]
async fn credentials_alone_claim_nothing_and_a_wrong_pass_phrase_is_said() {
    let (sim, _) = cloud(CloudConfig::default()).await;
    let program = Program::new(&sim);
    let photon = with_cloud(&sim);
    std::fs::write(program.path("wrong.json"), r#"{"network":"Office","password":"battery staple"}"#)
        .unwrap();
    let (address, wrong) = (wires(&photon)[0].clone(), program.path("wrong.json"));
    let (code, out, _) = program.run(&["wifi", "--softap", &address, "--wifi", &wrong]).await;
    assert!(code == 30 && out.contains("back-to-listening"), "{out}");
    let right = program.path("wifi.json");
    let (code, out, _) =
        program.run(&["wifi", "--softap", &address, "--wifi", &right, "--watch", "1s"]).await;
    assert!(code == 0 && out.starts_with("SAVED  "), "{out}");
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn a_ticket_is_private_for_its_device_alone_and_gone_when_all_is_verified() {
    use std::os::unix::fs::PermissionsExt;

    let (sim, _) = cloud(CloudConfig::default()).await;
    let program = Program::new(&sim);
    let photon = with_cloud(&sim);
    let stranger = plug(PhotonConfig::new(DeviceId::parse("111111111111111111111111").unwrap()));
    let (ticket, wifi) = (program.path("ticket.json"), program.path("wifi.json"));
    let prepare =
        ["prepare", "--device-id", id().as_str(), "--wifi", &wifi, "--out", &ticket].map(str::to_owned);
    let (code, out, err) = program.run(&prepare.each_ref().map(String::as_str)).await;
    assert!(code == 0 && out.starts_with("PREPARED  "), "{err}");
    assert_eq!(std::fs::metadata(&ticket).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, out, _) = program.run(&["deliver", &ticket, "--softap", &wires(&stranger)[0]]).await;
    assert!(code == 10 && out.contains("wrong-device"), "{out}");
    assert!(stranger.effects().is_empty());
    let (code, out, err) = program.run(&["deliver", &ticket, "--softap", &wires(&photon)[1]]).await;
    assert!(code == 0 && out.starts_with("DELIVERED  "), "{err}");
    let (code, out, err) = program.run(&["verify", &ticket]).await;
    assert!(code == 0 && out.starts_with("PASS  "), "{err}");
    assert!(!std::fs::exists(&ticket).unwrap());
    assert_eq!(sim.device(id().as_str()).unwrap()["owner"], "ann@example.com");
}
