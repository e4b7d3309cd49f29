use std::time::Duration;

use tokio::sync::watch;

use super::wire_state::Wire;
use crate::sim::photon::state::Device;

/// The radio's scan, of which the firmware keeps one state for both wires (`ScanAPCommand`).
pub(super) struct Scanner {
    delay: Duration,
    running: watch::Sender<Running>,
}

#[derive(Default)]
struct Running {
    by: Option<Wire>,
    deadlocked: bool,
}

impl Scanner {
    pub(super) fn new(delay: Duration) -> Self {
        Self { delay, running: watch::Sender::default() }
    }

    /// Scans. While the other wire scans this ends for neither of the two, as long as the access point
    /// stands: each waits for results that the other was given.
    pub(super) async fn scan(&self, device: &Device, wire: Wire) {
        self.running.send_modify(|running| {
            running.deadlocked |= running.by.is_some();
            running.by = Some(wire);
        });
        if self.running.borrow().deadlocked {
            device.change(|state| {
                state.softap_http.deadlocked = true;
                state.softap_tcp.deadlocked = true;
            });
        }
        let deadlock = async {
            // The sender lives as long as `self`, so waiting cannot fail.
            let _ = self.running.subscribe().wait_for(|running| running.deadlocked).await;
        };
        tokio::select! {
            biased;
            () = deadlock => std::future::pending().await,
            () = tokio::time::sleep(self.delay) => {}
        }
        self.running.send_modify(|running| running.by = None);
    }
}
