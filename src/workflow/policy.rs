//! How long a run waits, and for what.

use std::time::Duration;

/// The deadlines of a run. What a device is waited for has its own, in `device::Patience`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For each call to the cloud, its retries included.
    pub cloud: Duration,
    /// For each call to the cloud where it may be out of reach because this computer is on the Photon's
    /// network; then a person is asked to bring it back.
    pub out_of_reach: Duration,
    /// How long that person may take.
    pub by_turns: Duration,
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
            out_of_reach: Duration::from_secs(5),
            by_turns: Duration::from_secs(600),
            verify: Duration::from_secs(120),
            first_look: Duration::from_millis(25),
            longest_look: Duration::from_secs(4),
        }
    }
}
