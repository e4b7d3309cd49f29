use std::net::SocketAddr;

use crate::sim::photon::PhotonState;

/// What goes on at one of SoftAP's two ports, for those who have to know without waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireState {
    /// It takes connections.
    pub open: bool,
    /// Segments that were read from its connections so far, over all times.
    pub segments: u64,
    /// The client whom the port's one thread is serving, or hangs on.
    pub serving: Option<SocketAddr>,
    /// Connections on which something has come that waits for that thread.
    pub waiting: usize,
    /// HTTP: bodies that never came whole; each has cost the server something until it restarts.
    pub lost_bodies: usize,
    /// Both wires scanned at once, and neither will ever answer again.
    pub deadlocked: bool,
}

/// SoftAP's two wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Http,
    Tcp,
}

impl Wire {
    pub(super) fn of(self, state: &mut PhotonState) -> &mut WireState {
        match self {
            Self::Http => &mut state.softap_http,
            Self::Tcp => &mut state.softap_tcp,
        }
    }
}
