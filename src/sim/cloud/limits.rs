use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use super::lock::unpoisoned;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// What is counted together. The numbers are those that Particle's documentation gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Budget {
    /// All calls of an address: 10,000 in 5 minutes.
    Calls(IpAddr),
    /// Sign-ins of an address: 100 in 5 minutes.
    SignIns(IpAddr),
    /// Token management and the creation of customers, of an address: 100 in 5 minutes. Whether
    /// customers count is not published; here they do.
    Management(IpAddr),
    /// Serial-number look-ups of an account: 50 an hour.
    SerialNumbers(String),
}

impl Budget {
    fn rule(&self) -> (usize, i64) {
        match self {
            Self::Calls(_) => (10_000, 5 * MINUTE),
            Self::SignIns(_) | Self::Management(_) => (100, 5 * MINUTE),
            Self::SerialNumbers(_) => (50, 60 * MINUTE),
        }
    }
}

/// How many sign-ins in a row may fail before an address is locked out, and for how long it then is.
const FAILURES: u32 = 10;
const LOCK_OUT: i64 = 30 * MINUTE;
/// Event streams that one address may hold open.
const STREAMS: usize = 100;

/// Refused for now; worth another try in this many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TryAgain(pub(super) i64);

/// The cloud's patience with each address. Moments are those of the simulator's clock.
pub(super) struct Limits {
    on: bool,
    spent: Mutex<HashMap<Budget, VecDeque<i64>>>,
    sign_ins: Mutex<HashMap<IpAddr, Record>>,
    streams: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Default)]
struct Record {
    failed_in_a_row: u32,
    locked_until: i64,
}

impl Limits {
    pub(super) fn new(on: bool) -> Self {
        Self { on, spent: Mutex::default(), sign_ins: Mutex::default(), streams: Mutex::default() }
    }

    /// Takes one call from the budget. A refused call takes nothing.
    pub(super) fn spend(&self, budget: Budget, now: i64) -> Result<(), TryAgain> {
        if !self.on {
            return Ok(());
        }
        let (most, window) = budget.rule();
        let mut spent = unpoisoned(&self.spent);
        let calls = spent.entry(budget).or_default();
        while calls.front().is_some_and(|at| at.saturating_add(window) <= now) {
            calls.pop_front();
        }
        match calls.front() {
            Some(oldest) if calls.len() >= most => Err(TryAgain(seconds(oldest + window - now))),
            _ => {
                calls.push_back(now);
                Ok(())
            }
        }
    }

    /// Whether the address is locked out after too many failed sign-ins.
    pub(super) fn check_lock(&self, ip: IpAddr, now: i64) -> Result<(), TryAgain> {
        match unpoisoned(&self.sign_ins).get(&ip) {
            Some(record) if self.on && record.locked_until > now => {
                Err(TryAgain(seconds(record.locked_until - now)))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn signed_in(&self, ip: IpAddr) {
        unpoisoned(&self.sign_ins).remove(&ip);
    }

    pub(super) fn sign_in_failed(&self, ip: IpAddr, now: i64) {
        let mut sign_ins = unpoisoned(&self.sign_ins);
        let record = sign_ins.entry(ip).or_default();
        record.failed_in_a_row += 1;
        if record.failed_in_a_row == FAILURES {
            *record = Record { failed_in_a_row: 0, locked_until: now.saturating_add(LOCK_OUT) };
        }
    }

    /// A place for one event stream, given back when dropped.
    pub(super) fn seat(self: &Arc<Self>, ip: IpAddr) -> Result<Seat, TryAgain> {
        let mut streams = unpoisoned(&self.streams);
        let open = streams.entry(ip).or_default();
        if self.on && *open >= STREAMS {
            return Err(TryAgain(1));
        }
        *open += 1;
        Ok(Seat { limits: self.clone(), ip })
    }
}

/// One open event stream.
pub(super) struct Seat {
    limits: Arc<Limits>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(open) = unpoisoned(&self.limits.streams).get_mut(&self.ip) {
            *open -= 1;
        }
    }
}

/// Rounded up: who comes back when told to is let in.
fn seconds(ms: i64) -> i64 {
    (ms + SECOND - 1) / SECOND
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

    #[test]
    fn a_budget_is_per_address_and_comes_back_as_its_window_slides() {
        let limits = Limits::new(true);
        for call in 0..100 {
            limits.spend(Budget::SignIns(HERE), call * SECOND).unwrap();
        }
        assert_eq!(limits.spend(Budget::SignIns(HERE), 100 * SECOND), Err(TryAgain(200)));
        limits.spend(Budget::SignIns(THERE), 100 * SECOND).unwrap();
        limits.spend(Budget::SignIns(HERE), 300 * SECOND).unwrap();
        assert_eq!(limits.spend(Budget::SignIns(HERE), 300 * SECOND), Err(TryAgain(1)));
    }

    #[test]
    fn ten_failures_in_a_row_lock_the_address_for_half_an_hour() {
        let limits = Limits::new(true);
        for _ in 0..9 {
            limits.sign_in_failed(HERE, 0);
        }
        limits.signed_in(HERE);
        for _ in 0..9 {
            limits.sign_in_failed(HERE, 0);
        }
        limits.check_lock(HERE, 0).unwrap();
        limits.sign_in_failed(HERE, 0);
        assert_eq!(limits.check_lock(HERE, 1), Err(TryAgain(1800)));
        limits.check_lock(THERE, 1).unwrap();
        limits.check_lock(HERE, LOCK_OUT).unwrap();
    }

    #[test]
    fn a_closed_stream_makes_room_for_another() {
        let limits = Arc::new(Limits::new(true));
        let mut seats: Vec<_> = (0..STREAMS).map(|_| limits.seat(HERE).unwrap()).collect();
        assert!(limits.seat(HERE).is_err());
        seats.pop();
        assert!(limits.seat(HERE).is_ok());
    }

    #[test]
    fn limits_that_are_off_refuse_nothing() {
        let limits = Limits::new(false);
        for _ in 0..200 {
            limits.spend(Budget::SignIns(HERE), 0).unwrap();
            limits.sign_in_failed(HERE, 0);
        }
        limits.check_lock(HERE, 0).unwrap();
    }
}
