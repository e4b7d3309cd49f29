use std::{fmt, str::FromStr};

use crate::model::Invalid;

/// How a Wi-Fi network is secured; the order is that of the console's menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// No security.
    Open,
    /// WEP.
    Wep,
    /// WPA with a pass phrase.
    Wpa,
    /// WPA2 with a pass phrase.
    Wpa2,
    /// WPA with 802.1x.
    WpaEnt,
    /// WPA2 with 802.1x.
    Wpa2Ent,
}

impl Security {
    pub(super) const MENU: [Self; 6] =
        [Self::Open, Self::Wep, Self::Wpa, Self::Wpa2, Self::WpaEnt, Self::Wpa2Ent];

    /// WPA and WPA2 of either kind need to know their cipher.
    pub(super) fn has_cipher(self) -> bool {
        !matches!(self, Self::Open | Self::Wep)
    }

    pub(super) fn is_enterprise(self) -> bool {
        matches!(self, Self::WpaEnt | Self::Wpa2Ent)
    }
}

/// What a network encrypts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cipher {
    /// AES.
    Aes,
    /// TKIP.
    Tkip,
    /// Both.
    #[serde(rename = "aes+tkip")]
    AesTkip,
}

impl Cipher {
    pub(super) const MENU: [Self; 3] = [Self::Aes, Self::Tkip, Self::AesTkip];
}

/// A Wi-Fi network within the simulated board's reach.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    /// The name: 1 to 32 bytes of any kind.
    pub ssid: Vec<u8>,
    /// How it is secured.
    pub security: Security,
    /// The cipher that the scan reports; `None` when it does not tell.
    pub cipher: Option<Cipher>,
    /// The channel, from 1.
    pub channel: u8,
    /// Signal strength in dBm.
    pub rssi: i8,
    /// The pass phrase that the access point wants; `None` takes any.
    pub passphrase: Option<Vec<u8>>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("ssid", &String::from_utf8_lossy(&self.ssid))
            .field("security", &self.security)
            .field("cipher", &self.cipher)
            .field("channel", &self.channel)
            .field("rssi", &self.rssi)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Reads `SSID:WPA2_AES[:CHANNEL[:RSSI[:PASSPHRASE]]]`, the security as in Particle's own Wi-Fi files; a
    /// bare `WPA`, `WPA2` or `WEP` is a network whose cipher the scan does not tell. SSID and pass phrase are
    /// bytes of any kind, and `%XX` in them is a byte.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a network", why: why.into() };
        let mut parts = text.as_ref().splitn(5, |byte| *byte == b':');
        let ssid = unescape(parts.next().unwrap_or_default()).ok_or_else(|| invalid("has %XX for a byte"))?;
        if ssid.is_empty() || ssid.len() > 32 || ssid.contains(&0) {
            return Err(invalid("has an SSID of 1 to 32 bytes without NUL"));
        }
        let (security, cipher) = match parts.next().unwrap_or_default() {
            b"NONE" => (Security::Open, None),
            b"WEP" => (Security::Wep, None),
            b"WPA" => (Security::Wpa, None),
            b"WPA_AES" => (Security::Wpa, Some(Cipher::Aes)),
            b"WPA_TKIP" => (Security::Wpa, Some(Cipher::Tkip)),
            b"WPA_AES+TKIP" => (Security::Wpa, Some(Cipher::AesTkip)),
            b"WPA2" => (Security::Wpa2, None),
            b"WPA2_AES" => (Security::Wpa2, Some(Cipher::Aes)),
            b"WPA2_TKIP" => (Security::Wpa2, Some(Cipher::Tkip)),
            b"WPA2_AES+TKIP" => (Security::Wpa2, Some(Cipher::AesTkip)),
            b"WPA_802.1x" => (Security::WpaEnt, Some(Cipher::Aes)),
            b"WPA2_802.1x" => (Security::Wpa2Ent, Some(Cipher::Aes)),
            _ => return Err(invalid("looks like SSID:WPA2_AES:6:-52, with NONE, WEP, WPA… or WPA2…")),
        };
        let channel = number(parts.next().unwrap_or(b"6"));
        let rssi = number(parts.next().unwrap_or(b"-50"));
        let passphrase = parts.next().map(|p| unescape(p).ok_or_else(|| invalid("has %XX for a byte")));
        Ok(Self {
            ssid,
            security,
            cipher,
            channel: channel.ok_or_else(|| invalid("has a channel from 0 to 255"))?,
            rssi: rssi.ok_or_else(|| invalid("has a signal strength in dBm, such as -52"))?,
            passphrase: passphrase.transpose()?,
        })
    }
}

impl FromStr for Network {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        out.push(if byte == b'%' {
            let digit = |b: Option<&u8>| char::from(*b?).to_digit(16);
            u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
        } else {
            byte
        });
    }
    Some(out)
}

/// What a scan tells of a network by name, byte for byte; of several the last seen counts
/// (`system_setup.cpp`, the scan's callback).
pub(super) fn seen<'a>(networks: &'a [Network], ssid: &[u8]) -> Option<&'a Network> {
    networks.iter().rev().find(|n| n.ssid == ssid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_from_its_text_form() {
        let n: Network = "Caf%C3%A9%3A1:WPA2_AES+TKIP:11:-71:a:b%25".parse().unwrap();
        assert_eq!(n.ssid, "Café:1".as_bytes());
        assert_eq!((n.security, n.cipher), (Security::Wpa2, Some(Cipher::AesTkip)));
        assert_eq!((n.channel, n.rssi), (11, -71));
        assert_eq!(n.passphrase.as_deref(), Some(&b"a:b%"[..]));
        assert!(!format!("{n:?}").contains("a:b"));
    }

    #[test]
    fn a_name_and_a_pass_phrase_may_be_bytes_of_any_kind() {
        let n = Network::parse(b"caf\xe9:WPA2_AES:6:-50:\xff\xfe%00").unwrap();
        assert_eq!((n.ssid, n.passphrase), (b"caf\xe9".to_vec(), Some(b"\xff\xfe\0".to_vec())));
        assert!(Network::parse(b"a:\xff").is_err() && Network::parse(b"a:NONE:\xff").is_err());
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for bad in
            ["", ":NONE", "a", "a:WPA3", "a:NONE:x", "a:NONE:1:x", "%4:NONE", "%00:NONE", &"s".repeat(40)]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
