use std::{fmt, str::FromStr};

use super::Invalid;

/// A device id: 24 hexadecimal digits, kept in lower case (SoftAP reports upper case).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct DeviceId(String);

impl DeviceId {
    /// Takes 24 hexadecimal digits of either case and nothing else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() != 24 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Invalid { what: "a device id", why: "has 24 hexadecimal digits".into() });
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Lower-case hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DeviceId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

/// What kind of board it is; the number is the cloud's `platform_id` and the low byte of the USB
/// product id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// 6, USB 2b04:c006.
    Photon,
    /// 8, USB 2b04:c008.
    P1,
    /// Anything else that Particle makes.
    Other(u16),
}

impl Platform {
    /// From the cloud's `platform_id`, or the `p` of the console's `s`.
    pub fn from_id(id: u16) -> Self {
        match id {
            6 => Self::Photon,
            8 => Self::P1,
            other => Self::Other(other),
        }
    }

    /// The cloud's `platform_id`.
    pub fn id(self) -> u16 {
        match self {
            Self::Photon => 6,
            Self::P1 => 8,
            Self::Other(id) => id,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Photon => f.write_str("Photon"),
            Self::P1 => f.write_str("P1"),
            Self::Other(10) => f.write_str("Electron"),
            Self::Other(12) => f.write_str("Argon"),
            Self::Other(13) => f.write_str("Boron"),
            Self::Other(32) => f.write_str("Photon 2"),
            Self::Other(id) => write!(f, "platform {id}"),
        }
    }
}

/// A Device OS version such as `2.3.1` or `1.0.0-rc.2`; pre-releases come before their release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareVersion {
    numbers: [u16; 3],
    pre: Option<String>,
}

impl FirmwareVersion {
    /// A release.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { numbers: [major, minor, patch], pre: None }
    }

    /// Three numbers with dots, then optionally a hyphen and letters, digits, dots or hyphens.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid { what: "a firmware version", why: "looks like 2.3.1 or 1.0.0-rc.2".into() };
        let (numbers, pre) = match text.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre.to_owned())),
            None => (text, None),
        };
        if let Some(pre) = &pre
            && (pre.is_empty() || !pre.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)))
        {
            return Err(invalid());
        }
        let mut parts = numbers.split('.');
        let mut next = || {
            let part = parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|p| p.parse().ok()).ok_or_else(invalid)
        };
        let numbers = [next()?, next()?, next()?];
        if parts.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { numbers, pre })
    }
}

impl PartialOrd for FirmwareVersion {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FirmwareVersion {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let pre = |v: &Self| (v.pre.is_none(), v.pre.clone());
        self.numbers.cmp(&other.numbers).then_with(|| pre(self).cmp(&pre(other)))
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        match &self.pre {
            Some(pre) => write!(f, "-{pre}"),
            None => Ok(()),
        }
    }
}

impl serde::Serialize for FirmwareVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a board says of itself. What its wire cannot tell is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id; every wire tells it.
    pub id: DeviceId,
    /// From the USB product id or the console's `s`.
    pub platform: Option<Platform>,
    /// From the console's `v`.
    pub firmware: Option<FirmwareVersion>,
    /// The device's own bit, set after a claim code has reached the cloud; a new code does not
    /// change it. Firmware before 0.6.0 cannot tell it over USB.
    pub claimed: Option<bool>,
    /// Six lower-case hex pairs with colons.
    pub mac: Option<String>,
    /// The factory's serial number, on boards that have one.
    pub serial_number: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_normalised_to_lower_case() {
        assert_eq!(DeviceId::parse("3B0035000D47343432313031").unwrap().as_str(), "3b0035000d47343432313031");
        for bad in [
            "",
            "00000000050C",
            "3b0035000d4734343231303",
            "3b0035000d473434323130311",
            "zb0035000d47343432313031",
        ] {
            assert!(DeviceId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_releases_follow_their_candidates() {
        let v = |t: &str| FirmwareVersion::parse(t).unwrap();
        assert!(v("0.4.9") < v("0.6.0"));
        assert!(v("0.10.0") > v("0.6.0"));
        assert!(v("0.6.0-rc.1") < v("0.6.0"));
        assert!(v("1.0.0-rc.1") > v("0.6.0"));
        assert_eq!(v("2.3.1").to_string(), "2.3.1");
        for bad in ["", "2.3", "2.3.1.4", "v2.3.1", "2.3.x", "2.3.1-", "+2.3.1", "2..1"] {
            assert!(FirmwareVersion::parse(bad).is_err(), "{bad}");
        }
    }
}
