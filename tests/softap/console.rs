//! The same credentials over the USB console.

use provision::{
    device::{Manner, SetupDevice},
    model::{Failure, FailureCode, FirmwareVersion, WifiCredentials},
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

use crate::lab::{
    CODE, PASSPHRASE, among, code, codes, eap_tls, effects, guarded, hex, key_der, latin1, open, over_usb,
    peap, quiet, shared, without_security,
};

/// Code, then network, as in a run.
async fn give(photon: &SimPhoton, wifi: &WifiCredentials) -> Result<(), Failure> {
    let mut device = over_usb(photon);
    let identity = guarded(device.reach(Manner::Touch, &quiet)).await?;
    device.carries(wifi, Some(&identity))?;
    device.set_claim_code(&code(), &quiet).await?;
    guarded(device.set_wifi(wifi, &quiet)).await?;
    guarded(device.finish()).await
}

/// What is saved of these credentials by a device that sees these networks.
async fn is_saved_as(networks: &[&str], wifi: &WifiCredentials, wanted: Value) {
    let photon = SimPhoton::start(among(networks)).unwrap();
    give(&photon, wifi).await.unwrap();
    assert_eq!(codes(&photon), [CODE]);
    let effects = effects(&photon);
    let saved: Vec<_> = effects.iter().filter(|effect| effect["event"] == "credentials").collect();
    assert_eq!(saved.len(), 1, "{networks:?}");
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&saved[0][key], value, "{networks:?}: {key}");
    }
    assert_eq!(saved[0]["result"], 0, "{networks:?}");
}

#[tokio::test]
async fn an_open_network_is_saved_seen_or_hidden() {
    for networks in [&["Café:NONE"][..], &[]] {
        let wanted = json!({"ssid_hex": hex("Café"), "security": "open", "password": null});
        is_saved_as(networks, &open("Café"), wanted).await;
    }
}

#[tokio::test]
async fn a_pass_phrase_is_saved_byte_for_byte_seen_or_hidden() {
    for networks in [&["Home:WPA2_AES"][..], &["Home:WPA2"], &[]] {
        let wanted = json!({"ssid_hex": hex("Home"), "security": "wpa2", "password": latin1(PASSPHRASE)});
        is_saved_as(networks, &shared("Home", "WPA2_AES", PASSPHRASE), wanted).await;
    }
}

#[tokio::test]
async fn a_wep_key_is_saved_seen_or_hidden() {
    for networks in [&["Old:WEP"][..], &[]] {
        let wanted = json!({"security": "wep", "password": "6162636465"});
        is_saved_as(networks, &shared("Old", "WEP", "6162636465"), wanted).await;
    }
}

#[tokio::test]
async fn a_name_with_a_quote_arrives_this_way() {
    let wanted = json!({"ssid_hex": hex("a\"b")});
    is_saved_as(&["a%22b:WPA2_AES"], &shared("a\"b", "WPA2_AES", PASSPHRASE), wanted).await;
}

#[tokio::test]
async fn peap_is_saved_seen_or_hidden() {
    for networks in [&["Corp:WPA2_802.1x"][..], &[]] {
        let wanted = json!({
            "security": "wpa2-ent", "eap_type": 25, "password": latin1(PASSPHRASE),
            "inner_identity": "ivan", "outer_identity": "anonymous",
        });
        is_saved_as(networks, &peap(), wanted).await;
    }
}

#[tokio::test]
async fn security_may_be_left_out_of_a_network_that_is_seen() {
    for (kind, name) in [("WPA2_AES", "wpa2"), ("WPA_TKIP", "wpa")] {
        let network = format!("Home:{kind}");
        let wanted = json!({"security": name, "password": latin1(PASSPHRASE)});
        is_saved_as(&[&network], &without_security("Home", PASSPHRASE), wanted).await;
    }
}

#[tokio::test]
async fn security_is_needed_of_a_network_that_is_not_seen() {
    let photon = SimPhoton::start(among(&[])).unwrap();
    let failure = give(&photon, &without_security("Hidden", PASSPHRASE)).await.unwrap_err();
    assert!(matches!(failure.code, FailureCode::WifiCannotArrive | FailureCode::WifiRefused), "{failure}");
    assert!(failure.detail.contains("security"), "{failure}");
    assert!(photon.state().saved.is_empty());
    guarded(over_usb(&photon).reach(Manner::Tidy, &quiet)).await.unwrap();
}

#[tokio::test]
async fn firmware_before_0_7_takes_open_and_secured_networks() {
    for version in ["0.6.0", "0.6.4"] {
        let firmware = FirmwareVersion::parse(version).unwrap();
        for (networks, wifi) in [
            (&["Home:WPA2_AES:6:-50:correct horse"][..], shared("Home", "WPA2_AES", "correct horse")),
            (&["Free:NONE"][..], open("Free")),
        ] {
            let config = PhotonConfig { firmware: firmware.clone(), ..among(networks) };
            let photon = SimPhoton::start(config).unwrap();
            give(&photon, &wifi).await.unwrap();
            guarded(photon.wait_for(|state| state.online)).await;
            assert_eq!(codes(&photon), [CODE], "{version}");
        }
        // It knows no enterprise networks, and gets none.
        let photon = SimPhoton::start(PhotonConfig { firmware, ..among(&["Corp:WPA2_802.1x"]) }).unwrap();
        let failure = give(&photon, &peap()).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::WifiCannotArrive, "{version}");
        assert!(photon.effects().is_empty());
    }
}

#[tokio::test]
async fn credentials_that_the_device_does_not_save_leave_it_usable() {
    // The network turns out to be of a kind that wants a longer pass phrase.
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    let failure = give(&photon, &without_security("Home", "short")).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::WifiRefused, "{failure}");
    assert!(photon.state().saved.is_empty());
    assert_eq!(photon.state().mode, Mode::Listening);
    give(&photon, &shared("Home", "WPA2_AES", PASSPHRASE)).await.unwrap();
}

#[tokio::test]
async fn eap_tls_is_saved_with_its_certificate_and_key() {
    let photon = SimPhoton::start(among(&["Corp:WPA2_802.1x"])).unwrap();
    give(&photon, &eap_tls()).await.unwrap();
    let effects = effects(&photon);
    let saved = effects.iter().find(|effect| effect["event"] == "credentials").unwrap();
    assert_eq!((&saved["eap_type"], &saved["result"]), (&json!(13), &json!(0)));
    assert_eq!(saved["private_key_len"], key_der().len());
}

#[tokio::test]
async fn the_console_cannot_list_networks_and_says_so() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    let failure = over_usb(&photon).scan(&quiet).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Configuration, "{failure}");
    assert!(photon.effects().is_empty());
}
