use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::net::{TcpListener, TcpSocket};

use super::{
    commands::Session,
    device_key::DeviceKey,
    http_server::HttpServer,
    scanner::Scanner,
    tcp_server::TcpServer,
    wire_state::{Wire, WireState},
};
use crate::sim::photon::{PhotonConfig, faults::Faults, state::Device};

/// The board as an access point: there while it listens, and gone when it does not
/// (`SoftAPApplication`).
pub(in crate::sim::photon) struct AccessPoint {
    device: Arc<Device>,
    key: DeviceKey,
    scan_delay: Duration,
    faults: Arc<Mutex<Faults>>,
    http: Option<Place>,
    tcp: Option<Place>,
}

impl AccessPoint {
    /// Takes its places, without listening there. `None` when it is asked for none.
    ///
    /// # Errors
    ///
    /// When somebody else has them.
    pub(in crate::sim::photon) fn new(
        config: &PhotonConfig,
        device: Arc<Device>,
    ) -> io::Result<Option<Self>> {
        if config.softap_http.is_none() && config.softap_tcp.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            device,
            key: config.device_key.clone().unwrap_or_else(DeviceKey::of_the_recordings),
            scan_delay: config.scan_delay,
            faults: Arc::new(Mutex::new(Faults::new(&config.faults))),
            http: config.softap_http.map(Place::take).transpose()?,
            tcp: config.softap_tcp.map(Place::take).transpose()?,
        }))
    }

    pub(in crate::sim::photon) fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|place| place.address)
    }

    pub(in crate::sim::photon) fn tcp(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|place| place.address)
    }

    /// Opens the ports.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot.
    pub(in crate::sim::photon) fn open(&self) -> io::Result<Ports> {
        let open = |place: &Option<Place>| place.as_ref().map(Place::listen).transpose();
        let ports = Ports { http: open(&self.http)?, tcp: open(&self.tcp)? };
        self.device.change(|state| {
            state.softap_http.open = ports.http.is_some();
            state.softap_tcp.open = ports.tcp.is_some();
        });
        Ok(ports)
    }

    /// Comes with each listening and goes with it; never ends. The ports for the first listening, when
    /// that is on already, are open.
    pub(in crate::sim::photon) async fn run(self, mut first: Option<Ports>) {
        loop {
            let number = self.device.listens().await;
            match first.take().map_or_else(|| self.open(), Ok) {
                Ok(ports) => {
                    tokio::select! {
                        () = self.device.ends_listening(number) => {}
                        () = self.serve(ports) => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the simulated Photon's access point cannot come back");
                    self.device.ends_listening(number).await;
                }
            }
            self.device.change(|state| {
                for wire in [Wire::Http, Wire::Tcp] {
                    let state = wire.of(state);
                    *state = WireState { segments: state.segments, ..WireState::default() };
                }
            });
        }
    }

    /// Both wires side by side on one session; never ends.
    async fn serve(&self, ports: Ports) {
        let session = Session {
            device: self.device.clone(),
            key: self.key.clone(),
            scanner: Scanner::new(self.scan_delay),
            exchanged: Mutex::default(),
            faults: self.faults.clone(),
        };
        let http = async {
            if let Some(listener) = &ports.http {
                HttpServer::new(&session).serve(listener).await;
            }
        };
        let tcp = async {
            if let Some(listener) = &ports.tcp {
                TcpServer::new(&session).serve(listener).await;
            }
        };
        tokio::join!(http, tcp);
    }
}

/// The open ports of one listening.
pub(in crate::sim::photon) struct Ports {
    http: Option<TcpListener>,
    tcp: Option<TcpListener>,
}

/// An address that is kept while nobody listens there, so that the same port is there next time.
struct Place {
    address: SocketAddr,
    /// Bound, and never listening: connections are refused.
    _kept: TcpSocket,
}

impl Place {
    fn take(address: SocketAddr) -> io::Result<Self> {
        let kept = socket(address)?;
        let address = kept.local_addr()?;
        Ok(Self { address, _kept: kept })
    }

    fn listen(&self) -> io::Result<TcpListener> {
        socket(self.address)?.listen(128)
    }
}

/// One that shares its address with those that do not listen, and with old connections.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
