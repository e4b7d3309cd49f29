use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{RoutePattern, lock::unpoisoned};

/// Holds the requests of one route until it is opened, so that a test can prove which requests are
/// under way at the same time. Dropping it opens it.
pub struct Gate(Arc<Barrier>);

struct Barrier {
    route: RoutePattern,
    arrived: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Waits until a request has come to the gate.
    pub async fn arrived(&self) {
        self.arrived_times(1).await;
    }

    /// Waits until this many requests have come to the gate since it was put up.
    pub async fn arrived_times(&self, wanted: usize) {
        // Cannot fail: the sender lives in `self`.
        let _ = self.0.arrived.subscribe().wait_for(|count| *count >= wanted).await;
    }

    /// How many requests have come so far.
    pub fn count(&self) -> usize {
        *self.0.arrived.borrow()
    }

    /// Lets all waiting and all later requests pass.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// The gates that are up.
#[derive(Default)]
pub(super) struct Gates(Mutex<Vec<Arc<Barrier>>>);

impl Gates {
    pub(super) fn put_up(&self, route: RoutePattern) -> Gate {
        let barrier =
            Arc::new(Barrier { route, arrived: watch::Sender::new(0), open: watch::Sender::new(false) });
        unpoisoned(&self.0).push(barrier.clone());
        Gate(barrier)
    }

    /// Waits at every closed gate of this request's route.
    pub(super) async fn pass(&self, method: &str, path: &str) {
        let ahead: Vec<_> = {
            let mut gates = unpoisoned(&self.0);
            gates.retain(|gate| !*gate.open.borrow());
            gates.iter().filter(|gate| gate.route.matches(method, path)).cloned().collect()
        };
        for gate in ahead {
            gate.arrived.send_modify(|count| *count += 1);
            // Cannot fail: the sender lives in `gate`.
            let _ = gate.open.subscribe().wait_for(|open| *open).await;
        }
    }
}
