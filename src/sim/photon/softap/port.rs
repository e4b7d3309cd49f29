use std::{io, net::SocketAddr, sync::PoisonError};

use tokio::{
    net::TcpStream,
    sync::{Mutex, MutexGuard},
};

use super::{
    answer_fault::AnswerFaultKind,
    commands::{Command, Session},
    pieces::Pieces,
    wire_state::{Wire, WireState},
};

/// What one port's connections share: the session, and the one thread that serves them.
pub(super) struct Port<'a> {
    pub(super) session: &'a Session,
    pub(super) wire: Wire,
    thread: Mutex<()>,
}

/// The port's thread is at this client. It goes on to the next when this is dropped.
pub(super) struct Turn<'a> {
    port: &'a Port<'a>,
    _thread: MutexGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.port.change(|state| state.serving = None);
    }
}

impl<'a> Port<'a> {
    pub(super) fn new(session: &'a Session, wire: Wire) -> Self {
        Self { session, wire, thread: Mutex::default() }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut WireState)) {
        self.session.device.change(|state| change(self.wire.of(state)));
    }

    /// Waits until the thread comes to this client, first come, first served.
    pub(super) async fn turn(&self, client: SocketAddr) -> Turn<'_> {
        self.change(|state| state.waiting += 1);
        let thread = self.thread.lock().await;
        self.change(|state| {
            state.waiting -= 1;
            state.serving = Some(client);
        });
        Turn { port: self, _thread: thread }
    }

    /// Reads what has come. `Ok(None)` when nothing has; an empty segment when nothing ever will.
    pub(super) fn segment(&self, stream: &TcpStream, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut segment = vec![0; most];
        match stream.try_read(&mut segment) {
            Ok(count) => {
                segment.truncate(count);
                self.change(|state| state.segments += u64::from(count > 0));
                Ok(Some(segment))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends an answer to a command, unless something goes wrong with it.
    ///
    /// # Errors
    ///
    /// When the connection is no more.
    pub(super) async fn deliver(
        &self,
        stream: &TcpStream,
        command: Command,
        mut pieces: Pieces,
        framing: Framing,
    ) -> io::Result<()> {
        let wrong = self.session.faults.lock().unwrap_or_else(PoisonError::into_inner).on_answer(command);
        for fault in &wrong {
            match fault {
                AnswerFaultKind::Slow(time) => tokio::time::sleep(*time).await,
                AnswerFaultKind::Garbage => {
                    pieces = Pieces::default();
                    pieces.write(b"\x00\xff\x1b[31m~}{\"r\":\xc3\x28,");
                }
                AnswerFaultKind::Reset | AnswerFaultKind::Endless => {}
            }
        }
        let mut answer = framing.head;
        for piece in pieces.iter() {
            answer.extend((framing.frame)(piece));
        }
        if wrong.contains(&AnswerFaultKind::Endless) {
            send(stream, &answer).await?;
            let more = (framing.frame)(&[b' '; 64]);
            loop {
                send(stream, &more).await?;
                // A client that reads as fast as this writes must not keep everybody else from running.
                tokio::task::yield_now().await;
            }
        }
        answer.extend(framing.tail);
        if wrong.contains(&AnswerFaultKind::Reset) {
            send(stream, &answer[..answer.len() / 2]).await?;
            stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        send(stream, &answer).await
    }
}

/// How a wire wraps an answer.
pub(super) struct Framing {
    /// Before it.
    pub(super) head: Vec<u8>,
    /// Around each piece.
    pub(super) frame: fn(&[u8]) -> Vec<u8>,
    /// After it.
    pub(super) tail: &'static [u8],
}

/// Waits until there is something to read, or nothing ever will be. Readiness alone does not tell: it
/// may be a false alarm.
///
/// # Errors
///
/// When the connection is no more.
pub(super) async fn has_come(stream: &TcpStream) -> io::Result<()> {
    stream.peek(&mut [0]).await.map(drop)
}

/// Sends all of it, waiting while the client does not read and the buffers are full.
pub(super) async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Closes in an orderly way: what was sent arrives. Closing with something unread would reset the
/// connection, so that is taken out first; the device has whole segments in its memory by then.
pub(super) async fn close(mut stream: TcpStream) {
    use tokio::io::AsyncWriteExt;
    // One that is gone already is as good.
    let _ = stream.shutdown().await;
    while stream.try_read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}
