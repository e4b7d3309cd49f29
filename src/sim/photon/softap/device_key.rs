use std::{fmt, str::FromStr, sync::LazyLock};

use rsa::{
    BigUint, Pkcs1v15Encrypt, RsaPrivateKey,
    pkcs8::EncodePublicKey,
    traits::{PrivateKeyParts, PublicKeyParts},
};

use crate::{model::Invalid, sim::photon::hex};

/// Bytes of a 1024-bit number.
const SIZE: usize = 128;
/// What the device reads from flash for its public key, of which the DER fills the beginning
/// (`EXTERNAL_FLASH_SERVER_PUBLIC_KEY_LENGTH`).
const PUBLIC_KEY_LENGTH: usize = 294;

/// What the firmware answers to a text that cannot be opened: its number is larger than the key's
/// (`MBEDTLS_ERR_RSA_PRIVATE_FAILED` and `MBEDTLS_ERR_MPI_BAD_INPUT_DATA`).
const TOO_LARGE: i32 = -0x4304;
/// Or there is no pass phrase in it (`MBEDTLS_ERR_RSA_INVALID_PADDING`).
const INVALID_PADDING: i32 = -0x4100;

/// The RSA key of a simulated Photon, 1024 bits as on every Photon. Written as PKCS#1 DER, in hex where
/// text is wanted. `Debug` hides it.
#[derive(Clone)]
pub struct DeviceKey {
    private: RsaPrivateKey,
    public_der: Vec<u8>,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey([hidden])")
    }
}

impl DeviceKey {
    /// Reads PKCS#1 DER, also as Photons write it themselves: with a zero before every number, needed or
    /// not (`init_rsa_context_with_private_key`).
    ///
    /// # Errors
    ///
    /// Anything else than an RSA key of 1024 bits.
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, Invalid> {
        let invalid =
            || Invalid { what: "a device key", why: "is an RSA key of 1024 bits in PKCS#1 DER".into() };
        let numbers = numbers(der).ok_or_else(invalid)?;
        let [_version, n, e, d, p, q, ..] = &numbers[..] else { return Err(invalid()) };
        let [n, e, d, p, q] = [n, e, d, p, q].map(|number| BigUint::from_bytes_be(number));
        let mut private = RsaPrivateKey::from_components(n, e, d, vec![p, q]).map_err(|_| invalid())?;
        private.precompute().map_err(|_| invalid())?;
        let public = private.to_public_key().to_public_key_der().map_err(|_| invalid())?;
        let public_der = public.into_vec();
        if private.size() != SIZE || public_der.len() > PUBLIC_KEY_LENGTH {
            return Err(invalid());
        }
        Ok(Self { private, public_der })
    }

    /// The key that every simulated Photon has unless it is given another: the throw-away key of the
    /// recordings. A key of its own for each would take longer to make than everything else that it does.
    pub fn of_the_recordings() -> Self {
        static KEY: LazyLock<DeviceKey> = LazyLock::new(|| {
            let recorded = include_str!("../../../../fixtures/softap-2.3.1.key.json");
            let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap_or_default();
            let hex = recorded["private_key_der"].as_str().unwrap_or_default();
            // The file is part of the program, and a test reads it.
            hex.parse().expect("the recorded key is one")
        });
        KEY.clone()
    }

    /// `SubjectPublicKeyInfo` DER, padded with zeros as the device gives it out.
    pub(super) fn padded_public_der(&self) -> Vec<u8> {
        let mut padded = self.public_der.clone();
        padded.resize(PUBLIC_KEY_LENGTH, 0);
        padded
    }

    /// Opens what was sealed with the public key and written in hex (`decrypt` of `softap.cpp`,
    /// `decrypt_rsa`); or the number that the firmware answers. The real device fills up what is too short
    /// with whatever lies in its memory, this one with zeros; of what is too long it reads the beginning.
    pub(super) fn open(&self, text: &[u8]) -> Result<Vec<u8>, i32> {
        let mut sealed = hex::decode(text);
        sealed.resize(SIZE, 0);
        if BigUint::from_bytes_be(&sealed) >= *self.private.n() {
            return Err(TOO_LARGE);
        }
        self.private.decrypt(Pkcs1v15Encrypt, &sealed).map_err(|_| INVALID_PADDING)
    }
}

impl PartialEq for DeviceKey {
    fn eq(&self, other: &Self) -> bool {
        self.private.d() == other.private.d()
    }
}

impl FromStr for DeviceKey {
    type Err = Invalid;

    fn from_str(hex: &str) -> Result<Self, Invalid> {
        let hex: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        Self::from_pkcs1_der(&hex::decode(&hex))
    }
}

/// The numbers of an ASN.1 sequence of numbers. Strict readers do not take what a Photon writes.
fn numbers(der: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut content, _) = value(der, 0x30)?;
    let mut numbers = Vec::new();
    while !content.is_empty() {
        let (number, rest) = value(content, 0x02)?;
        numbers.push(number);
        content = rest;
    }
    Some(numbers)
}

/// A value with this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_key_is_read_and_its_public_half_padded_as_recorded() {
        let key = DeviceKey::of_the_recordings();
        let public = key.padded_public_der();
        assert_eq!((key.public_der.len(), public.len()), (162, 294));
        assert_eq!(public[..4], [0x30, 0x81, 0x9f, 0x30]);
        assert!(!format!("{key:?}").contains('1'));
    }

    #[test]
    fn other_things_are_no_device_keys() {
        for bad in ["", "30", "zz", "-----BEGIN RSA PRIVATE KEY-----"] {
            assert!(bad.parse::<DeviceKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_not_sealed_is_refused_with_the_firmwares_number() {
        let key = DeviceKey::of_the_recordings();
        assert_eq!(key.open(b"correct horse"), Err(-17156));
        assert_eq!(key.open(&b"ff".repeat(128)), Err(-17156));
        assert_eq!(key.open(&b"12".repeat(128)), Err(-16640));
        assert_eq!(key.open(b""), Err(-16640));
    }
}
