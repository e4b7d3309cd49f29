//! A connection to a Photon's own access point. Never through a proxy, and never over both wires.

use std::{fmt, io, net::SocketAddr, str::FromStr, time::Duration};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tracing::debug;

use crate::{
    model::Invalid,
    protocol::softap::{AnswerError, HttpReader, Reply, Request, TcpReader},
};

/// Where every Photon is on its own network (`softap_ip.c`).
const PHOTON: &str = "192.168.0.1";
const HTTP_PORT: u16 = 80;
const TCP_PORT: u16 = 5609;
/// Time for a connection to come about; the network is one hop.
const CONNECT: Duration = Duration::from_secs(3);

/// The two wires; they carry the same JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Kept alive, one request at a time.
    Http,
    /// One request a connection.
    Tcp,
}

/// A Photon's address in setup mode, and the wire to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftApTarget {
    host: String,
    port: Option<u16>,
    /// `None`: HTTP, or TCP if HTTP does not answer.
    wire: Option<Wire>,
}

impl Default for SoftApTarget {
    fn default() -> Self {
        Self { host: PHOTON.into(), port: None, wire: None }
    }
}

impl SoftApTarget {
    /// The wires to try, in this order, with their addresses.
    pub fn wires(&self) -> Vec<(Wire, String)> {
        let at = |wire, default| (wire, format!("{}:{}", self.host, self.port.unwrap_or(default)));
        match self.wire {
            Some(Wire::Http) => vec![at(Wire::Http, HTTP_PORT)],
            Some(Wire::Tcp) => vec![at(Wire::Tcp, TCP_PORT)],
            None => vec![at(Wire::Http, HTTP_PORT), at(Wire::Tcp, TCP_PORT)],
        }
    }
}

impl FromStr for SoftApTarget {
    type Err = Invalid;

    /// `HOST[:PORT]` or `http://HOST[:PORT]` for HTTP, `tcp://HOST[:PORT]` for TCP.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            what: "a Photon's address",
            why: "looks like 192.168.0.1, 192.168.0.1:80 or tcp://192.168.0.1".into(),
        };
        let (wire, rest) = match text.split_once("://") {
            Some(("tcp", rest)) => (Wire::Tcp, rest),
            Some(("http", rest)) => (Wire::Http, rest),
            Some(_) => return Err(invalid()),
            None => (Wire::Http, text),
        };
        let rest = rest.trim_end_matches('/');
        // An IPv6 address has its colons within brackets.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse::<u16>().map_err(|_| invalid())?))
            }
            _ => (rest, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_[]:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(invalid());
        }
        Ok(Self { host: host.into(), port, wire: Some(wire) })
    }
}

impl fmt::Display for SoftApTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SoftApError {
    /// Nobody takes the connection: this computer is not on the Photon's network, or the Photon is not
    /// in setup mode.
    #[error("nobody answers at {address}")]
    Unreachable {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        why: io::Error,
    },
    /// The connection broke, or the deadline passed.
    #[error("the connection to the device broke")]
    Broken(#[source] io::Error),
    /// The answer cannot be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// One Photon over one wire.
pub struct SoftApLink {
    wire: Wire,
    address: String,
    /// HTTP's connection, kept for the next request.
    kept: Option<(TcpStream, HttpReader)>,
}

impl SoftApLink {
    /// Nothing is opened yet.
    pub fn new(wire: Wire, address: String) -> Self {
        Self { wire, address, kept: None }
    }

    /// Which wire.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Sends a request and reads its answer, within so much time.
    pub async fn ask(&mut self, request: &Request, allowed: Duration) -> Result<Reply, SoftApError> {
        debug!(command = request.command(), wire = ?self.wire, "asking the device");
        let exchange = async {
            match self.wire {
                Wire::Http => self.over_http(request).await,
                Wire::Tcp => self.over_tcp(request).await,
            }
        };
        let answer = timeout(allowed, exchange).await;
        // A connection whose answer was not read to its end is of no more use.
        let answer = answer.unwrap_or_else(|_| Err(SoftApError::Broken(io::ErrorKind::TimedOut.into())));
        if answer.is_err() {
            self.kept = None;
        }
        answer
    }

    async fn over_http(&mut self, request: &Request) -> Result<Reply, SoftApError> {
        // The server closes what has been idle for long.
        if let Some(mut connection) = self.kept.take()
            && connection.0.read(&mut [0]).now_or_never().is_none()
        {
            match self.one_http(connection, request).await {
                // It may have done so just now. A command that was begun must not be begun again.
                Err(SoftApError::Broken(_) | SoftApError::Answer(AnswerError::Nothing))
                    if request.only_asks() => {}
                other => return other,
            }
        }
        let connection = (self.connect().await?, HttpReader::default());
        self.one_http(connection, request).await
    }

    async fn one_http(
        &mut self,
        (mut stream, mut reader): (TcpStream, HttpReader),
        request: &Request,
    ) -> Result<Reply, SoftApError> {
        let server: SocketAddr = stream.peer_addr().map_err(SoftApError::Broken)?;
        stream.write_all(&request.http(server)).await.map_err(SoftApError::Broken)?;
        let mut chunk = [0; 1024];
        loop {
            let count = stream.read(&mut chunk).await.map_err(SoftApError::Broken)?;
            if count == 0 {
                return Ok(reader.closed()?);
            }
            for &byte in &chunk[..count] {
                if let Some(reply) = reader.feed(byte)? {
                    self.kept = Some((stream, reader));
                    return Ok(reply);
                }
            }
        }
    }

    async fn over_tcp(&mut self, request: &Request) -> Result<Reply, SoftApError> {
        let mut stream = self.connect().await?;
        stream.write_all(&request.tcp()).await.map_err(SoftApError::Broken)?;
        let mut reader = TcpReader::default();
        let mut chunk = [0; 1024];
        loop {
            let count = stream.read(&mut chunk).await.map_err(SoftApError::Broken)?;
            if count == 0 {
                return Ok(reader.closed()?);
            }
            for &byte in &chunk[..count] {
                reader.feed(byte)?;
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, SoftApError> {
        let unreachable = |why| SoftApError::Unreachable { address: self.address.clone(), why };
        let connected = timeout(CONNECT, TcpStream::connect(self.address.as_str())).await;
        let stream =
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
        // The server reads a header in one segment, so nothing may be held back and joined.
        stream.set_nodelay(true).map_err(SoftApError::Broken)?;
        Ok(stream)
    }

    /// Ends when the server lets go of the kept connection, as it does when its network goes away.
    pub async fn closed(&mut self) {
        if let Some((stream, _)) = &mut self.kept {
            let mut rest = [0; 64];
            while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
        }
        self.kept = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::model::ClaimCode;

    const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";

    #[test]
    fn addresses_name_their_wire() {
        let wires = |text: &str| text.parse::<SoftApTarget>().map(|target| target.wires());
        assert_eq!(wires("192.168.0.1").unwrap(), [(Wire::Http, "192.168.0.1:80".into())]);
        assert_eq!(wires("127.0.0.1:8080").unwrap(), [(Wire::Http, "127.0.0.1:8080".into())]);
        assert_eq!(wires("tcp://photon").unwrap(), [(Wire::Tcp, "photon:5609".into())]);
        assert_eq!(wires("tcp://[::1]:99").unwrap(), [(Wire::Tcp, "[::1]:99".into())]);
        assert_eq!(SoftApTarget::default().wires().len(), 2);
        for bad in ["", ":80", "ftp://x", "a b", "x:70000", "tcp://"] {
            assert!(wires(bad).is_err(), "{bad}");
        }
    }

    /// What arrives at a raw socket, up to what is one read.
    async fn first_read(wire: Wire) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut link = SoftApLink::new(wire, address);
        let request = Request::set_claim_code(&ClaimCode::parse(CODE).unwrap());
        let ask = async { link.ask(&request, Duration::from_secs(60)).await };
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let count = stream.read(&mut bytes).await.unwrap();
            bytes.truncate(count);
            bytes
        };
        tokio::join!(ask, serve).1
    }

    #[tokio::test]
    async fn the_bytes_of_a_request_are_these_and_go_out_in_one_write() {
        let body = format!(r#"{{"k":"cc","v":"{CODE}"}}"#);
        let http = String::from_utf8(first_read(Wire::Http).await).unwrap();
        let (header, rest) = http.split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = header.lines().collect();
        assert_eq!(lines[0], "POST /set HTTP/1.1");
        assert!(lines[1].starts_with("Host: 127.0.0.1:"));
        assert_eq!(lines[2..], ["Content-Length: 80"]);
        assert_eq!(rest, body);
        let tcp = String::from_utf8(first_read(Wire::Tcp).await).unwrap();
        assert_eq!(tcp, format!("set\n80\n\n{body}"));
    }
}
