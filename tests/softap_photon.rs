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
    workflow::{self, Job, Owner, Policy, parts},
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
    Cloud::new(CloudSettings { api_url, client, user_token: None, cache_dir: None }).unwrap()
}

fn job(device_id: Option<DeviceId>) -> Job {
    Job {
        owner: Owner::Customer {
            product: ProductRef::parse("1319").unwrap(),
            customer: CustomerTemplate::parse("ann@example.com").unwrap(),
        },
        wifi: Some(wpa2("Office", Some(WifiSecurity::Wpa2Aes), "correct horse")),
        device_id,
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
        let (_, ticket) = parts::prepare(&job(known.clone()), &cloud, &events, never()).await.unwrap();
        let mut ticket = ticket.unwrap();
        assert_eq!(ticket.imported, known.is_some());
        // Whoever delivers needs no internet: this cloud is nowhere.
        let nowhere = client("http://127.0.0.1:9", "id", "some-secret");
        let mut device = at(&wires(&photon)[0], None);
        let delivered = parts::deliver(&ticket, &nowhere, &mut device, &events, never()).await.unwrap();
        ticket.device_id = delivered.device_id;
        assert_eq!(ticket.device_id, Some(id()));
        if known.is_none() {
            // It shows its code before it is in the product, and the simulated cloud is strict there.
            continue;
        }
        parts::verify(&ticket, &cloud, Policy::default(), &events, never()).await.unwrap();
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
    let run = workflow::run(&wanted, &cloud, &mut device, &events, std::future::pending());
    let comes_back = async {
        online.recv().await;
        SimCloud::start(config).await.unwrap()
    };
    let (ended, sim) = tokio::join!(run, comes_back);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(*actions.lock().unwrap(), [provision::model::Action::GoOnline]);
    assert_eq!(sim.device(id().as_str()).unwrap()["owner"], "ann@example.com");
}
