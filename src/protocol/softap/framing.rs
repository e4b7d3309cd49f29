use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::{AnswerError, Reply, Request};

impl Request {
    /// The request for the HTTP server at this address; to go out in one write.
    pub fn http(&self, server: SocketAddr) -> Zeroizing<Vec<u8>> {
        let (command, length) = (self.command, self.body.len());
        let host = match server.port() {
            80 if server.is_ipv4() => server.ip().to_string(),
            _ => server.to_string(),
        };
        let header = match length {
            0 => format!("GET /{command} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            _ => format!("POST /{command} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"),
        };
        self.after(&header)
    }

    /// The request for the TCP server; to go out in one write on a connection of its own.
    pub fn tcp(&self) -> Zeroizing<Vec<u8>> {
        self.after(&format!("{}\n{}\n\n", self.command, self.body.len()))
    }

    fn after(&self, header: &str) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(header.len() + self.body.len()));
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// The most that is taken as a body. A scan of three hundred networks has less.
const LONGEST_BODY: usize = 64 * 1024;
/// The most that is taken as a header, and as the line of a chunk's size.
const LONGEST_HEADER: usize = 8 * 1024;

/// Takes the answers of a kept-alive HTTP connection byte by byte; it is ready for the next answer
/// when it has given one. After an error the connection is of no more use.
#[derive(Debug, Default)]
pub struct HttpReader {
    state: State,
    line: Vec<u8>,
    /// Bytes of status line, headers and trailers so far.
    header: usize,
    status: Option<u16>,
    chunked: bool,
    length: Option<usize>,
    body: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Header,
    ChunkSize,
    /// With the bytes still to come.
    Chunk(usize),
    /// The line end after a chunk.
    ChunkEnd,
    /// What may follow the last chunk, to an empty line.
    Trailer,
    /// With the bytes still to come.
    Sized(usize),
    UntilClosed,
}

impl HttpReader {
    /// Takes the next byte; gives the answer with its last one.
    pub fn feed(&mut self, byte: u8) -> Result<Option<Reply>, AnswerError> {
        match self.state {
            State::Chunk(left) => {
                self.body.push(byte);
                self.state = if left > 1 { State::Chunk(left - 1) } else { State::ChunkEnd };
                Ok(None)
            }
            State::Sized(left) => {
                self.body.push(byte);
                self.state = State::Sized(left - 1);
                if left > 1 { Ok(None) } else { self.done().map(Some) }
            }
            State::UntilClosed => {
                within(self.body.len(), LONGEST_BODY - 1)?;
                self.body.push(byte);
                Ok(None)
            }
            _ if byte == b'\n' => {
                let mut line = std::mem::take(&mut self.line);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                self.line_ended(&line)
            }
            _ => {
                within(self.line.len(), LONGEST_HEADER - 1)?;
                self.line.push(byte);
                Ok(None)
            }
        }
    }

    /// The device has closed the connection: an answer that says nothing of its length ends so.
    pub fn closed(&mut self) -> Result<Reply, AnswerError> {
        match self.state {
            State::UntilClosed => self.done(),
            State::Header if self.header == 0 && self.line.is_empty() => Err(AnswerError::Nothing),
            _ => Err(AnswerError::CutShort),
        }
    }

    fn line_ended(&mut self, line: &[u8]) -> Result<Option<Reply>, AnswerError> {
        match self.state {
            State::ChunkSize => {
                let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
                match number(digits, 16)? {
                    0 => self.state = State::Trailer,
                    size => {
                        within(size, LONGEST_BODY - self.body.len())?;
                        self.state = State::Chunk(size);
                    }
                }
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(AnswerError::NotHttp),
            _ => {
                self.header += line.len() + 2;
                within(self.header, LONGEST_HEADER)?;
                match (self.state, line.is_empty()) {
                    (State::Trailer, true) => return self.done().map(Some),
                    (State::Trailer, false) => {}
                    (_, true) => return self.header_ended(),
                    (_, false) if self.status.is_none() => self.status = Some(status(line)?),
                    (_, false) => self.field(line)?,
                }
            }
        }
        Ok(None)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), AnswerError> {
        let colon = line.iter().position(|&b| b == b':').ok_or(AnswerError::NotHttp)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.length = Some(number(value, 10)?);
        }
        Ok(())
    }

    fn header_ended(&mut self) -> Result<Option<Reply>, AnswerError> {
        self.status.ok_or(AnswerError::NotHttp)?;
        self.state = match self.length {
            _ if self.chunked => State::ChunkSize,
            Some(0) => return self.done().map(Some),
            Some(length) => {
                within(length, LONGEST_BODY)?;
                State::Sized(length)
            }
            None if self.status == Some(200) => State::UntilClosed,
            // A refusal is complete without its body.
            None => return self.done().map(Some),
        };
        Ok(None)
    }

    fn done(&mut self) -> Result<Reply, AnswerError> {
        let answer = std::mem::take(self);
        match answer.status {
            Some(200) => Ok(Reply::new(answer.body)),
            Some(status) => Err(AnswerError::Status(status)),
            None => Err(AnswerError::NotHttp),
        }
    }
}

fn within(length: usize, most: usize) -> Result<(), AnswerError> {
    if length > most { Err(AnswerError::TooLong) } else { Ok(()) }
}

/// `HTTP/1.1 200 OK`; the device's redirects come without words after the number.
fn status(line: &[u8]) -> Result<u16, AnswerError> {
    let mut words = line.strip_prefix(b"HTTP/1.").ok_or(AnswerError::NotHttp)?.split(|&b| b == b' ');
    let code = words.nth(1).unwrap_or_default();
    u16::try_from(number(code, 10)?).map_err(|_| AnswerError::NotHttp)
}

/// Digits only, and no more of them than any honest length has.
fn number(digits: &[u8], radix: u32) -> Result<usize, AnswerError> {
    if digits.len() > 8 {
        return Err(AnswerError::TooLong);
    }
    let text = std::str::from_utf8(digits).ok().filter(|text| text.chars().all(|c| c.is_digit(radix)));
    text.and_then(|text| usize::from_str_radix(text, radix).ok()).ok_or(AnswerError::NotHttp)
}

/// Takes the one answer of a TCP connection byte by byte, until the device closes it.
#[derive(Debug, Default)]
pub struct TcpReader(Vec<u8>);

impl TcpReader {
    /// What precedes every answer.
    const PREAMBLE: &[u8] = b"\n\n";

    /// Takes the next byte.
    pub fn feed(&mut self, byte: u8) -> Result<(), AnswerError> {
        within(self.0.len(), LONGEST_BODY - 1)?;
        self.0.push(byte);
        let compared = self.0.len().min(Self::PREAMBLE.len());
        if self.0[..compared] != Self::PREAMBLE[..compared] {
            return Err(AnswerError::NotSoftAp);
        }
        Ok(())
    }

    /// The device has closed the connection: that was the answer.
    pub fn closed(self) -> Result<Reply, AnswerError> {
        match self.0.strip_prefix(Self::PREAMBLE) {
            Some(body) => Ok(Reply::new(body.to_vec())),
            None if self.0.is_empty() => Err(AnswerError::Nothing),
            None => Err(AnswerError::CutShort),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::super::recorded, *};
    use crate::model::ClaimCode;

    fn read_http(bytes: &[u8]) -> Result<Option<Reply>, AnswerError> {
        let mut reader = HttpReader::default();
        for (n, &byte) in bytes.iter().enumerate() {
            if let Some(reply) = reader.feed(byte)? {
                assert_eq!(n + 1, bytes.len(), "the answer ends with its last byte");
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn read_tcp(bytes: &[u8]) -> Result<Reply, AnswerError> {
        let mut reader = TcpReader::default();
        bytes.iter().try_for_each(|&byte| reader.feed(byte))?;
        reader.closed()
    }

    fn recorded(name: &str) -> serde_json::Value {
        recorded::softap().into_iter().find(|scenario| scenario["name"] == name).unwrap()
    }

    fn server(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn requests_are_the_recorded_ones_byte_for_byte() {
        let code =
            ClaimCode::parse("3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5").unwrap();
        let photon = server("192.168.0.1:80");
        for (name, request) in [
            ("http version", Request::version()),
            ("http device-id", Request::device_id()),
            ("http public-key", Request::public_key()),
            ("http set claim code", Request::set_claim_code(&code)),
            ("http connect", Request::connect()),
        ] {
            assert_eq!(*request.http(photon), recorded::bytes(&recorded(name)["send"][0]), "{name}");
        }
        for (name, request) in [
            ("tcp version", Request::version()),
            ("tcp device-id", Request::device_id()),
            ("tcp set claim code", Request::set_claim_code(&code)),
            ("tcp connect", Request::connect()),
        ] {
            assert_eq!(*request.tcp(), recorded::bytes(&recorded(name)["send"][0]), "{name}");
        }
        assert!(!format!("{:?}", Request::set_claim_code(&code)).contains("3Gjx"));
    }

    #[test]
    fn headers_stay_short_and_name_another_port() {
        let to = |address| String::from_utf8(Request::scan().http(server(address)).to_vec()).unwrap();
        assert_eq!(to("127.0.0.1:8080"), "GET /scan-ap HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
        assert!(to("[2001:db8:1111:2222:3333:4444:5555:6666]:65535").len() < 100);
    }

    #[test]
    fn recorded_answers_are_read_to_their_last_byte() {
        for scenario in recorded::softap() {
            let received = recorded::bytes(&scenario["receive"]);
            let name = scenario["name"].as_str().unwrap();
            if scenario["wire"] == "tcp" {
                match read_tcp(&received) {
                    Ok(reply) => assert!(received.ends_with(reply.body()), "{name}"),
                    Err(error) => assert_eq!((error, received.len()), (AnswerError::Nothing, 0), "{name}"),
                }
            } else {
                match read_http(&received) {
                    Ok(Some(_)) => assert!(received.starts_with(b"HTTP/1.1 200"), "{name}"),
                    Ok(None) => assert!(received.is_empty(), "{name}"),
                    Err(AnswerError::Status(status)) => {
                        assert!(received.starts_with(format!("HTTP/1.1 {status}").as_bytes()), "{name}");
                    }
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_reader_is_ready_for_the_next_answer_of_a_kept_connection() {
        let one = recorded::bytes(&recorded("http device-id")["receive"]);
        let two = recorded::bytes(&recorded("http version")["receive"]);
        let mut reader = HttpReader::default();
        let replies: Vec<_> = one.iter().chain(&two).filter_map(|&byte| reader.feed(byte).unwrap()).collect();
        assert_eq!(replies.len(), 2);
        assert_eq!(replies[0].device_id().unwrap().id.as_str(), "3b0035000d47343432313031");
        assert_eq!(replies[1].version(), Ok(2));
        assert_eq!(reader.closed(), Err(AnswerError::Nothing));
    }

    #[test]
    fn hostile_and_broken_answers_end_in_an_error() {
        let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
        for (bytes, error) in [
            ("220 mail.example\r\n".to_owned(), AnswerError::NotHttp),
            ("HTTP/1.1 500\r\n\r\n".into(), AnswerError::Status(500)),
            ("HTTP/1.1 -1\r\n\r\n".into(), AnswerError::NotHttp),
            ("HTTP/1.1 99999 \r\n\r\n".into(), AnswerError::NotHttp),
            ("\r\n".into(), AnswerError::NotHttp),
            ("HTTP/1.1 200 OK\r\nno colon\r\n".into(), AnswerError::NotHttp),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n".into(), AnswerError::NotHttp),
            ("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n".into(), AnswerError::TooLong),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".into(), AnswerError::TooLong),
            (chunked("ffffffff\r\n"), AnswerError::TooLong),
            (chunked("fffffffff\r\n"), AnswerError::TooLong),
            (chunked("x\r\n"), AnswerError::NotHttp),
            (chunked("1\r\nab\r\n"), AnswerError::NotHttp),
            (chunked(&"1\r\na\r\n".repeat(70_000)), AnswerError::TooLong),
            (chunked(&format!("0\r\n{}", "a: b\r\n".repeat(9_000))), AnswerError::TooLong),
            (format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(70_000)), AnswerError::TooLong),
            (format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(9_000)), AnswerError::TooLong),
            ("x".repeat(9_000), AnswerError::TooLong),
        ] {
            assert_eq!(read_http(bytes.as_bytes()), Err(error), "{}", &bytes[..bytes.len().min(80)]);
        }
        assert_eq!(read_tcp(b"\n{\"r\":0}"), Err(AnswerError::NotSoftAp));
        assert_eq!(read_tcp(b"\n"), Err(AnswerError::CutShort));
        assert_eq!(read_tcp(b"SSH-2.0"), Err(AnswerError::NotSoftAp));
        assert_eq!(read_tcp(&b"\n".repeat(70_000)), Err(AnswerError::TooLong));
        let mut cut = HttpReader::default();
        assert_eq!(cut.feed(b'H'), Ok(None));
        assert_eq!(cut.closed(), Err(AnswerError::CutShort));
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let mut reader = HttpReader::default();
        for &byte in b"HTTP/1.0 200 OK\n\n{\"v\":2}" {
            assert_eq!(reader.feed(byte), Ok(None));
        }
        assert_eq!(reader.closed().unwrap().version(), Ok(2));
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_in_any_chunks_and_with_a_length(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            cuts in proptest::collection::vec(1..50usize, 0..20),
        ) {
            let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n".to_vec();
            let mut rest = &body[..];
            for cut in cuts.into_iter().chain([body.len()]) {
                let (chunk, more) = rest.split_at(cut.min(rest.len()));
                if !chunk.is_empty() {
                    chunked.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                    chunked.extend_from_slice(chunk);
                    chunked.extend_from_slice(b"\r\n");
                }
                rest = more;
            }
            chunked.extend_from_slice(b"0\r\n\r\n");
            let mut sized = format!("HTTP/1.1 200\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            sized.extend_from_slice(&body);
            let mut tcp = b"\n\n".to_vec();
            tcp.extend_from_slice(&body);
            let expected = Reply::new(body);
            prop_assert_eq!(read_http(&chunked), Ok(Some(expected.clone())));
            prop_assert_eq!(read_http(&sized), Ok(Some(expected.clone())));
            prop_assert_eq!(read_tcp(&tcp), Ok(expected));
        }

        #[test]
        fn no_bytes_make_the_readers_fail(start in 0..3usize, bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let starts = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"];
            let mut reader = HttpReader::default();
            let _ = starts[start].bytes().chain(bytes.iter().copied()).try_for_each(|b| reader.feed(b).map(drop));
            let _ = reader.closed();
            let _ = read_tcp(&[b"\n\n", &bytes[..]].concat());
        }
    }
}
