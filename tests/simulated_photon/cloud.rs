//! What the board tells the cloud, and when.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    routing::post,
};
use provision::sim::photon::{Mode, PhotonConfig, SimPhoton};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::wire::{CODE, ID, Wire, guarded, photon, start};

/// A cloud that tells what it is told and answers a claim only when it may.
struct Cloud {
    url: url::Url,
    told: mpsc::UnboundedReceiver<(String, Value)>,
    may_claim: Arc<Semaphore>,
}

type Shared = (mpsc::UnboundedSender<(String, Value)>, Arc<Semaphore>);

async fn listen(
    State((told, may_claim)): State<Shared>,
    Path((device, what)): Path<(String, String)>,
    body: String,
) -> &'static str {
    assert_eq!(device, ID);
    let _ = told.send((what.clone(), serde_json::from_str(&body).unwrap()));
    if what == "claim" {
        may_claim.acquire().await.unwrap().forget();
        return r#"{"claimed":true}"#;
    }
    "{}"
}

impl Cloud {
    async fn open() -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let may_claim = Arc::new(Semaphore::new(0));
        let router = Router::new()
            .route("/base/simulator/devices/{device}/{what}", post(listen))
            .with_state((tell, may_claim.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, told, may_claim }
    }

    async fn is_told(&mut self) -> (String, Value) {
        guarded(self.told.recv()).await.unwrap()
    }
}

async fn give_code(wire: &mut Wire) {
    wire.ask("C", "Enter 63-digit claim code: ").await;
    wire.ask(format!("{CODE}\r"), format!("{CODE}\r\nClaim code set to: {CODE}\r\n")).await;
}

#[tokio::test]
async fn after_listening_it_is_online_first_and_claimed_when_the_cloud_has_answered() {
    let mut cloud = Cloud::open().await;
    let (photon, mut wire) =
        start(PhotonConfig { wifi_known: true, cloud_url: Some(cloud.url.clone()), ..photon() });
    give_code(&mut wire).await;
    wire.send("x").await;
    assert_eq!(cloud.is_told().await, ("session".into(), json!({ "platform_id": 6, "firmware": "2.3.1" })));
    assert_eq!(cloud.is_told().await, ("claim".into(), json!({ "claim_code": CODE })));
    let state = photon.state();
    assert!(state.online && !state.claimed && state.claim_code.is_some());

    cloud.may_claim.add_permits(1);
    let state = guarded(photon.wait_for(|state| state.claimed)).await;
    assert!(state.claim_code.is_none());
    photon.press_setup();
    assert_eq!(cloud.is_told().await.0, "offline");
    wire.ask("c", "Device claimed: yes\r\n").await;
}

#[tokio::test]
async fn a_code_whose_answer_never_came_is_presented_again() {
    let mut cloud = Cloud::open().await;
    let (photon, mut wire) =
        start(PhotonConfig { wifi_known: true, cloud_url: Some(cloud.url.clone()), ..photon() });
    give_code(&mut wire).await;
    wire.send("x").await;
    assert_eq!(cloud.is_told().await.0, "session");
    assert_eq!(cloud.is_told().await.0, "claim");
    photon.reset();
    let mut words = Vec::new();
    for _ in 0..3 {
        words.push(cloud.is_told().await.0);
    }
    words.sort();
    assert_eq!(words, ["claim", "offline", "session"]);
    cloud.may_claim.add_permits(2);
    guarded(photon.wait_for(|state| state.claimed)).await;
}

#[tokio::test]
async fn a_board_that_knows_wifi_goes_online_from_the_start_and_keeps_no_code() {
    let mut cloud = Cloud::open().await;
    let config = PhotonConfig {
        listening: false,
        wifi_known: true,
        claimed: true,
        cloud_url: Some(cloud.url.clone()),
        ..photon()
    };
    let photon = SimPhoton::start(config).unwrap();
    assert_eq!(cloud.is_told().await.0, "session");
    guarded(photon.wait_for(|state| state.online && state.mode == Mode::Running)).await;
}

#[tokio::test]
async fn without_a_cloud_connecting_and_claiming_succeed_by_themselves() {
    let (photon, mut wire) = start(PhotonConfig { wifi_known: true, ..photon() });
    give_code(&mut wire).await;
    wire.send("x").await;
    guarded(photon.wait_for(|state| state.online && state.claimed)).await;
}
