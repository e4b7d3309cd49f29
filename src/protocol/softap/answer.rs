use std::fmt;

use serde_json::Value;

use super::super::seal::{DeviceKey, SealError};
use crate::model::{DeviceId, ScannedNetwork, Ssid, WifiSecurity};

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// 404: no such command, or a header that the device's server takes amiss; 500: no slot is free.
    #[error("the device answered with HTTP status {0}")]
    Status(u16),
    /// What answers is no HTTP server.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// What answers is no Photon's TCP server.
    #[error("the answer is not SoftAP's")]
    NotSoftAp,
    /// No Photon says so much.
    #[error("the answer is too long")]
    TooLong,
    /// The connection was closed within the answer.
    #[error("the device closed the connection before the end of its answer")]
    CutShort,
    /// The connection was closed before any answer; over TCP that means an unknown command, too.
    #[error("the device closed the connection without an answer")]
    Nothing,
    /// The body is not what the command's answers look like.
    #[error("the answer to {0} cannot be understood")]
    NotUnderstood(&'static str),
    /// The public key cannot be used.
    #[error(transparent)]
    Key(#[from] SealError),
}

/// The answer to `device-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdAnswer {
    /// The id.
    pub id: DeviceId,
    /// The device's own bit, set once a claim code has reached the cloud.
    pub claimed: Option<bool>,
}

/// The `r` of an answer. What a number means depends on the command; none has two that clash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultCode {
    /// 0.
    Done,
    /// No `r` at all: the device refused the request while it parsed it, and did nothing.
    NotParsed,
    /// -1 of `set`: an empty code, or a key other than `cc`.
    NothingToSet,
    /// -2: the network is not in the device's own scan, or its security is unknown to it.
    NotSeen,
    /// -3: the SSID is empty or too long.
    SsidLength,
    /// -4: the pass phrase, or WEP key, is too short or too long for this network.
    PassphraseLength,
    /// 1: enterprise credentials are incomplete or not understood.
    EnterpriseIncomplete,
    /// -16640 and -17156 of mbedTLS: what was sealed could not be opened.
    NotOpened,
    /// Any other number.
    Other(i64),
}

impl ResultCode {
    fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Done,
            -1 => Self::NothingToSet,
            -2 => Self::NotSeen,
            -3 => Self::SsidLength,
            -4 => Self::PassphraseLength,
            1 => Self::EnterpriseIncomplete,
            -16640 | -17156 => Self::NotOpened,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::NotParsed => "the device could not parse the request, and did nothing",
            Self::NothingToSet => "the device was given nothing to set",
            Self::NotSeen => "the device does not see this network, or does not know its kind of security",
            Self::SsidLength => "the device says that the network's name is empty or too long",
            Self::PassphraseLength => "the device says that the pass phrase is too short or too long",
            Self::EnterpriseIncomplete => "the device did not understand the enterprise credentials",
            Self::NotOpened => "the device could not open what was sealed for it",
            Self::Other(number) => return write!(f, "the device answered with the unknown result {number}"),
        })
    }
}

/// The body of an answer, from either framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply(Vec<u8>);

impl Reply {
    pub(super) fn new(body: Vec<u8>) -> Self {
        Self(body)
    }

    /// The bytes themselves.
    pub fn body(&self) -> &[u8] {
        &self.0
    }

    /// The protocol's version; 2 on every Photon.
    pub fn version(&self) -> Result<u64, AnswerError> {
        let version = self.json().and_then(|json| json.get("v")?.as_u64());
        version.ok_or(AnswerError::NotUnderstood("version"))
    }

    /// Which device it is.
    pub fn device_id(&self) -> Result<DeviceIdAnswer, AnswerError> {
        let answer = self.json().and_then(|json| {
            let id = DeviceId::parse(json.get("id")?.as_str()?).ok()?;
            let claimed = match json.get("c").and_then(Value::as_str) {
                Some("1") => Some(true),
                Some("0") => Some(false),
                _ => None,
            };
            Some(DeviceIdAnswer { id, claimed })
        });
        answer.ok_or(AnswerError::NotUnderstood("device-id"))
    }

    /// The key to seal secrets with.
    pub fn public_key(&self) -> Result<DeviceKey, AnswerError> {
        let json = self.json().filter(|json| json.get("r") == Some(&Value::from(0)));
        let key = json.as_ref().and_then(|json| json.get("b")?.as_str());
        Ok(DeviceKey::from_hex(key.ok_or(AnswerError::NotUnderstood("public-key"))?)?)
    }

    /// The networks that the device sees, in its order.
    pub fn scan(&self) -> Result<Vec<ScannedNetwork>, AnswerError> {
        let networks = networks(&self.0).or_else(|| networks_in_json(&self.json()?));
        networks.ok_or(AnswerError::NotUnderstood("scan-ap"))
    }

    /// What came of `set`, `configure-ap` or `connect-ap`.
    pub fn result(&self) -> Result<ResultCode, AnswerError> {
        if self.0.is_empty() {
            return Ok(ResultCode::NotParsed);
        }
        let number = self.json().and_then(|json| json.get("r")?.as_i64());
        number.map(ResultCode::from_number).ok_or(AnswerError::NotUnderstood("a command"))
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0).ok()
    }
}

/// The networks in a scan as the firmware writes it. SSIDs are not escaped, so a quote or a byte that is
/// not UTF-8 makes it no JSON, and a backslash makes it JSON that lies. But they have 32 bytes at most,
/// and what follows each has 35 at least and one form only: the place where it fits is the SSID's end.
fn networks(body: &[u8]) -> Option<Vec<ScannedNetwork>> {
    let mut found = Vec::new();
    let mut rest = body.strip_prefix(b"{\"scans\":[")?;
    while rest != b"]}" {
        if !found.is_empty() {
            rest = rest.strip_prefix(b",")?;
        }
        let entry = rest.strip_prefix(b"{\"ssid\":\"")?;
        let (network, after) = (1..=32).find_map(|end| network(entry, end))?;
        found.push(network);
        rest = after;
    }
    Some(found)
}

/// The network in this entry if its SSID ends here, and what follows it.
fn network(entry: &[u8], end: usize) -> Option<(ScannedNetwork, &[u8])> {
    let (ssid, rest) = entry.split_at_checked(end)?;
    let (rssi, rest) = number_after(b"\",\"rssi\":", rest)?;
    let (sec, rest) = number_after(b",\"sec\":", rest)?;
    let (channel, rest) = number_after(b",\"ch\":", rest)?;
    let (_, rest) = number_after(b",\"mdr\":", rest)?;
    let rest = rest.strip_prefix(b"}")?;
    Some((scanned(ssid, rssi, sec, channel)?, rest))
}

fn number_after<'a>(key: &[u8], text: &'a [u8]) -> Option<(i64, &'a [u8])> {
    let text = text.strip_prefix(key)?;
    let end = text.iter().position(|b| !b.is_ascii_digit() && *b != b'-')?;
    let number = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((number, &text[end..]))
}

/// The networks in a scan that is written in another way. What is no network's name is left out.
fn networks_in_json(json: &Value) -> Option<Vec<ScannedNetwork>> {
    let entries = json.get("scans")?.as_array()?;
    let network = |entry: &Value| {
        let number = |key| entry.get(key).and_then(Value::as_i64).unwrap_or(-1);
        scanned(entry.get("ssid")?.as_str()?.as_bytes(), number("rssi"), number("sec"), number("ch"))
    };
    Some(entries.iter().filter_map(network).collect())
}

fn scanned(ssid: &[u8], rssi: i64, sec: i64, channel: i64) -> Option<ScannedNetwork> {
    Some(ScannedNetwork {
        ssid: Ssid::new(ssid).ok()?,
        rssi: i32::try_from(rssi).ok()?,
        security: u32::try_from(sec).ok().and_then(WifiSecurity::from_sec),
        channel: u8::try_from(channel).ok(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::super::recorded, super::*, *};

    fn reply(body: impl AsRef<[u8]>) -> Reply {
        Reply::new(body.as_ref().to_vec())
    }

    /// The recorded answer, from either wire.
    fn recorded(name: &str) -> Reply {
        let scenario = recorded::softap().into_iter().find(|scenario| scenario["name"] == name).unwrap();
        let received = recorded::bytes(&scenario["receive"]);
        if scenario["wire"] == "tcp" {
            let mut reader = TcpReader::default();
            received.iter().for_each(|&byte| reader.feed(byte).unwrap());
            return reader.closed().unwrap();
        }
        let mut reader = HttpReader::default();
        received.iter().find_map(|&byte| reader.feed(byte).unwrap()).unwrap()
    }

    #[test]
    fn recorded_answers_mean_what_the_device_did() {
        let id = DeviceId::parse("3b0035000d47343432313031").unwrap();
        for wire in ["http", "tcp"] {
            let answer = recorded(&format!("{wire} device-id")).device_id().unwrap();
            assert_eq!(answer, DeviceIdAnswer { id: id.clone(), claimed: Some(false) });
            assert_eq!(recorded(&format!("{wire} version")).version(), Ok(2));
        }
        assert_eq!(recorded("http public-key").public_key(), Ok(recorded::device_key()));
        for (name, result) in [
            ("http set claim code", ResultCode::Done),
            ("http set claim code, lower-case content-length", ResultCode::NotParsed),
            ("http set empty", ResultCode::NothingToSet),
            ("http set unknown key", ResultCode::NotParsed),
            ("http configure WPA2", ResultCode::Done),
            ("http configure WPA2 not in scan", ResultCode::NotSeen),
            ("http configure unsealed password", ResultCode::NotOpened),
            ("http configure sec as string", ResultCode::NotParsed),
            ("http configure pass phrase of 65", ResultCode::PassphraseLength),
            ("http connect", ResultCode::Done),
            ("tcp set unknown key", ResultCode::NotParsed),
            ("tcp configure WPA2", ResultCode::Done),
        ] {
            assert_eq!(recorded(name).result(), Ok(result), "{name}");
        }
    }

    #[test]
    fn other_answers_are_not_taken_for_these() {
        for body in ["", "{", "null", "[]", "{\"r\":\"0\"}", "{\"r\":0.5}", "Soft AP Setup\0", "\u{fffd}"] {
            let reply = reply(body);
            assert!(reply.version().is_err() && reply.device_id().is_err(), "{body}");
            assert!(reply.public_key().is_err() && reply.scan().is_err(), "{body}");
            assert_eq!(reply.result().is_ok(), body.is_empty(), "{body}");
        }
        assert!(reply(r#"{"b":"","r":1}"#).public_key().is_err());
        assert!(matches!(reply(r#"{"b":"30","r":0}"#).public_key(), Err(AnswerError::Key(_))));
        assert!(reply(r#"{"id":"3B0035"}"#).device_id().is_err());
        assert_eq!(reply(r#"{"r":-77}"#).result(), Ok(ResultCode::Other(-77)));
        assert_eq!(reply(r#"{"r":-16640}"#).result(), Ok(ResultCode::NotOpened));
    }

    #[test]
    fn a_scan_written_in_another_way_is_read_as_json() {
        let body =
            br#"{ "scans": [ {"ch": 6, "ssid": "Home", "sec": 4194308, "rssi": -42}, {"ssid": ""} ] }"#;
        let home = ScannedNetwork {
            ssid: Ssid::new("Home").unwrap(),
            rssi: -42,
            security: Some(WifiSecurity::Wpa2Aes),
            channel: Some(6),
        };
        assert_eq!(reply(body).scan(), Ok(vec![home]));
        assert_eq!(reply(r#"{"scans":[]}"#).scan(), Ok(vec![]));
    }

    /// `ScanAPCommand::produce_response`: nothing is escaped.
    fn written(networks: &[ScannedNetwork]) -> Vec<u8> {
        let mut body = b"{\"scans\":[".to_vec();
        for (n, network) in networks.iter().enumerate() {
            body.extend_from_slice(if n == 0 { b"{\"ssid\":\"" } else { b",{\"ssid\":\"" });
            body.extend_from_slice(network.ssid.as_bytes());
            let (rssi, sec, channel) =
                (network.rssi, network.security.unwrap().sec(), network.channel.unwrap());
            let rest = format!("\",\"rssi\":{rssi},\"sec\":{sec},\"ch\":{channel},\"mdr\":72200}}");
            body.extend_from_slice(rest.as_bytes());
        }
        body.extend_from_slice(b"]}");
        body
    }

    fn any_network() -> impl Strategy<Value = ScannedNetwork> {
        const PIECES: [&str; 11] =
            ["\"", "\\", ",", "\",\"rssi\":-1", "}", "]}", "{\"ssid\":\"", ":", "x", "\u{e9}", "0"];
        let crafted = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..9)
            .prop_map(|pieces| pieces.concat().into_bytes());
        let ssid = prop_oneof![crafted, proptest::collection::vec(1..=255u8, 1..=32)];
        (ssid, -100..0i32, 0..10usize, 1..14u8).prop_map(|(mut ssid, rssi, security, channel)| {
            ssid.truncate(32);
            let names = "NONE WEP WPA_TKIP WPA_AES WPA_AES+TKIP WPA2_AES WPA2_TKIP WPA2_AES+TKIP WPA_802.1x WPA2_802.1x";
            let security = names.split(' ').nth(security).map(|name| name.parse().unwrap());
            ScannedNetwork { ssid: Ssid::new(ssid).unwrap(), rssi, security, channel: Some(channel) }
        })
    }

    proptest! {
        #[test]
        fn every_network_of_a_scan_is_recovered_whatever_its_name(
            networks in proptest::collection::vec(any_network(), 0..6)
        ) {
            prop_assert_eq!(reply(written(&networks)).scan(), Ok(networks));
        }

        #[test]
        fn no_body_makes_reading_it_fail(body in proptest::collection::vec(any::<u8>(), 0..300), at in 0..400usize) {
            let noise = reply(&body);
            let _ = (noise.scan(), noise.result(), noise.device_id(), noise.public_key(), noise.version());
            let mut cut = br#"{"scans":[{"ssid":"Home","rssi":-42,"sec":4194308,"ch":6,"mdr":72200}]}"#.to_vec();
            cut.truncate(at);
            cut.extend_from_slice(&body);
            let _ = reply(cut).scan();
        }
    }
}
