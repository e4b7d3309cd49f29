use std::{
    ffi::OsStr,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::OptionalActions,
};
use tokio::io::unix::AsyncFd;

/// A pseudo-terminal: the simulator's end, and the name of the end that looks like a serial port.
pub(super) struct Pty {
    master: AsyncFd<OwnedFd>,
    // Kept open: without any opener the master would report a hang-up for good.
    slave: OwnedFd,
    path: PathBuf,
    speed: AtomicU32,
}

impl Pty {
    /// Opens a new one, in raw mode and without echo, so that nothing the board prints before the first
    /// client has set it up comes back as if typed.
    pub(super) fn open() -> io::Result<Self> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        // Not every Unix takes this as a flag of the call above.
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let path = PathBuf::from(OsStr::from_bytes(rustix::pty::ptsname(&master, Vec::new())?.to_bytes()));
        rustix::fs::fcntl_setfl(&master, rustix::fs::fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut terminal = rustix::termios::tcgetattr(&slave)?;
        terminal.make_raw();
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &terminal)?;
        let speed = AtomicU32::new(terminal.output_speed());
        // Deprecated for what it lets *other* types do: an `OwnedFd` keeps its one descriptor open for as
        // long as it lives, which is all that its `unsafe` successor asks for.
        #[allow(deprecated)]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, slave, path, speed })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The line speed in baud, when it is another than at the last call.
    pub(super) fn changed_speed(&self) -> Option<u32> {
        let now = rustix::termios::tcgetattr(&self.master).ok()?.output_speed();
        (self.speed.swap(now, Ordering::Relaxed) != now).then_some(now)
    }

    /// Lets the next one open the port. A serial port forgets that its opener wanted to be alone
    /// (`TIOCEXCL`) when it is closed; a pty of which we keep one end open does not, and a client that
    /// was killed would lock everybody out. Clients that lock the port with `flock` are not affected.
    pub(super) fn forget_exclusive_openers(&self) {
        // Refused only for what is not a terminal.
        let _ = rustix::termios::ioctl_tiocnxcl(&self.slave);
    }

    /// What has been written to the port, without waiting: 0 bytes when there is nothing.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match rustix::io::read(&self.master, buffer) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Waits until there is something, and reads it.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            match ready.try_io(|master| Ok(rustix::io::read(master, &mut *buffer)?)) {
                Ok(result) => return result,
                Err(_would_block) => continue,
            }
        }
    }

    /// Writes all of it, waiting while nobody reads and the buffers are full.
    pub(super) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.master.writable().await?;
            match ready.try_io(|master| Ok(rustix::io::write(master, bytes)?)) {
                Ok(written) => bytes = &bytes[written?..],
                Err(_would_block) => continue,
            }
        }
        Ok(())
    }
}
