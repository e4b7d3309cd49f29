//! Wi-Fi credentials over SoftAP: what is opened, what is saved, and what is refused with which number.

use aes::{
    Aes128,
    cipher::{BlockModeEncrypt, KeyIvInit},
};
use provision::{
    model::FirmwareVersion,
    sim::photon::{Cipher, PhotonConfig, Security, SimPhoton},
};
use serde_json::{Value, json};

use crate::softap_wire::{among, ask_http, ask_tcp, configure, hex, seal};

const WPA2_AES: i32 = 0x0040_0004;
const WPA2_ENTERPRISE: i32 = 0x0240_0004;
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

fn last_effect(photon: &SimPhoton) -> Value {
    serde_json::to_value(photon.effects().last().unwrap()).unwrap()
}

/// A private key as it is sent: sealed under a key that is sealed itself.
async fn sealed_key(photon: &SimPhoton, plain: &[u8]) -> (String, String) {
    let exchanged: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let padding = 16 - plain.len() % 16;
    let mut text = [plain, &vec![u8::try_from(padding).unwrap(); padding]].concat();
    let (key, vector) = exchanged.split_at(16);
    let mut cipher = cbc::Encryptor::<Aes128>::new_from_slices(key, vector).unwrap();
    for block in text.chunks_exact_mut(16) {
        cipher.encrypt_block(block.try_into().unwrap());
    }
    (seal(photon, exchanged).await, hex(&text))
}

/// A DER sequence of so many bytes in all.
fn der(length: usize) -> Vec<u8> {
    let content = u16::try_from(length - 4).unwrap().to_be_bytes();
    [&[0x30, 0x82], &content[..], &vec![7; length - 4]].concat()
}

#[tokio::test]
async fn pass_phrases_are_opened_and_their_lengths_checked() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    for (length, result) in [(7, -4), (8, 0), (64, 0), (65, -4), (117, -4)] {
        let pwd = seal(&photon, "p".repeat(length)).await;
        let body = json!({ "idx": 0, "ssid": "Home", "sec": WPA2_AES, "ch": 6, "pwd": pwd });
        assert_eq!(configure(&photon, body).await, Some(result), "{length}");
    }
    // Upper-case digits are as good, and a NUL ends it.
    let pwd = seal(&photon, "correct horse\0battery").await.to_uppercase();
    let body = json!({ "ssid": "Home", "sec": WPA2_AES, "pwd": pwd });
    assert_eq!(configure(&photon, body).await, Some(0));
    assert_eq!(photon.state().saved[0].password.0, b"correct horse");
    // None at all.
    assert_eq!(configure(&photon, json!({ "ssid": "Home", "sec": WPA2_AES })).await, Some(-4));
}

#[tokio::test]
async fn what_was_sealed_for_another_device_or_not_at_all_is_refused() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    for (pwd, result) in [("ff".repeat(128), -17156), ("01".repeat(128), -16640)] {
        let body = json!({ "ssid": "Home", "sec": WPA2_AES, "pwd": pwd });
        assert_eq!(configure(&photon, body).await, Some(result));
    }
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn security_and_cipher_are_those_of_the_scan() {
    let photon = SimPhoton::start(among(&["Home:WPA_TKIP", "Cafe:NONE"])).unwrap();
    let pwd = seal(&photon, "correct horse").await;
    let body = json!({ "ssid": "Home", "sec": WPA2_AES, "ch": 300, "pwd": pwd });
    assert_eq!(configure(&photon, body).await, Some(0));
    let saved = photon.state().saved.remove(0);
    assert_eq!((saved.security, saved.cipher), (Security::Wpa, Some(Cipher::Tkip)));
    assert_eq!(last_effect(&photon)["security"], 3);
    assert_eq!(last_effect(&photon)["channel"], 300 - 256);
    // An open one needs no pass phrase then.
    assert_eq!(configure(&photon, json!({ "ssid": "Cafe", "sec": WPA2_AES })).await, Some(0));
    assert_eq!(photon.state().saved[0].security, Security::Open);
}

#[tokio::test]
async fn what_the_scan_does_not_show_is_refused_unless_it_is_open_or_wep() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES"])).unwrap();
    let pwd = seal(&photon, "0102030405").await;
    for (ssid, sec, result) in [
        ("Hidden", WPA2_AES, -2),
        ("Hidden", WPA2_ENTERPRISE, -2),
        ("Hidden", 1, 0),
        ("Hidden", 0x8001, 0),
        ("Hidden", 0, 0),
        ("Home", 8, -2),
        ("", WPA2_AES, -3),
        ("", 0, -3),
        (&"s".repeat(33), 0, -3),
        (&"s".repeat(32), 0, 0),
    ] {
        let body = json!({ "ssid": ssid, "sec": sec, "pwd": pwd });
        assert_eq!(configure(&photon, body).await, Some(result), "{ssid} {sec}");
    }
}

#[tokio::test]
async fn security_left_out_saves_an_open_network_that_a_secured_one_does_not_take() {
    let photon = SimPhoton::start(among(&["Home:WPA2_AES:6:-50:correct horse"])).unwrap();
    let pwd = seal(&photon, "correct horse").await;
    assert_eq!(configure(&photon, json!({ "ssid": "Home", "pwd": pwd })).await, Some(0));
    ask_tcp(&photon, "connect-ap", "").await;
    photon.wait_for(|state| !state.softap_http.open).await;
    assert_eq!(photon.state().saved[0].security, Security::Open);
}

#[tokio::test]
async fn wep_keys_are_hex_digits() {
    let photon = SimPhoton::start(among(&["Old:WEP:1:-50:abcde"])).unwrap();
    for (key, result) in [("abcd", -4), ("6162636465", 0)] {
        let pwd = seal(&photon, key).await;
        assert_eq!(configure(&photon, json!({ "ssid": "Old", "sec": 1, "pwd": pwd })).await, Some(result));
    }
    assert_eq!(photon.state().saved[0].password.0, b"abcde");
    ask_http(&photon, "/connect-ap", "{}").await;
    photon.wait_for(|state| state.online).await;
}

#[tokio::test]
async fn escapes_stay_in_names_and_raw_bytes_arrive() {
    let photon = SimPhoton::start(among(&[])).unwrap();
    let body = r#"{"ssid":"a\"b\\","sec":0,"ii":"\/"}"#;
    assert_eq!(ask_tcp(&photon, "configure-ap", body).await, br#"{"r":0}"#);
    assert_eq!(photon.state().saved[0].ssid, br#"a\"b\\"#);
    assert_eq!(last_effect(&photon)["inner_identity"], r"\/");
    let body = [br#"{"ssid":"Caf"#, &b"\xe9"[..], br#"","sec":0}"#].concat();
    assert_eq!(ask_tcp(&photon, "configure-ap", body).await, br#"{"r":0}"#);
    assert_eq!(photon.state().saved[0].ssid, b"Caf\xe9");
}

#[tokio::test]
async fn whatever_is_not_understood_refuses_the_whole_command() {
    let photon = SimPhoton::start(among(&[])).unwrap();
    for body in [
        json!({ "ssid": "Home", "sec": "0" }),
        json!({ "ssid": "Home", "pwd": null }),
        json!({ "ssid": "Home", "password": "x" }),
        json!({ "ssid": 1 }),
        json!({ "ssid": ["Home"] }),
    ] {
        assert_eq!(configure(&photon, body).await, None);
    }
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn peap_wants_a_user_and_a_password() {
    let photon = SimPhoton::start(among(&["Corp:WPA2_802.1x"])).unwrap();
    let pwd = seal(&photon, "secret").await;
    for (eap, user, result) in
        [(25, "ivan", 0), (25, "", 1), (25, &*"u".repeat(65), 1), (7, "ivan", 1), (0, "", 0)]
    {
        let body = json!({
            "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": eap, "ii": user, "oi": "anonymous", "pwd": pwd,
            "ca": CERTIFICATE,
        });
        assert_eq!(configure(&photon, body).await, Some(result), "{eap} {user}");
    }
    let body = json!({ "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": 25, "ii": "ivan" });
    assert_eq!(configure(&photon, body).await, Some(1));
    let body = json!({
        "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": 25, "ii": "ivan", "pwd": pwd, "ca": "c".repeat(4096),
    });
    assert_eq!(configure(&photon, body).await, Some(1));
}

#[tokio::test]
async fn eap_tls_takes_a_key_in_der_and_refuses_one_in_pem() {
    let photon = SimPhoton::start(among(&["Corp:WPA2_802.1x"])).unwrap();
    let pem = b"-----BEGIN RSA PRIVATE KEY-----\nMAMCAQE=\n-----END RSA PRIVATE KEY-----\n".to_vec();
    let cut = der(600)[..500].to_vec();
    for (plain, result) in [(der(1216), 0), (der(1536), 0), (der(1537), 1), (pem, 1), (Vec::new(), 1)] {
        let (ek, key) = sealed_key(&photon, &plain).await;
        let body = json!({
            "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": 13, "crt": CERTIFICATE, "ek": ek, "key": key,
        });
        assert_eq!(configure(&photon, body).await, Some(result), "{} bytes", plain.len());
    }
    // The firmware looks at the length that the head tells, not at what there is.
    let (ek, key) = sealed_key(&photon, &cut).await;
    let body = json!({
        "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": 13, "crt": CERTIFICATE, "ek": ek, "key": key,
    });
    assert_eq!(configure(&photon, body).await, Some(0));
    assert_eq!(photon.state().saved[0].password.0, b"1");
}

#[tokio::test]
async fn eap_tls_wants_certificate_key_and_what_opens_it() {
    let photon = SimPhoton::start(among(&["Corp:WPA2_802.1x"])).unwrap();
    let whole = |key: &str, ek: Option<&str>, crt: &str| {
        let mut body = json!({ "ssid": "Corp", "sec": WPA2_ENTERPRISE, "eap": 13, "crt": crt, "key": key });
        if let Some(ek) = ek {
            body["ek"] = json!(ek);
        }
        body
    };
    let (ek, key) = sealed_key(&photon, &der(300)).await;
    assert_eq!(configure(&photon, whole(&key, None, CERTIFICATE)).await, Some(1));
    assert_eq!(configure(&photon, whole(&key, Some(&ek), CERTIFICATE)).await, Some(0));
    let effect = last_effect(&photon);
    // The padding stays.
    assert_eq!(effect["private_key"].as_str().unwrap().chars().count(), 304);
    assert_eq!(effect["client_certificate"], CERTIFICATE);
    // What opened the last one does not open the next: its vector has moved on.
    assert_eq!(configure(&photon, whole(&key, None, CERTIFICATE)).await, Some(1));
    for (crt, result) in [("", 1), ("no certificate", 1), (&format!("{CERTIFICATE:-<4094}"), 0)] {
        assert_eq!(configure(&photon, whole(&key, Some(&ek), crt)).await, Some(result));
    }
    assert_eq!(configure(&photon, whole(&key, Some(&ek), &format!("{CERTIFICATE:-<4095}"))).await, Some(1));
    let ruined = whole(&key, Some(&ek), CERTIFICATE).to_string().replace(r"\n", r"\u000a");
    assert_eq!(ask_http(&photon, "/configure-ap", ruined).await, br#"{"r":1}"#);
    // An `ek` for another device makes nonsense of the key, and that is what is complained of.
    assert_eq!(configure(&photon, whole(&key, Some(&"01".repeat(128)), CERTIFICATE)).await, Some(1));
}

#[tokio::test]
async fn before_0_7_nothing_is_looked_at_and_security_is_stored_as_it_was_sent() {
    let firmware = FirmwareVersion::new(0, 6, 4);
    let config = PhotonConfig { firmware, ..among(&["Home:WPA2_AES:6:-50:correct horse"]) };
    let photon = SimPhoton::start(config.clone()).unwrap();
    let pwd = seal(&photon, "correct horse").await;
    for (ssid, sec) in [("Hidden", WPA2_AES), ("Home", 0x0020_0002)] {
        let body = json!({ "idx": 0, "ssid": ssid, "sec": sec, "ch": 6, "pwd": pwd });
        assert_eq!(configure(&photon, body).await, Some(0));
    }
    let saved = photon.state().saved.remove(0);
    assert_eq!((saved.security, saved.cipher), (Security::Wpa, Some(Cipher::Tkip)));
    assert_eq!(last_effect(&photon)["security"], 0x0020_0002);
    let enterprise = json!({ "ssid": "Home", "sec": WPA2_ENTERPRISE, "eap": 25 });
    assert_eq!(configure(&photon, enterprise).await, None);
    let long = seal(&photon, "p".repeat(66)).await;
    assert_eq!(configure(&photon, json!({ "ssid": "Home", "pwd": long })).await, Some(-17408));

    // A network that it was told wrong about does not let it in.
    let photon = SimPhoton::start(PhotonConfig {
        relisten_delay: std::time::Duration::from_millis(1),
        ..config.clone()
    })
    .unwrap();
    let pwd = seal(&photon, "correct horse").await;
    let told = |sec: i32| json!({ "ssid": "Home", "sec": sec, "pwd": pwd });
    configure(&photon, told(0x0040_0002)).await;
    ask_http(&photon, "/connect-ap", "{}").await;
    photon.wait_for(|state| !state.softap_http.open).await;
    photon.wait_for(|state| state.softap_http.open).await;
    configure(&photon, told(WPA2_AES)).await;
    ask_http(&photon, "/connect-ap", "{}").await;
    photon.wait_for(|state| state.online).await;
}
