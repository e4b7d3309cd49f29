//! A Photon in setup mode: what the workflow sees of it, whichever wire it hangs on.

#[cfg(all(target_os = "linux", feature = "join"))]
pub mod join;
mod listening;
pub mod softap;
pub mod usb;

use std::time::Duration;

use async_trait::async_trait;

use crate::model::{
    Action, ClaimCode, DeviceId, Failure, Identity, Platform, ScannedNetwork, WifiCredentials,
};

pub use softap::{Joiner, SoftApPhoton};
pub use usb::UsbPhoton;

/// What can be told of a board without disturbing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// From the USB serial number, where that is a device id.
    pub device_id: Option<DeviceId>,
    /// From the USB product id.
    pub platform: Option<Platform>,
}

/// Something worth telling while a device is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A person has to do something.
    Action(Action),
    /// What is being waited for.
    Text(String),
    /// What is tried again, and why.
    Again(String),
}

/// Who is told.
pub type Tell<'a> = &'a (dyn Fn(Note) + Send + Sync);

/// How far one may go to make a device answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Ask only; whatever mode or dialogue it is in, it stays there.
    LookOnly,
    /// Leave a dialogue that somebody else opened, but do not switch modes.
    Tidy,
    /// Bring it into setup mode.
    Touch,
}

/// How long to wait for a device, by what is waited for.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Silence after which a console that was asked something counts as not answering.
    pub silence: Duration,
    /// Silence during a scan for networks (30 s at most in `hal/src/photon/wlan_hal.cpp`; it may scan
    /// twice).
    pub scan: Duration,
    /// Time for a board to enter listening mode after it was told to by the line speed.
    pub wake: Duration,
    /// Time for the board to come to listening mode in all, a person's hands included.
    pub listening: Duration,
    /// Time for another program, such as ModemManager, to let go of the port.
    pub busy: Duration,
    /// Time for a port that went away to come back.
    pub reappear: Duration,
    /// Time for a Wi-Fi command over SoftAP: the device scans once or twice before it answers.
    pub wifi: Duration,
    /// Time for any other answer over SoftAP.
    pub answer: Duration,
    /// Time for leaving the device tidy when a run ends early.
    pub release: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            silence: Duration::from_millis(1500),
            scan: Duration::from_secs(60),
            wake: Duration::from_secs(10),
            listening: Duration::from_secs(120),
            busy: Duration::ZERO,
            reappear: Duration::from_secs(15),
            wifi: Duration::from_secs(60),
            answer: Duration::from_secs(10),
            release: Duration::from_secs(2),
        }
    }
}

/// A device in setup mode. Any call may be dropped half-way (Ctrl-C); [`SetupDevice::release`] then
/// still leaves the device tidy.
#[async_trait]
pub trait SetupDevice: Send {
    /// Finds the device and tells what can be told without disturbing it.
    async fn find(&mut self) -> Result<Sighting, Failure>;

    /// Makes the device answer in setup mode and asks who it is.
    async fn reach(&mut self, manner: Manner, tell: Tell<'_>) -> Result<Identity, Failure>;

    /// Whether this device can take a claim code over this wire.
    fn takes_claim_code(&self, identity: &Identity) -> Result<(), Failure>;

    /// Gives the device the code; the device has confirmed it, character for character.
    async fn set_claim_code(&mut self, code: &ClaimCode, tell: Tell<'_>) -> Result<(), Failure>;

    /// Refuses credentials that this wire could not carry intact, as far as the device is known.
    fn carries(&self, wifi: &WifiCredentials, identity: Option<&Identity>) -> Result<(), Failure>;

    /// The networks that the device sees; takes it some seconds.
    async fn scan(&mut self, tell: Tell<'_>) -> Result<Vec<ScannedNetwork>, Failure>;

    /// Gives the device a network; the device has saved it, which does not mean that it can join it.
    /// Comes after the claim code: on one of the wires it ends setup mode.
    async fn set_wifi(&mut self, wifi: &WifiCredentials, tell: Tell<'_>) -> Result<(), Failure>;

    /// Whether being on this device's wire may cost this computer its way to the internet.
    fn may_cut_off_the_internet(&self) -> bool;

    /// What gets this computer onto the device's own network and back, where that was asked for.
    fn joiner(&mut self) -> Option<&mut (dyn Joiner + 'static)> {
        None
    }

    /// Takes the device out of setup mode, so that it connects.
    async fn finish(&mut self) -> Result<(), Failure>;

    /// Ends when the device is seen back in setup mode after [`SetupDevice::finish`], for good: where
    /// the command to leave may have got lost, it was given again. Never ends otherwise.
    async fn back(&mut self);

    /// Leaves the device tidy: at its idle prompt, and out of setup mode if it was brought there.
    async fn release(&mut self);
}
