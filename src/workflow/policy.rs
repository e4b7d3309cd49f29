//! How long a run waits, and for what.

use std::time::Duration;

/// The deadlines of a run. What a device is waited for has its own, in `device::Patience`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For each call to the cloud, its retries included.
    pub cloud: Duration,
    /// From the end of delivery until the cloud's record is right. A board that joins Wi-Fi takes 5
    /// to 30 s.
    pub verify: Duration,
    /// Pause before the second look at the record; each next one is twice as long.
    pub first_look: Duration,
    /// The longest pause between two looks.
    pub longest_look: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cloud: Duration::from_secs(30),
            verify: Duration::from_secs(120),
            first_look: Duration::from_millis(25),
            longest_look: Duration::from_secs(4),
        }
    }
}
