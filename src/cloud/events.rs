//! What devices do, as it happens: one stream of server-sent events for all who watch.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{
    Cloud, CloudError,
    auth::Subject,
    http::{Kind, retry_after},
    trace::Try,
};
use crate::model::{Deadline, DeviceId, FailureCode, ProductRef, clean};

/// What a device has done, or what has become of the stream that tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// From now on whatever the device does is told. What it did before, while nobody listened, is not: the
    /// record knows.
    Listening,
    /// The stream is gone, and is being opened again; until then nothing is told.
    Deaf,
    /// The device has a session with the cloud.
    Online,
    /// It has none any more.
    Offline,
    /// A firmware update of the device has begun.
    UpdateStarted,
    /// It is over: the device starts anew, or has kept the firmware that it had.
    UpdateEnded {
        /// Whether the device has new firmware.
        well: bool,
    },
}

/// The stream of a product's devices, or of a user's own. Clones share it; the last one, and the last
/// [`Watch`], close it.
#[derive(Clone)]
pub struct EventStream(Arc<Open>);

/// What one device does.
pub struct Watch {
    signs: mpsc::Receiver<Sign>,
    _stream: EventStream,
}

/// The streams that are open, by their paths.
#[derive(Default)]
pub(super) struct EventStreams(Mutex<HashMap<String, Weak<Open>>>);

impl Cloud {
    /// `GET /v1/products/P/events/spark`: the stream of the product's devices, opened if nobody has it
    /// open. Call it within a tokio runtime.
    ///
    /// It never fails: a stream that cannot be had is silent, and is tried again from time to time.
    pub fn product_events(&self, product: &ProductRef) -> EventStream {
        let path = ["v1", "products", product.as_str(), "events", "spark"];
        self.events(Whose::Products, path.map(str::to_owned).to_vec(), Tempo::default())
    }

    /// `GET /v1/devices/events/spark` with the user's own token: the stream of the devices that the user
    /// owns. What a device does before it is claimed is not in it.
    pub fn own_events(&self) -> EventStream {
        let path = ["v1", "devices", "events", "spark"];
        self.events(Whose::Users, path.map(str::to_owned).to_vec(), Tempo::default())
    }

    fn events(&self, whose: Whose, path: Vec<String>, tempo: Tempo) -> EventStream {
        let mut streams = self.shared.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = streams.entry(path.join("/")).or_default();
        if let Some(open) = slot.upgrade() {
            return EventStream(open);
        }
        let audience = Arc::new(Audience::default());
        let cloud = Cloud { shared: self.shared.clone(), listener: None };
        let listener = Listener { cloud, whose, path, tempo, audience: audience.clone(), last_id: None };
        let open = Arc::new(Open { audience, task: tokio::spawn(listener.run()) });
        *slot = Arc::downgrade(&open);
        EventStream(open)
    }
}

impl EventStream {
    /// Watches a device from now on. The first sign is [`Sign::Listening`] as soon as the stream is open.
    pub fn device(&self, id: &DeviceId) -> Watch {
        Watch { signs: self.0.audience.join(id), _stream: self.clone() }
    }
}

impl Watch {
    /// The next sign, however long it takes. Nothing is lost if this is dropped.
    pub async fn next(&mut self) -> Sign {
        match self.signs.recv().await {
            Some(sign) => sign,
            // The stream that sends them is held open.
            None => std::future::pending().await,
        }
    }

    /// The next sign, if it was there already.
    pub fn heard(&mut self) -> Option<Sign> {
        self.signs.try_recv().ok()
    }
}

struct Open {
    audience: Arc<Audience>,
    task: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Those who watch.
#[derive(Default)]
struct Audience(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    listening: bool,
    watches: HashMap<DeviceId, Vec<mpsc::Sender<Sign>>>,
}

/// Signs that wait for one who does not look. Whoever does not for longer is not about to be helped by more.
const MOST_SIGNS: usize = 64;

impl Audience {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, id: &DeviceId) -> mpsc::Receiver<Sign> {
        let (sender, signs) = mpsc::channel(MOST_SIGNS);
        let mut seats = self.seats();
        seats.watches.retain(|_, watches| {
            watches.retain(|watch| !watch.is_closed());
            !watches.is_empty()
        });
        if seats.listening {
            let _ = sender.try_send(Sign::Listening);
        }
        seats.watches.entry(id.clone()).or_default().push(sender);
        signs
    }

    /// Tells those who watch the device, or everybody.
    fn tell(&self, device: Option<&DeviceId>, sign: Sign) {
        let mut seats = self.seats();
        match sign {
            Sign::Listening => seats.listening = true,
            Sign::Deaf => seats.listening = false,
            _ => {}
        }
        let watches = match device {
            Some(id) => seats.watches.get(id).into_iter().flatten().collect::<Vec<_>>(),
            None => seats.watches.values().flatten().collect(),
        };
        for watch in watches {
            // One that is gone is as good as told.
            let _ = watch.try_send(sign);
        }
    }
}

#[derive(Clone, Copy)]
enum Whose {
    Products,
    Users,
}

/// How long the stream is waited for.
#[derive(Clone, Copy)]
struct Tempo {
    /// For its head.
    opening: Duration,
    /// Without so much as a keep-alive. The cloud sends one at least every 12 s, says Particle's JavaScript
    /// client, which gives up after 13; a proxy may hold one back.
    silence: Duration,
    /// Before it is opened again after it was lost; longer each time.
    lost: Duration,
    longest: Duration,
    /// The same after a refusal, unless the cloud says how long.
    refused: Duration,
}

impl Default for Tempo {
    fn default() -> Self {
        Self {
            opening: Duration::from_secs(15),
            silence: Duration::from_secs(30),
            lost: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            refused: Duration::from_secs(120),
        }
    }
}

/// Why a stream is not, or not any more.
enum Ended {
    /// It had begun, and may be had again.
    Lost(String),
    /// It did not come about, which may pass.
    Unreachable(String),
    /// The cloud does not want to give it.
    Refused(String, Option<Duration>),
}

/// Keeps one stream open.
struct Listener {
    cloud: Cloud,
    whose: Whose,
    path: Vec<String>,
    tempo: Tempo,
    audience: Arc<Audience>,
    /// Where a stream that is opened again would go on, if the cloud gave its events ids.
    last_id: Option<String>,
}

impl Listener {
    async fn run(mut self) {
        let backoff = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.tempo.lost)
            .with_max_delay(self.tempo.longest)
            .without_max_times();
        let mut waits = backoff.build();
        loop {
            let begun = Instant::now();
            let mut parser = Parser::default();
            let ended = match self.open().await {
                Ok(stream) => {
                    self.audience.tell(None, Sign::Listening);
                    let ended = self.listen(stream, &mut parser).await;
                    self.audience.tell(None, Sign::Deaf);
                    ended
                }
                Err(ended) => ended,
            };
            // One that lasted was a good one.
            if begun.elapsed() > self.tempo.longest {
                waits = backoff.build();
            }
            let wait = waits.next().unwrap_or(self.tempo.longest);
            let (why, wait) = match ended {
                Ended::Lost(why) => (why, wait.max(parser.retry.unwrap_or_default().min(self.tempo.longest))),
                Ended::Unreachable(why) => (why, wait),
                Ended::Refused(why, wish) => (why, wait.max(wish.unwrap_or(self.tempo.refused))),
            };
            let why = clean(&why);
            tracing::debug!(why, ?wait, "no event stream; polling until it is tried again");
            sleep(wait).await;
        }
    }

    /// Opens it, with a new token if the one at hand is refused.
    async fn open(&self) -> Result<Response, Ended> {
        let deadline = Deadline::after(self.tempo.opening, "the event stream");
        let subject = match self.whose {
            Whose::Products => Subject::Product,
            Whose::Users => Subject::User,
        };
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut renewed = false;
        loop {
            let no_token = |error: CloudError| match error.code {
                FailureCode::CloudUnreachable => Ended::Unreachable(error.to_string()),
                _ => Ended::Refused(error.to_string(), None),
            };
            let token = self.cloud.token(&subject, deadline).await.map_err(no_token)?;
            let admitted = self.cloud.shared.limits.admit(Kind::Other, "the event stream", deadline).await;
            admitted.map_err(|error| Ended::Unreachable(error.to_string()))?;
            let mut request = self.cloud.shared.http.get(self.cloud.shared.api_url.join(&path));
            if let Some(id) = &self.last_id {
                request = request.header("Last-Event-ID", id);
            }
            let request = request.bearer_auth(token.expose()).header(ACCEPT, "text/event-stream");
            let (client, request) = request.build_split();
            let opening = async {
                let request = request?;
                let mut traced = Try::of(&request);
                let response = client.execute(request).await.inspect_err(|error| traced.failed(error))?;
                traced.opened(&response);
                Ok::<_, reqwest::Error>(response)
            };
            let response = match timeout(self.tempo.opening, opening).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(Ended::Unreachable(error.to_string())),
                Err(_) => return Err(Ended::Unreachable("no answer in time".into())),
            };
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            match response.status() {
                StatusCode::OK if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) => {
                    return Ok(response);
                }
                StatusCode::UNAUTHORIZED if !renewed && token.expires_at().is_some() => {
                    self.cloud.shared.tokens.forget(&subject.key(), &token, deadline).await;
                    renewed = true;
                }
                status if status.is_server_error() => {
                    let wish = retry_after(response.headers());
                    return Err(match wish {
                        Some(_) => Ended::Refused(status.to_string(), wish),
                        None => Ended::Unreachable(status.to_string()),
                    });
                }
                status => return Err(Ended::Refused(status.to_string(), retry_after(response.headers()))),
            }
        }
    }

    /// Tells what is heard, until nothing is.
    async fn listen(&mut self, mut stream: Response, parser: &mut Parser) -> Ended {
        loop {
            match timeout(self.tempo.silence, stream.chunk()).await {
                Ok(Ok(Some(bytes))) => parser.feed(&bytes, |message| {
                    if let Some((device, sign)) = message.sign() {
                        self.audience.tell(Some(&device), sign);
                    }
                }),
                Ok(Ok(None)) => return Ended::Lost("it has ended".into()),
                Ok(Err(error)) => return Ended::Lost(error.to_string()),
                Err(_) => return Ended::Lost("it has fallen silent".into()),
            }
            if let Some(id) = &parser.last_id {
                self.last_id = Some(id.clone());
            }
        }
    }
}

/// A server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    event: String,
    data: String,
}

impl Message {
    /// What it tells of which device, if anything that matters here.
    fn sign(&self) -> Option<(DeviceId, Sign)> {
        #[derive(Deserialize)]
        struct Published {
            coreid: String,
            data: String,
        }
        let published: Published = match &*self.event {
            "spark/status" | "spark/flash/status" => serde_json::from_str(&self.data).ok()?,
            _ => return None,
        };
        // Some servers leave a blank behind the word.
        let sign = match (&*self.event, published.data.trim()) {
            ("spark/status", "online") => Sign::Online,
            ("spark/status", "offline") => Sign::Offline,
            ("spark/flash/status", said) if said.starts_with("started") => Sign::UpdateStarted,
            ("spark/flash/status", said) if said.starts_with("success") => Sign::UpdateEnded { well: true },
            ("spark/flash/status", said) if said.starts_with("failed") => Sign::UpdateEnded { well: false },
            _ => return None,
        };
        Some((DeviceId::parse(&published.coreid).ok()?, sign))
    }
}

/// What a line, and an event's data, may have; Particle's events have a kilobyte. What is longer is left out.
const MOST_LINE: usize = 16 << 10;
const MOST_DATA: usize = 64 << 10;

/// Bytes to events, by the rules of the HTML standard (“server-sent events”, section 9.2.6).
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    /// Behind a CR, a LF is no further end of a line.
    after_cr: bool,
    /// The first line is over, so there can be no byte order mark any more.
    begun: bool,
    event: String,
    data: Option<String>,
    /// The event has a part that was too long.
    spoilt: bool,
    last_id: Option<String>,
    /// The server's wish for the pause before it is asked again.
    retry: Option<Duration>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Message)) {
        for &byte in bytes {
            match byte {
                b'\n' if mem::take(&mut self.after_cr) => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = mem::take(&mut self.line);
                    if let Some(message) = self.take_line(&line) {
                        tell(message);
                    }
                    self.line = line;
                    self.line.clear();
                }
                _ => {
                    self.after_cr = false;
                    // One more than fits shows that it does not.
                    if self.line.len() <= MOST_LINE {
                        self.line.push(byte);
                    }
                }
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Message> {
        let line = match mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            true => line,
        };
        if line.is_empty() {
            let (event, data) = (mem::take(&mut self.event), self.data.take());
            let whole = !mem::take(&mut self.spoilt);
            return data.filter(|_| whole).map(|data| Message { event, data });
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => return None,
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line, &line[..0]),
        };
        self.spoilt |= line.len() > MOST_LINE;
        let value = String::from_utf8_lossy(value);
        match field {
            b"event" => self.event = value.into_owned(),
            b"data" => match &mut self.data {
                Some(data) if data.len() + value.len() < MOST_DATA => {
                    data.push('\n');
                    data.push_str(&value);
                }
                Some(_) => self.spoilt = true,
                None => self.data = Some(value.into_owned()),
            },
            b"id" if !value.contains('\0') => self.last_id = Some(value.into_owned()),
            b"retry" if value.bytes().all(|digit| digit.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scripted::{ID, Scripted, USER_TOKEN, client_cloud, signed_in_cloud, token_answer};
    use super::*;

    const STREAM: &str = "GET /v1/products/1319/events/spark";
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

    fn parse(pieces: &[&[u8]]) -> (Vec<Message>, Parser) {
        let (mut parser, mut told) = (Parser::default(), Vec::new());
        for piece in pieces {
            parser.feed(piece, |message| told.push(message));
        }
        (told, parser)
    }

    fn told(text: &str) -> Vec<(String, String)> {
        parse(&[text.as_bytes()]).0.into_iter().map(|message| (message.event, message.data)).collect()
    }

    fn message(event: &str, data: &str) -> (String, String) {
        (event.into(), data.into())
    }

    #[test]
    fn events_are_told_by_the_rules_of_the_standard() {
        let text = "\u{feff}:ok\n\nevent: a\ndata: 1\n\ndata:2\r\n\r\ndata: 3\rdata\rdata:  4\r\revent: lost\n\nevent: b\nfoo: bar\ndata: x\n: no\n\n\
                    data: never";
        assert_eq!(
            told(text),
            [message("a", "1"), message("", "2"), message("", "3\n\n 4"), message("b", "x")]
        );
    }

    #[test]
    fn ids_and_the_wished_for_pause_are_kept() {
        let (_, parser) = parse(&[b"id: 7\nretry: 1500\n\nretry: soon\nid: a\0b\n"]);
        assert_eq!((parser.last_id.as_deref(), parser.retry), (Some("7"), Some(Duration::from_millis(1500))));
    }

    #[test]
    fn what_is_too_long_is_left_out_and_the_rest_is_not() {
        let long = "x".repeat(MOST_LINE);
        let many = format!("data: {}\n", "y".repeat(1000)).repeat(100);
        let text = format!("data: {long}\n\ndata: 1\n\n{many}\ndata: 2\n\n:{long}{long}\ndata: 3\n\n");
        assert_eq!(told(&text), [message("", "1"), message("", "2"), message("", "3")]);
        let (_, parser) = parse(&[&[b'x'; 10 * MOST_LINE]]);
        assert!(parser.line.len() <= MOST_LINE + 1);
    }

    #[test]
    fn only_what_matters_of_a_device_is_a_sign() {
        let sign = |event: &str, data: &str| {
            let data = format!(
                r#"{{"data":"{data}","ttl":60,"published_at":"x","coreid":"{}"}}"#,
                ID.to_uppercase()
            );
            Message { event: event.into(), data }.sign().map(|(id, sign)| {
                assert_eq!(id.as_str(), ID);
                sign
            })
        };
        assert_eq!(sign("spark/status", "online"), Some(Sign::Online));
        assert_eq!(sign("spark/status", "offline"), Some(Sign::Offline));
        assert_eq!(sign("spark/status", "auto-update"), None);
        assert_eq!(sign("spark/flash/status", "started "), Some(Sign::UpdateStarted));
        assert_eq!(sign("spark/flash/status", "success "), Some(Sign::UpdateEnded { well: true }));
        assert_eq!(sign("spark/flash/status", "failed"), Some(Sign::UpdateEnded { well: false }));
        assert_eq!(sign("spark/device/claim/code", "online"), None);
        for data in ["", "[]", "online", r#"{"data":"online"}"#, r#"{"data":"online","coreid":"3b"}"#] {
            assert_eq!(Message { event: "spark/status".into(), data: data.into() }.sign(), None, "{data}");
        }
    }

    fn stream_text() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            "(event|data|id|retry|x)?:? ?[a-z\u{e9}:0-9 ]{0,12}",
            Just(String::new()),
            Just(":".to_owned()),
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        prop::collection::vec((line, end), 0..40)
            .prop_map(|lines| lines.into_iter().map(|(line, end)| line + end).collect())
    }

    proptest! {
        #[test]
        fn however_it_is_cut_a_stream_tells_the_same(text in stream_text(), cuts in prop::collection::vec(0usize..400, 0..8)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let single: Vec<_> = bytes.chunks(1).collect();
            let (whole, parser) = parse(&[bytes]);
            for pieces in [pieces, single] {
                let (told, cut) = parse(&pieces);
                prop_assert_eq!(&told, &whole);
                prop_assert_eq!((&cut.last_id, cut.retry), (&parser.last_id, parser.retry));
            }
        }

        #[test]
        fn line_ends_do_not_matter(lines in prop::collection::vec("(data|event): ?[a-z]{0,5}|", 0..30)) {
            let with = |end: &str| told(&lines.iter().map(|line| format!("{line}{end}")).collect::<String>());
            prop_assert_eq!(with("\n"), with("\r\n"));
            prop_assert_eq!(with("\n"), with("\r"));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            for message in parse(&[&bytes]).0 {
                let _ = message.sign();
            }
        }
    }

    fn device() -> DeviceId {
        DeviceId::parse(ID).unwrap()
    }

    fn event(event: &str, data: &str) -> String {
        format!("event: {event}\ndata: {{\"data\":\"{data}\",\"coreid\":\"{ID}\"}}\n\n")
    }

    /// Waits for nothing longer than need be.
    fn stream(cloud: &Cloud) -> EventStream {
        let quick = Duration::from_millis(1);
        let tempo = Tempo { lost: quick, refused: quick, ..Tempo::default() };
        stream_at(cloud, tempo)
    }

    fn stream_at(cloud: &Cloud, tempo: Tempo) -> EventStream {
        let path = ["v1", "products", "1319", "events", "spark"];
        cloud.events(Whose::Products, path.map(str::to_owned).to_vec(), tempo)
    }

    async fn signs<const N: usize>(watch: &mut Watch) -> [Sign; N] {
        let mut signs = [Sign::Deaf; N];
        for sign in &mut signs {
            *sign = watch.next().await;
        }
        signs
    }

    #[tokio::test]
    async fn all_who_watch_share_one_stream_that_opens_again_by_itself() {
        let server = Scripted::start().await;
        server.expect_raw(STREAM, &format!("{HEAD}:ok\n\n{}", event("spark/status", "online")));
        server.expect_raw(STREAM, &format!("{HEAD}{}", event("spark/flash/status", "started")));
        let last = server.expect_gated(STREAM, 404, "");
        let cloud = signed_in_cloud(&server);
        let (mut one, mut other) =
            (stream(&cloud).device(&device()), stream(&cloud.clone()).device(&device()));
        let mut stranger = stream(&cloud).device(&DeviceId::parse("111111111111111111111111").unwrap());
        let all =
            [Sign::Listening, Sign::Online, Sign::Deaf, Sign::Listening, Sign::UpdateStarted, Sign::Deaf];
        assert_eq!(signs(&mut one).await, all);
        assert_eq!(signs(&mut other).await, all);
        assert_eq!(signs(&mut stranger).await, [Sign::Listening, Sign::Deaf, Sign::Listening, Sign::Deaf]);
        server.arrived(3).await;
        drop(last);
        assert!(server.seen()[0].head.contains(&format!("authorization: Bearer {USER_TOKEN}\r\n")));
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once_and_no_refusal_is_more_than_silence() {
        let server = Scripted::start().await;
        server.expect("POST /oauth/token", 200, &token_answer("token-1"));
        server.expect(STREAM, 401, "");
        server.expect("POST /oauth/token", 200, &token_answer("token-2"));
        for status in [401, 403, 404, 429, 503] {
            server.expect(STREAM, status, "");
        }
        server.expect(STREAM, 200, "<html>a captive portal</html>");
        server.expect_and_drop(STREAM);
        server.expect_raw(STREAM, &format!("{HEAD}{}", event("spark/status", "offline")));
        let _last = server.expect_gated(STREAM, 404, "");
        let mut watch = stream(&client_cloud(&server)).device(&device());
        assert_eq!(signs(&mut watch).await, [Sign::Listening, Sign::Offline, Sign::Deaf]);
        server.arrived(12).await;
    }

    #[tokio::test]
    async fn a_wish_to_be_asked_later_is_honoured() {
        let server = Scripted::start().await;
        server.expect_with(STREAM, 429, "retry-after: 3600\r\n", "");
        let cloud = signed_in_cloud(&server);
        let _watch = stream(&cloud).device(&device());
        server.arrived(1).await;
        // A further request would be unscripted, which fails the test.
        server.expect("GET /v1/devices", 200, "[]");
        cloud.user_devices(super::super::scripted::soon()).await.unwrap();
    }

    #[tokio::test]
    async fn a_silent_stream_is_given_up() {
        let server = Scripted::start().await;
        let _open = server.expect_raw_and_hold(STREAM, HEAD);
        let _last = server.expect_gated(STREAM, 404, "");
        let quick = Duration::from_millis(1);
        let cloud = signed_in_cloud(&server);
        let mut watch =
            stream_at(&cloud, Tempo { silence: quick, lost: quick, ..Tempo::default() }).device(&device());
        assert_eq!(signs(&mut watch).await, [Sign::Listening, Sign::Deaf]);
        server.arrived(2).await;
    }

    #[tokio::test]
    async fn a_stream_that_nobody_watches_is_closed_and_one_that_comes_later_hears_that_it_is_open() {
        let server = Scripted::start().await;
        let _first = server.expect_raw_and_hold(STREAM, HEAD);
        let _second = server.expect_raw_and_hold(STREAM, HEAD);
        let cloud = signed_in_cloud(&server);
        let mut one = stream(&cloud).device(&device());
        assert_eq!(one.next().await, Sign::Listening);
        let mut other = stream(&cloud).device(&device());
        assert_eq!(other.heard(), Some(Sign::Listening));
        drop((one, other));
        let mut again = stream(&cloud).device(&device());
        assert_eq!((again.heard(), again.next().await), (None, Sign::Listening));
        server.arrived(2).await;
    }
}
