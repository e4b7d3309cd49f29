use std::time::Duration;

use provision::sim::photon::{Effect, Mode, PhotonConfig, SimPhoton};

use crate::wire::{DERP, Wire, guarded, photon, start};

const SECURITY: &str = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ";
const CIPHER: &str = "Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ";
const EAP: &str = "EAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n\n";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----\n\n";

fn among(networks: &[&str]) -> (SimPhoton, Wire) {
    let networks = networks.iter().map(|n| n.parse().unwrap()).collect();
    start(PhotonConfig { networks, ..photon() })
}

async fn is_saved(wire: &mut Wire, photon: &SimPhoton) {
    wire.read_to("    Particle <3 you!\r\n\r\n").await;
    guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
}

fn echo(lines: &str) -> String {
    lines.replace('\n', "\r\n")
}

#[tokio::test]
async fn bytes_sent_during_a_scan_answer_the_next_prompt() {
    let (photon, mut wire) = start(PhotonConfig {
        networks: vec!["Home:WPA2_AES".parse().unwrap()],
        scan_delay: Duration::from_millis(50),
        ..photon()
    });
    wire.ask("w", "SSID: ").await;
    wire.send("Home\r").await;
    guarded(photon.wait_for(|state| state.scanning)).await;
    wire.send("correct horse\r").await;
    wire.expect("Home\r\nPassword: correct horse\r\nThanks!").await;
    is_saved(&mut wire, &photon).await;
}

#[tokio::test]
async fn a_seen_network_whose_cipher_is_not_known_is_asked_for_it() {
    let (photon, mut wire) = among(&["Home:WPA2"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Home\r", format!("Home\r\n{CIPHER}")).await;
    wire.ask("3\r", "3\r\nPassword: ").await;
    wire.send("correct horse\r").await;
    is_saved(&mut wire, &photon).await;
    assert_eq!(serde_json::to_value(photon.effects()).unwrap()[0]["cipher"], "aes+tkip");
}

#[tokio::test]
async fn of_two_networks_with_one_name_the_last_seen_counts() {
    let (_photon, mut wire) = among(&["Cafe:WPA2_AES", "Cafe:NONE"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Cafe\r", format!("Cafe\r\n{CIPHER}")).await;
}

#[tokio::test]
async fn an_empty_peap_password_is_saved_as_the_digit_one() {
    let (photon, mut wire) = among(&["Corp:WPA2_802.1x"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{EAP}")).await;
    wire.ask("0\r", "0\r\nUsername: ").await;
    wire.ask("ivan\r", "ivan\r\nPassword: ").await;
    wire.ask("\r", "\r\nOuter identity (optional): ").await;
    wire.ask("\r", "\r\nRoot CA in PEM format (optional):\r\n").await;
    wire.send("\r").await;
    is_saved(&mut wire, &photon).await;
    assert_eq!(photon.state().saved[0].password.0, b"1");
}

#[tokio::test]
async fn listening_is_over_after_a_refusal_for_an_enterprise_network_that_was_seen() {
    let (photon, mut wire) = among(&["Corp:WPA2_802.1x"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{EAP}")).await;
    wire.ask("0\r", "0\r\nUsername: ").await;
    wire.ask("\r", "\r\nPassword: ").await;
    wire.ask("secret\r", "secret\r\nOuter identity (optional): ").await;
    wire.ask("\r", "\r\nRoot CA in PEM format (optional):\r\n").await;
    wire.ask("\r", DERP).await;
    let state = guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
    assert!(state.saved.is_empty());
    assert!(matches!(state.effects[0], Effect::Credentials { result: 1, .. }));
}

#[tokio::test]
async fn listening_goes_on_after_a_refusal_for_an_enterprise_network_that_was_not_seen() {
    let (_photon, mut wire) = among(&[]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{SECURITY}")).await;
    wire.ask("5\r", format!("5\r\n{CIPHER}")).await;
    wire.ask("1\r", format!("1\r\n{EAP}")).await;
    wire.ask("1\r", "1\r\nClient certificate in PEM format:\r\n").await;
    wire.ask("\r", "\r\nPrivate key in PEM format:\r\n").await;
    wire.ask("\r", "\r\nOuter identity (optional): ").await;
    wire.ask("\r", "\r\nRoot CA in PEM format (optional):\r\n").await;
    wire.ask("\r", DERP).await;
    wire.is_idle().await;
}

#[tokio::test]
async fn pem_blocks_may_be_written_at_once() {
    let (photon, mut wire) = among(&["Corp:WPA2_802.1x"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{EAP}")).await;
    wire.ask("1\r", "1\r\nClient certificate in PEM format:\r\n").await;
    wire.ask(CERTIFICATE, format!("{}Private key in PEM format:\r\n", echo(CERTIFICATE))).await;
    wire.ask(KEY, format!("{}Outer identity (optional): ", echo(KEY))).await;
    wire.ask("\r", "\r\nRoot CA in PEM format (optional):\r\n").await;
    wire.send(CERTIFICATE).await;
    is_saved(&mut wire, &photon).await;
    let effect = &serde_json::to_value(photon.effects()).unwrap()[0];
    assert_eq!(effect["eap_type"], 13);
    for length in ["client_certificate_len", "private_key_len", "ca_certificate_len"] {
        assert_eq!(effect[length], 5);
    }
}

#[tokio::test]
async fn crlf_ends_a_pem_block_after_its_first_line() {
    let (_photon, mut wire) = among(&["Corp:WPA2_802.1x"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{EAP}")).await;
    wire.ask("1\r", "1\r\nClient certificate in PEM format:\r\n").await;
    wire.ask(
        "-----BEGIN\r\nMAMC\r\n",
        "-----BEGIN\r\n\r\nPrivate key in PEM format:\r\nMAMC\r\n\r\nOuter identity \
                                        (optional): ",
    )
    .await;
}

#[tokio::test]
async fn a_private_key_over_2047_characters_is_cut_and_what_follows_answers_later_prompts() {
    let (_photon, mut wire) = among(&["Corp:WPA2_802.1x"]);
    wire.ask("w", "SSID: ").await;
    wire.ask("Corp\r", format!("Corp\r\n{EAP}")).await;
    wire.ask("1\r", "1\r\nClient certificate in PEM format:\r\n").await;
    wire.ask(CERTIFICATE, format!("{}Private key in PEM format:\r\n", echo(CERTIFICATE))).await;
    let line = "k".repeat(64);
    for _ in 0..31 {
        wire.ask(format!("{line}\n"), format!("{line}\r\n")).await;
    }
    // 1984 are in; of these 64 there is place for 63.
    wire.ask(&line, format!("{}\r\nOuter identity (optional): ", &line[1..])).await;
}

#[tokio::test]
async fn a_wrong_pass_phrase_leads_back_to_listening_and_the_right_one_does_not() {
    let (photon, mut wire) = start(PhotonConfig {
        networks: vec!["Home:WPA2_AES:6:-50:correct horse".parse().unwrap()],
        relisten_delay: Duration::from_millis(1),
        ..photon()
    });
    for (typed, online) in [("wrong horse", false), ("correct horse", true)] {
        wire.ask("w", "SSID: ").await;
        wire.ask("Home\r", "Home\r\nPassword: ").await;
        wire.send(format!("{typed}\r")).await;
        wire.read_to("    Particle <3 you!\r\n\r\n").await;
        let back = |mode| if online { mode == Mode::Running } else { mode == Mode::Listening };
        let listens = usize::from(online) * 2 + 2;
        guarded(photon.wait_for(|s| s.effects.len() == listens && back(s.mode) && s.online == online)).await;
    }
}
