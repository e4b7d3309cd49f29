//! The SoftAP recordings of Device OS 2.3.1, replayed.

use provision::{
    model::DeviceId,
    sim::photon::{PhotonConfig, SimPhoton},
};
use serde_json::Value;

use crate::{
    softap_wire::{Client, Wire, among},
    wire::guarded,
};

/// What the recorded device's scan found.
const NETWORKS: [&str; 5] =
    ["Home-WPA2:WPA2_AES", "OpenCafe:NONE:1", "WEP-Net:WEP", "Café ☕:WPA2_AES", "Corp-EAP:WPA2_802.1x"];

#[tokio::test]
async fn every_recorded_softap_scenario_gets_the_same_bytes_and_effects() {
    let recordings = include_str!("../../fixtures/softap-2.3.1.jsonl");
    let scenarios: Vec<Value> = recordings.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scenarios.len(), 33);
    for scenario in scenarios {
        println!("scenario: {}", scenario["name"]);
        replay(&scenario).await;
    }
}

async fn replay(scenario: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let id = DeviceId::parse(&text(&scenario["device_id"])).unwrap();
    let photon = SimPhoton::start(PhotonConfig { device_id: id, ..among(&NETWORKS) }).unwrap();
    let wire = if scenario["wire"] == "http" { Wire::Http } else { Wire::Tcp };
    let mut client = Client::connect(&photon, wire).await;
    for segment in scenario["send"].as_array().unwrap() {
        client.segment(latin1(&text(segment))).await;
    }
    client.expect(latin1(&text(&scenario["receive"]))).await;

    // Nothing more has come: what comes next is the end, or the answer to another request.
    match (scenario["closed_by_device"].as_bool().unwrap(), wire) {
        (true, _) => client.is_closed().await,
        (false, Wire::Http) => client.is_quiet().await,
        (false, Wire::Tcp) => {
            let mut other = Client::tcp(&photon).await;
            other.send("version\n0\n\n").await;
            client.others_wait(1).await;
            client.is_served().await;
            // The newline that it has been waiting for.
            client.send("\n").await;
            client.is_closed().await;
            other.expect("\n\n{\"v\":2}").await;
        }
    }
    let effects = scenario["effects"].as_array().unwrap();
    guarded(photon.wait_for(|state| state.effects.len() >= effects.len())).await;
    assert_eq!(serde_json::to_value(photon.effects()).unwrap(), scenario["effects"]);
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}
