//! `provision scan`: the networks that a board sees.

use serde_json::json;

use super::{
    environment::Environment,
    signals::Signals,
    wifi::{strongest_first, table_row},
    wire::{WireArgs, attend},
};
use crate::{
    device::{Manner, SetupDevice},
    model::{Failure, FailureCode, ScannedNetwork},
};

/// List the networks that a board in setup mode sees
///
/// Through the board's own Wi-Fi network only (--softap): its console over USB cannot list them.
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
    if !device.may_cut_off_the_internet() {
        // It says so by itself, and need not be opened for that.
        return device.scan(&|_| {}).await.map(|_| String::new());
    }
    let seen = attend(device, signals, async |device| {
        device.reach(Manner::Tidy, &|_| {}).await?;
        device.scan(&|_| {}).await
    });
    let seen = strongest_first(seen.await?);
    if as_json {
        return Ok(as_document(&seen));
    }
    if seen.is_empty() {
        return Err(Failure::new(FailureCode::WifiRefused, "the board sees no network"));
    }
    Ok(seen.iter().map(table_row).collect::<Vec<_>>().join("\n"))
}

fn as_document(seen: &[ScannedNetwork]) -> String {
    let rows = seen.iter().map(|network| {
        let mut row = json!({
            "ssid": network.ssid.to_string(),
            "ssid_hex": network.ssid.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "rssi": network.rssi,
            "security": network.security.map(|security| security.to_string()),
            "channel": network.channel,
        });
        if let Some(row) = row.as_object_mut() {
            row.retain(|_, value| !value.is_null());
        }
        row
    });
    json!(rows.collect::<Vec<_>>()).to_string()
}
