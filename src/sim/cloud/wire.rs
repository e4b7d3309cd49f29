use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use super::lock::unpoisoned;

/// The handle by which one connection can be cut from outside, whatever it is doing.
#[derive(Default)]
pub(super) struct Line {
    cut: AtomicBool,
    reader: AtomicWaker,
    number: OnceLock<u32>,
}

impl Line {
    /// Resets the connection: the other side gets no answer, and no clean end either.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.reader.wake();
    }

    /// The number that it was given when the first request of the API came by it.
    pub(super) fn number(&self, next: impl FnOnce() -> u32) -> u32 {
        *self.number.get_or_init(next)
    }
}

/// All open connections of a server.
#[derive(Default)]
pub(super) struct Lines(Mutex<Vec<Weak<Line>>>);

impl Lines {
    fn open(&self) -> Arc<Line> {
        let line = Arc::new(Line::default());
        let mut lines = unpoisoned(&self.0);
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(&line));
        line
    }

    pub(super) fn cut_all(&self) {
        unpoisoned(&self.0).drain(..).filter_map(|line| line.upgrade()).for_each(|line| line.cut());
    }
}

/// A TCP listener whose connections can be cut, with TLS or without.
pub(super) struct Switchboard {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) lines: Arc<Lines>,
}

impl Listener for Switchboard {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        // Only costs time where it cannot be set.
        let _ = stream.set_nodelay(true);
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Greeting(Box::new(tls.accept(stream))),
        };
        (Wire { stream, line: self.lines.open() }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a request knows of the connection it came by.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) line: Arc<Line>,
}

impl Connected<IncomingStream<'_, Switchboard>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Switchboard>) -> Self {
        Self { address: *stream.remote_addr(), line: stream.io().line.clone() }
    }
}

/// One connection.
pub(super) struct Wire {
    stream: Stream,
    line: Arc<Line>,
}

enum Stream {
    Plain(TcpStream),
    /// TLS is not agreed on yet; whoever reads or writes first drives that on, so that no slow peer
    /// holds up the others.
    Greeting(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Stream>> {
        if self.line.cut.load(Ordering::Acquire) {
            let tcp = match &self.stream {
                Stream::Plain(tcp) => Some(tcp),
                Stream::Greeting(accept) => accept.get_ref(),
                Stream::Tls(tls) => Some(tls.get_ref().0),
            };
            // With no time to linger, closing sends a reset instead of a clean end.
            let _ = tcp.map(TcpStream::set_zero_linger);
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if let Stream::Greeting(accept) = &mut self.stream {
            let tls = ready!(Pin::new(&mut **accept).poll(cx))?;
            self.stream = Stream::Tls(Box::new(tls));
        }
        Poll::Ready(Ok(&mut self.stream))
    }
}

/// Does the same to whichever stream it is. There is none in the middle of greeting: see [`Wire::poll`].
macro_rules! either {
    ($wire:expr, $cx:expr, $stream:ident => $do:expr) => {
        match ready!($wire.poll($cx))? {
            Stream::Plain($stream) => $do,
            Stream::Tls($stream) => $do,
            Stream::Greeting(_) => Poll::Pending,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.reader.register(cx.waker());
        either!(self, cx, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, cx, stream => Pin::new(stream).poll_write(cx, data))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, cx, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, cx, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
