//! What the server makes of the segments of one connection, without the connection (WICED's HTTP server
//! with `softap.cpp` and `softap_ip.c` of Device OS). It searches each segment for exact strings and knows
//! nothing else of HTTP.

use super::commands::Command;

/// Bytes of a TCP segment to the device (`TCP_MSS` of its `lwipopts.h`).
pub(super) const SEGMENT: usize = 1152;

/// `MINIMUM_REQUEST_LINE_LENGTH`.
const SHORTEST_REQUEST: usize = 9;

/// What the server knows by the name of its type; everything else is as good as no type at all
/// (`MIME_TABLE` of `http_server.h`).
const MIME_TYPES: [&str; 16] = [
    "application/x-tlv8",
    "application/x-apple-binary-plist",
    "application/x-ns-proxy-autoconfig",
    "application/octet-stream",
    "application/javascript",
    "application/json",
    "application/hap+json",
    "application/pairing+tlv8",
    "application/hap+verify",
    "text/html",
    "text/plain",
    "text/event-stream",
    "text/css",
    "image/png",
    "image/gif",
    "image/vnd.microsoft.icon",
];

/// What the server has, in the order in which it looks (`soft_ap_http_pages`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// `/`.
    Root,
    /// `/hello`.
    Hello,
    Command(Command),
    /// `/index`, of the pages that an application may bring.
    Index,
    /// All others of them.
    Unknown,
}

impl Page {
    /// A page is found when the request names no type, or the page's own.
    fn find(url: &[u8], mime_type: Option<&str>) -> Option<Self> {
        let path = url.strip_prefix(b"/")?;
        let takes = |own| mime_type.is_none_or(|given| given == own);
        let binary = takes("application/octet-stream");
        match path {
            b"" if takes("text/html") => Some(Self::Root),
            b"hello" if takes("text/plain") => Some(Self::Hello),
            b"index" if binary => Some(Self::Index),
            _ if !binary => None,
            _ => Some(Command::named(path).map_or(Self::Unknown, Self::Command)),
        }
    }
}

/// What a segment leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing, or nothing yet.
    Silence,
    /// An answer that is always the same.
    Answer(Vec<u8>),
    /// A command is to be obeyed.
    Obey(Command, Vec<u8>),
}

/// One connection's place in its requests.
#[derive(Debug, Default)]
pub(super) struct Connection {
    body: Body,
    /// A command or an application's page was answered on it: from then on its headers allow all origins.
    cross_host: bool,
}

#[derive(Debug, Default)]
enum Body {
    /// The next segment begins a request.
    #[default]
    None,
    /// The next segments belong to a body.
    Coming { page: Page, so_far: Vec<u8>, missing: usize },
    /// More came than the request had said: the count runs below zero, and never ends.
    Overrun,
}

impl Connection {
    /// A body was begun and has not come whole.
    pub(super) fn awaits_a_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// Takes a segment; whether the connection is closed after it, too. Without a place for one more
    /// body, commands and pages of the application get 500.
    pub(super) fn take(&mut self, segment: &[u8], has_room: bool) -> (Outcome, bool) {
        let closes = find(segment, b"Connection: close").is_some();
        let outcome = match std::mem::take(&mut self.body) {
            Body::None => self.begin(segment, has_room).unwrap_or(Outcome::Silence),
            Body::Coming { page, mut so_far, missing } => {
                so_far.extend(segment);
                self.proceed(page, so_far, missing.checked_sub(segment.len()))
            }
            Body::Overrun => {
                self.body = Body::Overrun;
                Outcome::Silence
            }
        };
        (outcome, closes)
    }

    /// A segment that begins a request (`http_server_parse_receive_packet`). `None` for what is none: it is
    /// forgotten without an answer.
    fn begin(&mut self, segment: &[u8], has_room: bool) -> Option<Outcome> {
        if segment.len() < SHORTEST_REQUEST {
            return None;
        }
        let url_end = find(segment, b" HTTP/1.1")?;
        let methods: [&[u8]; 3] = [b"GET ", b"POST ", b"PUT "];
        let method = methods.into_iter().find(|method| segment.starts_with(method))?;
        let url = path_of(segment.get(method.len()..url_end)?);
        let body_start = find(segment, b"\r\n\r\n")? + 4;
        // The first such string counts, and only where it is in the header.
        let field = |name: &[u8]| {
            find(segment, name).filter(|&at| at < body_start).map(|at| &segment[at + name.len()..])
        };
        let mime_type = field(b"Content-Type: ")
            .and_then(|value| MIME_TYPES.into_iter().find(|name| value.starts_with(name.as_bytes())));
        let Some(page) = Page::find(&url, mime_type) else {
            let head = head("404 Not Found", "text/html", self.cross_host, Some(0));
            return Some(Outcome::Answer(head));
        };

        let arrived = segment[body_start..].to_vec();
        let chunked = find(segment, b"Transfer-Encoding: chunked").is_some();
        let (body, missing) = match field(b"Content-Length: ") {
            // Whatever there is of it, chunk lengths and all.
            _ if chunked => (arrived, Some(0)),
            Some(length) => {
                let length = usize::from(content_length(length));
                let missing = length.checked_sub(arrived.len());
                (arrived, missing)
            }
            None => (Vec::new(), Some(0)),
        };
        if !has_room && !matches!(page, Page::Root | Page::Hello) {
            let head = head("500 Internal Server Error", "text/html", self.cross_host, Some(0));
            return Some(Outcome::Answer(head));
        }
        Some(self.proceed(page, body, missing))
    }

    fn proceed(&mut self, page: Page, body: Vec<u8>, missing: Option<usize>) -> Outcome {
        match missing {
            Some(0) => {}
            // Only commands and pages of the application wait for a body.
            _ if matches!(page, Page::Root | Page::Hello) => {}
            Some(missing) => {
                self.body = Body::Coming { page, so_far: body, missing };
                return Outcome::Silence;
            }
            None => {
                self.body = Body::Overrun;
                return Outcome::Silence;
            }
        }
        match page {
            Page::Root => {
                Outcome::Answer(b"HTTP/1.1 301\r\nLocation: /index\r\nContent-Length: 0\r\n\r\n".to_vec())
            }
            Page::Hello => Outcome::Answer(self.hello()),
            Page::Command(command) => {
                self.cross_host = true;
                Outcome::Obey(command, body)
            }
            Page::Index => {
                self.cross_host = true;
                let head = head("301", "text/plain", true, None);
                // `head` ends with the empty line, before which the application's own field stands.
                let fields = &head[..head.len() - 2];
                Outcome::Answer([fields, b"Location: /hello\r\n\r\n", LAST_CHUNK].concat())
            }
            Page::Unknown => {
                self.cross_host = true;
                Outcome::Answer([&head("404 Not Found", "*/*", true, None)[..], LAST_CHUNK].concat())
            }
        }
    }

    /// The one page that may be cached; its length counts the NUL at its end (`SOFT_AP_MSG`).
    fn hello(&self) -> Vec<u8> {
        let page = b"Soft AP Setup\0";
        let head = head("200 OK", "text/plain", self.cross_host, Some(page.len()));
        let head = String::from_utf8_lossy(&head).replace(NO_CACHE, "");
        [head.as_bytes(), page].concat()
    }
}

const NO_CACHE: &str = "Cache-Control: no-store, no-cache, must-revalidate, post-check=0, pre-check=0\r\nPragma: \
                        no-cache\r\n";
/// What ends an answer in chunks.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The header of every answer to a command.
pub(super) fn answer_head() -> Vec<u8> {
    head("200 OK", "application/json", true, None)
}

/// A piece of an answer.
pub(super) fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

/// `wiced_http_response_stream_write_header`; chunked when there is no length.
fn head(status: &str, mime_type: &str, cross_host: bool, length: Option<usize>) -> Vec<u8> {
    let cross_host = if cross_host { "Access-Control-Allow-Origin: *\r\n" } else { "" };
    let body = match length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {mime_type}\r\n{NO_CACHE}Connection: \
         Keep-Alive\r\n{cross_host}{body}\r\n\r\n"
    )
    .into_bytes()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|part| part == needle)
}

/// Without its query, and with %XX undone; empty when that cannot be done.
fn path_of(url: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(url.len());
    let mut rest = url.iter().copied();
    while let Some(byte) = rest.next() {
        path.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                let Some(value) = value else { return Vec::new() };
                value
            }
            b'+' => b' ',
            _ => byte,
        });
    }
    let end = path.iter().position(|byte| matches!(byte, b'?' | 0)).unwrap_or(path.len());
    path.truncate(end);
    path
}

/// As `strtol` reads it, and of that the lower 16 bits.
fn content_length(value: &[u8]) -> u16 {
    let value = value.trim_ascii_start();
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, value),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let sum = digits.fold(0u16, |sum, digit| sum.wrapping_mul(10).wrapping_add(u16::from(digit - b'0')));
    if negative { sum.wrapping_neg() } else { sum }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(request: &str) -> Outcome {
        Connection::default().take(request.as_bytes(), true).0
    }

    fn post(header: &str, body: &str) -> Outcome {
        first(&format!("POST /set HTTP/1.1\r\n{header}\r\n\r\n{body}"))
    }

    fn body(text: &str) -> Outcome {
        Outcome::Obey(Command::Set, text.into())
    }

    fn status(outcome: Outcome) -> String {
        let Outcome::Answer(answer) = outcome else { panic!("{outcome:?}") };
        String::from_utf8(answer).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn fields_are_found_by_their_exact_spelling_and_only_in_the_header() {
        assert_eq!(post("Content-Length: 2", "ab"), body("ab"));
        assert_eq!(post("X-Content-Length: 2", "ab"), body("ab"));
        for unseen in ["content-length: 2", "Content-Length:2", "Content-length: 2", "Content-Length : 2"] {
            assert_eq!(post(unseen, "ab"), body(""), "{unseen}");
        }
        assert_eq!(post("X: 1", "Content-Length: 2"), body(""));
    }

    #[test]
    fn three_methods_are_alike_and_others_are_not_answered() {
        for method in ["GET", "POST", "PUT"] {
            let request = format!("{method} /set HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
            assert_eq!(first(&request), body("ab"));
        }
        for method in ["OPTIONS", "HEAD", "DELETE", "get"] {
            assert_eq!(first(&format!("{method} /version HTTP/1.1\r\n\r\n")), Outcome::Silence);
        }
        assert_eq!(first("GET /version HTTP/1.0\r\n\r\n"), Outcome::Silence);
        assert_eq!(first("GET /version HTTP/1.1\r\nHost"), Outcome::Silence);
    }

    #[test]
    fn a_type_that_the_server_knows_must_be_the_pages_own() {
        let typed = |mime_type: &str| post(&format!("Content-Type: {mime_type}\r\nContent-Length: 2"), "ab");
        for wrong in ["application/json", "application/json; charset=utf-8", "text/plain", "text/html"] {
            assert_eq!(status(typed(wrong)), "HTTP/1.1 404 Not Found", "{wrong}");
        }
        for right in ["application/octet-stream", "application/x-www-form-urlencoded", "Application/json"] {
            assert_eq!(typed(right), body("ab"), "{right}");
        }
        assert_eq!(post("content-type: application/json\r\nContent-Length: 2", "ab"), body("ab"));
    }

    #[test]
    fn pages_redirect_to_a_greeting() {
        assert_eq!(status(first("GET / HTTP/1.1\r\n\r\n")), "HTTP/1.1 301");
        assert_eq!(status(first("GET /index HTTP/1.1\r\n\r\n")), "HTTP/1.1 301");
        let Outcome::Answer(hello) = first("GET /hello HTTP/1.1\r\n\r\n") else { panic!() };
        assert_eq!(
            String::from_utf8(hello).unwrap(),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: Keep-Alive\r\nContent-Length: \
             14\r\n\r\nSoft AP Setup\0"
        );
    }

    #[test]
    fn paths_are_unescaped_and_lose_their_query() {
        for url in ["/version", "/version?x=1", "/%76ersion"] {
            let outcome = first(&format!("GET {url} HTTP/1.1\r\n\r\n"));
            assert_eq!(outcome, Outcome::Obey(Command::Version, Vec::new()), "{url}");
        }
        for url in ["/version/", "version", "http://192.168.0.1/version", "/%7"] {
            assert_eq!(
                status(first(&format!("GET {url} HTTP/1.1\r\n\r\n"))),
                "HTTP/1.1 404 Not Found",
                "{url}"
            );
        }
    }

    #[test]
    fn a_body_may_come_in_later_segments_and_one_that_is_too_long_never_ends() {
        let mut connection = Connection::default();
        let mut take = |segment: &str| connection.take(segment.as_bytes(), true).0;
        assert_eq!(take("PUT /set HTTP/1.1\r\nContent-Length: 4\r\n\r\na"), Outcome::Silence);
        assert_eq!(take("bc"), Outcome::Silence);
        assert_eq!(take("d"), body("abcd"));
        assert_eq!(take("PUT /set HTTP/1.1\r\nContent-Length: 4\r\n\r\nabcde"), Outcome::Silence);
        assert_eq!(take("GET /version HTTP/1.1\r\n\r\n"), Outcome::Silence);
        assert!(connection.awaits_a_body());
    }

    #[test]
    fn a_second_request_in_a_segment_is_lost() {
        let twice = "GET /version HTTP/1.1\r\n\r\n".repeat(2);
        assert_eq!(first(&twice), Outcome::Obey(Command::Version, Vec::new()));
    }

    #[test]
    fn an_exact_wish_to_close_is_seen_anywhere() {
        let closes = |header: &str| {
            let request = format!("GET /version HTTP/1.1\r\n{header}\r\n\r\n");
            Connection::default().take(request.as_bytes(), true).1
        };
        assert!(closes("Connection: close"));
        assert!(!closes("connection: close") && !closes("Connection: Close"));
    }

    #[test]
    fn without_room_for_a_body_there_is_only_an_error() {
        let request = b"GET /version HTTP/1.1\r\n\r\n";
        let outcome = Connection::default().take(request, false).0;
        assert_eq!(status(outcome), "HTTP/1.1 500 Internal Server Error");
    }

    proptest! {
        #[test]
        fn no_segments_make_the_server_panic(
            segments in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..40),
                    "(GET|POST) /[a-z%?0-9]{0,6} HTTP/1.1\r\n(Content-Length: [-+ ]?[0-9]{0,7}\r\n)?\r\n[a-z]{0,9}"
                        .prop_map(String::into_bytes),
                ],
                0..6,
            ),
        ) {
            let mut connection = Connection::default();
            for segment in segments {
                let _ = connection.take(&segment, true);
            }
        }
    }
}
