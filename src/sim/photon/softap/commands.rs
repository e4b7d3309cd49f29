use std::sync::{Arc, Mutex};

use super::{
    device_key::DeviceKey,
    json::{self, Kind},
    pieces::Pieces,
    scanner::Scanner,
    wiced,
    wire_state::Wire,
};
use crate::sim::photon::{Effect, faults::Faults, state::Device};

/// What both wires understand (`AllSoftAPCommands` of `softap.cpp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim::photon) enum Command {
    Version,
    DeviceId,
    ScanAp,
    ConfigureAp,
    ConnectAp,
    PublicKey,
    Set,
}

impl Command {
    pub(super) const ALL: [Self; 7] = [
        Self::Version,
        Self::DeviceId,
        Self::ScanAp,
        Self::ConfigureAp,
        Self::ConnectAp,
        Self::PublicKey,
        Self::Set,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::DeviceId => "device-id",
            Self::ScanAp => "scan-ap",
            Self::ConfigureAp => "configure-ap",
            Self::ConnectAp => "connect-ap",
            Self::PublicKey => "public-key",
            Self::Set => "set",
        }
    }

    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name().as_bytes() == name)
    }

    /// Only these look at what follows; of the others it is never read.
    pub(super) fn reads_a_body(self) -> bool {
        matches!(self, Self::ConfigureAp | Self::Set)
    }
}

/// One time of listening over SoftAP: what both wires share. Gone with the access point.
pub(super) struct Session {
    pub(super) device: Arc<Device>,
    pub(super) key: DeviceKey,
    pub(super) scanner: Scanner,
    /// The key and the vector that the last `ek` has brought. They stay for the next request.
    pub(super) exchanged: Mutex<Option<[u8; 32]>>,
    /// What goes wrong with its answers; outlives it.
    pub(super) faults: Arc<Mutex<Faults>>,
}

/// The highest speed of a network, in kbit/s: that of every 802.11n network of one antenna.
const DATA_RATE: i32 = 72_200;

const SET_KEYS: &[(&str, Kind)] = &[("k", Kind::String), ("v", Kind::String)];
/// `SetValueCommand::assign` keeps one less than `MAX_KEY_LEN` and `MAX_VALUE_LEN`.
const SET_KEY_LENGTH: usize = 2;
const SET_VALUE_LENGTH: usize = 63;

impl Session {
    /// Obeys, and answers; a request that is refused while it is parsed gets an empty answer.
    pub(super) async fn execute(&self, command: Command, body: &[u8], wire: Wire) -> Pieces {
        let mut out = Pieces::default();
        match command {
            Command::Version => {
                out.write(r#"{"v":2}"#);
            }
            Command::DeviceId => {
                let claimed = if self.device.state().claimed { "1" } else { "0" };
                let id = self.device.id.as_str().to_uppercase();
                out.write("{").string("id", id).write(",").string("c", claimed).write("}");
            }
            Command::ScanAp => {
                self.scanner.scan(&self.device, wire).await;
                self.tell_networks(&mut out);
            }
            Command::PublicKey => {
                out.write("{").write(r#""b":""#);
                for byte in self.key.padded_public_der() {
                    let digits = format!("{byte:02X}");
                    out.write(&digits[..1]).write(&digits[1..]);
                }
                out.write("\"").write(",").number("r", 0).write("}");
            }
            Command::Set => {
                if let Some(fields) = json::fields(body, SET_KEYS) {
                    return Pieces::result(self.set(&fields));
                }
            }
            Command::ConfigureAp => {
                if let Some(result) = self.configure(body, wire).await {
                    return Pieces::result(result);
                }
            }
            Command::ConnectAp => {
                self.device.change(|state| state.effects.push(Effect::ConnectAp));
                return Pieces::result(0);
            }
        }
        out
    }

    /// Networks without a name are left out; names are C strings.
    fn tell_networks(&self, out: &mut Pieces) {
        out.write(r#"{"scans":["#);
        let mut first = true;
        for network in &self.device.networks {
            let name = network.ssid.split(|&byte| byte == 0).next().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if !first {
                out.write(",");
            }
            first = false;
            out.write("{").string("ssid", name).write(",");
            out.number("rssi", network.rssi.into()).write(",");
            out.number("sec", wiced::number(network.security, network.cipher)).write(",");
            out.number("ch", network.channel.into()).write(",");
            out.number("mdr", DATA_RATE).write("}");
        }
        out.write("]}");
    }

    /// Of a key or a value that comes twice the last counts.
    fn set(&self, fields: &[(usize, &[u8])]) -> i32 {
        let last = |key, most: usize| {
            let value =
                fields.iter().rev().find(|(place, _)| *place == key).map_or(&[][..], |(_, value)| value);
            &value[..value.len().min(most)]
        };
        let (key, value) = (last(0, SET_KEY_LENGTH), last(1, SET_VALUE_LENGTH));
        if key != b"cc" || value.is_empty() {
            return -1;
        }
        self.device.set_claim_code(value, Some(0));
        0
    }
}
