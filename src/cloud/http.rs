//! One request: signed, sent, tried again where that is safe, its answer judged.

use std::{error::Error, io, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    AccessToken, ApiUrl, Cloud, CloudError, OAuthClient,
    sign_in_guard::Verdict,
    words::{error_word, json_words, words},
};
use crate::model::{Deadline, FailureCode};

/// How long one try may take; a healthy answer takes well under a second.
const TRY: Duration = Duration::from_secs(10);
/// The longest answer that is read. A developer's own devices come in one answer, at some 700 bytes
/// each; everything else is far smaller.
const MOST: usize = 4 << 20;

/// A request that will be tried again, for whoever shows what a run waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryNotice {
    /// The method and the path.
    pub call: String,
    /// What came of the last try: a status with the cloud's words, or what happened on the way.
    pub why: String,
    /// How many tries there were.
    pub tries: u32,
    /// How long until the next.
    pub wait: Duration,
}

/// What a call is about, as far as limits and refusals depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A token for the OAuth client itself.
    SignIn,
    /// A token for one of its customers.
    CustomerSignIn,
    /// Also signed with the OAuth client's secret, and limited like user creation.
    CreateCustomer,
    /// 403 and 404 tell of the product, not of something in it.
    OfProduct,
    /// Anything else.
    Other,
}

/// A request, apart from its signature.
pub(super) struct Call<'a> {
    pub kind: Kind,
    pub method: Method,
    /// The path's segments, not yet encoded.
    pub path: &'a [&'a str],
    /// Form-encoded into the body of a POST.
    pub form: &'a [(&'a str, &'a str)],
    /// Whether it may be sent again when it is not known what became of it.
    pub repeatable: bool,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        Self { kind: Kind::Other, method: Method::GET, path, form: &[], repeatable: true }
    }

    /// Whether it may be repeated must be known for each: see the module's documentation.
    pub(super) fn repeatable_post(path: &'a [&'a str], form: &'a [(&'a str, &'a str)]) -> Self {
        Self { kind: Kind::Other, method: Method::POST, path, form, repeatable: true }
    }

    pub(super) fn delete(path: &'a [&'a str]) -> Self {
        Self { kind: Kind::Other, method: Method::DELETE, path, form: &[], repeatable: true }
    }

    pub(super) fn about(self, kind: Kind) -> Self {
        Self { kind, ..self }
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
    Bearer(&'a AccessToken),
}

/// An answer of 200 or so, with no error inside.
#[derive(Debug)]
pub(super) struct Answer {
    call: String,
    status: u16,
    json: Value,
    said: String,
}

impl Answer {
    /// Reads it as what it should be; `what` with its article, for the error.
    pub(super) fn read<T: DeserializeOwned>(self, what: &str) -> Result<T, CloudError> {
        // Serde's own words may repeat values, tokens among them; so they are left out.
        T::deserialize(&self.json).map_err(|_| self.garbled(what))
    }

    pub(super) fn garbled(&self, what: &str) -> CloudError {
        let said = format!("not {what}, but {}", self.said);
        CloudError::new(FailureCode::CloudGarbled, &self.call, Some(self.status), said)
    }
}

/// What came of a try that failed.
#[derive(Debug)]
struct Trouble {
    error: CloudError,
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

impl Cloud {
    /// Sends a request until it is answered, refused, or its time is up.
    pub(super) async fn send(
        &self,
        call: &Call<'_>,
        signature: Signature<'_>,
        deadline: Deadline,
    ) -> Result<Answer, CloudError> {
        let name = call.name(&self.shared.api_url);
        let mut waits = backoff().build();
        let mut tries = 0;
        loop {
            self.shared.limits.admit(call.kind, &name, deadline).await?;
            tries += 1;
            let trouble = match self.try_once(call, &name, signature, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let again = match trouble.again {
                Again::Always => true,
                Again::IfRepeatable => call.repeatable,
                Again::Never => false,
            };
            let wait = waits.next().unwrap_or(TRY).max(trouble.retry_after.unwrap_or_default());
            if !again || wait >= deadline.left() {
                return Err(trouble.error);
            }
            let why = match trouble.error.status {
                Some(status) => format!("{status}: {}", trouble.error.said),
                None => trouble.error.said,
            };
            tracing::debug!(call = name, why, tries, ?wait, "trying again");
            if let Some(listener) = &self.listener {
                listener(&RetryNotice { call: name.clone(), why, tries, wait });
            }
            sleep(wait).await;
        }
    }

    async fn try_once(
        &self,
        call: &Call<'_>,
        name: &str,
        signature: Signature<'_>,
        deadline: Deadline,
    ) -> Result<Answer, Trouble> {
        let permit = match signature {
            Signature::Client(_) => {
                Some(self.shared.sign_in_guard.enter(name, deadline).await.map_err(Trouble::last)?)
            }
            Signature::Bearer(_) => None,
        };
        let limit = TRY.min(deadline.left());
        let answer = match timeout(limit, self.exchange(call, signature)).await {
            Ok(Ok(raw)) => judge(call.kind, name, &raw),
            Ok(Err(error)) => Err(lost(name, &error)),
            Err(_) => {
                let said = format!("no answer within {:.1} s", limit.as_secs_f32());
                Err(Trouble::on_the_way(name, Again::IfRepeatable, said))
            }
        };
        if let Some(permit) = permit {
            let verdict = match &answer {
                Ok(_) => Verdict::Accepted,
                Err(trouble) => verdict(call.kind, &trouble.error),
            };
            self.shared.sign_in_guard.settle(permit, verdict).await;
        }
        answer
    }

    async fn exchange(&self, call: &Call<'_>, signature: Signature<'_>) -> reqwest::Result<Raw> {
        let url = self.shared.api_url.join(call.path);
        let mut request = self.shared.http.request(call.method.clone(), url);
        // Both mark the header as sensitive, which keeps it out of logs and HTTP/2's tables.
        request = match signature {
            Signature::Client(client) => request.basic_auth(&client.id, Some(client.expose_secret())),
            Signature::Bearer(token) => request.bearer_auth(token.expose()),
        };
        if call.method == Method::POST {
            request = request.form(call.form);
        }
        let mut response = request.send().await?;
        let mut raw = Raw {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
            too_long: false,
        };
        while let Some(chunk) = response.chunk().await? {
            raw.too_long = raw.body.len() + chunk.len() > MOST;
            if raw.too_long {
                break;
            }
            raw.body.extend_from_slice(&chunk);
        }
        Ok(raw)
    }
}

impl Trouble {
    fn last(error: CloudError) -> Self {
        Self { error, again: Again::Never, retry_after: None }
    }

    fn on_the_way(name: &str, again: Again, said: String) -> Self {
        let error = CloudError::new(FailureCode::CloudUnreachable, name, None, said);
        Self { error, again, retry_after: None }
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
        FailureCode::SignInRefused => Verdict::Refused(error.clone()),
        _ if refused => Verdict::Counted,
        _ => Verdict::Unknown,
    }
}

struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    too_long: bool,
}

/// Tells a good answer from the many others.
fn judge(kind: Kind, name: &str, raw: &Raw) -> Result<Answer, Trouble> {
    let status = raw.status.as_u16();
    let trouble = |code, again, said: String| Trouble {
        error: CloudError::new(code, name, Some(status), said),
        again,
        retry_after: retry_after(&raw.headers),
    };
    let said = words(&raw.body);
    let last = |code| Err(trouble(code, Again::Never, said.clone()));
    let invalid_client = || error_word(&raw.body).is_some_and(|word| word == "invalid_client");
    match status {
        200..=299 if raw.too_long => Err(trouble(
            FailureCode::CloudGarbled,
            Again::Never,
            format!("an answer of more than {} MiB", MOST >> 20),
        )),
        200..=299 => good_answer(name, status, &raw.body, said).map_err(|(code, again, said)| trouble(code, again, said)),
        300..=399 => {
            Err(trouble(FailureCode::CloudRefused, Again::Never, redirect_words(&raw.headers)))
        }
        400..=499 if invalid_client() => last(FailureCode::SignInRefused),
        400 if kind == Kind::SignIn => last(FailureCode::SignInRefused),
        401 => last(FailureCode::SignInRefused),
        403 | 404 if matches!(kind, Kind::OfProduct | Kind::CreateCustomer) => {
            last(FailureCode::ProductNotVisible)
        }
        429 => Err(trouble(FailureCode::LimitsHit, Again::IfRepeatable, said)),
        408 | 500..=599 => Err(trouble(FailureCode::CloudUnreachable, Again::IfRepeatable, said)),
        400..=499 => last(FailureCode::CloudRefused),
        _ => last(FailureCode::CloudGarbled),
    }
}

fn good_answer(
    name: &str,
    status: u16,
    body: &[u8],
    said: String,
) -> Result<Answer, (FailureCode, Again, String)> {
    let json = match serde_json::from_slice::<Value>(body) {
        Ok(json) => json,
        Err(_) if body.trim_ascii().is_empty() => Value::Null,
        // The rest of it was lost on the way.
        Err(error) if error.is_eof() => {
            return Err((FailureCode::CloudGarbled, Again::IfRepeatable, "the answer was cut off".into()));
        }
        // Half of an answer to a sign-in may hold a token that nobody has guarded yet.
        Err(_) if body.trim_ascii().starts_with(b"{") => {
            return Err((FailureCode::CloudGarbled, Again::Never, "damaged JSON".into()));
        }
        Err(_) => return Err((FailureCode::CloudGarbled, Again::Never, format!("not JSON, but {said}"))),
    };
    let refused = json.get("ok") == Some(&Value::Bool(false));
    let error = json.get("error").is_some_and(|error| !json_words(error).is_empty());
    if refused || error {
        return Err((FailureCode::CloudRefused, Again::Never, said));
    }
    Ok(Answer { call: name.to_owned(), status, json, said })
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
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    at.duration_since(jiff::Timestamp::now()).try_into().ok()
}

/// A request without an answer.
fn lost(name: &str, error: &reqwest::Error) -> Trouble {
    let chain = || std::iter::successors(Some(error as &dyn Error), |e| (*e).source());
    // The innermost cause says what happened; those around it say "error sending request".
    let cause = chain().last().map(ToString::to_string).unwrap_or_default();
    if error.is_builder() {
        return Trouble::last(CloudError::settings(name, format!("the request cannot be made: {cause}")));
    }
    if chain().any(is_tls_refusal) {
        return Trouble::on_the_way(name, Again::Never, format!("no secure connection: {cause}"));
    }
    if error.is_connect() {
        return Trouble::on_the_way(name, Again::Always, format!("no connection: {cause}"));
    }
    Trouble::on_the_way(name, Again::IfRepeatable, format!("the connection was lost: {cause}"))
}

/// A certificate does not get better by asking again.
fn is_tls_refusal(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>())
}
