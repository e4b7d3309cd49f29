//! What is heard of a board while it comes to life.

use tokio::time::Instant;

use crate::cloud::{Sign, Watch};

/// What the signs of a board, as far as they were taken, come to.
pub struct Heard {
    watch: Watch,
    /// The stream is open: what happens is heard.
    pub listening: bool,
    /// The board was heard to be online.
    pub online: bool,
    /// It has gone, or is about to start anew, and is not back.
    pub away: bool,
    /// A firmware update was heard to begin, and not to end.
    pub updating: bool,
    /// How the last update ended, if there was one.
    pub updated: Option<bool>,
    /// The stream was not open all the time, so that something may have been missed.
    pub gaps: bool,
    /// When the last sign was taken.
    pub since: Instant,
}

impl Heard {
    pub fn new(watch: Watch) -> Self {
        Self {
            watch,
            listening: false,
            online: false,
            away: false,
            updating: false,
            updated: None,
            gaps: false,
            since: Instant::now(),
        }
    }

    /// Takes in the next sign. Nothing is lost if this is dropped.
    pub async fn next(&mut self) -> Sign {
        let sign = self.watch.next().await;
        self.take(sign);
        sign
    }

    /// Takes in what was heard meanwhile.
    pub fn catch_up(&mut self) {
        while let Some(sign) = self.watch.heard() {
            self.take(sign);
        }
    }

    fn take(&mut self, sign: Sign) {
        self.since = Instant::now();
        match sign {
            // What was under way when the stream was lost may have ended unheard; whoever has gaps is more
            // patient.
            Sign::Listening => (self.listening, self.updating) = (true, false),
            Sign::Deaf => (self.listening, self.gaps) = (false, true),
            Sign::Online => (self.online, self.away) = (true, false),
            Sign::Offline => self.away = true,
            Sign::UpdateStarted => self.updating = true,
            Sign::UpdateEnded { well } => {
                (self.updating, self.updated, self.away) = (false, Some(well), well);
            }
        }
    }
}
