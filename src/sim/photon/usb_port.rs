use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::pty::Pty;

/// The board's USB plug: a pty while it is in, and a link that keeps its name across re-enumerations.
pub(super) struct UsbPort {
    pty: watch::Sender<Option<Arc<Pty>>>,
    link: Option<PathBuf>,
    last_path: Mutex<PathBuf>,
    comes_back: watch::Sender<Option<Duration>>,
}

impl UsbPort {
    /// Not plugged in yet. A link's place must be free, or hold a symbolic link.
    pub(super) fn new(link: Option<PathBuf>) -> io::Result<Self> {
        if let Some(link) = &link
            && let Ok(there) = link.symlink_metadata()
            && !there.is_symlink()
        {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} exists and is not a symbolic link", link.display()),
            ));
        }
        Ok(Self {
            pty: watch::Sender::new(None),
            link,
            last_path: Mutex::default(),
            comes_back: watch::Sender::new(None),
        })
    }

    /// Enumerates under a new name, unless it is plugged in.
    pub(super) fn connect(&self) -> io::Result<()> {
        if self.pty.borrow().is_some() {
            return Ok(());
        }
        let pty = Pty::open()?;
        if let Some(link) = &self.link {
            point(link, pty.path())?;
        }
        *self.last_path.lock().unwrap_or_else(PoisonError::into_inner) = pty.path().to_owned();
        self.pty.send_replace(Some(Arc::new(pty)));
        Ok(())
    }

    /// Vanishes: whoever has the port open sees it hang up, and the link is gone.
    pub(super) fn disconnect(&self) {
        if let Some(pty) = self.pty.send_replace(None)
            && let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|target| target == pty.path())
        {
            // A link that is gone already is as good.
            let _ = std::fs::remove_file(link);
        }
    }

    /// Vanishes with the power on, and comes back after a time ([`UsbPort::keep_coming_back`]).
    pub(super) fn hang_up(&self, time: Duration) {
        self.disconnect();
        self.comes_back.send_replace(Some(time));
    }

    /// Brings the port back after each hang-up; never ends.
    pub(super) async fn keep_coming_back(&self) {
        let mut hung_up = self.comes_back.subscribe();
        loop {
            // The sender lives as long as `self`, so waiting cannot fail.
            let time = hung_up.wait_for(Option::is_some).await.ok().and_then(|t| *t);
            tokio::time::sleep(time.unwrap_or_default()).await;
            self.comes_back.send_replace(None);
            if let Err(error) = self.connect() {
                tracing::error!(%error, "the simulated Photon's port could not come back");
            }
        }
    }

    pub(super) fn pty(&self) -> Option<Arc<Pty>> {
        self.pty.borrow().clone()
    }

    /// Waits until the port is there.
    pub(super) async fn connected(&self) -> Arc<Pty> {
        let mut pty = self.pty.subscribe();
        loop {
            if let Ok(there) = pty.wait_for(Option::is_some).await
                && let Some(pty) = there.clone()
            {
                return pty;
            }
        }
    }

    /// The link, or else the pty that is there or was there last.
    pub(super) fn path(&self) -> PathBuf {
        let last = || self.last_path.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.link.clone().unwrap_or_else(last)
    }
}

/// Points the link to the target in one step, so that nobody finds it missing or half made. Until then
/// its name is hidden from whoever takes the directory for a hub.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    let temporary = link.with_file_name(format!(".{:016x}", fastrand::u64(..)));
    symlink(target, &temporary)?;
    std::fs::rename(&temporary, link).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}
