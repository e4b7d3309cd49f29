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

impl FromStr for Network {
    type Err = Invalid;

    /// `SSID:WPA2_AES[:CHANNEL[:RSSI[:PASSPHRASE]]]`, the security as in Particle's own Wi-Fi files; a
    /// bare `WPA`, `WPA2` or `WEP` is a network whose cipher the scan does not tell. `%XX` in SSID or
    /// pass phrase is a byte.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a network", why: why.into() };
        let mut parts = text.splitn(5, ':');
        let ssid = unescape(parts.next().unwrap_or_default()).ok_or_else(|| invalid("has %XX for a byte"))?;
        if ssid.is_empty() || ssid.len() > 32 || ssid.contains(&0) {
            return Err(invalid("has an SSID of 1 to 32 bytes without NUL"));
        }
        let (security, cipher) = match parts.next().unwrap_or_default() {
            "NONE" => (Security::Open, None),
            "WEP" => (Security::Wep, None),
            "WPA" => (Security::Wpa, None),
            "WPA_AES" => (Security::Wpa, Some(Cipher::Aes)),
            "WPA_TKIP" => (Security::Wpa, Some(Cipher::Tkip)),
            "WPA_AES+TKIP" => (Security::Wpa, Some(Cipher::AesTkip)),
            "WPA2" => (Security::Wpa2, None),
            "WPA2_AES" => (Security::Wpa2, Some(Cipher::Aes)),
            "WPA2_TKIP" => (Security::Wpa2, Some(Cipher::Tkip)),
            "WPA2_AES+TKIP" => (Security::Wpa2, Some(Cipher::AesTkip)),
            "WPA_802.1x" => (Security::WpaEnt, Some(Cipher::Aes)),
            "WPA2_802.1x" => (Security::Wpa2Ent, Some(Cipher::Aes)),
            _ => return Err(invalid("looks like SSID:WPA2_AES:6:-52, with NONE, WEP, WPA… or WPA2…")),
        };
        let channel = parts.next().unwrap_or("6").parse();
        let rssi = parts.next().unwrap_or("-50").parse();
        let passphrase = parts.next().map(|p| unescape(p).ok_or_else(|| invalid("has %XX for a byte")));
        Ok(Self {
            ssid,
            security,
            cipher,
            channel: channel.map_err(|_| invalid("has a channel from 0 to 255"))?,
            rssi: rssi.map_err(|_| invalid("has a signal strength in dBm, such as -52"))?,
            passphrase: passphrase.transpose()?,
        })
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        out.push(if byte == b'%' {
            let digit = |b: Option<u8>| char::from(b?).to_digit(16);
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
    fn what_is_not_a_network_is_refused() {
        for bad in
            ["", ":NONE", "a", "a:WPA3", "a:NONE:x", "a:NONE:1:x", "%4:NONE", "%00:NONE", &"s".repeat(40)]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
