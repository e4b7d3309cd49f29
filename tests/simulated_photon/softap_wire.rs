//! SoftAP clients that know nothing but bytes.

use std::net::SocketAddr;

use provision::sim::photon::{PhotonConfig, PhotonState, SimPhoton, WireState};
use rsa::{
    Pkcs1v15Encrypt, RsaPublicKey,
    pkcs8::DecodePublicKey,
    rand_core::{CryptoRng, RngCore},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::wire::{guarded, photon};

pub const VERSION: &str = "GET /version HTTP/1.1\r\nHost: 192.168.0.1\r\n\r\n";
pub const VERSION_ANSWER: &str = "7\r\n{\"v\":2}\r\n0\r\n\r\n";
pub const REFUSED: &str = "0\r\n\r\n";

/// A listening 2.3.1 with both ports that never comes back to listening by itself.
pub fn softap() -> PhotonConfig {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    PhotonConfig { softap_http: Some(anywhere), softap_tcp: Some(anywhere), ..photon() }
}

pub fn among(networks: &[&str]) -> PhotonConfig {
    PhotonConfig { networks: networks.iter().map(|n| n.parse().unwrap()).collect(), ..softap() }
}

/// The header of every answer to a command, and then this.
pub fn answer(chunks: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store, no-cache, \
         must-revalidate, post-check=0, pre-check=0\r\nPragma: no-cache\r\nConnection: \
         Keep-Alive\r\nAccess-Control-Allow-Origin: *\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
    )
}

/// `{"r":N}` as chunks.
pub fn r(code: i32) -> String {
    let code = code.to_string();
    let pieces = ["{", "\"", "r", "\"", ":", &code, "}"];
    pieces.map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).concat() + REFUSED
}

pub fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("POST {path} HTTP/1.1\r\nHost: 192.168.0.1\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[derive(Clone, Copy)]
pub enum Wire {
    Http,
    Tcp,
}

impl Wire {
    pub fn address(self, photon: &SimPhoton) -> SocketAddr {
        match self {
            Self::Http => photon.softap_http().unwrap(),
            Self::Tcp => photon.softap_tcp().unwrap(),
        }
    }

    pub fn state(self, state: &PhotonState) -> &WireState {
        match self {
            Self::Http => &state.softap_http,
            Self::Tcp => &state.softap_tcp,
        }
    }
}

pub struct Client<'a> {
    photon: &'a SimPhoton,
    wire: Wire,
    stream: TcpStream,
}

impl<'a> Client<'a> {
    pub async fn connect(photon: &'a SimPhoton, wire: Wire) -> Self {
        guarded(photon.wait_for(|state| wire.state(state).open)).await;
        let stream = guarded(TcpStream::connect(wire.address(photon))).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { photon, wire, stream }
    }

    pub async fn http(photon: &'a SimPhoton) -> Self {
        Self::connect(photon, Wire::Http).await
    }

    pub async fn tcp(photon: &'a SimPhoton) -> Self {
        Self::connect(photon, Wire::Tcp).await
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        guarded(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Writes, and waits until the device has read it as one segment of its own.
    pub async fn segment(&mut self, bytes: impl AsRef<[u8]>) {
        let wire = self.wire;
        let before = wire.state(&self.photon.state()).segments;
        self.send(bytes).await;
        guarded(self.photon.wait_for(|state| wire.state(state).segments > before)).await;
    }

    /// Exactly these bytes come next.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let mut got = vec![0; expected.len()];
        let mut count = 0;
        while count < got.len() && expected.starts_with(&got[..count]) {
            match guarded(self.stream.read(&mut got[count..])).await {
                Ok(more) if more > 0 => count += more,
                other => panic!("{other:?} after {:?}", got[..count].escape_ascii().to_string()),
            }
        }
        assert_eq!(got[..count].escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    pub async fn ask(&mut self, sent: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
        self.send(sent).await;
        self.expect(expected).await;
    }

    /// Nothing more has come, for this comes next (HTTP).
    pub async fn is_quiet(&mut self) {
        self.ask(VERSION, answer(VERSION_ANSWER)).await;
    }

    /// Nothing more comes, and the device has closed.
    pub async fn is_closed(&mut self) {
        assert_eq!(guarded(self.stream.read(&mut [0])).await.unwrap(), 0);
    }

    /// The device has reset the connection, perhaps after some bytes: how many.
    pub async fn is_reset(&mut self) -> usize {
        let mut bytes = 0;
        loop {
            match guarded(self.stream.read(&mut [0; 1024])).await {
                Ok(0) => panic!("closed, not reset"),
                Ok(count) => bytes += count,
                Err(_) => return bytes,
            }
        }
    }

    /// The device's one thread is at this client.
    pub async fn is_served(&self) {
        let (wire, me) = (self.wire, self.stream.local_addr().unwrap());
        guarded(self.photon.wait_for(|state| wire.state(state).serving == Some(me))).await;
    }

    /// So many clients have sent something and are not served.
    pub async fn others_wait(&self, count: usize) {
        let wire = self.wire;
        guarded(self.photon.wait_for(|state| wire.state(state).waiting == count)).await;
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// A command over HTTP on a connection of its own, and its answer as text.
pub async fn ask_http(photon: &SimPhoton, path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = Client::http(photon).await;
    client.send(post(path, body)).await;
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n0\r\n\r\n") {
        got.push(guarded(client.stream.read_u8()).await.unwrap());
    }
    let at = got.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let mut rest = &got[at + 4..];
    let mut text = Vec::new();
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return text;
        }
        text.extend(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}

/// A command over TCP, and its answer without the preamble.
pub async fn ask_tcp(photon: &SimPhoton, name: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = Client::tcp(photon).await;
    let body = body.as_ref();
    client.send([format!("{name}\n{}\n\n", body.len()).as_bytes(), body].concat()).await;
    let mut got = Vec::new();
    guarded(client.stream.read_to_end(&mut got)).await.unwrap();
    got.strip_prefix(b"\n\n").unwrap().to_vec()
}

/// What `configure-ap` answers: its `r`, or nothing when it is refused.
pub async fn configure(photon: &SimPhoton, body: Value) -> Option<i64> {
    let answer = ask_http(photon, "/configure-ap", body.to_string()).await;
    (!answer.is_empty()).then(|| serde_json::from_slice::<Value>(&answer).unwrap()["r"].as_i64().unwrap())
}

/// Seals with the key that the device gives out.
pub async fn seal(photon: &SimPhoton, plain: impl AsRef<[u8]>) -> String {
    let answer: Value = serde_json::from_slice(&ask_http(photon, "/public-key", "").await).unwrap();
    let padded = unhex(answer["b"].as_str().unwrap());
    assert_eq!(padded.len(), 294);
    // 1024 bits: 162 bytes of DER, as its head says.
    let key = RsaPublicKey::from_public_key_der(&padded[..162]).unwrap();
    hex(&key.encrypt(&mut Dice, Pkcs1v15Encrypt, plain.as_ref()).unwrap())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Good enough for a throw-away key.
struct Dice;

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        fastrand::u32(..)
    }
    fn next_u64(&mut self) -> u64 {
        fastrand::u64(..)
    }
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        fastrand::fill(bytes);
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        fastrand::fill(bytes);
        Ok(())
    }
}

impl CryptoRng for Dice {}
