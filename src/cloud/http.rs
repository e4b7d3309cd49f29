//! One request: signed, sent, tried again where that is safe, its answer judged.

use std::{borrow::Cow, error::Error, io, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    AccessToken, ApiUrl, Cloud, CloudError, Listed, OAuthClient,
    elements::Elements,
    sign_in_guard::{SignInGuard, Verdict},
    trace::Try,
    words::{error_word, json_words, outline, read_json, words},
};
use crate::model::{Deadline, FailureCode, guard_for_now};

/// How long one try may take; a healthy answer takes well under a second.
const TRY: Duration = Duration::from_secs(10);
/// How long one try may take when a device has to answer, for which the cloud gives it half a minute, or
/// when a file has to be gone through.
const LONG_TRY: Duration = Duration::from_secs(45);
/// The longest answer that is read as a whole, and the longest record of a list that is read as it comes.
pub(super) const MOST: usize = 4 << 20;
/// What the HTTP client (`hyper-util`, `client/legacy/connect/proxy/tunnel.rs`) says of what goes wrong at
/// a proxy: of anything, of its 407, and when it cannot be reached. There is no type that can be named.
const AT_PROXY: &str = "tunnel error: ";
const PROXY_WANTS_SIGN_IN: &str = "tunnel error: proxy authorization required";
const PROXY_OUT_OF_REACH: &str = "tunnel error: failed to create underlying connection";

/// A request that will be tried again, or has been answered after that, for whoever shows what a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryNotice {
    /// The method and the path.
    pub call: String,
    /// What came of the last try: a status with the cloud's words, or what happened on the way.
    pub why: String,
    /// How many tries there were.
    pub tries: u32,
    /// How long until the next; none if there is an answer at last.
    pub wait: Option<Duration>,
}

/// What a call is about, as far as limits and refusals depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A token for the OAuth client itself.
    SignIn,
    /// A token for one of its customers.
    CustomerSignIn,
    /// A token for a person, who has a password.
    LogIn,
    /// The one-time code that follows a password.
    OneTimeCode,
    /// Showing and revoking tokens, which is limited like user creation.
    OfTokens,
    /// Also signed with the OAuth client's secret, and limited like user creation.
    CreateCustomer,
    /// 403 and 404 tell of the product, not of something in it.
    OfProduct,
    /// Something that a device has or does, which the cloud may have to ask it for.
    OfDevice,
    /// Anything else.
    Other,
}

/// A request, apart from its signature.
pub(super) struct Call<'a> {
    pub kind: Kind,
    pub method: Method,
    /// The path's segments, not yet encoded.
    pub path: &'a [&'a str],
    /// Never a secret: addresses get logged on the way.
    pub query: &'a [(&'a str, &'a str)],
    pub body: Body<'a>,
    /// Whether it may be sent again when it is not known what became of it.
    pub repeatable: bool,
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    Nothing,
    Form(&'a [(&'a str, &'a str)]),
    /// A plain text, as the field `file` of `multipart/form-data`.
    File(&'a str),
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        let (kind, query, body) = (Kind::Other, &[][..], Body::Nothing);
        Self { kind, method: Method::GET, path, query, body, repeatable: true }
    }

    /// Whether it may be repeated must be known for each: see the module's documentation.
    pub(super) fn repeatable_post(path: &'a [&'a str], form: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::POST, body: Body::Form(form), ..Self::get(path) }
    }

    /// A post whose second coming would do something more.
    pub(super) fn single_post(path: &'a [&'a str], form: &'a [(&'a str, &'a str)]) -> Self {
        Self { repeatable: false, ..Self::repeatable_post(path, form) }
    }

    pub(super) fn put(path: &'a [&'a str], form: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::PUT, body: Body::Form(form), ..Self::get(path) }
    }

    pub(super) fn delete(path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    pub(super) fn asking(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn about(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// How long one try may take.
    fn limit(&self, deadline: Deadline) -> Duration {
        let is_long = self.kind == Kind::OfDevice || matches!(self.body, Body::File(_));
        let limit = if is_long { LONG_TRY } else { TRY };
        limit.min(deadline.left())
    }

    /// As it is named in errors.
    pub(super) fn name(&self, api_url: &ApiUrl) -> String {
        format!("{} {}", self.method, api_url.join(self.path).path())
    }
}

/// How a request is signed.
#[derive(Clone, Copy)]
pub(super) enum Signature<'a> {
    Client(&'a OAuthClient),
    /// The client that everybody signs in with who has a password, and whoever counts that.
    Person(&'a OAuthClient, &'a SignInGuard),
    Bearer(&'a AccessToken),
}

/// An answer of 200 or so, with no error inside; or 403 for a password that leads on to a code. Not printable: it may hold a token.
pub(super) struct Answer {
    call: String,
    status: u16,
    json: Value,
    body: Vec<u8>,
}

impl Answer {
    /// Whether a one-time code has to follow.
    pub(super) fn is_half_a_login(&self) -> bool {
        self.status == 403
    }

    /// Reads it as what it should be; `what` with its article, for the error.
    pub(super) fn read<Wire: DeserializeOwned, T>(
        self,
        what: &str,
        parse: impl FnOnce(Wire) -> Option<T>,
    ) -> Result<T, CloudError> {
        // Serde's own words may repeat values, tokens among them; so they are left out.
        Wire::deserialize(&self.json).ok().and_then(parse).ok_or_else(|| self.is_not(what))
    }

    /// The same for one record, with its own text.
    pub(super) fn read_listed<Wire: DeserializeOwned, T>(
        self,
        what: &str,
        parse: impl FnOnce(Wire) -> Option<T>,
    ) -> Result<Listed<T>, CloudError> {
        let json = String::from_utf8_lossy(self.body.trim_ascii()).into_owned();
        self.read(what, parse).map(|record| Listed { record, json })
    }

    /// The records of the list that the answer is, or that it has under one of these names, each as its
    /// own text.
    pub(super) fn elements(&self, fields: &'static [&'static str]) -> Result<Vec<String>, CloudError> {
        let mut elements = Elements::new(fields);
        elements.feed(&self.body);
        if !elements.found() {
            return Err(self.is_not("a list"));
        }
        Ok(std::iter::from_fn(|| elements.next()).collect())
    }

    /// The answer's JSON.
    pub(super) fn json(&self) -> &Value {
        &self.json
    }

    /// The error for an answer that is something else than `what`.
    pub(super) fn is_not(&self, what: &str) -> CloudError {
        let said = format!("not {what}, but {}", outline(&self.json));
        CloudError::new(FailureCode::CloudGarbled, &self.call, Some(self.status), said)
    }
}

/// A good answer whose body is still to come, for lists that may be longer than the memory should be.
pub(super) struct Opened {
    call: String,
    kind: Kind,
    response: reqwest::Response,
    /// Told of the answer without its records.
    traced: Try,
}

impl Opened {
    /// Waits for more and feeds it to the list; false at the answer's end.
    pub(super) async fn feed(&mut self, elements: &mut Elements) -> Result<bool, CloudError> {
        let error = match timeout(TRY, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                elements.feed(&chunk);
                return Ok(true);
            }
            Ok(Ok(None)) => return Ok(false),
            Ok(Err(error)) => {
                self.traced.failed(&error);
                lost(&self.call, &error).error
            }
            Err(_) => {
                let said = format!("the answer stopped: nothing came within {} s", TRY.as_secs());
                CloudError::new(FailureCode::CloudUnreachable, &self.call, None, said)
            }
        };
        Err(error)
    }

    /// The error for a record that is something else than `what`.
    pub(super) fn is_not(&self, record: &str, what: &str) -> CloudError {
        let is = serde_json::from_str(record).map_or_else(|_| "damaged JSON".into(), |json| outline(&json));
        let said = format!("not a list, each {what}, but one with {is}");
        CloudError::new(FailureCode::CloudGarbled, &self.call, Some(self.response.status().as_u16()), said)
    }

    /// Judges what the answer was beside its records.
    pub(super) fn judge(mut self, elements: Elements) -> Result<Answer, CloudError> {
        let (body, too_long) = elements.frame();
        let raw = Raw { status: self.response.status(), headers: HeaderMap::new(), body, too_long };
        self.traced.read(self.response.headers(), &raw.body);
        judge(self.kind, &self.call, &raw).map_err(|trouble| trouble.error)
    }
}

/// What came of a try that failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub error: CloudError,
    again: Again,
    /// The cloud's own wish.
    retry_after: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It was never sent.
    Always,
    /// It may have been processed.
    IfRepeatable,
    Never,
}

/// The tries of one request, which take turns until it is answered, refused, or its time is up.
struct Tries<'a, W> {
    cloud: &'a Cloud,
    call: &'a Call<'a>,
    name: String,
    deadline: Deadline,
    waits: W,
    made: u32,
}

impl<W: Iterator<Item = Duration>> Tries<'_, W> {
    /// Waits for the turn of the next one.
    async fn next(&mut self) -> Result<(), CloudError> {
        if self.deadline.left().is_zero() {
            let said = format!("not sent: the time for {} was up", self.deadline.name);
            return Err(CloudError::new(FailureCode::CloudUnreachable, &self.name, None, said));
        }
        self.cloud.shared.limits.admit(self.call.kind, &self.name, self.deadline).await?;
        self.made += 1;
        Ok(())
    }

    /// Waits after one that failed, if there is to be another.
    async fn after(&mut self, trouble: Trouble) -> Result<(), CloudError> {
        let again = match trouble.again {
            Again::Always => true,
            Again::IfRepeatable => self.call.repeatable,
            Again::Never => false,
        };
        let wait = self.waits.next().unwrap_or(TRY).max(trouble.retry_after.unwrap_or_default());
        // Nor do the others go before it wants them, whether this call still has the time or not.
        if trouble.error.code == FailureCode::LimitsHit {
            self.cloud.shared.limits.pushed_back(self.call.kind, wait);
        }
        if !again || wait >= self.deadline.left() {
            if trouble.error.status.is_some() {
                self.answered();
            }
            return Err(trouble.error);
        }
        let why = match trouble.error.status {
            Some(status) => format!("{status}: {}", trouble.error.said),
            None => trouble.error.said.clone(),
        };
        let (call, tries) = (self.name.clone(), self.made);
        tracing::debug!(call, why, tries, ?wait, "trying again");
        if let Some(listener) = &self.cloud.listener {
            listener(&RetryNotice { call, why, tries, wait: Some(wait) });
        }
        sleep(wait).await;
        Ok(())
    }

    /// The last one was answered, well or not.
    fn answered(&self) {
        if let Some(listener) = self.cloud.listener.as_ref().filter(|_| self.made > 1) {
            let (call, tries) = (self.name.clone(), self.made);
            listener(&RetryNotice { call, why: "answered".into(), tries, wait: None });
        }
    }
}

impl Cloud {
    /// Sends a request until it is answered, refused, or its time is up.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        signature: Signature<'_>,
        deadline: Deadline,
    ) -> Result<Answer, CloudError> {
        let mut tries = self.tries(call, deadline)?;
        loop {
            tries.next().await?;
            match self.try_once(call, &tries.name, signature, deadline).await {
                Ok(answer) => {
                    tries.answered();
                    return Ok(answer);
                }
                Err(trouble) => tries.after(trouble).await?,
            }
        }
    }

    /// The same for a list that is read as it comes. What goes wrong after its beginning is not tried
    /// again, as a part of it is with the caller by then.
    pub(super) async fn open(
        &self,
        call: &Call<'_>,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<Opened, CloudError> {
        let mut tries = self.tries(call, deadline)?;
        loop {
            tries.next().await?;
            match self.try_to_open(call, &tries.name, token, deadline).await {
                Ok(opened) => {
                    tries.answered();
                    return Ok(opened);
                }
                Err(trouble) => tries.after(trouble).await?,
            }
        }
    }

    fn tries<'a>(
        &'a self,
        call: &'a Call<'a>,
        deadline: Deadline,
    ) -> Result<Tries<'a, impl Iterator<Item = Duration> + use<>>, CloudError> {
        let name = call.name(&self.shared.api_url);
        // A URL's path cannot hold them: the call would be another one.
        if call.path.iter().any(|segment| segment.is_empty() || matches!(*segment, "." | "..")) {
            return Err(CloudError::settings(&name, "not sent: a name in its path is empty, or dots alone"));
        }
        Ok(Tries { cloud: self, call, name, deadline, waits: backoff().build(), made: 0 })
    }

    async fn try_once(
        &self,
        call: &Call<'_>,
        name: &str,
        signature: Signature<'_>,
        deadline: Deadline,
    ) -> Result<Answer, Trouble> {
        let guard = match signature {
            Signature::Client(_) => Some(&self.shared.sign_in_guard),
            Signature::Person(_, guard) => Some(guard),
            Signature::Bearer(_) => None,
        };
        let permit = match guard {
            Some(guard) => Some(guard.enter(name, deadline).await.map_err(Trouble::last)?),
            None => None,
        };
        let limit = call.limit(deadline);
        let answer = match timeout(limit, self.exchange(call, signature)).await {
            Ok(Ok(raw)) => judge(call.kind, name, &raw),
            Ok(Err(error)) => Err(lost(name, &error)),
            Err(_) => Err(Trouble::silence(name, limit)),
        };
        if let Some((guard, permit)) = guard.zip(permit) {
            let verdict = match &answer {
                // The password was right, and the one-time code is still to come.
                Ok(answer) if answer.is_half_a_login() => Verdict::Unknown,
                Ok(_) => Verdict::Accepted,
                Err(trouble) => verdict(call.kind, &trouble.error),
            };
            guard.settle(permit, verdict).await;
        }
        answer
    }

    async fn try_to_open(
        &self,
        call: &Call<'_>,
        name: &str,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<Opened, Trouble> {
        let limit = call.limit(deadline);
        let open = async {
            let (client, request) = self.request(call, Signature::Bearer(token)).build_split();
            let request = request?;
            let mut traced = Try::of(&request);
            let response = client.execute(request).await.inspect_err(|error| traced.failed(error))?;
            traced.answered(&response);
            if response.status().is_success() {
                return Ok(Ok(Opened { call: name.to_owned(), kind: call.kind, response, traced }));
            }
            let raw = read(response).await?;
            traced.read(&raw.headers, &raw.body);
            Ok(Err(raw))
        };
        match timeout(limit, open).await {
            Ok(Ok(Ok(opened))) => Ok(opened),
            Ok(Ok(Err(raw))) => match judge(call.kind, name, &raw) {
                Err(trouble) => Err(trouble),
                Ok(answer) => Err(Trouble::last(answer.is_not("a list"))),
            },
            Ok(Err(error)) => Err(lost(name, &error)),
            Err(_) => Err(Trouble::silence(name, limit)),
        }
    }

    async fn exchange(&self, call: &Call<'_>, signature: Signature<'_>) -> reqwest::Result<Raw> {
        receive(self.request(call, signature)).await
    }

    fn request(&self, call: &Call<'_>, signature: Signature<'_>) -> reqwest::RequestBuilder {
        let mut url = self.shared.api_url.join(call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let mut request = self.shared.http.request(call.method.clone(), url);
        // Both mark the header as sensitive, which keeps it out of logs and HTTP/2's tables.
        request = match signature {
            Signature::Client(client) | Signature::Person(client, _) => {
                request.basic_auth(&client.id, Some(client.expose_secret()))
            }
            Signature::Bearer(token) => {
                // It may be the one that is used all day among many that come and go.
                guard_for_now(token.expose());
                request.bearer_auth(token.expose())
            }
        };
        match call.body {
            Body::Nothing => request,
            Body::Form(form) => request.form(form),
            Body::File(text) => {
                let boundary = format!("provision-{:032x}", fastrand::u128(..));
                let kind = format!("multipart/form-data; boundary={boundary}");
                request.header(CONTENT_TYPE, kind).body(format!(
                    "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"ids.txt\"\r\n\
                     content-type: text/plain\r\n\r\n{text}\r\n--{boundary}--\r\n"
                ))
            }
        }
    }
}

/// Sends it, and reads the answer whatever it is.
pub(super) async fn receive(request: reqwest::RequestBuilder) -> reqwest::Result<Raw> {
    let (client, request) = request.build_split();
    let request = request?;
    let mut traced = Try::of(&request);
    let answer = async {
        let response = client.execute(request).await?;
        traced.answered(&response);
        read(response).await
    };
    let answer = answer.await;
    match &answer {
        Ok(raw) => traced.read(&raw.headers, &raw.body),
        Err(error) => traced.failed(error),
    }
    answer
}

/// Reads an answer to its end, or as far as it is needed.
async fn read(mut response: reqwest::Response) -> reqwest::Result<Raw> {
    let mut raw = Raw {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: Vec::new(),
        too_long: false,
    };
    loop {
        let chunk = match response.chunk().await {
            // The status is enough to stop at: above all, a refused sign-in is not tried again.
            Err(_) if !raw.status.is_success() => break,
            chunk => chunk?,
        };
        let Some(chunk) = chunk else { break };
        raw.too_long = raw.body.len() + chunk.len() > MOST;
        if raw.too_long {
            break;
        }
        raw.body.extend_from_slice(&chunk);
    }
    Ok(raw)
}

impl Trouble {
    fn last(error: CloudError) -> Self {
        Self { error, again: Again::Never, retry_after: None }
    }

    fn on_the_way(name: &str, again: Again, said: String) -> Self {
        let error = CloudError::new(FailureCode::CloudUnreachable, name, None, said);
        Self { error, again, retry_after: None }
    }

    fn silence(name: &str, limit: Duration) -> Self {
        let said = format!("no answer within {:.1} s", limit.as_secs_f32());
        Self::on_the_way(name, Again::IfRepeatable, said)
    }
}

fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(15))
        .without_max_times()
}

/// What the answer says about the credentials, for the count of refused sign-ins.
fn verdict(kind: Kind, error: &CloudError) -> Verdict {
    let refused = match kind {
        Kind::SignIn | Kind::CustomerSignIn => matches!(error.status, Some(400 | 401)),
        _ => false,
    };
    match error.code {
        // Another code may be right.
        FailureCode::LoginRefused if kind == Kind::OneTimeCode => Verdict::Counted,
        FailureCode::SignInRefused | FailureCode::LoginRefused => Verdict::Refused(error.clone()),
        _ if refused => Verdict::Counted,
        _ => Verdict::Unknown,
    }
}

/// An answer as it came.
pub(super) struct Raw {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub too_long: bool,
}

/// Tells a good answer from the many others.
pub(super) fn judge(kind: Kind, name: &str, raw: &Raw) -> Result<Answer, Trouble> {
    let status = raw.status.as_u16();
    if raw.status.is_success() {
        let json = good_json(raw).map_err(|(code, again, said)| Trouble {
            error: CloudError::new(code, name, Some(status), said),
            again,
            retry_after: None,
        })?;
        return Ok(Answer { call: name.to_owned(), status, json, body: raw.body.clone() });
    }
    let says = |what: &str| error_word(&raw.body).is_some_and(|word| word == what);
    let invalid_client = || says("invalid_client");
    if status == 403 && kind == Kind::LogIn && says("mfa_required") {
        // Serde has read it once already.
        let json = serde_json::from_slice(&raw.body).unwrap_or_default();
        return Ok(Answer { call: name.to_owned(), status, json, body: raw.body.clone() });
    }
    let (code, again) = match status {
        400..=499 if invalid_client() => (FailureCode::SignInRefused, Again::Never),
        400 if kind == Kind::SignIn => (FailureCode::SignInRefused, Again::Never),
        400 | 401 | 403 if matches!(kind, Kind::LogIn | Kind::OneTimeCode) => {
            (FailureCode::LoginRefused, Again::Never)
        }
        401 => (FailureCode::SignInRefused, Again::Never),
        403 | 404 if matches!(kind, Kind::OfProduct | Kind::CreateCustomer) => {
            (FailureCode::ProductNotVisible, Again::Never)
        }
        400 | 404 | 408 if kind == Kind::OfDevice => (of_device(&raw.body), Again::Never),
        403 if kind == Kind::OfDevice => (FailureCode::DeviceNotVisible, Again::Never),
        429 => (FailureCode::LimitsHit, Again::IfRepeatable),
        408 | 500..=599 => (FailureCode::CloudUnreachable, Again::IfRepeatable),
        300..=499 => (FailureCode::CloudRefused, Again::Never),
        _ => (FailureCode::CloudGarbled, Again::Never),
    };
    let said = if raw.status.is_redirection() { redirect_words(&raw.headers) } else { words(&raw.body) };
    let error = CloudError::new(code, name, Some(status), said);
    Err(Trouble { error, again, retry_after: retry_after(&raw.headers) })
}

/// What a refusal that may be the device's own means: only its words tell.
fn of_device(body: &[u8]) -> FailureCode {
    let said = words(body).to_lowercase();
    let has = |word| said.contains(word);
    if has("timed out") || has("not connected") || has("not online") || has("offline") {
        FailureCode::DeviceOffline
    } else if has("unknown variable") || has("variable not found") || (has("function") && has("not found")) {
        FailureCode::UnknownName
    } else {
        FailureCode::DeviceNotVisible
    }
}

/// The JSON of a good answer; null if it is empty.
fn good_json(raw: &Raw) -> Result<Value, (FailureCode, Again, String)> {
    let body = raw.body.trim_ascii();
    let garbled = |said| Err((FailureCode::CloudGarbled, Again::Never, said));
    let json = match read_json(body) {
        _ if raw.too_long => return garbled(format!("an answer of more than {} MiB", MOST >> 20)),
        Ok(json) => json,
        Err(_) if body.is_empty() => return Ok(Value::Null),
        // The rest of it was lost on the way.
        Err(error) if error.is_eof() => {
            return Err((FailureCode::CloudGarbled, Again::IfRepeatable, "the answer was cut off".into()));
        }
        // Its words are not repeated, as it may hold a token that nobody has guarded yet.
        Err(_) if body.starts_with(b"{") => return garbled("damaged JSON".into()),
        Err(_) => return garbled(format!("not JSON, but {}", words(body))),
    };
    let refused = json.get("ok") == Some(&Value::Bool(false));
    let error =
        ["error", "errors"].iter().filter_map(|name| json.get(*name)).any(|e| !json_words(e).is_empty());
    if refused || error {
        return Err((FailureCode::CloudRefused, Again::Never, words(body)));
    }
    Ok(json)
}

/// Redirects are not followed: the credentials were meant for this host.
fn redirect_words(headers: &HeaderMap) -> String {
    let target = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = url::Url::parse(target).ok().and_then(|url| url.host_str().map(str::to_owned));
    match host {
        Some(host) => format!("a redirect to {host}, which is not followed"),
        None => "a redirect, which is not followed".into(),
    }
}

/// Seconds or an HTTP date; a date in the past is no wait at all.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let at = parser.parse_timestamp(text).ok()?;
    at.duration_since(jiff::Timestamp::now()).try_into().ok()
}

/// A request without an answer.
pub(super) fn lost(name: &str, error: &reqwest::Error) -> Trouble {
    let chain = || std::iter::successors(Some(error as &dyn Error), |e| (*e).source());
    // The innermost cause says what happened; those around it say "error sending request".
    let cause = chain().last().map(ToString::to_string).unwrap_or_default();
    if error.is_builder() {
        return Trouble::last(CloudError::settings(name, format!("the request cannot be made: {cause}")));
    }
    if let Some(refusal) = chain().find_map(tls_refusal) {
        let said = format!("no secure connection: {}", tls_words(refusal));
        return Trouble::last(CloudError::new(FailureCode::NotSecure, name, None, said));
    }
    if let Some(at_proxy) = chain().map(ToString::to_string).find(|said| said.starts_with(AT_PROXY)) {
        let (again, said) = match &*at_proxy {
            PROXY_WANTS_SIGN_IN => (
                Again::Never,
                "the proxy wants a user name and a password, or other ones than it was given".into(),
            ),
            PROXY_OUT_OF_REACH => (Again::Always, format!("the proxy is out of reach: {cause}")),
            _ => (Again::Always, "the proxy did not make one to the cloud".into()),
        };
        return Trouble::on_the_way(name, again, format!("no connection: {said}"));
    }
    if error.is_connect() {
        return Trouble::on_the_way(name, Again::Always, format!("no connection: {cause}"));
    }
    Trouble::on_the_way(name, Again::IfRepeatable, format!("the connection was lost: {cause}"))
}

/// Why there is no secure connection, if that is what an I/O error is about.
pub(crate) fn not_secure(error: &io::Error) -> Option<Cow<'static, str>> {
    tls_refusal(error).map(tls_words)
}

/// A certificate does not get better by asking again. An I/O error does not name the error that it
/// holds as its source, and may hold another of its kind.
fn tls_refusal<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => tls_refusal(error.get_ref()?),
        None => error.downcast_ref(),
    }
}

fn tls_words(refusal: &rustls::Error) -> Cow<'static, str> {
    use rustls::{CertificateError as Certificate, Error as Tls, InvalidMessage};
    match refusal {
        Tls::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "the server's certificate is signed by nobody whom this computer trusts".into()
        }
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "the server's certificate has expired, or this computer's clock is wrong".into()
        }
        Tls::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet, or this computer's clock is wrong".into()
        }
        Tls::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "the server's certificate is for another host".into(),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => "the server does not speak TLS".into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::super::scripted::{
        SECRET, Scripted, USER_TOKEN, client_cloud, signed_in_cloud, soon, token_answer,
    };
    use super::*;
    use crate::cloud::RootCertificates;
    use crate::model::{DeviceId, ProductRef};

    const DEVICES: &str = "GET /v1/devices";

    fn judged(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Result<Answer, Trouble> {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let status = StatusCode::from_u16(status).unwrap();
        judge(Kind::Other, "GET /x", &Raw { status, headers, body: body.to_vec(), too_long: false })
    }

    fn trouble(status: u16, headers: &[(&'static str, &str)], body: &str) -> Trouble {
        judged(status, headers, body.as_bytes()).err().unwrap()
    }

    #[test]
    fn each_status_has_its_code_and_only_some_are_asked_again() {
        for (status, code, again) in [
            (302, FailureCode::CloudRefused, Again::Never),
            (400, FailureCode::CloudRefused, Again::Never),
            (401, FailureCode::SignInRefused, Again::Never),
            (403, FailureCode::CloudRefused, Again::Never),
            (408, FailureCode::CloudUnreachable, Again::IfRepeatable),
            (429, FailureCode::LimitsHit, Again::IfRepeatable),
            (500, FailureCode::CloudUnreachable, Again::IfRepeatable),
            (503, FailureCode::CloudUnreachable, Again::IfRepeatable),
            (999, FailureCode::CloudGarbled, Again::Never),
        ] {
            let trouble = trouble(status, &[], "");
            assert_eq!((trouble.error.code, trouble.again), (code, again), "{status}");
        }
    }

    #[test]
    fn good_answers_that_are_none_never_end_in_a_parsers_words() {
        for (body, code, said) in [
            (r#"{"ok":false,"error":"timed out"}"#, FailureCode::CloudRefused, "timed out"),
            (r#"{"error":{"message":"no"}}"#, FailureCode::CloudRefused, "no"),
            (r#"{"ok":true,"errors":[{"message":"no"}]}"#, FailureCode::CloudRefused, "no"),
            (r#"{"access_token":"half of a"#, FailureCode::CloudGarbled, "the answer was cut off"),
            (r#"{"access_token":"abc",,}"#, FailureCode::CloudGarbled, "damaged JSON"),
            ("<title>Log in</title>", FailureCode::CloudGarbled, "not JSON, but an HTML page, “Log in”"),
            ("OK", FailureCode::CloudGarbled, "not JSON, but OK"),
        ] {
            let error = trouble(200, &[], body).error;
            assert_eq!((error.code, &*error.said), (code, said));
        }
        for good in [&b""[..], b"{\"ok\":true,\"errors\":[]}", b"{\"name\":\"d\xe9j\xe0\"}"] {
            assert!(judged(204, &[], good).is_ok());
        }
    }

    #[test]
    fn a_redirects_target_is_named_by_its_host_alone() {
        let error = trouble(307, &[("location", "https://portal.example/login?access_token=x")], "").error;
        assert_eq!(error.said, "a redirect to portal.example, which is not followed");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let wait = |value| trouble(503, &[("retry-after", value)], "").retry_after;
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert!(wait("Wed, 21 Oct 2215 07:28:00 GMT").unwrap() > Duration::from_secs(1 << 30));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics_the_judge(status in 200u16..=999, body: Vec<u8>, text in "[\\[{<]?.{0,60}") {
            for body in [&body[..], text.as_bytes()] {
                if let Err(trouble) = judged(status, &[], body) {
                    prop_assert!(!trouble.error.said.is_empty());
                    for parsers in ["expected value", "line 1", "EOF while"] {
                        prop_assert!(text.contains(parsers) || !trouble.error.said.contains(parsers));
                    }
                    let named = trouble.error.to_string().starts_with(&format!("GET /x was answered with {status}: "));
                    prop_assert!(named, "{}", trouble.error);
                }
            }
        }
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_told() {
        let server = Scripted::start().await;
        server.expect(DEVICES, 503, "<title>Down</title>");
        server.expect_and_drop(DEVICES);
        server.expect_raw(DEVICES, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[");
        server.expect(DEVICES, 200, "[");
        server.expect(DEVICES, 200, "[]");
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let cloud =
            signed_in_cloud(&server).with_listener(move |notice| heard.lock().unwrap().push(notice.clone()));
        assert_eq!(cloud.user_devices(soon()).await.unwrap(), []);
        let notices = notices.lock().unwrap();
        assert_eq!(notices.iter().map(|notice| notice.tries).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(notices.iter().filter(|notice| notice.wait.is_none()).count(), 1, "{:?}", notices[4]);
        assert_eq!(notices[0].call, DEVICES);
        assert_eq!(notices[0].why, "503: an HTML page, “Down”");
        assert!(notices[1].why.starts_with("the connection was lost"), "{}", notices[1].why);
        assert!(notices[2].why.starts_with("the connection was lost"), "{}", notices[2].why);
        assert_eq!(notices[3].why, "200: the answer was cut off");
    }

    #[tokio::test]
    async fn a_wish_to_be_asked_later_is_honoured() {
        let server = Scripted::start().await;
        server.expect_with(DEVICES, 429, "retry-after: 30\r\n", "");
        let (told, waits) = tokio::sync::oneshot::channel();
        let told = Mutex::new(Some(told));
        let cloud = signed_in_cloud(&server).with_listener(move |notice: &RetryNotice| {
            let _ = told.lock().unwrap().take().unwrap().send(notice.wait);
        });
        let asking = tokio::spawn(async move { cloud.user_devices(soon()).await });
        assert_eq!(waits.await.unwrap(), Some(Duration::from_secs(30)));
        asking.abort();
    }

    #[tokio::test]
    async fn a_wait_that_would_pass_the_deadline_ends_at_once_with_the_last_error() {
        let server = Scripted::start().await;
        server.expect_with(DEVICES, 503, "retry-after: 61\r\n", "");
        server.expect_with(DEVICES, 429, "retry-after: 61\r\n", r#"{"error":"slow down"}"#);
        let cloud = signed_in_cloud(&server);
        let error = cloud.user_devices(soon()).await.unwrap_err();
        assert_eq!((error.code, error.status), (FailureCode::CloudUnreachable, Some(503)));
        let error = cloud.user_devices(soon()).await.unwrap_err();
        assert_eq!((error.code, &*error.said), (FailureCode::LimitsHit, "slow down"));
        // Nobody asks before the cloud wants to be asked.
        let error = cloud.user_devices(soon()).await.unwrap_err();
        assert!(error.said.starts_with("not sent: its turn under the cloud's rate limits"), "{error}");
    }

    #[tokio::test]
    async fn nobody_there_and_no_time_left_are_told_apart() {
        let server = Scripted::start().await;
        let mut settings = super::super::scripted::settings(&server);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        settings.api_url = ApiUrl::parse(&format!("http://{free}")).unwrap();
        let cloud = Cloud::new(settings).unwrap();
        let error = cloud.user_devices(Deadline::after(Duration::from_millis(150), "it")).await.unwrap_err();
        assert_eq!(error.code, FailureCode::CloudUnreachable);
        assert!(error.said.starts_with("no connection: "), "{error}");
        let error = cloud.user_devices(Deadline::after(Duration::ZERO, "it")).await.unwrap_err();
        assert_eq!(error.to_string(), "GET /v1/devices: not sent: the time for it was up");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let (server, other) = (Scripted::start().await, Scripted::start().await);
        server.expect_with(DEVICES, 302, &format!("location: {}/v1/devices\r\n", other.url), "");
        let error = signed_in_cloud(&server).user_devices(soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::CloudRefused);
        assert!(error.said.contains("127.0.0.1"), "{error}");
        assert!(other.seen().is_empty());
    }

    /// Serves TLS: on the first connection HTTP/2, whose first request is answered with these frames and
    /// the connection closed; on the second HTTP/1.1, with an empty list.
    async fn serve_h2_then_h1(frames: &'static [u8]) -> (ApiUrl, RootCertificates) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let roots = RootCertificates::from_pem(identity.cert.pem().as_bytes()).unwrap();
        let acceptor = move |protocol: &[u8]| {
            let key =
                rustls::pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider);
            let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
            let mut config = config.with_single_cert(vec![identity.cert.der().clone()], key).unwrap();
            config.alpn_protocols = vec![protocol.to_vec()];
            tokio_rustls::TlsAcceptor::from(Arc::new(config))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = ApiUrl::parse(&format!("https://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor(b"h2").accept(tcp).await.unwrap();
            // SETTINGS, empty.
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            stream.read_exact(&mut [0; 24]).await.unwrap();
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
                // HEADERS
                if head[3] == 1 {
                    break;
                }
            }
            stream.write_all(frames).await.unwrap();
            stream.shutdown().await.unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            let mut stream = acceptor(b"http/1.1").accept(tcp).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
        });
        (url, roots)
    }

    #[tokio::test]
    async fn http_2_that_goes_away_or_resets_a_request_is_tried_again() {
        let go_away = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let go_away_in_anger = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];
        let reset = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        for frames in [&go_away[..], go_away_in_anger, reset] {
            let (api_url, roots) = serve_h2_then_h1(frames).await;
            let user_token = Some(USER_TOKEN.into());
            let settings =
                super::super::CloudSettings { api_url, user_token, roots: Some(roots), ..Default::default() };
            assert_eq!(Cloud::new(settings).unwrap().user_devices(soon()).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn an_endless_answer_is_not_read_to_its_end() {
        let server = Scripted::start().await;
        server.expect(DEVICES, 200, &" ".repeat(MOST + 1));
        let error = signed_in_cloud(&server).user_devices(soon()).await.unwrap_err();
        assert_eq!((error.code, &*error.said), (FailureCode::CloudGarbled, "an answer of more than 4 MiB"));
    }

    #[tokio::test]
    async fn credentials_travel_in_the_authorization_header_alone_and_forms_are_encoded() {
        let server = Scripted::start().await;
        server.expect("POST /oauth/token", 200, &token_answer("token-of-the-product"));
        server.expect("GET /v1/products/1319/devices/3b0021001747353236343033", 404, "");
        let cloud = client_cloud(&server);
        let (product, id) =
            (ProductRef::parse("1319").unwrap(), DeviceId::parse("3b0021001747353236343033").unwrap());
        cloud.device(&product, &id, soon()).await.unwrap();
        let seen = server.seen();
        assert!(seen[0].head.contains("authorization: Basic YmVuY2gtMTp0aGUtY2xpZW50cy1zZWNyZXQ=\r\n"));
        assert_eq!(seen[0].body, "grant_type=client_credentials");
        assert!(seen[1].head.contains("authorization: Bearer token-of-the-product\r\n"));
        assert!(seen[1].head.contains(concat!("user-agent: provision/", env!("CARGO_PKG_VERSION"), "\r\n")));
    }

    #[tokio::test]
    async fn secrets_show_up_in_no_error_and_no_debug_output() {
        let server = Scripted::start().await;
        let info = format!(r#"{{"info":"{}?access_token={USER_TOKEN}&s={SECRET}"}}"#, server.url);
        server.expect(DEVICES, 403, &info);
        let settings = super::super::scripted::settings(&server);
        let cloud = Cloud::new(settings.clone()).unwrap();
        let error = cloud.user_devices(soon()).await.unwrap_err();
        let token = cloud.shared.user_token.clone();
        let failure = crate::model::Failure::from(error.clone());
        let shown = format!("{error} {error:?} {failure} {failure:?} {cloud:?} {settings:?} {token:?}");
        assert!(shown.contains("?access_token=[redacted]"), "{shown}");
        for secret in [USER_TOKEN, SECRET] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn credentials_that_cannot_stand_in_a_header_are_refused_and_not_repeated() {
        let refused = |id: &str, secret: &str, token: &str| {
            Cloud::new(super::super::CloudSettings {
                client: Some(OAuthClient { id: id.into(), secret: secret.into() }),
                user_token: Some(token.into()),
                ..Default::default()
            })
            .unwrap_err()
        };
        for error in
            [refused("a:b", "s3cret", "t"), refused("a", "s3cret\n", "t"), refused("a", "s3cret", "t\n")]
        {
            assert_eq!(error.code, FailureCode::Configuration);
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
