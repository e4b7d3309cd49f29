//! The recordings of Device OS 2.3.1, replayed.

use provision::{
    model::DeviceId,
    sim::photon::{Cipher, Mode, Network, PhotonConfig, Security},
};
use serde_json::Value;

use crate::wire::{photon, start};

#[tokio::test]
async fn every_recorded_console_scenario_gets_the_same_bytes_and_effects() {
    let recordings = include_str!("../../fixtures/console-2.3.1.jsonl");
    let scenarios: Vec<Value> = recordings.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scenarios.len(), 33);
    for scenario in scenarios {
        println!("scenario: {}", scenario["name"]);
        replay(&scenario).await;
    }
}

async fn replay(scenario: &Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let id = text(&scenario["device_id"]);
    let (photon, mut wire) = start(PhotonConfig {
        device_id: DeviceId::parse(&id).unwrap(),
        networks: scenario["networks"].as_array().unwrap().iter().map(|n| network(&text(n))).collect(),
        serial_number: scenario["serial_number"].as_str().map(str::to_owned),
        claimed: scenario["claimed"].as_bool().unwrap_or_default(),
        ..photon()
    });
    let mut unanswered = String::new();
    for exchange in scenario["exchange"].as_array().unwrap() {
        let (sent, received) = (text(&exchange["send"]), text(&exchange["receive"]));
        wire.ask(latin1(&sent), latin1(&received)).await;
        unanswered = if received.is_empty() { sent } else { String::new() };
    }

    // What was sent after listening ended is answered at the next listening, so it was not before.
    let effects = scenario["effects"].as_array().unwrap();
    if effects.iter().any(|effect| effect["event"] == "listen_end") {
        photon.wait_for(|state| state.mode == Mode::Running).await;
        photon.press_setup();
        if unanswered == "i" {
            wire.expect(format!("Your device id is {id}\r\n")).await;
        }
    }
    wire.ask("v", "system firmware version: 2.3.1\n\r\n").await;
    assert_eq!(serde_json::to_value(photon.effects()).unwrap(), scenario["effects"]);
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn network(text: &str) -> Network {
    let parts: Vec<_> = text.split('|').collect();
    let [ssid, security, cipher, rssi, channel] = parts[..] else { panic!("{text}") };
    Network {
        ssid: ssid.into(),
        security: match security {
            "open" => Security::Open,
            "wep" => Security::Wep,
            "wpa2" => Security::Wpa2,
            "wpa2-ent" => Security::Wpa2Ent,
            other => panic!("{other}"),
        },
        cipher: (cipher == "aes").then_some(Cipher::Aes),
        channel: channel.parse().unwrap(),
        rssi: rssi.parse().unwrap(),
        passphrase: None,
    }
}
