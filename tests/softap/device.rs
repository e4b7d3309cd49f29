//! The device's side: who it is, its code, and its network, over both wires.

use provision::{
    device::{Manner, Patience, SetupDevice, SoftApPhoton},
    model::{DeviceId, FailureCode, FirmwareVersion, WifiCredentials},
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

use crate::lab::{
    CODE, ID, OTHER_ID, PASSPHRASE, WIRES, among, certificate, code, codes, eap_tls, effects, give, guarded,
    hex, key_der, latin1, open, peap, quiet, shared, without_security,
};

#[tokio::test]
async fn a_device_tells_its_id_and_whether_it_is_claimed_over_both_wires() {
    for claimed in [false, true] {
        let photon = SimPhoton::start(PhotonConfig { claimed, ..among(&[]) }).unwrap();
        for wire in WIRES {
            let identity = wire.device(&photon).reach(Manner::LookOnly, &quiet).await.unwrap();
            assert_eq!((identity.id.as_str(), identity.claimed), (ID, Some(claimed)), "{wire:?}");
            assert_eq!((identity.firmware, identity.mac), (None, None));
        }
        assert!(photon.effects().is_empty());
    }
}

#[tokio::test]
async fn the_code_arrives_and_the_device_is_let_out_over_both_wires() {
    for wire in WIRES {
        let photon = SimPhoton::start(PhotonConfig { wifi_known: true, ..among(&[]) }).unwrap();
        let mut device = wire.reached(&photon).await;
        device.set_claim_code(&code(), &quiet).await.unwrap();
        device.finish().await.unwrap();
        guarded(photon.wait_for(|state| state.online)).await;
        assert_eq!(codes(&photon), [CODE], "{wire:?}");
    }
}

#[tokio::test]
async fn another_device_is_refused_before_anything_is_given_to_it() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    for wire in WIRES {
        let target = wire.target(&photon).parse().unwrap();
        let expected = DeviceId::parse(OTHER_ID).unwrap();
        let mut device = SoftApPhoton::new(target, Some(expected), Patience::default());
        let failure = guarded(device.reach(Manner::Touch, &quiet)).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::WrongDevice, "{wire:?}");
        assert!(failure.detail.contains(ID) && failure.detail.contains(OTHER_ID), "{failure}");
    }
    assert!(photon.effects().is_empty());
}

/// What is saved of credentials, over both wires.
async fn is_saved_as(config: PhotonConfig, wifi: &WifiCredentials, wanted: Value) {
    for wire in WIRES {
        let photon = SimPhoton::start(config.clone()).unwrap();
        give(&photon, wire, wifi).await.unwrap();
        let effects = effects(&photon);
        assert_eq!(effects.len(), 1, "{wire:?}");
        for (key, value) in wanted.as_object().unwrap() {
            assert_eq!(effects[0].get(key).unwrap_or(&Value::Null), value, "{wire:?}: {key}");
        }
        assert_eq!(
            (&effects[0]["event"], &effects[0]["result"]),
            (&json!("wlan_set_credentials"), &json!(0))
        );
    }
}

#[tokio::test]
async fn an_open_network_is_saved_seen_or_not() {
    for networks in [&["Café:NONE"][..], &[]] {
        let wanted = json!({"ssid_hex": hex("Café"), "security": 0, "password": null});
        is_saved_as(among(networks), &open("Café"), wanted).await;
    }
}

#[tokio::test]
async fn a_wep_key_is_saved_whether_it_is_given_as_characters_or_as_digits() {
    for key in ["abcde", "6162636465"] {
        let wanted = json!({"ssid_hex": hex("Old"), "security": 1, "password": "6162636465"});
        is_saved_as(among(&["Old:WEP"]), &shared("Old", "WEP", key), wanted).await;
    }
}

#[tokio::test]
async fn a_pass_phrase_is_saved_byte_for_byte() {
    for passphrase in [PASSPHRASE, "12345678", "\u{7f}~<>&'{}[]\t\r\n", &"ü".repeat(32)] {
        let wanted =
            json!({"ssid_hex": hex("Hö me"), "security": 3, "password": latin1(passphrase), "eap_type": 0});
        is_saved_as(among(&["Hö me:WPA2_AES"]), &shared("Hö me", "WPA2_AES", passphrase), wanted).await;
    }
}

#[tokio::test]
async fn security_that_is_left_out_is_taken_from_the_devices_scan() {
    for (kind, password, number) in
        [("WPA_TKIP", PASSPHRASE, 2), ("WPA2_AES+TKIP", PASSPHRASE, 3), ("WEP", "6162636465", 1)]
    {
        let config = among(&["Other:NONE:1", &format!("Home:{kind}:11")]);
        let wanted = json!({"password": latin1(password), "security": number, "channel": 11});
        is_saved_as(config, &without_security("Home", password), wanted).await;
    }
}

#[tokio::test]
async fn peap_is_saved_byte_for_byte() {
    let wanted = json!({
        "ssid_hex": hex("Corp"), "security": 5, "eap_type": 25, "password": latin1(PASSPHRASE),
        "inner_identity": "ivan", "outer_identity": "anonymous", "ca_certificate": certificate(),
    });
    is_saved_as(among(&["Corp:WPA2_802.1x"]), &peap(), wanted).await;
}

#[tokio::test]
async fn eap_tls_is_saved_with_its_key_in_der() {
    let mut key = key_der();
    let padding = 16 - key.len() % 16;
    key.resize(key.len() + padding, u8::try_from(padding).unwrap());
    let wanted = json!({
        "ssid_hex": hex("Corp"), "security": 5, "eap_type": 13, "private_key": latin1(key),
        "client_certificate": certificate(), "outer_identity": "anonymous", "ca_certificate": certificate(),
    });
    is_saved_as(among(&["Corp:WPA2_802.1x"]), &eap_tls(), wanted).await;
}

#[tokio::test]
async fn a_network_that_the_device_does_not_see_is_refused_and_the_other_wire_named() {
    for wire in WIRES {
        let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
        let failure = give(&photon, wire, &shared("Hidden", "WPA2_AES", PASSPHRASE)).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::WifiRefused);
        assert!(failure.detail.contains("hidden") && failure.detail.contains("over USB"), "{failure}");
        // Without its security there is nothing to send at all.
        let failure = give(&photon, wire, &without_security("Hidden", PASSPHRASE)).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::WifiCannotArrive);
        assert!(photon.state().saved.is_empty());
        assert_eq!(photon.state().mode, Mode::Listening);
        wire.reached(&photon).await;
    }
}

#[tokio::test]
async fn a_wrong_pass_phrase_brings_the_device_back() {
    for wire in WIRES {
        let photon = SimPhoton::start(among(&["Home:WPA2_AES:6:-50:the-right-one"])).unwrap();
        let mut device = wire.reached(&photon).await;
        device.set_claim_code(&code(), &quiet).await.unwrap();
        guarded(device.set_wifi(&shared("Home", "WPA2_AES", "the-wrong-one"), &quiet)).await.unwrap();
        device.finish().await.unwrap();
        guarded(device.back()).await;
        assert_eq!((photon.state().mode, photon.state().online), (Mode::Listening, false));
    }
}

#[tokio::test]
async fn firmware_before_0_7_gets_the_security_that_it_will_store() {
    let firmware = FirmwareVersion::new(0, 6, 4);
    let config = PhotonConfig { firmware, ..among(&["Home:WPA2_AES:6:-50:correct%20horse"]) };
    for wire in WIRES {
        for wifi in [shared("Home", "WPA2_AES", "correct horse"), without_security("Home", "correct horse")] {
            let photon = SimPhoton::start(config.clone()).unwrap();
            let mut device = wire.reached(&photon).await;
            guarded(device.set_wifi(&wifi, &quiet)).await.unwrap();
            assert_eq!(effects(&photon)[0]["security"], 0x0040_0004);
            device.finish().await.unwrap();
            guarded(photon.wait_for(|state| state.online)).await;
        }
    }
}

#[tokio::test]
async fn a_name_that_this_wire_would_change_is_refused_before_anything_is_sent() {
    let photon = SimPhoton::start(among(&["a%22b:WPA2_AES"])).unwrap();
    for wire in WIRES {
        let device = wire.device(&photon);
        let failure = device.carries(&shared("a\"b", "WPA2_AES", PASSPHRASE), None).unwrap_err();
        assert_eq!(failure.code, FailureCode::WifiCannotArrive);
        assert!(failure.detail.contains("the USB console can"), "{failure}");
    }
    // A run looks before it sends; one that did not look is stopped where the request is made.
    let mut device = WIRES[0].reached(&photon).await;
    let failure = device.set_wifi(&shared("a\"b", "WPA2_AES", PASSPHRASE), &quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::WifiCannotArrive);
    assert!(photon.effects().is_empty());
    assert_eq!(photon.state().mode, Mode::Listening);
}
