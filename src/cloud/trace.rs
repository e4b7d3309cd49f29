//! Every try of a request as a line of JSON, redacted, for whoever listens to [`TRACE_TARGET`].

use std::{error::Error, time::Instant};

use reqwest::{Request, Response, header::HeaderMap};
use serde_json::{Map, Value, json};
use tracing::Level;
use url::form_urlencoded;

use crate::model::{is_called_a_secret, redact, redact_json};

/// The target of `tracing` events that have such a line as their field `line`. Nothing is gathered
/// while nobody listens to it at level `TRACE`.
///
/// A line has `at`, `method`, `url`, `client`, `signed` (the scheme of the `Authorization` header, which itself is
/// left out), `request_headers`, `request` (a form as a list of pairs, JSON, or text), `seconds`; if an
/// answer came, `status`, `http`, `response_headers` (some), `response` (JSON or text) and
/// `response_bytes`; and `trouble` if something went wrong on the way.
pub const TRACE_TARGET: &str = "provision::http-trace";

/// Bodies are not shown beyond this.
const MOST: usize = 64 * 1024;
/// What of an answer's headers is shown: what support asks for. None holds a secret.
const ANSWERS: [&str; 12] = [
    "cf-ray",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "location",
    "proxy-authenticate",
    "retry-after",
    "server",
    "via",
    "www-authenticate",
    "x-request-id",
];

/// One try, told when it is dropped: also one that is called off.
pub(super) struct Try(Option<Entry>);

struct Entry {
    line: Map<String, Value>,
    started: Instant,
    ended: bool,
}

impl Try {
    /// From before it is sent.
    pub(super) fn of(request: &Request) -> Self {
        if !tracing::enabled!(target: TRACE_TARGET, Level::TRACE) {
            return Self(None);
        }
        let signed = request.headers().get("authorization").and_then(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.split_once(' ').map(|(scheme, _)| scheme.to_lowercase())
        });
        let mut line = Map::new();
        line.insert("at".into(), jiff::Timestamp::now().to_string().into());
        line.insert("method".into(), request.method().as_str().into());
        line.insert("url".into(), shown_url(request.url()).into());
        line.insert("signed".into(), signed.into());
        line.insert("client".into(), concat!("provision/", env!("CARGO_PKG_VERSION")).into());
        let sent = |name: &str| name != "authorization";
        line.insert("request_headers".into(), headers(request.headers(), sent));
        let body = request.body().and_then(|body| body.as_bytes());
        line.insert("request".into(), shown_body(request.headers(), body.unwrap_or_default()));
        Self(Some(Entry { line, started: Instant::now(), ended: false }))
    }

    /// The head of an answer has come.
    pub(super) fn answered(&mut self, response: &Response) {
        let Some(Entry { line, .. }) = &mut self.0 else { return };
        line.insert("status".into(), response.status().as_u16().into());
        line.insert("http".into(), format!("{:?}", response.version()).into());
        line.insert("response_headers".into(), headers(response.headers(), |name| ANSWERS.contains(&name)));
    }

    /// The head of an answer that has no end has come; it is told now, and what follows is not.
    pub(super) fn opened(&mut self, response: &Response) {
        self.answered(response);
        if let Some(Entry { ended, .. }) = &mut self.0 {
            *ended = true;
        }
    }

    /// All of it that was read.
    pub(super) fn read(&mut self, headers: &HeaderMap, body: &[u8]) {
        let Some(Entry { line, ended, .. }) = &mut self.0 else { return };
        line.insert("response_bytes".into(), body.len().into());
        line.insert("response".into(), shown_body(headers, body));
        *ended = true;
    }

    /// What went wrong on the way.
    pub(super) fn failed(&mut self, error: &reqwest::Error) {
        let Some(Entry { line, ended, .. }) = &mut self.0 else { return };
        let chain = std::iter::successors(Some(error as &dyn Error), |e| (*e).source());
        // The outermost repeats the URL.
        let said: Vec<_> = chain.skip(1).map(|e| redact(&e.to_string()).into_owned()).collect();
        line.insert(
            "trouble".into(),
            if said.is_empty() { error.to_string() } else { said.join(": ") }.into(),
        );
        *ended = true;
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        let Some(Entry { mut line, started, ended }) = self.0.take() else { return };
        if !ended {
            line.insert("trouble".into(), "given up before it was answered".into());
        }
        line.insert("seconds".into(), started.elapsed().as_secs_f64().into());
        // Whole once more, as some of it has just become known.
        let mut line = Value::Object(line);
        redact_json(&mut line);
        let line = line.to_string();
        tracing::event!(target: TRACE_TARGET, Level::TRACE, line = line.as_str());
    }
}

fn headers(headers: &HeaderMap, shown: impl Fn(&str) -> bool) -> Value {
    let shown = headers.iter().filter(|(name, value)| shown(name.as_str()) && !value.is_sensitive());
    let pairs = shown.map(|(name, value)| {
        (name.to_string(), redact(&String::from_utf8_lossy(value.as_bytes())).into_owned().into())
    });
    Value::Object(pairs.collect())
}

/// Without what may be a secret in it: a token that is shown or revoked, the values of a query.
fn shown_url(url: &url::Url) -> String {
    let mut shown = url.clone();
    if let Some(segments) = url.path_segments() {
        let mut before = "";
        let segments = segments.map(|segment| {
            let hidden = before == "access_tokens" && segment != "current";
            before = segment;
            if hidden { "[redacted]" } else { segment }
        });
        shown.set_path(&segments.collect::<Vec<_>>().join("/"));
    }
    if url.query().is_some() {
        shown.query_pairs_mut().clear().extend_pairs(masked(url.query_pairs()));
    }
    redact(shown.as_str()).replace("%5Bredacted%5D", "[redacted]")
}

/// The pairs of a query or a form.
fn masked<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> impl Iterator<Item = (String, String)> {
    pairs.map(|(name, value)| {
        let value = if is_called_a_secret(&name) { "[redacted]".into() } else { redact(&value).into_owned() };
        (name.into_owned(), value)
    })
}

fn shown_body(headers: &HeaderMap, body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") && body.len() <= MOST {
        return json!(masked(form_urlencoded::parse(body)).collect::<Vec<_>>());
    }
    if body.len() <= MOST
        && let Ok(mut json) = serde_json::from_slice(body)
    {
        redact_json(&mut json);
        return json;
    }
    // Redacted some way beyond the end of what is shown, so that no secret is cut in two there.
    let text = String::from_utf8_lossy(&body[..body.len().min(2 * MOST)]);
    let text = redact(&text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_kind(kind: &'static str) -> HeaderMap {
        [("content-type".parse().unwrap(), kind.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn urls_lose_tokens_and_what_is_called_a_secret() {
        for (url, shown) in [
            (
                "https://x/v1/devices?perPage=2&access_token=a%26b",
                "https://x/v1/devices?perPage=2&access_token=[redacted]",
            ),
            ("https://x/v1/access_tokens/abc", "https://x/v1/access_tokens/[redacted]"),
            ("https://x/v1/access_tokens/current", "https://x/v1/access_tokens/current"),
            ("https://x/v1/customers/a%2Fb%20c", "https://x/v1/customers/a%2Fb%20c"),
        ] {
            assert_eq!(shown_url(&url.parse().unwrap()), shown);
        }
    }

    #[test]
    fn bodies_keep_all_but_their_secrets() {
        let form = of_kind("application/x-www-form-urlencoded");
        let body = b"grant_type=urn%3Acustom%3Amfa-otp&mfa_token=abc&otp=123456&scope=customer%3Da";
        assert_eq!(
            shown_body(&form, body),
            json!([
                ["grant_type", "urn:custom:mfa-otp"],
                ["mfa_token", "[redacted]"],
                ["otp", "[redacted]"],
                ["scope", "customer=a"]
            ])
        );
        let json = of_kind("application/json; charset=utf-8");
        let body = br#"{"access_token":"abc","token_type":"bearer","claim_code":"xyz","device_ids":[],"expires_in":7}"#;
        assert_eq!(
            shown_body(&json, body),
            json!({
                "access_token": "[redacted]", "token_type": "bearer", "claim_code": "[redacted]",
                "device_ids": [], "expires_in": 7
            })
        );
        assert_eq!(shown_body(&json, br#"{"access_token":"ab"#), r#"{"access_token":"[redacted]"#);
        assert_eq!(shown_body(&of_kind("text/html"), b"<b>\xff</b>"), "<b>\u{fffd}</b>");
        assert_eq!(shown_body(&json, b""), Value::Null);
        let long = shown_body(&json, &[b'x'; 3 * MOST]);
        assert_eq!(long.as_str().unwrap().chars().count(), MOST + 1);
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, kind in "(application/json|application/x-www-form-urlencoded|text/html)") {
            shown_body(&of_kind(kind.leak()), &body);
        }
    }
}
