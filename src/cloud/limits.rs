use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as Turn, Notify},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Cloud, CloudError, http::Kind};
use crate::model::{Deadline, FailureCode};

/// After a 429 the next calls come further and further apart, up to so many doublings.
const MOST_DOUBLINGS: u32 = 3;
/// How long no further 429 must come before one doubling is taken back.
const RECOVERY: Duration = Duration::from_secs(60);

/// Keeps this process under the limits that Particle publishes for one address, whatever it does at once.
///
/// Each limit counts any five minutes, so what matters is a full burst *and* all that comes back
/// during the five minutes after it. The sums stay some way under the limits, which are shared with
/// everything else behind the same router.
pub(super) struct Limits {
    sign_ins: Limit,
    customers: Limit,
    all: Limit,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            // 40 + 300 s / 6 s = 90 of 100
            sign_ins: Limit::new(40, Duration::from_secs(6)),
            customers: Limit::new(40, Duration::from_secs(6)),
            // 2,000 + 300 s / 40 ms = 9,500 of 10,000
            all: Limit::new(2000, Duration::from_millis(40)),
        }
    }

    fn own(&self, kind: Kind) -> Option<&Limit> {
        match kind {
            Kind::SignIn | Kind::CustomerSignIn | Kind::LogIn | Kind::OneTimeCode => Some(&self.sign_ins),
            Kind::CreateCustomer | Kind::OfTokens => Some(&self.customers),
            Kind::OfProduct | Kind::OfDevice | Kind::Other => None,
        }
    }

    /// Waits for this call's turn, first come, first served, unless that would take longer than there is
    /// time.
    pub(super) async fn admit(&self, kind: Kind, call: &str, deadline: Deadline) -> Result<(), CloudError> {
        for limit in self.own(kind).into_iter().chain([&self.all]) {
            limit.admit(call, deadline).await?;
        }
        Ok(())
    }

    /// The cloud has answered 429: nobody's calls of this kind go before it wants them, and then they go
    /// further apart for a while.
    pub(super) fn pushed_back(&self, kind: Kind, wait: Duration) {
        let limit = self.own(kind).unwrap_or(&self.all);
        limit.pace().push_back(Instant::now(), wait);
        limit.changed.notify_waiters();
    }

    fn share(&self, among: Option<u32>) {
        for limit in [&self.sign_ins, &self.customers, &self.all] {
            let mut pace = limit.pace();
            pace.refill(Instant::now());
            pace.among = among;
            drop(pace);
            limit.changed.notify_waiters();
        }
    }
}

impl Cloud {
    /// From now on this process takes one of `benches` equal shares of the limits, which are for the whole
    /// address. Holds for those who wait already, too.
    pub fn share_limits(&self, benches: u32) {
        self.shared.limits.share(Some(benches.max(1)));
    }

    /// From now on waits for no turn: for a cloud that has no limits and locks nobody out, such as a
    /// simulated one. A 429 is heeded even so. To be called before the first call.
    pub fn ignore_limits(&self) {
        self.shared.limits.share(None);
        self.shared.sign_in_guard.fear_no_lock_out();
    }
}

struct Limit {
    /// Those who wait stand in line for it.
    turn: Turn<()>,
    pace: Mutex<Pace>,
    changed: Notify,
}

impl Limit {
    fn new(burst: u32, each: Duration) -> Self {
        let now = Instant::now();
        let pace = Pace {
            burst,
            each,
            among: Some(1),
            doublings: 0,
            eased_at: now,
            not_before: now,
            left: f64::from(burst),
            at: now,
            in_line: 0,
        };
        Self { turn: Turn::new(()), pace: Mutex::new(pace), changed: Notify::new() }
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn admit(&self, call: &str, deadline: Deadline) -> Result<(), CloudError> {
        let refuse = |when: String| {
            let said = format!("not sent: its turn under the cloud's rate limits {when} {}", deadline.name);
            CloudError::new(FailureCode::LimitsHit, call, None, said)
        };
        let wait = self.pace().expected_wait();
        if !wait.is_zero() {
            if wait >= deadline.left() {
                return Err(refuse(format!("comes in {} s, later than the time for", wait.as_secs() + 1)));
            }
            tracing::debug!(call, ?wait, "waiting for a turn under the cloud's rate limits");
        }
        let _place = Place::new(&self.pace);
        timeout_at(deadline.at, self.take_turn())
            .await
            .map_err(|_| refuse("did not come within the time for".into()))
    }

    async fn take_turn(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let changed = self.changed.notified();
            let next = match self.pace().take(Instant::now()) {
                Ok(()) => return,
                Err(next) => next,
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = changed => {}
            }
        }
    }
}

/// A place in line, given up when dropped.
struct Place<'a>(&'a Mutex<Pace>);

impl<'a> Place<'a> {
    fn new(pace: &'a Mutex<Pace>) -> Self {
        pace.lock().unwrap_or_else(PoisonError::into_inner).in_line += 1;
        Self(pace)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_line -= 1;
    }
}

/// When the next call may go.
struct Pace {
    /// How many calls may go at once after a long rest, and how long it takes until another one may; for
    /// the whole address.
    burst: u32,
    each: Duration,
    /// Among how many benches this is shared; absent: no limit.
    among: Option<u32>,
    doublings: u32,
    /// When the pace was changed last, up or down.
    eased_at: Instant,
    /// The cloud's own wish.
    not_before: Instant,
    /// How many calls might have gone at this moment.
    left: f64,
    at: Instant,
    in_line: u32,
}

impl Pace {
    /// From one call to the next without a burst.
    fn each(&self) -> Duration {
        self.each * self.among.unwrap_or(0) * 2u32.pow(self.doublings)
    }

    /// Brings up to date what may go.
    fn refill(&mut self, now: Instant) {
        let most = f64::from((self.burst / self.among.unwrap_or(1)).max(1));
        let each = self.each();
        let since = now.saturating_duration_since(self.at);
        let more = if each.is_zero() { most } else { since.div_duration_f64(each) };
        self.left = (self.left + more).min(most);
        self.at = self.at.max(now);
        if self.doublings > 0 && now >= self.eased_at + RECOVERY {
            self.doublings -= 1;
            self.eased_at = now;
        }
    }

    /// How long until one more may go who has this many before it.
    fn wait(&self, now: Instant, before: u32) -> Duration {
        let missing = (1.0 + f64::from(before) - self.left).max(0.0);
        // What is short by the rounding of a clock is not short.
        let refilled = if missing < 1e-6 { now } else { self.at + self.each().mul_f64(missing) };
        refilled.max(self.not_before).saturating_duration_since(now)
    }

    fn expected_wait(&mut self) -> Duration {
        let now = Instant::now();
        self.refill(now);
        self.wait(now, self.in_line)
    }

    /// Takes a turn, or says when to ask again.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        let wait = self.wait(now, 0);
        if !wait.is_zero() {
            return Err(now + wait);
        }
        self.left -= 1.0;
        Ok(())
    }

    fn push_back(&mut self, now: Instant, wait: Duration) {
        self.refill(now);
        // Those that were under way when the first was pushed back tell nothing new.
        if now >= self.not_before {
            self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        }
        self.not_before = self.not_before.max(now + wait);
        self.eased_at = self.not_before;
        // Then one at a time.
        (self.left, self.at) = (1.0, self.not_before);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn seconds(limits: &Limits, kind: Kind, calls: usize) -> u64 {
        let begun = Instant::now();
        let deadline = Deadline::after(HOUR, "the test");
        let calls = (0..calls).map(|_| limits.admit(kind, "GET", deadline));
        join_all(calls).await.into_iter().for_each(|admitted| admitted.unwrap());
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn sign_ins_beyond_the_burst_are_held_back_and_other_calls_are_not() {
        let limits = Limits::new();
        let deadline = Deadline::after(Duration::from_secs(1), "the test");
        for _ in 0..40 {
            limits.admit(Kind::SignIn, "POST /oauth/token", deadline).await.unwrap();
        }
        let error = limits.admit(Kind::CustomerSignIn, "POST /oauth/token", deadline).await.unwrap_err();
        assert_eq!(error.code, FailureCode::LimitsHit);
        assert!(error.said.starts_with("not sent"), "{error}");
        limits.admit(Kind::CreateCustomer, "POST", deadline).await.unwrap();
        limits.admit(Kind::Other, "GET", deadline).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn any_five_minutes_stay_under_what_particle_allows() {
        let limits = Limits::new();
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 40).await, 0);
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 50).await, 300);
        let limits = Limits::new();
        assert_eq!(seconds(&limits, Kind::Other, 2000).await, 0);
        assert_eq!(seconds(&limits, Kind::Other, 7500).await, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn two_hundred_customers_are_slow_and_none_is_refused() {
        assert_eq!(seconds(&Limits::new(), Kind::CreateCustomer, 200).await, 160 * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn benches_take_equal_shares_and_those_who_wait_feel_a_change() {
        let limits = Arc::new(Limits::new());
        limits.share(Some(4));
        assert_eq!(seconds(&limits, Kind::SignIn, 10).await, 0);
        assert_eq!(seconds(&limits, Kind::SignIn, 1).await, 24);
        let waiting = tokio::spawn({
            let limits = limits.clone();
            async move { seconds(&limits, Kind::SignIn, 1).await }
        });
        tokio::time::sleep(Duration::from_secs(2)).await;
        limits.share(None);
        assert_eq!(waiting.await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn more_benches_than_calls_in_a_burst_still_get_their_turns() {
        let limits = Limits::new();
        limits.share(Some(100));
        assert_eq!(seconds(&limits, Kind::SignIn, 2).await, 600);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_is_pushed_back_stops_all_and_they_recover_by_and_by() {
        let limits = Limits::new();
        limits.pushed_back(Kind::CreateCustomer, Duration::from_secs(30));
        // The answers of those that were under way.
        limits.pushed_back(Kind::CreateCustomer, Duration::from_secs(20));
        assert_eq!(seconds(&limits, Kind::Other, 1).await, 0);
        // At the end of the pause, and then at half the pace.
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 3).await, 30 + 2 * 12);
        // A minute after the pause has ended the pace is the old one again.
        tokio::time::sleep(Duration::from_secs(36)).await;
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 1).await, 0);
        assert_eq!(limits.customers.pace().each(), Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloud_without_limits_is_heeded_all_the_same() {
        let limits = Limits::new();
        limits.share(None);
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 1000).await, 0);
        limits.pushed_back(Kind::CreateCustomer, Duration::from_secs(5));
        assert_eq!(seconds(&limits, Kind::CreateCustomer, 1000).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stands_too_far_back_for_its_time_is_told_at_once() {
        let limits = Arc::new(Limits::new());
        let hour = Deadline::after(HOUR, "the test");
        let line: Vec<_> = (0..50)
            .map(|_| {
                let limits = limits.clone();
                tokio::spawn(async move { limits.admit(Kind::CreateCustomer, "POST", hour).await })
            })
            .collect();
        tokio::task::yield_now().await;
        let soon = Deadline::after(Duration::from_secs(30), "the test");
        let error = limits.admit(Kind::CreateCustomer, "POST", soon).await.unwrap_err();
        assert!(error.said.contains("comes in 6"), "{error}");
        for caller in line {
            caller.await.unwrap().unwrap();
        }
    }
}
