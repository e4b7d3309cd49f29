//! Which boards are attached, now and from now on.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};
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
    /// A look that is under way. However slow it is, it outlives whoever waited for it.
    looking: Option<JoinHandle<Result<Vec<AttachedBoard>, ListError>>>,
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
        Self { lister, announced, seen, looking: None, first: true, next_look: now, settling_until: now }
    }

    /// A lister that answers with what was seen last, so that many boards do not all look for themselves.
    pub fn lister(&self) -> Arc<dyn Lister> {
        self.seen.clone()
    }

    /// The attached boards: at once the first time and after an error, then when others are, or at other
    /// ports, than were given last. May be dropped at any time without missing anything.
    ///
    /// # Errors
    ///
    /// The place that knows of boards cannot be read. It is looked at again with the next call.
    pub async fn next(&mut self) -> Result<Vec<AttachedBoard>, Failure> {
        loop {
            match &mut self.announced {
                _ if self.looking.is_some() => {}
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
            let boards = looked.inspect_err(|_| self.first = true)?;
            if self.seen.replace(&boards) || std::mem::take(&mut self.first) {
                return Ok(boards);
            }
        }
    }

    /// Listing reads files, so it is done off the runtime.
    async fn look(&mut self) -> Result<Vec<AttachedBoard>, Failure> {
        let lister = &self.lister;
        let looking = self.looking.get_or_insert_with(|| {
            let lister = lister.clone();
            tokio::task::spawn_blocking(move || lister.boards())
        });
        let looked = looking.await;
        self.looking = None;
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

    /// Takes its time to look, and counts how often it is asked.
    struct Slow {
        asked: std::sync::atomic::AtomicUsize,
        go: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl Lister for Slow {
        fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // Whoever has gone has nothing against it.
            let _ = self.go.lock().unwrap().recv();
            Ok(Vec::new())
        }

        fn access(&self, _: &Path) -> Access {
            Access::Missing
        }
    }

    #[tokio::test]
    async fn a_look_that_takes_longer_than_anybody_waits_comes_to_its_end() {
        let (go, wait) = std::sync::mpsc::channel();
        let slow = Arc::new(Slow { asked: Default::default(), go: Mutex::new(wait) });
        let asked = || slow.asked.load(std::sync::atomic::Ordering::SeqCst);
        let mut watch = Watch::polling(slow.clone());
        while asked() == 0 {
            tokio::select! {
                biased;
                _ = watch.next() => panic!("it has not looked yet"),
                () = tokio::task::yield_now() => {}
            }
        }
        go.send(()).unwrap();
        assert!(watch.next().await.unwrap().is_empty());
        assert_eq!(asked(), 1);
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
