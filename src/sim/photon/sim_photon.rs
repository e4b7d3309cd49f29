use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{
    Effect, PhotonConfig, PhotonState,
    board::{Board, Hand},
    faults::Faults,
    radio::CloudLink,
    serial::UsbSerial,
    softap::AccessPoint,
    state::Device,
    usb_port::UsbPort,
};

/// A simulated Photon under power, until it is dropped.
pub struct SimPhoton {
    device: Arc<Device>,
    port: Arc<UsbPort>,
    hands: mpsc::UnboundedSender<Hand>,
    softap_http: Option<SocketAddr>,
    softap_tcp: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl SimPhoton {
    /// Plugs one in: its port is there when this returns, and so are SoftAP's ports, if it has any and is
    /// listening. Call it within a tokio runtime that drives I/O and time; the board lives there as one
    /// task, its access point as another.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a board that there cannot be ([`super::InvalidConfig`]), `AlreadyExists` when
    /// something else than a link is in the link's place, and what the system says when it has no pty or
    /// when a SoftAP address is taken.
    pub fn start(config: PhotonConfig) -> io::Result<Self> {
        let quirks = config.check().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let device = Arc::new(Device::new(&config, quirks));
        let port = Arc::new(UsbPort::new(config.link.clone())?);
        let access_point = AccessPoint::new(&config, device.clone())?;
        let first_ports = match &access_point {
            Some(access_point) if config.listening => Some(access_point.open()?),
            _ => None,
        };
        port.connect()?;
        device.boot(config.listening);
        let (hands, from_hands) = mpsc::unbounded_channel();
        let cloud = CloudLink::new(&config);
        let typed_before = config.left_in.map(|place| place.into_steps()).unwrap_or_default();
        let faults = Faults::new(&config.faults);
        let board = Board {
            device: device.clone(),
            port: port.clone(),
            serial: UsbSerial::new(port.clone(), config.byte_latency, faults, typed_before),
            cloud,
            hands: from_hands,
            scan_delay: config.scan_delay,
            stays_put: !config.listening && !config.wifi_known,
        };
        let mut tasks = vec![tokio::spawn(board.run())];
        let (mut softap_http, mut softap_tcp) = (None, None);
        if let Some(access_point) = access_point {
            (softap_http, softap_tcp) = (access_point.http(), access_point.tcp());
            tasks.push(tokio::spawn(access_point.run(first_ports)));
        }
        Ok(Self { device, port, hands, softap_http, softap_tcp, tasks })
    }

    /// What to open: the link, if it has one, else the pty. Absent a port, the last one.
    pub fn usb(&self) -> PathBuf {
        self.port.path()
    }

    /// Waits until it has a port, and returns what to open.
    pub async fn plugged_in(&self) -> PathBuf {
        self.port.connected().await;
        self.usb()
    }

    /// Where it answers HTTP while it listens.
    pub fn softap_http(&self) -> Option<SocketAddr> {
        self.softap_http
    }

    /// Where it answers SoftAP's TCP protocol while it listens.
    pub fn softap_tcp(&self) -> Option<SocketAddr> {
        self.softap_tcp
    }

    /// What was done so far, in order; with claim codes and pass phrases.
    pub fn effects(&self) -> Vec<Effect> {
        self.device.state().effects
    }

    /// What it knows and does now.
    pub fn state(&self) -> PhotonState {
        self.device.state()
    }

    /// The same, to be followed.
    pub fn watch(&self) -> watch::Receiver<PhotonState> {
        self.device.watch()
    }

    /// Waits until the state is so, and returns it.
    pub async fn wait_for(&self, is_so: impl FnMut(&PhotonState) -> bool) -> PhotonState {
        match self.watch().wait_for(is_so).await {
            Ok(state) => state.clone(),
            // The device outlives `self`, so there is always somebody to tell.
            Err(_) => std::future::pending().await,
        }
    }

    /// Holds SETUP for three seconds: listening mode.
    pub fn press_setup(&self) {
        self.lay_hand(Hand::Setup);
    }

    /// Presses RESET: a restart, and the port comes back under another name.
    pub fn reset(&self) {
        self.lay_hand(Hand::Reset);
    }

    /// Pulls the cable: power and port are gone.
    pub fn unplug(&self) {
        self.lay_hand(Hand::Unplug);
    }

    /// Puts the cable back in.
    pub fn plug(&self) {
        self.lay_hand(Hand::Plug);
    }

    fn lay_hand(&self, hand: Hand) {
        // The board runs until `self` is dropped; one that could not come back feels no hands.
        let _ = self.hands.send(hand);
    }
}

impl Drop for SimPhoton {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.port.disconnect();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_serial::{SerialPortBuilderExt, SerialStream};

    use super::*;
    use crate::{
        model::DeviceId,
        sim::photon::{LeftIn, Mode},
    };

    fn commands_and_noise() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => prop::sample::select(b"ivmscCdwxfaA \r\r\r\n\x08\x7f\x00\x01\x02\x18\x04013".to_vec()),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..300)
    }

    fn open(photon: &SimPhoton) -> SerialStream {
        tokio_serial::new(photon.usb().to_str().unwrap(), 9600).open_native_async().unwrap()
    }

    /// Waits for the board to say anything. It says nothing before it is through with what was typed
    /// before; then enough bytes bring an answer out of every state but one that does not listen.
    async fn says_something(photon: &SimPhoton) {
        let mut port = open(photon);
        // An `L` among the bytes may take the port away under this: then reading tells.
        let _ = port.write_all(&[b'i'; 1100]).await;
        let mut answer = [0; 1];
        loop {
            tokio::select! {
                answered = port.read(&mut answer) => match answered {
                    Ok(count) if count > 0 => return,
                    // An `L` among the bytes: it starts afresh under another name.
                    _ => {
                        photon.plugged_in().await;
                        port = open(photon);
                        let _ = port.write_all(b"i").await;
                    }
                },
                _ = photon.wait_for(|state| state.mode == Mode::Running) => photon.press_setup(),
            }
            tokio::task::yield_now().await;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_input_wedges_the_board(steps in prop::collection::vec(commands_and_noise(), 0..6)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let config = PhotonConfig {
                    networks: vec!["1:WPA2_AES".parse().unwrap(), "0:WPA2_802.1x".parse().unwrap()],
                    left_in: Some(LeftIn::typed(steps)),
                    ..PhotonConfig::new(DeviceId::parse("3b0021001747353236343033").unwrap())
                };
                let photon = SimPhoton::start(config).unwrap();
                let guard = Duration::from_secs(60);
                tokio::time::timeout(guard, says_something(&photon)).await.expect("an answer");
            });
        }
    }
}
