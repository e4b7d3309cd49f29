//! The firmware's own recordings, for tests.

use rsa::{BigUint, RsaPrivateKey, pkcs8::EncodePublicKey};
use serde_json::Value;

use super::seal::DeviceKey;

/// The scenarios of SoftAP.
pub fn softap() -> Vec<Value> {
    lines(include_str!("../../fixtures/softap-2.3.1.jsonl"))
}

/// The scenarios of the console.
pub fn console() -> Vec<Value> {
    lines(include_str!("../../fixtures/console-2.3.1.jsonl"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The bytes of a recorded text: one for each character.
pub fn bytes(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// What opens the seals in the SoftAP recordings.
pub fn private_key() -> RsaPrivateKey {
    let key: Value = serde_json::from_str(include_str!("../../fixtures/softap-2.3.1.key.json")).unwrap();
    let der = base16ct::mixed::decode_vec(key["private_key_der"].as_str().unwrap()).unwrap();
    // PKCS#1 as the firmware writes it: with zeros before numbers that need none, which strict readers
    // of DER refuse. So the numbers are taken by hand: version, n, e, d, p, q and more.
    let mut rest = &der[4..];
    let mut numbers = Vec::new();
    while let [0x02, length, after @ ..] = rest {
        let (length, after) = match length {
            0x81 => (after[0], &after[1..]),
            _ => (*length, after),
        };
        let (number, after) = after.split_at(length.into());
        numbers.push(BigUint::from_bytes_be(number));
        rest = after;
    }
    let numbers: [BigUint; 9] = numbers.try_into().unwrap();
    let [_, n, e, d, p, q, ..] = numbers;
    RsaPrivateKey::from_components(n, e, d, vec![p, q]).unwrap()
}

/// The public half of it, as the device tells it.
pub fn device_key() -> DeviceKey {
    let der = private_key().to_public_key().to_public_key_der().unwrap();
    DeviceKey::from_hex(&base16ct::upper::encode_string(der.as_bytes())).unwrap()
}
