//! A server for this room's tests. It answers what its test has scripted, and fails the test on
//! anything else.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use super::{ApiUrl, Cloud, CloudSettings, OAuthClient};
use crate::model::{Deadline, DeviceId, ProductRef};

pub const ID: &str = "3b0021001747353236343033";
pub const CLIENT_ID: &str = "bench-1";
pub const SECRET: &str = "the-clients-secret";
pub const USER_TOKEN: &str = "the-users-own-token";

/// Requests are answered in any order; equal ones in the order in which they were scripted.
pub struct Scripted {
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    expected: Mutex<Vec<Expected>>,
    seen: Mutex<Vec<Seen>>,
    unscripted: Mutex<Vec<String>>,
    arrived: watch::Sender<usize>,
}

struct Expected {
    line: String,
    /// Written as is, then the connection is closed.
    reply: Vec<u8>,
    gate: Option<Arc<Semaphore>>,
    /// Keeps the connection open until it gets a permit.
    hold: Option<Arc<Semaphore>>,
}

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    /// The whole head in lower case but for the values.
    pub head: String,
    pub body: String,
}

impl Scripted {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Self { url, state }
    }

    /// Answers one such request with this status and JSON (or other) body.
    pub fn expect(&self, line: &str, status: u16, body: &str) {
        self.expect_with(line, status, "", body);
    }

    /// The same with more headers, each ending in CR LF.
    pub fn expect_with(&self, line: &str, status: u16, headers: &str, body: &str) {
        self.script(line, reply(status, headers, body), None);
    }

    /// Processes one such request and drops the connection instead of answering.
    pub fn expect_and_drop(&self, line: &str) {
        self.script(line, Vec::new(), None);
    }

    /// Answers one such request with these bytes.
    pub fn expect_raw(&self, line: &str, bytes: &str) {
        self.script(line, bytes.into(), None);
    }

    /// Answers one such request when the gate has been given a permit.
    pub fn expect_gated(&self, line: &str, status: u16, body: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.script(line, reply(status, "", body), Some(gate.clone()));
        gate
    }

    /// Answers one such request with these bytes, and then says nothing more.
    pub fn expect_raw_and_hold(&self, line: &str, bytes: &str) -> Arc<Semaphore> {
        let hold = Arc::new(Semaphore::new(0));
        let (line, reply) = (line.into(), bytes.into());
        let expected = Expected { line, reply, gate: None, hold: Some(hold.clone()) };
        self.state.expected.lock().unwrap().push(expected);
        hold
    }

    fn script(&self, line: &str, reply: Vec<u8>, gate: Option<Arc<Semaphore>>) {
        self.state.expected.lock().unwrap().push(Expected { line: line.into(), reply, gate, hold: None });
    }

    /// Waits until this many requests have come.
    pub async fn arrived(&self, count: usize) {
        self.state.arrived.subscribe().wait_for(|n| *n >= count).await.unwrap();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(*self.state.unscripted.lock().unwrap(), [""; 0], "unscripted requests");
            let left: Vec<_> = self.state.expected.lock().unwrap().iter().map(|e| e.line.clone()).collect();
            assert_eq!(left, [""; 0], "requests that never came");
        }
    }
}

fn reply(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into()
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some(seen) = read(&mut stream).await else { return };
    let found = {
        let mut expected = state.expected.lock().unwrap();
        expected.iter().position(|e| e.line == seen.line).map(|at| expected.remove(at))
    };
    let Some(expected) = found else {
        state.unscripted.lock().unwrap().push(seen.line);
        let _ = stream.write_all(&reply(418, "", "unscripted")).await;
        return;
    };
    state.seen.lock().unwrap().push(seen);
    state.arrived.send_modify(|n| *n += 1);
    if let Some(gate) = expected.gate {
        gate.acquire().await.unwrap().forget();
    }
    let _ = stream.write_all(&expected.reply).await;
    if let Some(hold) = expected.hold {
        hold.acquire().await.unwrap().forget();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).unwrap();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let line = text.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Seen { line, head: text, body: String::from_utf8(body).unwrap() })
}

pub fn id() -> DeviceId {
    DeviceId::parse(ID).unwrap()
}

pub fn product() -> ProductRef {
    ProductRef::parse("1319").unwrap()
}

pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60), "the test")
}

pub fn settings(server: &Scripted) -> CloudSettings {
    CloudSettings {
        api_url: ApiUrl::parse(&server.url).unwrap(),
        client: Some(OAuthClient { id: CLIENT_ID.into(), secret: SECRET.into() }),
        user_token: Some(USER_TOKEN.into()),
        ..CloudSettings::default()
    }
}

/// With a client, and nothing cached.
pub fn client_cloud(server: &Scripted) -> Cloud {
    Cloud::new(settings(server)).unwrap()
}

/// With a user's token only, so that nothing has to be signed in for.
pub fn signed_in_cloud(server: &Scripted) -> Cloud {
    Cloud::new(CloudSettings { client: None, ..settings(server) }).unwrap()
}

pub fn token_answer(token: &str) -> String {
    format!(
        r#"{{"token_type":"bearer","access_token":"{token}","expires_in":7776000,"refresh_token":"refresh-{token}"}}"#
    )
}
