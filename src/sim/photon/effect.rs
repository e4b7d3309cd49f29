use std::fmt;

use serde::{Serialize, Serializer};

use super::{Cipher, Security};

/// Bytes that somebody typed and that may be a secret: `Debug` hides them, JSON shows them as Latin-1
/// characters, as in the recordings.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed(pub Vec<u8>);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed([{} bytes])", self.0.len())
    }
}

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|&b| char::from(b)).collect::<String>())
    }
}

/// Something that the board did for good, in the shape of the recordings in `fixtures/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Effect {
    /// A claim code was stored.
    ClaimCode {
        /// The code.
        code: Typed,
        /// What SoftAP answered to it; the console has no such number.
        #[serde(skip_serializing_if = "Option::is_none")]
        r: Option<i32>,
    },
    /// Wi-Fi credentials were saved, or refused, over the console.
    Credentials {
        /// The network's name in lower-case hex.
        ssid_hex: String,
        /// The pass phrase; `null` when none was given.
        password: Option<Typed>,
        /// How the network is secured.
        security: Security,
        /// The cipher, where one was asked for or seen.
        cipher: Option<Cipher>,
        /// 0 none, 13 EAP-TLS, 25 PEAP.
        eap_type: u8,
        /// The user name within the tunnel.
        inner_identity: Option<Typed>,
        /// The user name outside the tunnel.
        outer_identity: Option<Typed>,
        /// Bytes of DER, 0 when none was understood.
        client_certificate_len: usize,
        /// Bytes of DER, 0 when none was understood.
        private_key_len: usize,
        /// Bytes of DER, 0 when none was understood.
        ca_certificate_len: usize,
        /// 0 for saved, else the firmware's reason.
        result: i32,
    },
    /// Wi-Fi credentials were saved, or refused, over SoftAP. Those that could not be opened never come
    /// this far.
    WlanSetCredentials {
        /// The network's name in lower-case hex.
        ssid_hex: String,
        /// The pass phrase, where one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<Typed>,
        /// The same in lower-case hex.
        #[serde(skip_serializing_if = "Option::is_none")]
        password_hex: Option<Typed>,
        /// The firmware's number: 0 open, 1 WEP, 2 WPA, 3 WPA2, 4 and 5 the same with 802.1x, 255 unknown.
        /// Before 0.7, what the client sent.
        security: i32,
        /// Always 0: SoftAP leaves the cipher to the scan.
        cipher: u8,
        /// The channel.
        channel: u8,
        /// 0 none, 13 EAP-TLS, 25 PEAP.
        eap_type: u8,
        /// The user name within the tunnel.
        #[serde(skip_serializing_if = "Option::is_none")]
        inner_identity: Option<Typed>,
        /// The user name outside the tunnel.
        #[serde(skip_serializing_if = "Option::is_none")]
        outer_identity: Option<Typed>,
        /// The client's certificate, where one was understood.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_certificate: Option<Typed>,
        /// The opened private key with its padding, where one was understood.
        #[serde(skip_serializing_if = "Option::is_none")]
        private_key: Option<Typed>,
        /// The root certificate, where one was given.
        #[serde(skip_serializing_if = "Option::is_none")]
        ca_certificate: Option<Typed>,
        /// 0 for saved, else the firmware's reason.
        result: i32,
    },
    /// `connect-ap`: listening mode ended over SoftAP.
    ConnectAp,
    /// Listening mode ended.
    ListenEnd {
        /// Why.
        reason: ListenEnd,
    },
}

/// Why listening mode ended over the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenEnd {
    /// `x`.
    Exit,
    /// The Wi-Fi dialogue is through.
    Credentials,
}
