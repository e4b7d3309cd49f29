//! A serial port, opened for one user at a time.

use std::{io, path::Path, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_serial::ErrorKind;

use crate::model::{Failure, FailureCode};

/// The line speeds that mean something to a Photon (`system_setup.cpp` looks at them whenever the
/// port is opened or reconfigured); any other is as good as 9600. 14400 would reboot it into DFU.
pub mod baud {
    /// Means nothing to the board.
    pub const PLAIN: u32 = 9600;
    /// Puts a running board into listening mode, from 0.5.0 on. On 0.4.x it starts a firmware
    /// transfer instead.
    pub const LISTEN: u32 = 28800;
}

/// An open serial line. A trait, so that hardware can be faked.
pub trait Port: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// Changes the line speed, in baud.
    fn set_baud(&mut self, baud: u32) -> io::Result<()>;
}

/// Opens ports; [`SystemPorts`] is the real one.
pub trait OpenPort: Send + Sync {
    /// Opens the port for this run alone.
    fn open(&self, path: &Path, baud: u32) -> Result<Box<dyn Port>, OpenError>;
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing has that name.
    #[error("there is no port {0}")]
    Missing(String),
    /// It is there, but this user may not open it.
    #[error("you may not open {0}")]
    Forbidden(String),
    /// Another program, or another run, holds it.
    #[error("{0} is in use by another program")]
    Busy(String),
    /// It is not a serial port, or the system failed.
    #[error("{0} cannot be opened as a serial port")]
    Other(String, #[source] io::Error),
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Missing(_) | OpenError::Other(..) => FailureCode::NoDevice,
            OpenError::Forbidden(_) => FailureCode::PortForbidden,
            OpenError::Busy(_) => FailureCode::PortBusy,
        };
        let failure = Self::new(code, error.to_string());
        match error {
            OpenError::Other(_, source) => failure.because(source),
            _ => failure,
        }
    }
}

/// The ports of this computer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPorts;

impl OpenPort for SystemPorts {
    fn open(&self, path: &Path, baud: u32) -> Result<Box<dyn Port>, OpenError> {
        let name = path.display().to_string();
        // Exclusive mode (TIOCEXCL) keeps other programs out; it does not keep out root, so the crate
        // also takes a lock (flock), which tells two runs of this program from each other.
        let builder = tokio_serial::new(name.as_str(), baud).timeout(Duration::ZERO);
        match tokio_serial::SerialStream::open(&builder) {
            Ok(stream) => Ok(Box::new(SystemPort(stream))),
            Err(error) => Err(match error.kind() {
                ErrorKind::NoDevice if path.exists() => OpenError::Busy(name),
                ErrorKind::NoDevice | ErrorKind::Io(io::ErrorKind::NotFound) => OpenError::Missing(name),
                ErrorKind::Io(io::ErrorKind::PermissionDenied) => OpenError::Forbidden(name),
                _ => OpenError::Other(name, error.into()),
            }),
        }
    }
}

struct SystemPort(tokio_serial::SerialStream);

impl Port for SystemPort {
    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        tokio_serial::SerialPort::set_baud_rate(&mut self.0, baud).map_err(io::Error::from)
    }
}

impl AsyncRead for SystemPort {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for SystemPort {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
    }

    // Flushing a serial stream waits in the kernel until every byte has left (tcdrain), which would
    // block the runtime; whoever sends waits for the answer anyway.
    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

/// The bytes of a port, one at a time, with writes that end when the port took all of them.
pub struct Bytes {
    port: Box<dyn Port>,
    buffer: Vec<u8>,
    at: usize,
}

impl Bytes {
    /// Nothing is read yet.
    pub fn new(port: Box<dyn Port>) -> Self {
        Self { port, buffer: Vec::new(), at: 0 }
    }

    /// The next byte. May be dropped at any time without losing one. An end of file is an error: a
    /// serial port has none unless it was unplugged.
    pub async fn next(&mut self) -> io::Result<u8> {
        if self.at == self.buffer.len() {
            let mut chunk = [0; 256];
            let n = self.port.read(&mut chunk).await?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.clear();
            self.buffer.extend_from_slice(&chunk[..n]);
            self.at = 0;
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(byte)
    }

    /// Writes all of it, in one system call where the port takes it.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.write_all(bytes).await
    }

    /// Changes the line speed, in baud.
    pub fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.port.set_baud(baud)
    }
}
