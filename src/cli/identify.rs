//! `provision identify`: who is on the wire.

use serde_json::json;

use super::{
    environment::Environment,
    signals::Signals,
    wire::{WireArgs, attend},
};
use crate::{
    device::{Manner, SetupDevice},
    model::{Failure, Identity},
};

/// Tell who a listening board is
///
/// Device id, platform, firmware, claimed bit and MAC, as far as its wire tells them. Nothing is changed
/// but that a dialogue which somebody left open is left; no network is needed.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wire: WireArgs,
}

impl Args {
    /// The board that is meant.
    pub fn device(&self) -> Result<Box<dyn SetupDevice>, Failure> {
        self.wire.device(None, &Environment::of_process(), None)
    }
}

/// Asks the board and gives what to print.
pub async fn run(device: &mut dyn SetupDevice, as_json: bool, signals: &Signals) -> Result<String, Failure> {
    let identity = attend(device, signals, async |device| {
        device.find().await?;
        device.reach(Manner::Tidy, &|_| {}).await
    });
    identity.await.map(|identity| if as_json { as_line(&identity) } else { as_text(&identity) })
}

fn as_text(identity: &Identity) -> String {
    let fields = [
        ("device id", Some(identity.id.to_string())),
        ("platform", identity.platform.map(|p| p.to_string())),
        ("firmware", identity.firmware.as_ref().map(|v| v.to_string())),
        ("claimed", identity.claimed.map(|claimed| if claimed { "yes" } else { "no" }.into())),
        ("mac", identity.mac.clone()),
        ("serial number", identity.serial_number.clone()),
    ];
    let known = fields.into_iter().filter_map(|(name, value)| Some(format!("{name:<14} {}", value?)));
    known.collect::<Vec<_>>().join("\n")
}

fn as_line(identity: &Identity) -> String {
    let mut fields = json!({
        "schema": 1,
        "device_id": identity.id,
        "platform": identity.platform.map(|p| p.to_string()),
        "platform_id": identity.platform.map(|p| p.id()),
        "firmware": identity.firmware,
        "claimed": identity.claimed,
        "mac": identity.mac,
        "serial_number": identity.serial_number,
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    fields.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceId, FirmwareVersion, Platform};

    #[test]
    fn what_the_wire_cannot_tell_is_absent() {
        let mut identity = Identity {
            id: DeviceId::parse("3b0021001747353236343033").unwrap(),
            platform: Some(Platform::Photon),
            firmware: Some(FirmwareVersion::new(0, 5, 3)),
            claimed: None,
            mac: None,
            serial_number: None,
        };
        assert_eq!(
            as_text(&identity),
            "device id      3b0021001747353236343033\nplatform       Photon\nfirmware       0.5.3"
        );
        identity.claimed = Some(false);
        let line: serde_json::Value = serde_json::from_str(&as_line(&identity)).unwrap();
        assert_eq!(line["claimed"], false);
        assert_eq!(line["platform_id"], 6);
        assert!(line.get("mac").is_none());
    }
}
