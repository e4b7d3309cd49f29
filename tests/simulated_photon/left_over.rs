//! A console that somebody else left inside a dialogue, and the ways out of it.

use std::time::Duration;

use provision::sim::photon::{Mode, PhotonConfig, SimPhoton};

use crate::wire::{CODE, DERP, RECOVERY, SORRY, Wire, guarded, photon, start};

const SECURITY: &str = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ";
const CIPHER: &str = "Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ";

fn left_in(place: &str) -> (SimPhoton, Wire) {
    start(PhotonConfig { left_in: Some(place.parse().unwrap()), ..photon() })
}

#[tokio::test]
async fn inside_the_claim_code_the_recovery_leads_to_idle_and_changes_nothing() {
    for typed in ["", "abc", &CODE[..62]] {
        let (photon, mut wire) = left_in(&format!("C:{typed}"));
        wire.ask(RECOVERY, format!("{}{SORRY}", "\x08".repeat(typed.len()))).await;
        wire.is_idle().await;
        assert!(photon.effects().is_empty());
    }
}

#[tokio::test]
async fn with_exactly_63_typed_the_recovery_commits_that_code() {
    let (photon, mut wire) = left_in(&format!("C:{CODE}"));
    wire.ask(RECOVERY, format!("\r\nClaim code set to: {CODE}\r\n")).await;
    wire.is_idle().await;
    assert_eq!(photon.state().claim_code.unwrap().0, CODE.as_bytes());
}

#[tokio::test]
async fn at_the_ssid_a_junk_network_leads_out() {
    let (photon, mut wire) = left_in("w:ssid:ab");
    wire.ask(RECOVERY, "\x08\x08\r\nSSID: ").await;
    wire.ask("zz-none\r", format!("zz-none\r\n{SECURITY}")).await;
    wire.ask("3\r", format!("3\r\n{CIPHER}")).await;
    wire.ask("1\r", "1\r\nPassword: ").await;
    wire.ask("\r", DERP).await;
    wire.is_idle().await;
    assert!(photon.state().saved.is_empty());
}

#[tokio::test]
async fn at_security_cipher_and_password_an_empty_password_leads_out() {
    for (place, ways) in
        [("w:security", &["3\r", "1\r", "\r"][..]), ("w:cipher", &["1\r", "\r"]), ("w:password:half", &[])]
    {
        let (photon, mut wire) = left_in(place);
        let again = match place {
            "w:security" => format!("\r\n{SECURITY}"),
            "w:cipher" => format!("\r\n{CIPHER}"),
            _ => format!("{}{DERP}", "\x08".repeat(4)),
        };
        wire.ask(RECOVERY, again).await;
        for way in ways {
            let next = match (place, *way) {
                ("w:security", "3\r") => format!("3\r\n{CIPHER}"),
                (_, "1\r") => "1\r\nPassword: ".into(),
                _ => DERP.into(),
            };
            wire.ask(way, next).await;
        }
        wire.is_idle().await;
        assert!(photon.state().saved.is_empty());
    }
}

#[tokio::test]
async fn at_the_cipher_of_an_open_network_only_a_reset_saves_nothing() {
    let (photon, mut wire) = left_in("w:cipher-open");
    wire.ask(RECOVERY, format!("\r\n{CIPHER}")).await;
    photon.reset();
    wire.is_gone().await;
    guarded(photon.wait_for(|state| state.boots == 2)).await;
    Wire::open(&photon.usb(), 9600).is_idle().await;
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn every_enterprise_prompt_is_where_it_says() {
    for (place, next) in [
        ("w:eap-type", "\r\nEAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: "),
        ("w:username", "\r\nPassword: "),
        ("w:peap-password", "\r\nOuter identity (optional): "),
        ("w:client-certificate", "\r\nPrivate key in PEM format:\r\n"),
        ("w:private-key", "\r\nOuter identity (optional): "),
        ("w:outer-identity", "\r\nRoot CA in PEM format (optional):\r\n"),
        ("w:root-ca", DERP),
    ] {
        let (_photon, mut wire) = left_in(place);
        wire.ask(RECOVERY, next).await;
    }
}

#[tokio::test]
async fn during_a_scan_bytes_wait_and_answer_the_prompt_that_follows() {
    let (photon, mut wire) = start(PhotonConfig {
        left_in: Some("scanning".parse().unwrap()),
        scan_delay: Duration::from_millis(50),
        ..photon()
    });
    guarded(photon.wait_for(|state| state.scanning)).await;
    wire.ask(RECOVERY, format!("{SECURITY}\r\n{SECURITY}")).await;
    assert_eq!(photon.state().mode, Mode::Listening);
}

#[tokio::test]
async fn a_transfer_that_was_left_waiting_is_ended_by_a() {
    let (_photon, mut wire) = left_in("ymodem");
    wire.ask("a", "\x18\x18\x18\x18Aborted by user.\r\n").await;
    wire.is_idle().await;
}
