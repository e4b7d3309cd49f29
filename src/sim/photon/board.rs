use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::MissedTickBehavior};

use super::{
    Mode, console::Console, radio::CloudLink, serial::UsbSerial, state::Device, usb_port::UsbPort, ymodem,
};

/// Line speeds that mean something (`build/module-defaults.mk`).
const LISTEN_SPEED: u32 = 28_800;
const DFU_SPEED: u32 = 14_400;
/// How often the port is looked at: a pty tells of no change.
const PORT_CHECK: Duration = Duration::from_millis(10);

/// What a person does with their hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// Holds SETUP for three seconds.
    Setup,
    /// Presses RESET.
    Reset,
    /// Pulls the cable.
    Unplug,
    /// Puts it in.
    Plug,
}

/// How a time under power ends. Whatever the firmware was at is cut off there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Restarts; the port goes away and comes back under another name.
    Restart { listening: bool },
    /// Restarts into the bootloader, which has no serial port.
    Dfu,
    /// No power any more.
    Unplugged,
}

/// The whole board, run by one task.
pub(super) struct Board {
    pub(super) device: Arc<Device>,
    pub(super) port: Arc<UsbPort>,
    pub(super) serial: UsbSerial,
    pub(super) cloud: CloudLink,
    pub(super) hands: mpsc::UnboundedReceiver<Hand>,
    pub(super) scan_delay: Duration,
    /// Runs user firmware that does not connect by itself, until the first listening.
    pub(super) stays_put: bool,
}

impl Board {
    /// Runs for good. The port is plugged in and the device booted for the first time.
    pub(super) async fn run(mut self) {
        loop {
            let ending = tokio::select! {
                ending = firmware(&mut self.serial, &self.device, &self.cloud, self.scan_delay, self.stays_put)
                    => ending,
                ending = watch_line_speed(&self.port, &self.device) => ending,
                Some(ending) = hands_on(&mut self.hands, &self.device) => ending,
                () = self.port.keep_coming_back() => return,
            };
            self.port.disconnect();
            self.serial.restart();
            self.cloud.go_offline(&self.device);
            self.stays_put = false;
            let listening = match ending {
                Ending::Restart { listening } => listening,
                Ending::Dfu => {
                    self.device.change(|state| state.mode = Mode::Dfu);
                    self.without_port().await
                }
                Ending::Unplugged => {
                    self.device.change(|state| state.mode = Mode::Off);
                    self.without_port().await
                }
            };
            if let Err(error) = self.port.connect() {
                tracing::error!(%error, "the simulated Photon has no port to come back under");
                self.device.change(|state| state.mode = Mode::Off);
                return;
            }
            self.device.boot(listening || self.device.state().saved.is_empty());
        }
    }

    /// In the bootloader or without power: only hands change that.
    async fn without_port(&mut self) -> bool {
        while let Some(hand) = self.hands.recv().await {
            match (hand, self.device.mode()) {
                (Hand::Unplug, _) => self.device.change(|state| state.mode = Mode::Off),
                (Hand::Plug, Mode::Off) | (Hand::Reset, Mode::Dfu) => return false,
                _ => {}
            }
        }
        std::future::pending().await
    }
}

/// What the firmware does from boot on, in and out of listening mode.
async fn firmware(
    serial: &mut UsbSerial,
    device: &Device,
    cloud: &CloudLink,
    scan_delay: Duration,
    mut stays_put: bool,
) -> Ending {
    loop {
        match device.mode() {
            Mode::Listening => {
                stays_put = false;
                if let Some(ending) = (Console { serial, device, scan_delay }).listen().await {
                    return ending;
                }
            }
            Mode::FirmwareTransfer => {
                ymodem::receive_file(serial).await;
                device.change(|state| state.mode = Mode::Running);
            }
            _ => {
                tokio::select! {
                    () = device.leaves(Mode::Running) => {}
                    ending = cloud.live(device), if !stays_put => return ending,
                }
                cloud.go_offline(device);
            }
        }
    }
}

/// Looks for the two line speeds that mean something (`system_lineCodingBitRateHandler`).
async fn watch_line_speed(port: &UsbPort, device: &Device) -> Ending {
    let mut tick = tokio::time::interval(PORT_CHECK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(pty) = port.pty() else { continue };
        pty.forget_exclusive_openers();
        match pty.changed_speed() {
            Some(DFU_SPEED) => return Ending::Dfu,
            Some(LISTEN_SPEED) if device.quirks.listens_at_28800 => device.listen(),
            Some(LISTEN_SPEED) => device.change(|state| {
                if state.mode == Mode::Running {
                    state.mode = Mode::FirmwareTransfer;
                }
            }),
            _ => {}
        }
    }
}

/// Hands on a board with power. `None` when there are no hands any more.
async fn hands_on(hands: &mut mpsc::UnboundedReceiver<Hand>, device: &Device) -> Option<Ending> {
    while let Some(hand) = hands.recv().await {
        match hand {
            Hand::Setup => device.listen(),
            Hand::Reset => return Some(Ending::Restart { listening: false }),
            Hand::Unplug => return Some(Ending::Unplugged),
            Hand::Plug => {}
        }
    }
    None
}
