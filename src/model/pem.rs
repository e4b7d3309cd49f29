use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use rsa::{
    pkcs1,
    pkcs8::{self, ObjectIdentifier},
};
use zeroize::Zeroizing;

use super::{Invalid, guard};

/// id-ecPublicKey of RFC 5480.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// One or more X.509 certificates. Only their frame is checked; the device reads the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificates {
    pem: String,
    count: usize,
}

impl Certificates {
    /// Takes every `CERTIFICATE` of a PEM text, with line ends of any kind and text around them.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a certificate", why: why.into() };
        let mut pem = String::new();
        let mut count = 0;
        for block in blocks(text).map_err(invalid)? {
            if block.label == "CERTIFICATE" {
                pem.push_str(&armour(block.label, &block.der));
                count += 1;
            }
        }
        match count {
            0 => Err(invalid("is PEM text with BEGIN CERTIFICATE")),
            _ => Ok(Self { pem, count }),
        }
    }

    /// PEM with lines of 64 characters, each ended by LF, and nothing around the certificates.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({})", self.count)
    }
}

/// How a private key is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPacking {
    /// `BEGIN RSA PRIVATE KEY`.
    Pkcs1,
    /// `BEGIN PRIVATE KEY`.
    Pkcs8,
    /// `BEGIN EC PRIVATE KEY`.
    Sec1,
}

impl KeyPacking {
    const fn label(self) -> &'static str {
        match self {
            Self::Pkcs1 => "RSA PRIVATE KEY",
            Self::Pkcs8 => "PRIVATE KEY",
            Self::Sec1 => "EC PRIVATE KEY",
        }
    }
}

/// What kind of key it is, and its size in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The size of the modulus.
    Rsa(usize),
    /// The size of the curve, in whole bytes.
    Ec(usize),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::Ec(bits) => write!(f, "EC-{bits}"),
        }
    }
}

/// A client's private key. Cannot be printed.
#[derive(Clone)]
pub struct PrivateKey {
    packing: KeyPacking,
    kind: KeyKind,
    der: Zeroizing<Vec<u8>>,
}

impl PrivateKey {
    /// Takes the one private key of a PEM text, with line ends of any kind and other things around
    /// it. Encrypted keys are refused: the device has no way to ask for their pass phrase.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a private key", why: why.into() };
        let mut found = None;
        for block in blocks(text).map_err(invalid)? {
            let packing = match block.label {
                "RSA PRIVATE KEY" => KeyPacking::Pkcs1,
                "PRIVATE KEY" => KeyPacking::Pkcs8,
                "EC PRIVATE KEY" => KeyPacking::Sec1,
                "ENCRYPTED PRIVATE KEY" => return Err(invalid(ENCRYPTED)),
                _ => continue,
            };
            if found.replace((packing, block.der)).is_some() {
                return Err(invalid("stands alone in its text, here are several"));
            }
        }
        let (packing, der) =
            found.ok_or_else(|| invalid("is PEM text with BEGIN (RSA or EC) PRIVATE KEY"))?;
        let kind = kind_of(packing, &der).ok_or_else(|| invalid("is an RSA or EC key, whole and plain"))?;
        let key = Self { packing, kind, der };
        // The console echoes the key line by line.
        key.pem().lines().for_each(guard);
        Ok(key)
    }

    /// RSA or EC, and how big.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// How the DER is packed.
    pub fn packing(&self) -> KeyPacking {
        self.packing
    }

    /// The key itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM with lines of 64 characters, each ended by LF.
    pub fn pem(&self) -> Zeroizing<String> {
        armour(self.packing.label(), &self.der)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, [redacted])", self.kind)
    }
}

fn kind_of(packing: KeyPacking, der: &[u8]) -> Option<KeyKind> {
    match packing {
        KeyPacking::Pkcs1 => {
            let key = pkcs1::RsaPrivateKey::try_from(der).ok()?;
            // Leading zeros are no part of a modulus here, so only its first byte can be narrower.
            let modulus = key.modulus.as_bytes();
            Some(KeyKind::Rsa(modulus.len() * 8 - modulus.first()?.leading_zeros() as usize))
        }
        KeyPacking::Sec1 => {
            let key = sec1::EcPrivateKey::try_from(der).ok()?;
            Some(KeyKind::Ec(key.private_key.len() * 8))
        }
        KeyPacking::Pkcs8 => {
            let info = pkcs8::PrivateKeyInfo::try_from(der).ok()?;
            match info.algorithm.oid {
                pkcs1::ALGORITHM_OID => kind_of(KeyPacking::Pkcs1, info.private_key),
                EC => kind_of(KeyPacking::Sec1, info.private_key),
                _ => None,
            }
        }
    }
}

const ENCRYPTED: &str = "comes unencrypted: the device cannot ask for its pass phrase";

struct Block<'a> {
    label: &'a str,
    der: Zeroizing<Vec<u8>>,
}

/// The blocks of a PEM text, whatever its line ends and line lengths.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or("has a BEGIN line that ends in five hyphens")?;
        let (body, after) = body
            .split_once(&format!("-----END {label}-----"))
            .ok_or("has an END line for each BEGIN line")?;
        if body.contains("ENCRYPTED") {
            return Err(ENCRYPTED);
        }
        let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
        base64.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
        let der = STANDARD.decode(&*base64).map_err(|_| "is base64 between BEGIN and END")?;
        found.push(Block { label, der: Zeroizing::new(der) });
        rest = after;
    }
    Ok(found)
}

fn armour(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    // Room for everything at once, so that growing leaves no copy behind.
    let mut pem = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / 64 + 80));
    let mut rest = &base64[..];
    pem.extend(["-----BEGIN ", label, "-----\n"]);
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.extend([line, "\n"]);
        rest = more;
    }
    pem.extend(["-----END ", label, "-----\n"]);
    pem
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n-----END CERTIFICATE-----\n";

    #[test]
    fn line_ends_and_surrounding_text_make_no_difference() {
        let wild = format!(
            "subject=/CN=x\r\n{}\r\n\r\n-----BEGIN CERTIFICATE-----\rMAUC\rAQECAQI=\r-----END CERTIFICATE-----",
            CERTIFICATE.replace('\n', "\r\n")
        );
        assert_eq!(Certificates::parse(&wild).unwrap().pem(), CERTIFICATE.repeat(2));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for bad in [
            "",
            "/etc/ssl/cert.pem",
            "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n",
            "-----BEGIN CERTIFICATE-----\nMAU\u{8}CAQECAQI=\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nMAUCAQECAQI=\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(Certificates::parse(bad).is_err(), "{bad}");
            assert!(PrivateKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn encrypted_keys_are_refused_by_name() {
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMAUCAQECAQI=\n-----END RSA PRIVATE KEY-----";
        let new =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAUCAQECAQI=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for text in [old, new] {
            assert!(PrivateKey::parse(text).unwrap_err().to_string().contains("unencrypted"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_fail(text in "(-----(BEGIN|END) (EC PRIVATE KEY|CERTIFICATE)-----|[ -~\r\n]{0,9}){0,9}") {
            let _ = Certificates::parse(&text);
            let _ = PrivateKey::parse(&text);
        }

        #[test]
        fn what_was_armoured_is_found_again(der in proptest::collection::vec(any::<u8>(), 1..300)) {
            let pem = armour("X", &der);
            prop_assert!(pem.lines().all(|line| line.len() <= 64));
            prop_assert_eq!(&*blocks(&pem).unwrap()[0].der, &der);
        }
    }
}
