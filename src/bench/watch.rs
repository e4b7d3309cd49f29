//! Which boards are attached, now and from now on.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::{
    link::discovery::{Access, AttachedBoard, ListError, Lister},
    model::{Failure, FailureCode},
};

/// From one look to the next where nothing announces what is plugged in.
const POLL: Duration = Duration::from_millis(100);
/// The same where the system does: a backstop.
const BACKSTOP: Duration = Duration::from_secs(1);
/// After an announcement: a board's port appears a little later than the board.
const SETTLING: Duration = Duration::from_secs(2);

/// The attached boards, as a set that is given anew each time it has changed.
///
/// The system's announcements (on Linux the kernel's, without udev's library) only say when to look;
/// what is there is always told by the [`Lister`]. So one that gets lost delays and hides nothing.
pub struct Watch {
    lister: Arc<dyn Lister>,
    announced: Option<BoxStream<'static, ()>>,
    seen: Arc<Seen>,
    first: bool,
    next_look: Instant,
    settling_until: Instant,
}

impl Watch {
    /// Looks by the clock alone: for a directory that stands in for a hub.
    pub fn polling(lister: Arc<dyn Lister>) -> Self {
        Self::new(lister, None)
    }

    /// Looks when the system announces that something was plugged in or out, and by the clock.
    pub fn announced(lister: Arc<dyn Lister>) -> Self {
        let announced = match nusb::watch_devices() {
            Ok(watch) => Some(watch.map(drop).boxed()),
            Err(error) => {
                warn!(%error, "the system does not announce what is plugged in: looking by the clock");
                None
            }
        };
        Self::new(lister, announced)
    }

    fn new(lister: Arc<dyn Lister>, announced: Option<BoxStream<'static, ()>>) -> Self {
        let now = Instant::now();
        let seen = Arc::new(Seen { boards: Mutex::default(), lister: lister.clone() });
        Self { lister, announced, seen, first: true, next_look: now, settling_until: now }
    }

    /// A lister that answers with what was seen last, so that many boards do not all look for themselves.
    pub fn lister(&self) -> Arc<dyn Lister> {
        self.seen.clone()
    }

    /// The attached boards: at once the first time, then when others are, or at other ports, than were
    /// given last. May be dropped at any time without missing anything.
    ///
    /// # Errors
    ///
    /// The place that knows of boards cannot be read. It is looked at again with the next call.
    pub async fn next(&mut self) -> Result<Vec<AttachedBoard>, Failure> {
        loop {
            match &mut self.announced {
                Some(announced) => tokio::select! {
                    told = announced.next() => {
                        if told.is_none() {
                            self.announced = None;
                        }
                        // The boards themselves come a little later.
                        self.settling_until = Instant::now() + SETTLING;
                    }
                    () = sleep_until(self.next_look) => {}
                },
                None => sleep_until(self.next_look).await,
            }
            let looked = self.look().await;
            let now = Instant::now();
            let quiet = self.announced.is_some() && now > self.settling_until;
            self.next_look = now + if quiet { BACKSTOP } else { POLL };
            let boards = looked?;
            if self.seen.replace(&boards) || std::mem::take(&mut self.first) {
                return Ok(boards);
            }
        }
    }

    /// Listing reads files, so it is done off the runtime.
    async fn look(&self) -> Result<Vec<AttachedBoard>, Failure> {
        let lister = self.lister.clone();
        let looked = tokio::task::spawn_blocking(move || lister.boards()).await;
        let looked =
            looked.map_err(|e| Failure::new(FailureCode::Unexpected, "the port list failed").because(e))?;
        Ok(looked?)
    }
}

/// What a watch saw last.
struct Seen {
    boards: Mutex<Vec<AttachedBoard>>,
    lister: Arc<dyn Lister>,
}

impl Seen {
    /// Whether these are others.
    fn replace(&self, boards: &[AttachedBoard]) -> bool {
        let mut seen = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *seen != boards;
        if changed {
            seen.clear();
            seen.extend_from_slice(boards);
        }
        changed
    }
}

impl Lister for Seen {
    fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
        Ok(self.boards.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn access(&self, port: &Path) -> Access {
        self.lister.access(port)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use futures_util::stream;

    use super::*;
    use crate::link::discovery::DirLister;

    const ID: &str = "3b0021001747353236343033";

    fn names(boards: &[AttachedBoard]) -> Vec<String> {
        boards.iter().map(|board| board.port.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_there_comes_first_and_then_what_has_changed() {
        let hub = tempfile::tempdir().unwrap();
        let mut watch = Watch::polling(Arc::new(DirLister::new(hub.path().into())));
        assert!(watch.next().await.unwrap().is_empty());
        symlink("/dev/null", hub.path().join(ID)).unwrap();
        assert_eq!(names(&watch.next().await.unwrap()), [ID]);
        assert_eq!(names(&watch.lister().boards().unwrap()), [ID]);
        // The same board in another socket is news, too.
        std::fs::rename(hub.path().join(ID), hub.path().join(format!("{ID}@1-1"))).unwrap();
        assert_eq!(names(&watch.next().await.unwrap()), [format!("{ID}@1-1")]);
    }

    #[tokio::test]
    async fn an_announcement_that_ends_leaves_the_clock() {
        let hub = tempfile::tempdir().unwrap();
        let lister = Arc::new(DirLister::new(hub.path().into()));
        let mut watch = Watch::new(lister, Some(stream::iter([()]).boxed()));
        assert!(watch.next().await.unwrap().is_empty());
        symlink("/dev/null", hub.path().join(ID)).unwrap();
        assert_eq!(watch.next().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_read_is_looked_at_again() {
        let hub = tempfile::tempdir().unwrap();
        let place = hub.path().join("hub");
        let mut watch = Watch::polling(Arc::new(DirLister::new(place.clone())));
        assert!(watch.next().await.is_err());
        std::fs::create_dir(&place).unwrap();
        assert!(watch.next().await.unwrap().is_empty());
    }
}
