use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    commands::{Command, Session},
    http::{self, Connection, Outcome},
    port::{self, Framing, Port},
    wire_state::Wire,
};

/// `SOFTAP_HTTP_MAXIMUM_CONNECTIONS` of `softap.cpp`, and of the network stack's control blocks
/// (`MEMP_NUM_TCP_PCB` of `lwipopts.h`).
const MOST_CONNECTIONS: usize = 10;
/// So many bodies can be lost before the server has no place left for another request.
const MOST_LOST_BODIES: usize = 8;

/// SoftAP over HTTP.
pub(super) struct HttpServer<'a> {
    port: Port<'a>,
    clients: Mutex<Clients>,
}

/// Who is connected. The network stack makes room for a new connection by resetting the one that has
/// been idle longest.
#[derive(Default)]
struct Clients {
    connected: usize,
    clock: u64,
    /// By when they fell idle.
    idle: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Clients {
    fn fall_idle(&mut self) -> (u64, oneshot::Receiver<()>) {
        let (reset, is_reset) = oneshot::channel();
        self.clock += 1;
        self.idle.insert(self.clock, reset);
        (self.clock, is_reset)
    }

    /// Whether there is room for one more, if need be by resetting another.
    fn make_room(&mut self) -> bool {
        if self.connected == MOST_CONNECTIONS {
            let Some((_, reset)) = self.idle.pop_first() else { return false };
            // It waits for this and for nothing else that could end it first.
            let _ = reset.send(());
            self.connected -= 1;
        }
        self.connected += 1;
        true
    }
}

/// How a connection ends.
enum Ending {
    /// By the client, or by an error.
    Gone,
    /// By the device, after what it has said.
    Closed,
    /// To make room for another.
    Reset,
    /// With the whole access point, after the answer.
    Connected(io::Result<()>),
}

impl<'a> HttpServer<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { port: Port::new(session, Wire::Http), clients: Mutex::default() }
    }

    /// Serves everybody who connects; never ends.
    pub(super) async fn serve(&self, listener: &TcpListener) {
        let mut connections = FuturesUnordered::new();
        loop {
            tokio::select! {
                // A client that is gone before it was accepted is no client.
                accepted = listener.accept() => if let Ok((stream, client)) = accepted {
                    if self.clients().make_room() {
                        connections.push(self.connection(stream, client));
                    } else {
                        let _ = stream.set_zero_linger();
                    }
                },
                Some(()) = connections.next() => {}
            }
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self, stream: TcpStream, client: SocketAddr) {
        // Each answer is one write that should leave at once; a failure only makes it later.
        let _ = stream.set_nodelay(true);
        let mut connection = Connection::default();
        let ending = self.converse(&stream, client, &mut connection).await;
        if connection.awaits_a_body() {
            self.port.change(|state| state.lost_bodies += 1);
        }
        match ending {
            Ending::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            Ending::Gone => {}
            Ending::Closed => port::close(stream).await,
            Ending::Connected(sent) => {
                if sent.is_ok() {
                    port::close(stream).await;
                }
                self.port.session.device.run_on();
            }
        }
        self.clients().connected -= 1;
    }

    async fn converse(&self, stream: &TcpStream, client: SocketAddr, connection: &mut Connection) -> Ending {
        loop {
            let (place, reset) = self.clients().fall_idle();
            let ready = tokio::select! {
                ready = port::has_come(stream) => ready,
                _ = reset => return Ending::Reset,
            };
            if self.clients().idle.remove(&place).is_none() {
                return Ending::Reset;
            }
            let _turn = self.port.turn(client).await;
            let segment = match ready.and_then(|()| self.port.segment(stream, http::SEGMENT)) {
                Ok(Some(segment)) if !segment.is_empty() => segment,
                Ok(None) => continue,
                Ok(Some(_)) | Err(_) => return Ending::Gone,
            };
            if let Some(ending) = self.take(stream, connection, &segment).await {
                return ending;
            }
        }
    }

    async fn take(&self, stream: &TcpStream, connection: &mut Connection, segment: &[u8]) -> Option<Ending> {
        let lost = self.port.session.device.state().softap_http.lost_bodies;
        let (outcome, closes) = connection.take(segment, lost < MOST_LOST_BODIES);
        let sent = match outcome {
            Outcome::Silence => Ok(()),
            Outcome::Answer(answer) => port::send(stream, &answer).await,
            Outcome::Obey(command, body) => {
                let pieces = self.port.session.execute(command, &body, Wire::Http).await;
                let framing =
                    Framing { head: http::answer_head(), frame: http::chunk, tail: http::LAST_CHUNK };
                let sent = self.port.deliver(stream, command, pieces, framing).await;
                if command == Command::ConnectAp {
                    return Some(Ending::Connected(sent));
                }
                sent
            }
        };
        match sent {
            Err(_) => Some(Ending::Gone),
            Ok(()) => closes.then_some(Ending::Closed),
        }
    }
}
