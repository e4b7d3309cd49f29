//! Sealing what only the device may read, for SoftAP's open network.
//!
//! Source: Device OS `hal/src/photon/softap.cpp`. The device hands out a 1,024-bit RSA key; a pass
//! phrase goes under it with PKCS#1 v1.5 padding. A private key is too long for that: it goes under
//! AES-128-CBC with PKCS#7 padding, whose random key and initial vector go under RSA. All in hex. The
//! seal keeps a listener out, not an impostor: whoever gave the key can read what was sealed.
//!
//! Nothing here opens a seal; only the simulated Photon can.

use aes::Aes128;
use cbc::{
    Encryptor,
    cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7},
};
use rsa::{
    Pkcs1v15Encrypt, RsaPublicKey,
    pkcs8::{DecodePublicKey, der},
    rand_core::{OsRng, RngCore},
    traits::PublicKeyParts,
};
use zeroize::Zeroizing;

/// Why nothing can be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The device's answer is not a key.
    #[error("the device's public key is not an RSA key in hexadecimal DER")]
    NotAKey,
    /// It is one of another size.
    #[error("the device's public key has {0} bits, and a Photon's has 1024")]
    KeySize(usize),
    /// More than one RSA block holds.
    #[error("{0} bytes are too many to seal: 117 is the most")]
    TooLong(usize),
    /// The operating system gave no random bytes, or the key cannot be used.
    #[error("sealing failed")]
    Failed,
}

/// The public key of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKey(RsaPublicKey);

/// A private key under AES, and the AES key under RSA; both in hex, as `key` and `ek` go to
/// `configure-ap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// 16 bytes of key and 16 of initial vector, sealed.
    pub ek: String,
    /// The private key.
    pub key: String,
}

impl DeviceKey {
    /// The size of the one kind of key that devices have, in bytes.
    const SIZE: usize = 128;
    /// What PKCS#1 v1.5 leaves of it for the message.
    const ROOM: usize = Self::SIZE - 11;

    /// Takes the `b` of the answer to `public-key`: a SubjectPublicKeyInfo in DER, of which the DER
    /// itself says how long it is, and zeros to 294 bytes.
    pub fn from_hex(hex: &str) -> Result<Self, SealError> {
        // 294 bytes; anything much longer is no answer of a Photon.
        let bytes = Some(hex).filter(|hex| hex.len() <= 4096).ok_or(SealError::NotAKey)?;
        let bytes = base16ct::mixed::decode_vec(bytes).map_err(|_| SealError::NotAKey)?;
        let key = RsaPublicKey::from_public_key_der(first_der(&bytes).ok_or(SealError::NotAKey)?)
            .map_err(|_| SealError::NotAKey)?;
        match key.n().bits() {
            bits if bits.div_ceil(8) == Self::SIZE => Ok(Self(key)),
            bits => Err(SealError::KeySize(bits)),
        }
    }

    /// A pass phrase, as `pwd` goes to `configure-ap`.
    pub fn seal(&self, secret: &[u8]) -> Result<String, SealError> {
        if secret.len() > Self::ROOM {
            return Err(SealError::TooLong(secret.len()));
        }
        let sealed = self.0.encrypt(&mut OsRng, Pkcs1v15Encrypt, secret).map_err(|_| SealError::Failed)?;
        Ok(base16ct::lower::encode_string(&sealed))
    }

    /// A private key, in DER or PEM.
    pub fn seal_private_key(&self, private_key: &[u8]) -> Result<SealedKey, SealError> {
        let mut once = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *once).map_err(|_| SealError::Failed)?;
        let (key, iv) = once.split_at(16);
        let aes = Encryptor::<Aes128>::new_from_slices(key, iv).map_err(|_| SealError::Failed)?;
        let sealed = aes.encrypt_padded_vec::<Pkcs7>(private_key);
        Ok(SealedKey { ek: self.seal(&*once)?, key: base16ct::lower::encode_string(&sealed) })
    }
}

/// The first DER value in these bytes, without what follows it.
fn first_der(bytes: &[u8]) -> Option<&[u8]> {
    use der::{Decode, Encode, Header, SliceReader};
    let mut reader = SliceReader::new(bytes).ok()?;
    let header = Header::decode(&mut reader).ok()?;
    let length = (header.encoded_len().ok()? + header.length).ok()?;
    bytes.get(..usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rsa::pkcs8::EncodePublicKey;

    use super::{
        super::{
            openssl::{openssl, openssl_text},
            recorded,
        },
        *,
    };
    use crate::model::{KeyKind, KeyPacking, PrivateKey};

    /// A key as the device tells it, and the file OpenSSL opens its seals with.
    fn device() -> (DeviceKey, tempfile::NamedTempFile) {
        let private = openssl(&["genrsa", "1024"], b"");
        let der = openssl(&["pkey", "-pubout", "-outform", "DER"], &private);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, private).unwrap();
        (DeviceKey::from_hex(&padded(&der)).unwrap(), file)
    }

    fn padded(der: &[u8]) -> String {
        let mut bytes = der.to_vec();
        bytes.resize(294, 0);
        base16ct::upper::encode_string(&bytes)
    }

    fn openssl_opens(hex: &str, key: &tempfile::NamedTempFile) -> Vec<u8> {
        let sealed = base16ct::lower::decode_vec(hex).unwrap();
        openssl(&["pkeyutl", "-decrypt", "-inkey", key.path().to_str().unwrap()], &sealed)
    }

    #[test]
    fn openssl_opens_any_pass_phrase_that_we_seal() {
        let (key, file) = device();
        for secret in [&b"correct horse"[..], &[0xff; 64], "Grüße ☕".as_bytes(), &[7; 117], b"x"] {
            let sealed = key.seal(secret).unwrap();
            assert_eq!(sealed.len(), 256);
            assert_eq!(openssl_opens(&sealed, &file), secret);
        }
        assert_ne!(key.seal(b"twice").unwrap(), key.seal(b"twice").unwrap());
        assert_eq!(key.seal(&[7; 118]), Err(SealError::TooLong(118)));
    }

    #[test]
    fn what_openssl_seals_under_our_reading_of_the_key_the_device_opens() {
        let private = recorded::private_key();
        let answer = padded(private.to_public_key().to_public_key_der().unwrap().as_bytes());
        let DeviceKey(public) = DeviceKey::from_hex(&answer).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, public.to_public_key_der().unwrap().as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let sealed =
            openssl(&["pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", path], b"correct horse");
        assert_eq!(private.decrypt(Pkcs1v15Encrypt, &sealed).unwrap(), b"correct horse");
    }

    #[test]
    fn openssl_opens_private_keys_of_every_kind_and_packing() {
        let (device_key, file) = device();
        let rsa = openssl_text(&["genrsa", "-traditional", "2048"], "");
        let ec = openssl_text(&["ecparam", "-name", "prime256v1", "-genkey"], "");
        let topk8 = ["pkcs8", "-topk8", "-nocrypt"];
        for (pem, packing, kind) in [
            (rsa.clone(), KeyPacking::Pkcs1, KeyKind::Rsa(2048)),
            (openssl_text(&topk8, &rsa), KeyPacking::Pkcs8, KeyKind::Rsa(2048)),
            (ec.clone(), KeyPacking::Sec1, KeyKind::Ec(256)),
            (openssl_text(&topk8, &ec), KeyPacking::Pkcs8, KeyKind::Ec(256)),
        ] {
            for text in [pem.clone(), pem.replace('\n', "\r\n")] {
                let key = PrivateKey::parse(&text).unwrap();
                assert_eq!((key.packing(), key.kind()), (packing, kind));
                assert!(pem.ends_with(key.pem().as_str()), "OpenSSL writes PEM the same way");
                assert!(!format!("{key:?}").contains(pem.lines().nth(2).unwrap()));
                for plain in [key.der(), key.pem().as_bytes()] {
                    let sealed = device_key.seal_private_key(plain).unwrap();
                    let once = openssl_opens(&sealed.ek, &file);
                    let [aes, iv] = [&once[..16], &once[16..]].map(base16ct::lower::encode_string);
                    let bytes = base16ct::lower::decode_vec(&sealed.key).unwrap();
                    let opened = openssl(&["enc", "-d", "-aes-128-cbc", "-K", &aes, "-iv", &iv], &bytes);
                    assert_eq!(opened, plain);
                }
                // OpenSSL finds the same key in the DER.
                let public = ["pkey", "-inform", "DER", "-pubout"];
                assert_eq!(openssl(&public, key.der()), openssl(&["pkey", "-pubout"], pem.as_bytes()));
            }
        }
    }

    #[test]
    fn recorded_seals_open_to_what_the_device_then_saved() {
        let private = recorded::private_key();
        let mut opened = 0;
        for scenario in recorded::softap() {
            let request: String =
                scenario["send"].as_array().unwrap().iter().filter_map(|s| s.as_str()).collect();
            let saved = scenario["effects"][0]["password_hex"].as_str();
            let (Some((_, rest)), Some(saved)) = (request.split_once("\"pwd\":\""), saved) else { continue };
            let sealed = base16ct::mixed::decode_vec(rest.split('"').next().unwrap()).unwrap();
            let password = private.decrypt(Pkcs1v15Encrypt, &sealed).unwrap();
            assert_eq!(base16ct::lower::encode_string(&password), saved, "{}", scenario["name"]);
            opened += 1;
        }
        assert!(opened >= 4, "{opened}");
    }

    #[test]
    fn hostile_keys_are_refused() {
        let big = openssl(&["pkey", "-pubout", "-outform", "DER"], &openssl(&["genrsa", "2048"], b""));
        assert_eq!(DeviceKey::from_hex(&base16ct::lower::encode_string(&big)), Err(SealError::KeySize(2048)));
        let ec = openssl(&["ecparam", "-name", "prime256v1", "-genkey"], b"");
        let ec = openssl(&["pkey", "-pubout", "-outform", "DER"], &ec);
        let private = recorded::private_key();
        let good = padded(private.to_public_key().to_public_key_der().unwrap().as_bytes());
        for bad in [
            "",
            "3",
            "zz",
            &"00".repeat(294),
            &"ff".repeat(294),
            "3084ffffffff",
            &"30".repeat(1_000_000),
            &good[..300],
            &padded(&ec),
            &good.replacen("0203010001", "0203000000", 1),
        ] {
            assert_eq!(DeviceKey::from_hex(bad), Err(SealError::NotAKey), "{}", &bad[..bad.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_reading_the_key_fail(change in 0..162usize, byte in any::<u8>()) {
            let private = recorded::private_key();
            let mut der = private.to_public_key().to_public_key_der().unwrap().into_vec();
            der[change] = byte;
            let _ = DeviceKey::from_hex(&padded(&der));
        }
    }
}
