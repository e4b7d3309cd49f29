use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

use crate::{
    cloud::RootCertificates,
    model::{DeviceId, FirmwareVersion, Invalid, Platform},
};

use super::{DeviceKey, LeftIn, Network, PhotonFault, versions::Quirks};

/// How a simulated Photon left the factory, and what its surroundings are.
#[derive(Debug, Clone)]
pub struct PhotonConfig {
    /// Its id.
    pub device_id: DeviceId,
    /// Photon or P1.
    pub platform: Platform,
    /// Device OS, from 0.4.9 to 3.3.1, releases only.
    pub firmware: FirmwareVersion,
    /// The factory's serial number, on boards that have one. Firmware before 1.1.0 does not tell it.
    pub serial_number: Option<String>,
    /// The address of the simulated cloud's API; without it connecting and claiming succeed by themselves.
    pub cloud_url: Option<Url>,
    /// Whom it trusts to sign that cloud's certificate, where it speaks TLS.
    pub cloud_roots: Option<RootCertificates>,
    /// A symbolic link that follows the port when it comes back under another name.
    pub link: Option<PathBuf>,
    /// Where it answers HTTP as an access point, if it does; port 0 for any that is free.
    pub softap_http: Option<SocketAddr>,
    /// Where it answers SoftAP's TCP protocol, likewise.
    pub softap_tcp: Option<SocketAddr>,
    /// Its RSA key, for SoftAP; without one, [`DeviceKey::of_the_recordings`].
    pub device_key: Option<DeviceKey>,
    /// The board's own claimed bit.
    pub claimed: bool,
    /// It is plugged in in listening mode. If not, and no Wi-Fi is known, it runs user firmware that
    /// does not connect by itself.
    pub listening: bool,
    /// A network that it can join is in its flash.
    pub wifi_known: bool,
    /// What its scan finds.
    pub networks: Vec<Network>,
    /// The radio's address.
    pub mac: [u8; 6],
    /// From the end of listening mode to the session with the cloud.
    pub connect_delay: Duration,
    /// From the session to the claim code being presented: online, and not owned yet.
    pub claim_delay: Duration,
    /// From the end of listening mode, or from a failed connection, to listening again.
    pub relisten_delay: Duration,
    /// How long a scan takes.
    pub scan_delay: Duration,
    /// How long each byte takes to arrive.
    pub byte_latency: Duration,
    /// How long it takes to store a claim code.
    pub flash_delay: Duration,
    /// What the cloud begins once the board has shown its claim code.
    pub update: Option<FirmwareUpdate>,
    /// What goes wrong.
    pub faults: Vec<PhotonFault>,
    /// Where somebody left its console. Needs `listening`.
    pub left_in: Option<LeftIn>,
}

/// A firmware update over the air: magenta, and then a restart. One that is cut off by a restart or by
/// SETUP begins anew at the next session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareUpdate {
    /// How long it takes.
    pub takes: Duration,
    /// The board keeps the firmware that it has, and its session.
    pub fails: bool,
}

impl FromStr for FirmwareUpdate {
    type Err = Invalid;

    /// Milliseconds, with `:fails` behind them for one that does.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (takes, fails) = match text.strip_suffix(":fails") {
            Some(takes) => (takes, true),
            None => (text, false),
        };
        let invalid = |_| Invalid { what: "a firmware update", why: "looks like 3000 or 3000:fails".into() };
        Ok(Self { takes: Duration::from_millis(takes.parse().map_err(invalid)?), fails })
    }
}

/// A simulated Photon that there cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Nothing is known of this firmware.
    #[error("only firmware 0.4.9 to 3.3.1, releases only, can be simulated, not {0}")]
    UnknownFirmware(String),
    /// Photon and P1 only.
    #[error("only platforms 6 (Photon) and 8 (P1) can be simulated, not {0}")]
    UnknownPlatform(u16),
    /// This firmware, or a board that is not listening, has no such place.
    #[error("the console cannot have been left there by this firmware, or outside listening mode")]
    NoSuchPlace,
}

impl PhotonConfig {
    /// A new Photon with firmware 2.3.1: listening, unclaimed, without Wi-Fi, every delay small.
    pub fn new(device_id: DeviceId) -> Self {
        Self {
            device_id,
            platform: Platform::Photon,
            firmware: FirmwareVersion::new(2, 3, 1),
            serial_number: None,
            cloud_url: None,
            cloud_roots: None,
            link: None,
            softap_http: None,
            softap_tcp: None,
            device_key: None,
            claimed: false,
            listening: true,
            wifi_known: false,
            networks: Vec::new(),
            mac: [0x6c, 0x0b, 0x84, 0x44, 0x1f, 0x0e],
            connect_delay: Duration::from_millis(5),
            claim_delay: Duration::from_millis(5),
            relisten_delay: Duration::from_millis(50),
            scan_delay: Duration::from_millis(1),
            byte_latency: Duration::ZERO,
            flash_delay: Duration::ZERO,
            update: None,
            faults: Vec::new(),
            left_in: None,
        }
    }

    /// The same board, knowing Wi-Fi and as slow as a real one: some 8 to 10 s from the console's first
    /// byte to its claim. How slow depends on its place among others; the first is the slowest.
    #[must_use]
    pub fn realistic(self, place: usize) -> Self {
        // 0 to 1; neighbours differ.
        let quicker = (place * 89 % 200) as f64 / 200.0;
        let spread = |slow: f64, quick: f64| Duration::from_secs_f64(slow - (slow - quick) * quicker);
        Self {
            wifi_known: true,
            byte_latency: Duration::from_millis(10),
            flash_delay: spread(0.3, 0.1),
            connect_delay: spread(7.0, 5.5),
            claim_delay: spread(1.5, 0.5),
            ..self
        }
    }

    pub(super) fn check(&self) -> Result<Quirks, InvalidConfig> {
        let quirks = Quirks::of(&self.firmware)
            .ok_or_else(|| InvalidConfig::UnknownFirmware(self.firmware.to_string()))?;
        if let Platform::Other(id) = self.platform {
            return Err(InvalidConfig::UnknownPlatform(id));
        }
        match &self.left_in {
            Some(place) if !self.listening || !place.exists_in(&self.firmware) => {
                Err(InvalidConfig::NoSuchPlace)
            }
            _ => Ok(quirks),
        }
    }
}
