use std::{num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::time::sleep;

use super::{CloudError, http::Kind};
use crate::model::{Deadline, FailureCode};

/// Keeps this client under the limits that Particle publishes for one address.
///
/// Each limit counts any five minutes, so what matters is a full burst *and* all that comes back
/// during the five minutes after it. The sums stay some way under the limits, which are shared with
/// everything else behind the same router.
pub(super) struct Limits {
    sign_ins: DefaultDirectRateLimiter,
    customers: DefaultDirectRateLimiter,
    all: DefaultDirectRateLimiter,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            // 40 + 300 s / 6 s = 90 of 100
            sign_ins: limiter(40, Duration::from_secs(6)),
            customers: limiter(40, Duration::from_secs(6)),
            // 2,000 + 300 s / 40 ms = 9,500 of 10,000
            all: limiter(2000, Duration::from_millis(40)),
        }
    }

    /// Waits for this call's turn, unless that would take longer than there is time.
    pub(super) async fn admit(&self, kind: Kind, call: &str, deadline: Deadline) -> Result<(), CloudError> {
        let own = match kind {
            Kind::SignIn | Kind::CustomerSignIn => Some(&self.sign_ins),
            Kind::CreateCustomer => Some(&self.customers),
            Kind::OfProduct | Kind::Other => None,
        };
        for limit in own.into_iter().chain([&self.all]) {
            while let Err(later) = limit.check() {
                let wait = later.wait_time_from(DefaultClock::default().now());
                if wait >= deadline.left() {
                    let said = format!(
                        "not sent: its turn under the cloud's rate limits comes in {} s, later than the time \
                         for {}",
                        wait.as_secs() + 1,
                        deadline.name
                    );
                    return Err(CloudError::new(FailureCode::LimitsHit, call, None, said));
                }
                tracing::debug!(call, ?wait, "waiting for a turn under the cloud's rate limits");
                sleep(wait).await;
            }
        }
        Ok(())
    }
}

fn limiter(burst: u32, each: Duration) -> DefaultDirectRateLimiter {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    // `with_period` refuses zero only.
    let quota = Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    RateLimiter::direct(quota.allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
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
}
