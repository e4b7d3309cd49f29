use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

/// The simulator's time: the computer's, plus what tests have moved it forward by.
///
/// Tokens, claim codes, rate limits and lock-outs all live on it, so a test that needs half an hour to
/// pass says so instead of waiting. Moments are whole milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    /// A clock that already runs this many milliseconds ahead.
    pub(super) fn ahead(ms: i64) -> Self {
        Self { ahead_ms: AtomicI64::new(ms) }
    }

    pub(super) fn now(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.ahead_ms())
    }

    pub(super) fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    pub(super) fn advance(&self, by: Duration) {
        self.ahead_ms.store(self.ahead_ms().saturating_add(millis(by)), Ordering::Relaxed);
    }
}

/// A duration as the clock counts it; what does not fit is as long as can be.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A moment as it stands in the cloud's answers, such as `2017-04-05T19:59:10.783Z`.
pub(super) fn rfc3339(moment: i64) -> String {
    // Only a clock moved by thousands of years leaves jiff's range.
    let moment = Timestamp::from_millisecond(moment).unwrap_or(Timestamp::MAX);
    format!("{moment:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_with_three_decimals_and_a_z() {
        assert_eq!(rfc3339(1_491_422_350_783), "2017-04-05T19:59:10.783Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn moving_the_clock_never_overflows() {
        let clock = Clock::default();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), i64::MAX);
        assert!(rfc3339(clock.now()).ends_with('Z'));
    }
}
