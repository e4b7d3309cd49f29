use std::time::Duration;

use tokio::sync::watch;

use crate::model::{DeviceId, FirmwareVersion, Platform};

use super::{
    Cipher, Effect, FirmwareUpdate, ListenEnd, Network, Security, Typed, WireState, hex, network::seen,
    versions::Quirks,
};

/// What the board is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Without power.
    Off,
    /// Running user firmware, connecting, or connected.
    Running,
    /// Listening mode: the console answers. Blinking blue.
    Listening,
    /// Waiting for a file by YModem, outside listening mode (0.4.x at 28800 baud). Magenta.
    FirmwareTransfer,
    /// In the bootloader, with no serial port. Blinking yellow.
    Dfu,
}

/// A network whose credentials are in flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedNetwork {
    /// Its name.
    pub ssid: Vec<u8>,
    /// Its pass phrase; of WEP, the key that its hex digits stood for.
    pub password: Typed,
    /// How it is secured.
    pub security: Security,
    /// What it encrypts with, where that is known.
    pub cipher: Option<Cipher>,
}

impl SavedNetwork {
    /// Whether an access point takes these credentials.
    fn opens(&self, network: &Network) -> bool {
        let right_key = network.passphrase.as_ref().is_none_or(|right| {
            self.password.0 == *right
                || self.security == Security::Wep && self.password.0 == hex::decode(right)
        });
        let same_cipher = self.cipher.is_none() || network.cipher.is_none() || self.cipher == network.cipher;
        self.security == network.security && same_cipher && right_key
    }
}

/// What the board knows and does at one moment. Claim code and pass phrases are in it; `Debug` hides
/// them.
#[derive(Debug, Clone)]
pub struct PhotonState {
    /// What the board is doing.
    pub mode: Mode,
    /// How often it has started.
    pub boots: u32,
    /// In flash: its own bit, set when a claim code has reached the cloud, whatever the cloud made of it.
    pub claimed: bool,
    /// In flash: a claim code that waits to be presented.
    pub claim_code: Option<Typed>,
    /// In flash: the networks it knows, the newest first.
    pub saved: Vec<SavedNetwork>,
    /// The radio is scanning for the console, which takes no byte meanwhile.
    pub scanning: bool,
    /// A session with the cloud is open.
    pub online: bool,
    /// A firmware update is under way: magenta. Pulling the plug now is a bad idea.
    pub updating: bool,
    /// All that was done so far, in order.
    pub effects: Vec<Effect>,
    /// SoftAP over HTTP.
    pub softap_http: WireState,
    /// SoftAP over TCP.
    pub softap_tcp: WireState,
    /// How often it has gone into listening mode: what belongs to one time ends with it.
    pub(super) listenings: u32,
    /// Credentials were written in this or the last listening: a failed connection leads back to it
    /// (`wifi_creds_changed`, `WLAN_LISTEN_ON_FAILED_CONNECT`).
    pub(super) credentials_changed: bool,
    /// What the cloud has in store for it.
    pub(super) update: Option<FirmwareUpdate>,
}

/// The board apart from its wires. Every wire works on the same one.
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) platform: Platform,
    pub(super) firmware: FirmwareVersion,
    pub(super) quirks: Quirks,
    pub(super) serial_number: Option<String>,
    pub(super) mac: [u8; 6],
    pub(super) networks: Vec<Network>,
    flash_delay: Duration,
    state: watch::Sender<PhotonState>,
}

impl Device {
    pub(super) fn new(config: &super::PhotonConfig, quirks: Quirks) -> Self {
        let saved = config.wifi_known.then(|| SavedNetwork {
            ssid: b"known before".to_vec(),
            password: Typed(Vec::new()),
            security: Security::Open,
            cipher: None,
        });
        let state = PhotonState {
            mode: Mode::Off,
            boots: 0,
            claimed: config.claimed,
            claim_code: None,
            saved: saved.into_iter().collect(),
            scanning: false,
            online: false,
            updating: false,
            effects: Vec::new(),
            softap_http: WireState::default(),
            softap_tcp: WireState::default(),
            listenings: 0,
            credentials_changed: false,
            update: config.update,
        };
        Self {
            id: config.device_id.clone(),
            platform: config.platform,
            firmware: config.firmware.clone(),
            quirks,
            serial_number: config.serial_number.clone(),
            mac: config.mac,
            networks: config.networks.clone(),
            flash_delay: config.flash_delay,
            state: watch::Sender::new(state),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<PhotonState> {
        self.state.subscribe()
    }

    pub(super) fn state(&self) -> PhotonState {
        self.state.borrow().clone()
    }

    pub(super) fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut PhotonState)) {
        self.state.send_modify(change);
    }

    /// Comes back when the mode is no longer this one.
    pub(super) async fn leaves(&self, mode: Mode) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.watch().wait_for(|state| state.mode != mode).await;
    }

    /// Starts, into listening mode or not. What was not in flash is forgotten.
    pub(super) fn boot(&self, listening: bool) {
        self.change(|state| {
            state.boots += 1;
            state.scanning = false;
            state.credentials_changed = false;
            state.mode = if listening { Mode::Listening } else { Mode::Running };
            state.listenings += u32::from(listening);
        });
    }

    /// Goes into listening mode if it runs outside it, and nothing otherwise.
    pub(super) fn listen(&self) {
        self.change(|state| {
            if state.mode == Mode::Running {
                state.mode = Mode::Listening;
                state.listenings += 1;
                state.credentials_changed = false;
            }
        });
    }

    /// Comes back with the number of the listening that is on, now or later.
    pub(super) async fn listens(&self) -> u32 {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.watch().wait_for(|state| state.mode == Mode::Listening).await;
        self.state.borrow().listenings
    }

    /// Comes back when this listening is over, another one begun or not.
    pub(super) async fn ends_listening(&self, number: u32) {
        let over = |state: &PhotonState| state.mode != Mode::Listening || state.listenings != number;
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.watch().wait_for(over).await;
    }

    /// Leaves listening mode, by whatever way.
    pub(super) fn run_on(&self) {
        self.change(|state| {
            if state.mode == Mode::Listening {
                state.mode = Mode::Running;
            }
        });
    }

    pub(super) fn stop_listening(&self, reason: ListenEnd) {
        self.change(|state| {
            if state.mode == Mode::Listening {
                state.mode = Mode::Running;
                state.effects.push(Effect::ListenEnd { reason });
            }
        });
    }

    /// Takes the time that a write to flash takes.
    pub(super) async fn write_flash(&self) {
        if !self.flash_delay.is_zero() {
            tokio::time::sleep(self.flash_delay).await;
        }
    }

    /// Stores a claim code; `r` is what the wire answers to it, if it answers with a number.
    pub(super) fn set_claim_code(&self, code: &[u8], r: Option<i32>) {
        self.change(|state| {
            state.claim_code = Some(Typed(code.to_vec()));
            state.effects.push(Effect::ClaimCode { code: Typed(code.to_vec()), r });
        });
    }

    /// The cloud has taken the code, valid or not: it is cleared and the bit set
    /// (`HAL_Set_Claim_Code(NULL)`).
    pub(super) fn claim_code_was_presented(&self) {
        self.change(|state| {
            state.claim_code = None;
            state.claimed = true;
        });
    }

    /// Whether one of the saved networks lets the board in. A name that no scan shows is taken for a
    /// hidden network without a fault.
    pub(super) fn can_join(&self) -> bool {
        self.state
            .borrow()
            .saved
            .iter()
            .any(|saved| seen(&self.networks, &saved.ssid).is_none_or(|network| saved.opens(network)))
    }
}
