use std::{collections::VecDeque, net::SocketAddr};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::net::{TcpListener, TcpStream};

use super::{
    commands::{Command, Session},
    http::SEGMENT,
    port::{self, Framing, Port},
    wire_state::Wire,
};

/// Bytes that a command's name has room for.
const NAME_LENGTH: usize = 30;

/// SoftAP over TCP (`TCPServerDispatcher` and `SimpleProtocolDispatcher` of `softap.cpp`).
pub(super) struct TcpServer<'a> {
    port: Port<'a>,
}

impl<'a> TcpServer<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { port: Port::new(session, Wire::Tcp) }
    }

    /// Serves everybody who connects; never ends.
    pub(super) async fn serve(&self, listener: &TcpListener) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                // A client that is gone before it was accepted is no client.
                accepted = listener.accept() => if let Ok((stream, client)) = accepted {
                    connections.push(self.connection(stream, client));
                },
                Some(()) = connections.next() => {}
            }
        }
    }

    /// One command, and the end. Until something has come the connection is nobody's business; from then
    /// on the thread does not leave it until the command was understood and answered.
    async fn connection(&self, stream: TcpStream, client: SocketAddr) {
        let ready = port::has_come(&stream).await;
        let _turn = self.port.turn(client).await;
        if ready.is_err() {
            return;
        }
        let mut incoming =
            Incoming { port: &self.port, stream: &stream, bytes: VecDeque::new(), ended: false };
        let Some((command, count)) = incoming.command().await else { return port::close(stream).await };
        let body = if command.reads_a_body() { incoming.body(count).await } else { Vec::new() };
        let pieces = self.port.session.execute(command, &body, Wire::Tcp).await;
        // The preamble waits in the device's memory for the rest of the answer.
        let framing = Framing { head: b"\n\n".to_vec(), frame: <[u8]>::to_vec, tail: b"" };
        if self.port.deliver(&stream, command, pieces, framing).await.is_ok() {
            port::close(stream).await;
        }
        if command == Command::ConnectAp {
            self.port.session.device.run_on();
        }
    }
}

/// A request, a byte at a time.
struct Incoming<'a> {
    port: &'a Port<'a>,
    stream: &'a TcpStream,
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Incoming<'_> {
    /// The command, and the number of bytes that are said to follow; `None` for a name that it does not
    /// know. Nothing of this is checked: whatever stands in place of the number is counted in
    /// (`SimpleProtocolDispatcher::handle`), and only two newlines in a row, or the first of all, lead on to
    /// the body.
    async fn command(&mut self) -> Option<(Command, i32)> {
        let mut name = Vec::new();
        while name.len() < NAME_LENGTH {
            match self.byte().await {
                None | Some(0 | b'\n') => break,
                Some(byte) => name.push(byte),
            }
        }
        let mut count = 0i32;
        while let Some(byte) = self.byte().await
            && byte != b'\n'
        {
            count = count.wrapping_mul(10).wrapping_add(i32::from(byte) - i32::from(b'0'));
        }
        let mut after_newline = true;
        while let Some(byte) = self.byte().await {
            if byte == b'\n' && after_newline {
                break;
            }
            after_newline = byte == b'\n';
        }
        Some((Command::named(&name)?, count))
    }

    /// So many bytes of a body, of which the stream can only count the lower 16 bits. Nothing when they do
    /// not come whole, or when the device would find no memory for them.
    async fn body(&mut self, count: i32) -> Vec<u8> {
        let Ok(count) = u32::try_from(count) else { return Vec::new() };
        let mut body = Vec::new();
        for _ in 0..count & 0xffff {
            match self.byte().await {
                Some(byte) => body.push(byte),
                None => return Vec::new(),
            }
        }
        body
    }

    /// The next byte, however long it takes; `None` when the client has no more.
    async fn byte(&mut self) -> Option<u8> {
        while self.bytes.is_empty() && !self.ended {
            match self.stream.readable().await.and_then(|()| self.port.segment(self.stream, SEGMENT)) {
                Ok(Some(segment)) => {
                    self.ended = segment.is_empty();
                    self.bytes.extend(segment);
                }
                Ok(None) => {}
                Err(_) => self.ended = true,
            }
        }
        self.bytes.pop_front()
    }
}
