//! What a wire cannot carry intact is refused before anything is sent.
//!
//! Both wires take more than they keep: lines and claim codes are cut, escapes are not undone, bytes
//! mean something else on the way. Sources: Device OS `system/src/system_setup.cpp`,
//! `wiring/src/spark_wiring_stream.cpp` (console), `hal/src/photon/softap.cpp` (SoftAP) and
//! `hal/src/photon/wlan_hal.cpp` (both).

use std::fmt;

use zeroize::Zeroizing;

use super::console::{Reader, Said};
use crate::model::{Certificates, Enterprise, FirmwareVersion, WifiAccess, WifiCredentials, WifiSecurity};

/// A way to a device in setup mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The listening-mode console over USB.
    Console,
    /// The device's own access point.
    SoftAp,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Console => "the USB console",
            Self::SoftAp => "SoftAP",
        })
    }
}

/// These credentials would not arrive as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wire} cannot carry these credentials: {why}{}", match elsewhere {
    Some(wire) => format!("; {wire} can"),
    None => String::new(),
})]
pub struct CannotCarry {
    /// The wire that was asked.
    pub wire: Wire,
    /// What is in the way. Holds no secret.
    pub why: String,
    /// The other wire, if it would carry them.
    pub elsewhere: Option<Wire>,
}

/// The first firmware that knows enterprise networks, on either wire.
const FIRST_WITH_ENTERPRISE: FirmwareVersion = FirmwareVersion::new(0, 7, 0);

/// What the device has room for, in bytes: `wlan_hal.cpp` and `platform_dct.h`. A certificate is kept
/// as text with its NUL, and one that fills its place exactly is lost without a word.
const CERTIFICATES: usize = 4094;
/// As text with CR LF line ends, which the console makes of ours.
const KEY_AS_PEM: usize = 2046;
/// Three quarters of the 2 KiB that a PEM key has.
const KEY_AS_DER: usize = 1536;

/// Refuses what the console of a device (with this firmware, if it is known) would not keep as it is.
pub fn check_for_console(
    credentials: &WifiCredentials,
    firmware: Option<&FirmwareVersion>,
) -> Result<(), CannotCarry> {
    check(credentials, firmware, (Wire::Console, console_objection), (Wire::SoftAp, softap_objection))
}

/// Refuses what SoftAP of a device (with this firmware, if it is known) would not keep as it is.
pub fn check_for_softap(
    credentials: &WifiCredentials,
    firmware: Option<&FirmwareVersion>,
) -> Result<(), CannotCarry> {
    check(credentials, firmware, (Wire::SoftAp, softap_objection), (Wire::Console, console_objection))
}

type Objection = fn(&WifiCredentials) -> Option<String>;

fn check(
    credentials: &WifiCredentials,
    firmware: Option<&FirmwareVersion>,
    (wire, objection): (Wire, Objection),
    (other, others_objection): (Wire, Objection),
) -> Result<(), CannotCarry> {
    if let Some(why) = device_objection(credentials, firmware) {
        return Err(CannotCarry { wire, why, elsewhere: None });
    }
    match objection(credentials) {
        None => Ok(()),
        Some(why) => {
            let elsewhere = others_objection(credentials).is_none().then_some(other);
            Err(CannotCarry { wire, why, elsewhere })
        }
    }
}

/// What the device itself would refuse or cut, by any wire.
fn device_objection(credentials: &WifiCredentials, firmware: Option<&FirmwareVersion>) -> Option<String> {
    let too_long = |what, length| Some(format!("the {what} has {length} bytes, and the device keeps 64"));
    match credentials.access() {
        WifiAccess::Open => None,
        WifiAccess::Shared(passphrase) => {
            let (least, most) = match credentials.security() {
                Some(WifiSecurity::Wep) => (5, 58),
                Some(_) => (8, 64),
                None => (5, 64),
            };
            let length = passphrase.expose().len();
            let what = if credentials.security() == Some(WifiSecurity::Wep) { "key" } else { "pass phrase" };
            (!(least..=most).contains(&length))
                .then(|| format!("the {what} has {length} bytes, and the device takes {least} to {most}"))
        }
        WifiAccess::Enterprise(_) if firmware.is_some_and(|version| *version < FIRST_WITH_ENTERPRISE) => {
            Some(format!("firmware before {FIRST_WITH_ENTERPRISE} knows no enterprise networks"))
        }
        WifiAccess::Enterprise(enterprise) => {
            let (Enterprise::Peap { outer_identity, .. } | Enterprise::Tls { outer_identity, .. }) =
                &**enterprise;
            let outer = outer_identity.as_deref().unwrap_or_default().len();
            match &**enterprise {
                Enterprise::Peap { username, .. } if username.is_empty() => {
                    Some("the user name is empty".into())
                }
                Enterprise::Peap { username, .. } if username.len() > 64 => {
                    too_long("user name", username.len())
                }
                Enterprise::Peap { password, .. } if password.expose().len() > 64 => {
                    too_long("password", password.expose().len())
                }
                _ if outer > 64 => too_long("outer identity", outer),
                _ => None,
            }
        }
    }
}

fn console_objection(credentials: &WifiCredentials) -> Option<String> {
    let (username, outer_identity) = identities(credentials);
    let password = match credentials.access() {
        WifiAccess::Open => &[],
        WifiAccess::Shared(passphrase) => passphrase.expose(),
        WifiAccess::Enterprise(enterprise) => match &**enterprise {
            Enterprise::Peap { password, .. } => password.expose(),
            Enterprise::Tls { .. } => &[],
        },
    };
    let lines = [
        ("the network's name", credentials.ssid().as_bytes()),
        ("the password", password),
        ("the user name", username.as_bytes()),
        ("the outer identity", outer_identity.as_bytes()),
    ];
    for (what, line) in lines {
        // NUL cuts a line, CR and LF end it, backspace and delete take a byte back.
        if line.iter().any(|b| matches!(b, 0 | b'\r' | b'\n' | 0x08 | 0x7f)) {
            return Some(format!("{what} holds a character that edits or ends a line there"));
        }
        if !echo_is_silent(line) {
            return Some(format!("{what} reads like the console's own words when it is echoed"));
        }
    }
    // Each line end is kept as CR LF.
    let kept = |pem: &str| pem.len() + pem.lines().count();
    sizes_objection(credentials, |pem| kept(pem.pem()), |key| (kept(&key.pem()), KEY_AS_PEM))
}

/// Whether nothing in the echo of this line could be taken for something that the device said.
fn echo_is_silent(line: &[u8]) -> bool {
    let mut reader = Reader::default();
    let said = line.iter().chain(b"\r\n").filter_map(|&byte| reader.feed(byte));
    said.into_iter().all(|said| matches!(said, Said::Line(_)))
}

fn softap_objection(credentials: &WifiCredentials) -> Option<String> {
    let (username, outer_identity) = identities(credentials);
    let texts = [
        ("the network's name", credentials.ssid().as_bytes()),
        ("the user name", username.as_bytes()),
        ("the outer identity", outer_identity.as_bytes()),
    ];
    for (what, text) in texts {
        // The device does not undo escapes in these.
        if text.iter().any(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)) {
            return Some(format!("{what} holds a quote, a backslash or a control character"));
        }
    }
    match credentials.access() {
        WifiAccess::Shared(key) if credentials.security() == Some(WifiSecurity::Wep) => {
            wep_digits(key.expose())
                .is_none()
                .then(|| "the WEP key is neither 5, 13, 16 or 29 characters nor hexadecimal digits".into())
        }
        WifiAccess::Shared(passphrase) if passphrase.expose().contains(&0) => {
            Some("the password holds a NUL, at which it would be cut".into())
        }
        WifiAccess::Enterprise(enterprise) => match &**enterprise {
            Enterprise::Peap { password, .. } if password.expose().contains(&0) => {
                Some("the password holds a NUL, at which it would be cut".into())
            }
            _ => sizes_objection(credentials, |pem| pem.pem().len(), |key| (key.der().len(), KEY_AS_DER)),
        },
        _ => None,
    }
}

/// The digits of a WEP key as the device wants them on SoftAP: it reads a key as hexadecimal always,
/// so one of characters (40, 104, 128 or 232 bits of them) has to be spelt out.
pub fn wep_digits(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match key.len() {
        5 | 13 | 16 | 29 => Some(Zeroizing::new(base16ct::lower::encode_string(key).into_bytes())),
        10..=58 if key.len().is_multiple_of(2) && key.iter().all(u8::is_ascii_hexdigit) => {
            Some(Zeroizing::new(key.to_vec()))
        }
        _ => None,
    }
}

/// The user name and the outer identity; empty where there is none.
fn identities(credentials: &WifiCredentials) -> (&str, &str) {
    let WifiAccess::Enterprise(enterprise) = credentials.access() else { return ("", "") };
    match &**enterprise {
        Enterprise::Peap { username, outer_identity, .. } => {
            (username, outer_identity.as_deref().unwrap_or_default())
        }
        Enterprise::Tls { outer_identity, .. } => ("", outer_identity.as_deref().unwrap_or_default()),
    }
}

/// What is too big, by a wire's own ways to count.
fn sizes_objection(
    credentials: &WifiCredentials,
    size: impl Fn(&Certificates) -> usize,
    key_size_and_room: impl Fn(&crate::model::PrivateKey) -> (usize, usize),
) -> Option<String> {
    let WifiAccess::Enterprise(enterprise) = credentials.access() else { return None };
    let (client, root, key) = match &**enterprise {
        Enterprise::Peap { root_ca, .. } => (None, root_ca.as_ref(), None),
        Enterprise::Tls { client_certificate, private_key, root_ca, .. } => {
            (Some(client_certificate), root_ca.as_ref(), Some(private_key))
        }
    };
    for (what, certificates) in [("client certificate", client), ("root certificate", root)] {
        if let Some(taken) = certificates.map(&size).filter(|size| *size > CERTIFICATES) {
            return Some(format!("the {what} takes {taken} bytes, and there is room for {CERTIFICATES}"));
        }
    }
    let key = key?;
    let (taken, room) = key_size_and_room(key);
    (taken > room).then(|| {
        format!("the private key ({}) takes {taken} bytes, and there is room for {room}", key.kind())
    })
}

#[cfg(test)]
mod tests {
    use super::{super::openssl::openssl_text, *};
    use crate::model::{Passphrase, Ssid};

    const BOTH: Option<Wire> = None;

    fn shared(ssid: impl AsRef<[u8]>, security: &str, password: impl AsRef<[u8]>) -> WifiCredentials {
        let access = WifiAccess::Shared(Passphrase::new(password).unwrap());
        WifiCredentials::new(Ssid::new(ssid).unwrap(), security.parse().ok(), None, access).unwrap()
    }

    fn from_json(json: serde_json::Value) -> WifiCredentials {
        WifiCredentials::from_json(&json.to_string(), |_| unreachable!()).unwrap()
    }

    fn peap(username: &str, outer_identity: &str) -> WifiCredentials {
        from_json(serde_json::json!({"network": "Corp", "eap": "peap", "username": username,
            "password": "secret-word", "outer_identity": outer_identity}))
    }

    fn tls(private_key: &str, certificate: &str) -> WifiCredentials {
        from_json(serde_json::json!({"network": "Corp", "eap": "tls",
            "client_certificate": certificate, "private_key": private_key}))
    }

    /// One that takes this many characters as PEM.
    fn certificate(length: usize) -> String {
        use base64::Engine;
        let text = |n| {
            let base64 = base64::engine::general_purpose::STANDARD.encode(vec![0x30; n]);
            let text = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
            Certificates::parse(&text).unwrap().pem().to_owned()
        };
        (1..).map(text).take_while(|pem| pem.len() <= length).last().unwrap()
    }

    #[test]
    fn what_a_wire_cannot_carry_is_refused_and_the_other_named() {
        use Wire::{Console, SoftAp};
        for (credentials, console, softap) in [
            (shared("Home", "WPA2_AES", "correct horse"), Ok(()), Ok(())),
            (shared("say \"hi\"", "WPA2_AES", "correct horse"), Ok(()), Err(Some(Console))),
            (shared("back\\slash", "WPA2_AES", "correct horse"), Ok(()), Err(Some(Console))),
            (shared("tab\t", "WPA2_AES", "correct horse"), Ok(()), Err(Some(Console))),
            (shared(b"caf\xe9", "WPA2_AES", "correct horse"), Ok(()), Ok(())),
            (shared("new\nline", "WPA2_AES", "correct horse"), Err(BOTH), Err(BOTH)),
            (shared("rubbed\u{7f}", "WPA2_AES", "correct horse"), Err(Some(SoftAp)), Ok(())),
            (shared("Home", "WPA2_AES", "back\u{8}space"), Err(Some(SoftAp)), Ok(())),
            (shared("Home", "WPA2_AES", "two\nlines"), Err(Some(SoftAp)), Ok(())),
            (shared("Home", "WPA2_AES", "nul\0inside"), Err(BOTH), Err(BOTH)),
            (shared("Home", "WPA2_AES", "7 bytes"), Err(BOTH), Err(BOTH)),
            (shared("Home", "WPA2_AES", "p".repeat(64)), Ok(()), Ok(())),
            (shared("Home", "WPA2_AES", "p".repeat(65)), Err(BOTH), Err(BOTH)),
            (shared("Home", "WPA2_AES", "the Password: is"), Err(Some(SoftAp)), Ok(())),
            (shared("Awesome. Now we'll connect!", "WPA2_AES", "correct horse"), Err(Some(SoftAp)), Ok(())),
            (shared("SSID: ", "WPA2_AES", "correct horse"), Err(Some(SoftAp)), Ok(())),
            (shared("Home", "WEP", "abcd"), Err(BOTH), Err(BOTH)),
            (shared("Home", "WEP", "abcde"), Ok(()), Ok(())),
            (shared("Home", "WEP", "abcdefg"), Ok(()), Err(Some(Console))),
            (shared("Home", "WEP", "0".repeat(58)), Ok(()), Ok(())),
            (shared("Home", "WEP", "0".repeat(59)), Err(BOTH), Err(BOTH)),
            (peap(&"u".repeat(64), ""), Ok(()), Ok(())),
            (peap(&"u".repeat(65), ""), Err(BOTH), Err(BOTH)),
            (peap("DOMAIN\\ivan", ""), Ok(()), Err(Some(Console))),
            (peap("ivan", "\"anonymous\""), Ok(()), Err(Some(Console))),
            (peap("ivan", &"o".repeat(65)), Err(BOTH), Err(BOTH)),
        ] {
            let elsewhere = |refused: CannotCarry| refused.elsewhere;
            assert_eq!(check_for_console(&credentials, None).map_err(elsewhere), console, "{credentials:?}");
            assert_eq!(check_for_softap(&credentials, None).map_err(elsewhere), softap, "{credentials:?}");
        }
    }

    #[test]
    fn keys_and_certificates_have_to_fit() {
        let rsa = |bits| openssl_text(&["genrsa", "-traditional", bits], "");
        let small = certificate(1000);
        assert_eq!(check_for_console(&tls(&rsa("2048"), &small), None), Ok(()));
        assert_eq!(check_for_softap(&tls(&rsa("2048"), &small), None), Ok(()));
        let big = tls(&rsa("3072"), &small);
        for refused in [check_for_console(&big, None), check_for_softap(&big, None)] {
            let refused = refused.unwrap_err();
            assert!(refused.why.contains("RSA-3072"), "{refused}");
            assert_eq!(refused.elsewhere, None);
        }
        // The console makes CR LF of line ends, so a certificate fits SoftAP only for a while.
        let ec = openssl_text(&["ecparam", "-name", "prime256v1", "-genkey"], "");
        let between = tls(&ec, &certificate(4094));
        assert_eq!(check_for_softap(&between, None), Ok(()));
        assert_eq!(check_for_console(&between, None).unwrap_err().elsewhere, Some(Wire::SoftAp));
        let too_big = tls(&ec, &certificate(4200));
        assert_eq!(check_for_softap(&too_big, None).unwrap_err().elsewhere, None);
    }

    #[test]
    fn old_firmware_knows_no_enterprise_networks() {
        let old = FirmwareVersion::new(0, 6, 4);
        assert!(check_for_console(&peap("ivan", ""), Some(&old)).is_err());
        assert!(check_for_softap(&peap("ivan", ""), Some(&FIRST_WITH_ENTERPRISE)).is_ok());
        assert!(check_for_console(&shared("Home", "WPA2_AES", "correct horse"), Some(&old)).is_ok());
    }

    #[test]
    fn refusals_read_well_and_hold_no_secret() {
        let refused = check_for_console(&shared("Home", "WPA2_AES", "hunter2\nhunter2"), None).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the USB console cannot carry these credentials: the password holds a character that edits or \
             ends a line there; SoftAP can"
        );
    }
}
