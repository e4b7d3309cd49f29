use std::time::Duration;

use tokio::time::Instant;

/// The moment until which something is waited for, with the name of the wait.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// What is being waited for, as it reads in "… did not happen within 10 s".
    pub name: &'static str,
    /// How long the wait was allowed to be when it began.
    pub allowed: Duration,
    /// When it ends.
    pub at: Instant,
}

impl Deadline {
    /// A wait that begins now.
    pub fn after(allowed: Duration, name: &'static str) -> Self {
        Self { name, allowed, at: Instant::now() + allowed }
    }

    /// How long has been waited; what does not count is left out where the deadline was put off for that.
    pub fn passed(&self) -> Duration {
        self.allowed.saturating_sub(self.left())
    }

    /// What is left of it; zero when it has passed.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}
