//! What differs between releases.

use provision::{
    model::FirmwareVersion,
    sim::photon::{Mode, PhotonConfig},
};

use crate::wire::{CODE, ID, guarded, photon, start};

fn running(major: u16, minor: u16, patch: u16) -> PhotonConfig {
    PhotonConfig { firmware: FirmwareVersion::new(major, minor, patch), ..photon() }
}

#[tokio::test]
async fn firmware_before_0_6_knows_neither_claim_command_and_before_0_5_fewer_still() {
    let (_photon, mut wire) = start(running(0, 5, 5));
    wire.ask("CcdzviL", format!("system firmware version: 0.5.5\n\r\nYour device id is {ID}\r\n")).await;
    let (photon, mut wire) = start(running(0, 4, 9));
    wire.ask("CcdL\x01\x02i", format!("Your device id is {ID}\r\n")).await;
    assert_eq!(photon.state().boots, 1);
}

#[tokio::test]
async fn claim_commands_came_with_0_6_and_diagnostics_with_0_8() {
    let (_photon, mut wire) = start(running(0, 6, 0));
    wire.ask("dC", "Enter 63-digit claim code: ").await;
    wire.ask(format!("{CODE}\r"), format!("{CODE}\r\nClaim code set to: {CODE}\r\n")).await;
    wire.ask("c", "Device claimed: no\r\n").await;
    let (_photon, mut wire) = start(running(0, 8, 0));
    wire.ask("d", "{").await;
}

#[tokio::test]
async fn old_firmware_does_not_tell_a_serial_number() {
    let (_photon, mut wire) =
        start(PhotonConfig { serial_number: Some("PHHMAB123456789".into()), ..running(0, 7, 0) });
    wire.is_idle().await;
}

#[tokio::test]
async fn wifi_before_0_7_always_asks_for_security_and_takes_an_empty_ssid() {
    let (photon, mut wire) = start(running(0, 6, 4));
    let security = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ";
    wire.ask("w", "SSID: ").await;
    wire.ask("\r", format!("\r\n{security}")).await;
    wire.ask("4\r", format!("4\r\n{security}")).await;
    wire.ask("0\r", format!("0{}", crate::wire::DERP)).await;
    wire.is_idle().await;
    assert!(photon.state().saved.is_empty());
}

#[tokio::test]
async fn wifi_before_0_7_asks_for_the_cipher_of_what_it_cannot_see_and_checks_no_length() {
    let networks = vec!["Home:WPA2_AES".parse().unwrap()];
    let (photon, mut wire) = start(PhotonConfig { networks, ..running(0, 5, 0) });
    wire.ask("w", "SSID: ").await;
    wire.ask("Home\r", "Home\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ").await;
    wire.ask("3\r", "3\r\nPassword: ").await;
    wire.send("short\r").await;
    let farewell = wire.read_to("    Particle <3 you!\r\n\r\n").await;
    assert!(String::from_utf8(farewell).unwrap().contains("your device\r\nhas connected"));
    let state = guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
    assert_eq!(state.saved[0].password.0, b"short");

    photon.press_setup();
    wire.ask("w", "SSID: ").await;
    wire.ask("Hidden\r", "Hidden\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ").await;
    wire.ask("2\r", "2\r\nSecurity Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ").await;
    wire.ask("1\r", "1\r\nPassword: ").await;
}
