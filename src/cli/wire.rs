//! Which board, and over which wire.

use std::{sync::Arc, time::Duration};

use tracing::warn;

#[cfg(all(target_os = "linux", feature = "join"))]
use super::join::JoinArgs;
use super::{environment::Environment, settings::UsbDirArgs, settings::parse_duration, signals::Signals};
use crate::{
    device::{Patience, SetupDevice, SoftApPhoton, UsbPhoton},
    link::{
        discovery::{Lister, UsbTarget},
        serial::SystemPorts,
        softap::SoftApTarget,
    },
    model::{DeviceId, Failure, FailureCode, Invalid},
};

/// Which board.
#[derive(Debug, Clone, clap::Args)]
pub struct WireArgs {
    /// The board: a port (/dev/ttyACM0), a device id, or `auto` for the only one attached
    #[arg(long, value_name = "BOARD", value_parser = parse_target)]
    usb: Option<UsbTarget>,
    /// The board on its own Wi-Fi network instead: HOST[:PORT] or tcp://HOST[:PORT]; 192.168.0.1 if
    /// left out
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "", value_parser = parse_softap, conflicts_with = "usb")]
    softap: Option<SoftApTarget>,
    #[cfg(all(target_os = "linux", feature = "join"))]
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    directory: UsbDirArgs,
    /// How long to wait for the board to answer in setup mode, a person's hands included
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration, hide_short_help = true)]
    wait: Duration,
    /// The id that the board must have; another board is refused
    #[arg(long, value_name = "ID", value_parser = DeviceId::parse, hide_short_help = true)]
    pub device_id: Option<DeviceId>,
}

impl WireArgs {
    /// The board on USB that was named by flag.
    pub fn usb(&self) -> Option<&UsbTarget> {
        self.usb.as_ref()
    }

    /// The address of the board's own network, if that is the wire.
    pub fn softap(&self) -> Option<&SoftApTarget> {
        self.softap.as_ref()
    }

    /// What tells the attached boards.
    pub fn lister(&self, env: &Environment) -> Box<dyn Lister> {
        self.directory.lister(env)
    }

    /// The board that is meant, by flag or else by profile; nothing is opened yet. May ask a person which
    /// network to join, so it has to be called outside the runtime.
    pub fn device(
        &self,
        profile: Option<&UsbTarget>,
        env: &Environment,
        pace: Option<Duration>,
    ) -> Result<Box<dyn SetupDevice>, Failure> {
        let patience = Patience { listening: self.wait, ..Patience::default() };
        if let Some(target) = &self.softap {
            let photon = SoftApPhoton::new(target.clone(), self.device_id.clone(), patience);
            #[cfg(all(target_os = "linux", feature = "join"))]
            if let Some(joiner) = self.join.joiner()? {
                return Ok(Box::new(photon.joining(joiner)));
            }
            return Ok(Box::new(photon));
        }
        let target = self.usb.as_ref().or(profile).cloned().ok_or_else(|| {
            Failure::configuration(
                "no board was named",
                "give --usb PORT, --usb DEVICE_ID, --usb auto for the only one attached, or --softap for one on \
                 its own Wi-Fi network",
            )
        })?;
        let lister = Arc::from(self.lister(env));
        Ok(Box::new(UsbPhoton::new(target, lister, Arc::new(SystemPorts), patience, pace)))
    }
}

/// Does something with a board outside a run: on its network, if that is to be joined, and leaving the board
/// and this computer as they were, on Ctrl-C too.
pub async fn attend<T>(
    device: &mut dyn SetupDevice,
    signals: &Signals,
    work: impl AsyncFnOnce(&mut dyn SetupDevice) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let attended = async {
        if let Some(joiner) = device.joiner() {
            joiner.join().await?;
        }
        work(device).await
    };
    let ended = tokio::select! {
        ended = attended => ended,
        () = signals.first() => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
    };
    part_from(device).await;
    ended
}

/// Leaves the board and this computer as they were.
pub async fn part_from(device: &mut dyn SetupDevice) {
    device.release().await;
    if let Some(joiner) = device.joiner().filter(|joiner| joiner.is_away())
        && let Err(failure) = joiner.go_back().await
    {
        warn!("{failure}; choose a network yourself");
    }
}

fn parse_target(text: &str) -> Result<UsbTarget, Invalid> {
    text.parse()
}

fn parse_softap(text: &str) -> Result<SoftApTarget, Invalid> {
    if text.is_empty() { Ok(SoftApTarget::default()) } else { text.parse() }
}
