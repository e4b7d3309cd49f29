//! SoftAP: what its commands answer, on both wires, and how the access point comes and goes.

use provision::{
    model::FirmwareVersion,
    sim::photon::{Effect, Mode, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    softap_wire::{Client, Wire, among, answer, ask_http, ask_tcp, configure, post, r, seal, softap},
    wire::{self, CODE, ID, guarded},
};

async fn ask(photon: &SimPhoton, wire: Wire, command: &str, body: &str) -> Vec<u8> {
    match wire {
        Wire::Http => ask_http(photon, &format!("/{command}"), body).await,
        Wire::Tcp => ask_tcp(photon, command, body).await,
    }
}

async fn both_ports_refuse(photon: &SimPhoton) {
    guarded(photon.wait_for(|state| !state.softap_http.open && !state.softap_tcp.open)).await;
    for wire in [Wire::Http, Wire::Tcp] {
        assert!(guarded(TcpStream::connect(wire.address(photon))).await.is_err());
    }
}

#[tokio::test]
async fn both_wires_give_the_same_answers() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES:6:-42", "a%22b%5C:NONE:1:-80"])).unwrap();
    for wire in [Wire::Http, Wire::Tcp] {
        assert_eq!(ask(&photon, wire, "version", "").await, br#"{"v":2}"#);
        let id = format!(r#"{{"id":"{}","c":"0"}}"#, ID.to_uppercase());
        assert_eq!(ask(&photon, wire, "device-id", "").await, id.as_bytes());
        let key = String::from_utf8(ask(&photon, wire, "public-key", "").await).unwrap();
        assert!(key.starts_with(r#"{"b":"30819F300D06"#) && key.ends_with(r#"000","r":0}"#), "{key}");
        // Names are not escaped, and the rest is no JSON then.
        let scan = concat!(
            r#"{"scans":[{"ssid":"Home","rssi":-42,"sec":4194308,"ch":6,"mdr":72200},"#,
            r#"{"ssid":"a"b\","rssi":-80,"sec":0,"ch":1,"mdr":72200}]}"#
        );
        assert_eq!(ask(&photon, wire, "scan-ap", "").await, scan.as_bytes());
    }
}

#[tokio::test]
async fn a_scan_leaves_out_networks_without_a_name_and_shows_one_for_each_access_point() {
    let mut config = among(&["Home:WPA2_AES:1", "hidden:WPA2_AES", "Home:WPA2_AES:11"]);
    config.networks[1].ssid = Vec::new();
    let photon = SimPhoton::start(config).unwrap();
    let scan: Value = serde_json::from_slice(&ask_tcp(&photon, "scan-ap", "").await).unwrap();
    let channels: Vec<_> = scan["scans"].as_array().unwrap().iter().map(|n| &n["ch"]).collect();
    assert_eq!(channels, [&json!(1), &json!(11)]);
    let photon = SimPhoton::start(softap()).unwrap();
    assert_eq!(ask_tcp(&photon, "scan-ap", "").await, br#"{"scans":[]}"#);
}

#[tokio::test]
async fn a_scan_is_answered_in_chunks_as_it_is_written() {
    let photon = SimPhoton::start(among(&["H:NONE:1:-5"])).unwrap();
    let field = |name: &str, value: &str| {
        format!(
            "1\r\n\"\r\n{:x}\r\n{name}\r\n1\r\n\"\r\n1\r\n:\r\n{:x}\r\n{value}\r\n",
            name.len(),
            value.len()
        )
    };
    let chunks = [
        "a\r\n{\"scans\":[\r\n1\r\n{\r\n",
        "1\r\n\"\r\n4\r\nssid\r\n1\r\n\"\r\n1\r\n:\r\n1\r\n\"\r\n1\r\nH\r\n1\r\n\"\r\n",
        "1\r\n,\r\n",
        &field("rssi", "-5"),
        "1\r\n,\r\n",
        &field("sec", "0"),
        "1\r\n,\r\n",
        &field("ch", "1"),
        "1\r\n,\r\n",
        &field("mdr", "72200"),
        "1\r\n}\r\n2\r\n]}\r\n0\r\n\r\n",
    ];
    let mut client = Client::http(&photon).await;
    client.ask("GET /scan-ap HTTP/1.1\r\n\r\n", answer(&chunks.concat())).await;
}

#[tokio::test]
async fn a_code_that_has_reached_the_cloud_shows_in_the_id() {
    let photon = SimPhoton::start(PhotonConfig { claimed: true, ..softap() }).unwrap();
    assert!(ask_http(&photon, "/device-id", "").await.ends_with(br#""c":"1"}"#));
}

#[tokio::test]
async fn claim_codes_are_stored_as_they_come_up_to_63_characters() {
    let photon = SimPhoton::start(softap()).unwrap();
    for (given, stored) in [
        (CODE.to_owned(), CODE),
        (CODE[..62].to_owned(), &CODE[..62]),
        (format!("{CODE}more"), CODE),
        // Escapes are not undone.
        (r#"a\/b\""#.to_owned(), r#"a\/b\""#),
    ] {
        let body = format!(r#"{{"v":"{given}", "k":"cc"}}"#);
        assert_eq!(ask_tcp(&photon, "set", &body).await, br#"{"r":0}"#);
        assert_eq!(photon.state().claim_code.unwrap().0, stored.as_bytes());
    }
    let done = photon.effects();
    for (body, reply) in [
        (r#"{"k":"cc","v":""}"#, r#"{"r":-1}"#),
        (r#"{"k":"cc"}"#, r#"{"r":-1}"#),
        (r#"{"k":"xx","v":"1"}"#, r#"{"r":-1}"#),
        (r#"{"k":"cc","v":null}"#, ""),
        (r#"{"k":"cc","v":"1","n":1}"#, ""),
        ("", ""),
    ] {
        assert_eq!(ask_tcp(&photon, "set", body).await, reply.as_bytes(), "{body}");
        assert_eq!(ask_http(&photon, "/set", body).await, reply.as_bytes(), "{body}");
    }
    assert_eq!(photon.effects(), done);
}

#[tokio::test]
async fn connecting_closes_both_ports_and_ends_listening_on_the_console_too() {
    let photon = SimPhoton::start(PhotonConfig { wifi_known: true, ..softap() }).unwrap();
    let mut usb = wire::Wire::open(&photon.usb(), 9600);
    usb.is_idle().await;
    let mut idle = Client::http(&photon).await;
    let mut client = Client::http(&photon).await;
    client.ask(post("/connect-ap", r#"{"idx":0}"#), answer(&r(0))).await;
    client.is_closed().await;
    idle.is_closed().await;
    both_ports_refuse(&photon).await;
    guarded(photon.wait_for(|state| state.online)).await;
    assert_eq!(photon.effects(), [Effect::ConnectAp]);

    // What is typed now is answered in the next listening, on the same ports.
    usb.send("v").await;
    photon.press_setup();
    usb.expect("system firmware version: 2.3.1\n\r\n").await;
    assert_eq!(ask_tcp(&photon, "version", "").await, br#"{"v":2}"#);
    assert_eq!(ask_tcp(&photon, "connect-ap", "").await, br#"{"r":0}"#);
    both_ports_refuse(&photon).await;
}

#[tokio::test]
async fn the_access_point_is_there_only_while_the_board_listens() {
    let photon = SimPhoton::start(PhotonConfig { listening: false, ..softap() }).unwrap();
    both_ports_refuse(&photon).await;
    photon.press_setup();
    ask_http(&photon, "/version", "").await;
    let mut usb = wire::Wire::open(&photon.usb(), 9600);
    usb.is_idle().await;
    usb.send("x").await;
    both_ports_refuse(&photon).await;
    photon.press_setup();
    let mut client = Client::http(&photon).await;
    client.is_quiet().await;
    photon.unplug();
    client.is_closed().await;
    both_ports_refuse(&photon).await;
}

#[tokio::test]
async fn a_restart_into_listening_ends_what_was_going_on() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::http(&photon).await;
    client.is_quiet().await;
    photon.reset();
    client.is_closed().await;
    guarded(photon.wait_for(|state| state.boots == 2 && state.softap_http.open)).await;
    assert_eq!(ask_http(&photon, "/version", "").await, br#"{"v":2}"#);
}

#[tokio::test]
async fn a_wrong_pass_phrase_leads_back_to_listening_on_every_wire() {
    let photon = SimPhoton::start(PhotonConfig {
        relisten_delay: std::time::Duration::from_millis(1),
        ..among(&["Home:WPA2_AES:6:-42:correct horse"])
    })
    .unwrap();
    let before = (photon.softap_http(), photon.softap_tcp());
    let pwd = seal(&photon, "battery staple").await;
    assert_eq!(configure(&photon, json!({ "ssid": "Home", "sec": 4_194_308, "pwd": pwd })).await, Some(0));
    assert_eq!(ask_http(&photon, "/connect-ap", r#"{"idx":0}"#).await, br#"{"r":0}"#);
    guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
    guarded(photon.wait_for(|state| state.softap_http.open && state.softap_tcp.open)).await;
    assert_eq!(photon.state().mode, Mode::Listening);
    assert_eq!(before, (photon.softap_http(), photon.softap_tcp()));
    wire::Wire::open(&photon.usb(), 9600).is_idle().await;

    let pwd = seal(&photon, "correct horse").await;
    assert_eq!(configure(&photon, json!({ "ssid": "Home", "sec": 4_194_308, "pwd": pwd })).await, Some(0));
    ask_tcp(&photon, "connect-ap", "").await;
    guarded(photon.wait_for(|state| state.online)).await;
}

#[tokio::test]
async fn a_claim_code_set_over_softap_is_presented_once_online() {
    let photon = SimPhoton::start(PhotonConfig { wifi_known: true, ..softap() }).unwrap();
    ask_tcp(&photon, "set", format!(r#"{{"k":"cc","v":"{CODE}"}}"#)).await;
    ask_tcp(&photon, "connect-ap", "").await;
    guarded(photon.wait_for(|state| state.claimed && state.claim_code.is_none())).await;
}

#[tokio::test]
async fn firmware_from_0_4_9_on_has_both_wires() {
    let firmware = FirmwareVersion::new(0, 4, 9);
    let photon = SimPhoton::start(PhotonConfig { firmware, ..softap() }).unwrap();
    for wire in [Wire::Http, Wire::Tcp] {
        let body = format!(r#"{{"k":"cc","v":"{CODE}"}}"#);
        assert_eq!(ask(&photon, wire, "set", &body).await, br#"{"r":0}"#);
    }
    assert_eq!(photon.effects().len(), 2);
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = PhotonConfig { softap_http: Some(taken.local_addr().unwrap()), ..softap() };
    assert_eq!(SimPhoton::start(config).err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn without_an_address_there_is_no_access_point() {
    let photon = SimPhoton::start(wire::photon()).unwrap();
    assert_eq!((photon.softap_http(), photon.softap_tcp()), (None, None));
    let only_tcp = PhotonConfig { softap_http: None, ..softap() };
    let photon = SimPhoton::start(only_tcp).unwrap();
    assert!(photon.softap_http().is_none());
    assert_eq!(ask_tcp(&photon, "version", "").await, br#"{"v":2}"#);
}
