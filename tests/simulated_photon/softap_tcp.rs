//! The TCP protocol, which does not check anything.

use std::time::Duration;

use provision::sim::photon::{PhotonConfig, SimPhoton};
use tokio::io::AsyncWriteExt;

use crate::{
    softap_wire::{Client, ask_tcp, softap},
    wire::guarded,
};

const SET: &str = r#"{"k":"cc","v":"3GjxEd"}"#;

/// Whatever was sent, the device waits for more of it and serves nobody else.
async fn hangs(photon: &SimPhoton, request: &str) {
    let mut client = Client::tcp(photon).await;
    client.segment(request).await;
    let mut other = Client::tcp(photon).await;
    other.send("version\n0\n\n").await;
    client.others_wait(1).await;
    client.is_served().await;
    drop(client);
    other.expect("\n\n{\"v\":2}").await;
    other.is_closed().await;
}

#[tokio::test]
async fn anything_but_bare_newlines_in_their_places_hangs_it_until_the_connection_closes() {
    let photon = SimPhoton::start(softap()).unwrap();
    for request in [
        "device-id\r\n0\r\n\r\n",
        "device-id\n0",
        "device-id\n0\n",
        "device-id\n0\n \n",
        "device-id",
        &format!("set\n{} \n\n{SET}", SET.len()),
    ] {
        hangs(&photon, request).await;
    }
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn a_count_that_is_too_long_hangs_and_one_that_is_too_short_loses_the_end() {
    let photon = SimPhoton::start(softap()).unwrap();
    hangs(&photon, &format!("set\n{}\n\n{SET}", SET.len() + 1)).await;
    assert!(photon.effects().is_empty());
    let mut client = Client::tcp(&photon).await;
    client.ask(format!("set\n{}\n\n{SET}", SET.len() - 2), "\n\n").await;
    client.is_closed().await;
}

#[tokio::test]
async fn counts_are_in_bytes_modulo_65536() {
    let photon = SimPhoton::start(softap()).unwrap();
    let body = r#"{"k":"cc","v":"Café"}"#;
    for count in [body.len(), body.len() + 65_536] {
        let mut client = Client::tcp(&photon).await;
        client.ask(format!("set\n{count}\n\n{body}"), "\n\n{\"r\":0}").await;
        client.is_closed().await;
    }
    assert_eq!(photon.state().claim_code.unwrap().0, "Café".as_bytes());
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::tcp(&photon).await;
    let request = format!("set\n{}\n\n{SET}", SET.len());
    for byte in request.as_bytes() {
        client.segment([*byte]).await;
    }
    client.expect("\n\n{\"r\":0}").await;
    client.is_closed().await;
}

#[tokio::test]
async fn one_command_a_connection_and_what_follows_is_lost() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut client = Client::tcp(&photon).await;
    client.ask("version\n0\n\ndevice-id\n0\n\n", "\n\n{\"v\":2}").await;
    client.is_closed().await;
}

#[tokio::test]
async fn a_request_that_breaks_off_is_obeyed_as_far_as_it_goes() {
    let photon = SimPhoton::start(softap()).unwrap();
    for (request, reply) in [
        ("version", "\n\n{\"v\":2}"),
        ("version\n0", "\n\n{\"v\":2}"),
        ("set\n80\n\n{\"k\":", "\n\n"),
        ("", ""),
    ] {
        let mut client = Client::tcp(&photon).await;
        client.send(request).await;
        guarded(client.stream().shutdown()).await.unwrap();
        client.expect(reply).await;
        client.is_closed().await;
    }
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn names_are_exact_and_of_30_characters_at_most() {
    let photon = SimPhoton::start(softap()).unwrap();
    for name in ["VERSION", "version ", "/version", "ant-auto", ""] {
        let mut client = Client::tcp(&photon).await;
        client.send(format!("{name}\n0\n\n")).await;
        client.is_closed().await;
    }
    // What is beyond is taken for the count.
    hangs(&photon, &format!("{}\n0\n", "x".repeat(31))).await;
}

#[tokio::test]
async fn idle_connections_do_no_harm() {
    let photon = SimPhoton::start(softap()).unwrap();
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(Client::tcp(&photon).await);
    }
    assert_eq!(ask_tcp(&photon, "version", "").await, br#"{"v":2}"#);
    idle[0].ask("version\n0\n\n", "\n\n{\"v\":2}").await;
}

#[tokio::test]
async fn scans_on_both_wires_at_once_deadlock_them_until_listening_ends() {
    let day = Duration::from_secs(86_400);
    let photon = SimPhoton::start(PhotonConfig { scan_delay: day, ..softap() }).unwrap();
    let mut http = Client::http(&photon).await;
    http.send("GET /scan-ap HTTP/1.1\r\n\r\n").await;
    http.is_served().await;
    assert!(!photon.state().softap_http.deadlocked);
    let mut tcp = Client::tcp(&photon).await;
    tcp.send("scan-ap\n0\n\n").await;
    let state = guarded(photon.wait_for(|state| state.softap_tcp.deadlocked)).await;
    assert!(state.softap_http.deadlocked);
    http.is_served().await;
    tcp.is_served().await;
    photon.reset();
    http.is_closed().await;
    tcp.is_closed().await;
    assert_eq!(ask_tcp(&photon, "version", "").await, br#"{"v":2}"#);
}
