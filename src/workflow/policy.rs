//! How long a run waits, and for what.

use std::time::Duration;

/// The deadlines of a run. What a device is waited for has its own, in `device::Patience`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// For each call to the cloud, its retries and its turn under the cloud's limits included.
    pub cloud: Duration,
    /// For each call to the cloud where it may be out of reach because this computer is on the Photon's
    /// network; then a person is asked to bring it back.
    pub out_of_reach: Duration,
    /// How long that person may take.
    pub by_turns: Duration,
    /// From the end of delivery until the cloud's record is right. A board that joins Wi-Fi takes 5
    /// to 30 s.
    pub verify: Duration,
    /// Whether the time in which the cloud keeps a look at the record waiting, as it is out of reach or
    /// its limits are hit, comes on top of `verify`. Then such a look may take as long as any other call.
    pub patient: bool,
    /// From the news that the board is online to the first look at the record: the board shows its claim
    /// code only after it is online.
    pub claim_lag: Duration,
    /// Pause before the second look at the record; each next one is twice as long.
    pub first_look: Duration,
    /// The longest pause between two looks.
    pub longest_look: Duration,
    /// Pause between two looks while the event stream is open and tells nothing.
    pub beside: Duration,
    /// How long the firmware update may take that the first connection may start, several in a row
    /// included; without it, nobody waits for that.
    pub settle: Option<Duration>,
    /// How long a board must have been online with no update begun until none is expected any more.
    pub quiet: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            cloud: Duration::from_secs(30),
            out_of_reach: Duration::from_secs(5),
            by_turns: Duration::from_secs(600),
            verify: Duration::from_secs(120),
            patient: false,
            claim_lag: Duration::from_millis(25),
            first_look: Duration::from_millis(25),
            longest_look: Duration::from_secs(4),
            beside: Duration::from_secs(10),
            settle: None,
            quiet: Duration::from_secs(10),
        }
    }
}

impl Policy {
    /// For many boards at once: asks for as little as it can, and waits out what is nobody's fault, such as
    /// a cloud that is down or a turn under its limits.
    pub fn bench() -> Self {
        Self {
            cloud: Duration::from_secs(24 * 60 * 60),
            patient: true,
            claim_lag: Duration::from_secs(2),
            first_look: Duration::from_secs(1),
            longest_look: Duration::from_secs(8),
            beside: Duration::from_secs(30),
            ..Self::default()
        }
    }
}
