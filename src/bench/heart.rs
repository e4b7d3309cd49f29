//! What the bench and the others hear of each other, and how its ledger is.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::sleep};

use super::{Bench, BenchEvent, Shift, Tell};
use crate::record::{Beat, Ledger};

/// From one look for an order that was given back to the next.
const ORDERS: Duration = Duration::from_secs(5);
/// A ledger that failed is tried again so much later.
pub(super) const LEDGER: Duration = Duration::from_secs(2);
/// What a ledger that fails comes to.
pub(super) const TROUBLE: &str = "NO NEW BOARDS";

/// What the bench and its heart tell each other.
#[derive(Default)]
pub(super) struct Pulse {
    pub under_way: AtomicU32,
    /// A board waits for an order that is given back, perhaps by another bench.
    pub lacks_order: AtomicBool,
    /// There is one.
    pub order_is_open: AtomicBool,
    ledger: Mutex<Health>,
    /// Look at once.
    pub now: Notify,
}

/// Whether the ledger can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Well,
    /// A board could not, which may have been a while ago. The heart is asked.
    Doubtful,
    Failing,
}

impl Pulse {
    pub fn is_well(&self) -> bool {
        *self.ledger() == Health::Well
    }

    pub fn ledger(&self) -> MutexGuard<'_, Health> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives what it was before.
    pub fn set(&self, health: Health) -> Health {
        std::mem::replace(&mut *self.ledger(), health)
    }

    /// Nothing is begun until the heart has looked.
    pub fn doubt(&self) {
        let mut ledger = self.ledger();
        if *ledger == Health::Well {
            *ledger = Health::Doubtful;
        }
        self.now.notify_one();
    }
}

pub(super) fn beat(bench: &Bench, pulse: &Pulse, shift: &Mutex<Shift>) -> Beat {
    let shift = shift.lock().unwrap_or_else(PoisonError::into_inner);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Beat {
        slots: number(bench.lanes),
        under_way: pulse.under_way.load(Ordering::Relaxed),
        passed: number(shift.passed()),
        failed: number(shift.failed().values().sum()),
    }
}

/// Tells the other benches that this one is alive, and takes its share of the cloud's limits. Also finds
/// out when a ledger that failed can be used again. Never ends.
pub(super) async fn heart(bench: &Bench, pulse: Arc<Pulse>, tell: Tell, shift: Arc<Mutex<Shift>>) {
    let mut last = 1;
    loop {
        let told = bench.ledger.beat(&beat(bench, &pulse, &shift)).await;
        let pause = match told {
            Ok(alive) => {
                if pulse.set(Health::Well) == Health::Failing {
                    tell(BenchEvent::Trouble { with: TROUBLE, why: None });
                }
                if bench.has_limits {
                    bench.cloud.share_limits(alive);
                }
                if alive != last {
                    tell(BenchEvent::Benches { alive: usize::try_from(alive).unwrap_or(usize::MAX) });
                }
                last = alive;
                match &bench.orders {
                    Some(orders) if pulse.lacks_order.load(Ordering::Relaxed) => {
                        // What cannot be read now is asked for again.
                        let is_open = bench.ledger.has_open_order(&orders.source).await.unwrap_or(false);
                        pulse.order_is_open.store(is_open, Ordering::Relaxed);
                        ORDERS
                    }
                    _ => Ledger::BEAT,
                }
            }
            Err(failure) => {
                if pulse.set(Health::Failing) != Health::Failing {
                    tell(BenchEvent::Trouble { with: TROUBLE, why: Some(failure.to_string()) });
                }
                LEDGER
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = pulse.now.notified() => {}
        }
    }
}
