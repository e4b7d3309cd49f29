//! Things that go wrong with SoftAP's answers, each on request.

use provision::sim::photon::{PhotonConfig, SimPhoton};
use tokio::io::AsyncReadExt;

use crate::{
    softap_wire::{Client, VERSION, VERSION_ANSWER, answer, ask_http, ask_tcp, softap},
    wire::guarded,
};

fn with(fault: &str) -> SimPhoton {
    SimPhoton::start(PhotonConfig { faults: vec![fault.parse().unwrap()], ..softap() }).unwrap()
}

#[tokio::test]
async fn an_answer_is_cut_by_a_reset_and_what_was_asked_for_is_done() {
    let photon = with("softap-reset:setx2");
    Client::http(&photon).await.is_quiet().await;
    let mut client = Client::http(&photon).await;
    client.send(crate::softap_wire::post("/set", r#"{"k":"cc","v":"1"}"#)).await;
    assert!(client.is_reset().await > 0);
    let mut client = Client::tcp(&photon).await;
    client.send("set\n18\n\n{\"k\":\"cc\",\"v\":\"2\"}").await;
    assert_eq!(client.is_reset().await, "\n\n{\"r\":0}".len() / 2);
    assert_eq!(photon.state().claim_code.unwrap().0, b"2");
    assert_eq!(ask_tcp(&photon, "set", r#"{"k":"cc","v":"3"}"#).await, br#"{"r":0}"#);
}

#[tokio::test]
async fn garbage_stands_in_place_of_the_json_once() {
    let photon = with("softap-garbage:device-id");
    let garbage = ask_http(&photon, "/device-id", "").await;
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage).is_err() && !garbage.is_empty());
    assert!(ask_http(&photon, "/device-id", "").await.starts_with(b"{\"id\""));
}

#[tokio::test]
async fn a_slow_answer_comes_and_holds_up_the_others() {
    let photon = with("softap-slow:20");
    let mut slow = Client::http(&photon).await;
    slow.send(VERSION).await;
    slow.is_served().await;
    let mut other = Client::http(&photon).await;
    other.send(VERSION).await;
    slow.expect(answer(VERSION_ANSWER)).await;
    other.expect(answer(VERSION_ANSWER)).await;
}

#[tokio::test]
async fn an_endless_answer_ends_with_its_client() {
    for tcp in [false, true] {
        let photon = with("softap-endless");
        let mut client = if tcp { Client::tcp(&photon).await } else { Client::http(&photon).await };
        client.send(if tcp { "version\n0\n\n" } else { VERSION }).await;
        guarded(client.stream().read_exact(&mut vec![0; 1 << 20])).await.unwrap();
        drop(client);
        assert_eq!(ask_http(&photon, "/version", "").await, br#"{"v":2}"#);
        assert_eq!(ask_tcp(&photon, "version", "").await, br#"{"v":2}"#);
    }
}
