use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, header},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Refusal},
    office::Office,
    wire::Peer,
    world::{Account, World},
};

/// One request as its endpoint sees it: what was sent, whichever way it was encoded, and who sends it.
pub(super) struct Call {
    pub(super) office: Arc<Office>,
    pub(super) ip: IpAddr,
    /// The moment it came.
    pub(super) now: i64,
    method: Method,
    /// HTTP Basic's two parts.
    pub(super) basic: Option<(String, String)>,
    token: Result<Option<String>, Refusal>,
    params: Map<String, Value>,
}

/// The token of a request and whom it speaks for.
pub(super) struct Caller {
    pub(super) token: String,
    pub(super) account: Account,
}

impl FromRequest<Arc<Office>> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, office: &Arc<Office>) -> Result<Self, Refusal> {
        let method = request.method().clone();
        let headers = request.headers().clone();
        let query = request.uri().query().map(|q| form(q.as_bytes())).unwrap_or_default();
        // Always there: the server is started with connection info.
        let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|peer| peer.0.address.ip());
        let ip = peer.ok_or_else(|| Refusal::malformed("The sender has no address"))?;
        let body = Bytes::from_request(request, &())
            .await
            .map_err(|e| Refusal::oauth(e.status(), "invalid_request", "The body could not be read"))?;
        let body = decode(&headers, &body)?;

        let with_body = method == Method::POST || method == Method::PUT;
        let in_query = query.get("access_token").filter(|_| method == Method::GET).and_then(text);
        let in_body = body.get("access_token").filter(|_| with_body).and_then(text);
        let ways = [authorization(&headers, "bearer"), in_query, in_body];
        let mut sent = ways.into_iter().flatten();
        let token = match (sent.next(), sent.next()) {
            (_, Some(_)) => Err(Refusal::malformed("Send the access token in one way only")),
            (token, None) => Ok(token),
        };
        let basic = authorization(&headers, "basic")
            .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
            .and_then(|pair| String::from_utf8(pair).ok())
            .and_then(|pair| pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned())));
        let params = if with_body { body } else { query };
        Ok(Self { office: office.clone(), ip, now: office.clock.now(), method, basic, token, params })
    }
}

impl Call {
    /// Answers with the world at hand, for whomever the token speaks; refused if there is none.
    pub(super) fn answer(&self, endpoint: impl FnOnce(&mut World, &Caller) -> Answer) -> Answer {
        self.answer_anybody(|world| {
            let token = self.token.as_ref().map_err(Refusal::again)?.clone().ok_or_else(Refusal::no_token)?;
            let known = world.tokens.get(&token).filter(|t| t.expires_at.is_none_or(|at| at > self.now));
            let account = known.ok_or_else(Refusal::bad_token)?.account.clone();
            endpoint(world, &Caller { token, account })
        })
    }

    /// Answers with the world at hand, no token asked for.
    pub(super) fn answer_anybody(&self, endpoint: impl FnOnce(&mut World) -> Answer) -> Answer {
        let mut world = self.office.world();
        let answer = endpoint(&mut world);
        if self.method != Method::GET && answer.is_ok() {
            world.dirty = true;
        }
        answer
    }

    /// A parameter of the query (GET, DELETE) or the body (POST, PUT). Numbers and truth values of JSON
    /// are taken as a form would spell them; an empty text is as good as none.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        self.params.get(name).and_then(text)
    }

    /// A parameter that has to be there.
    pub(super) fn need(&self, name: &str) -> Result<String, Refusal> {
        self.param(name).ok_or_else(|| Refusal::malformed(&format!("{name} is missing")))
    }

    /// A parameter that is a truth value.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.param(name).as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(Refusal::malformed(&format!("{name} is true or false"))),
        }
    }

    /// Which slice of a list is asked for: pages count from 1 and have 25 entries unless told.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let positive = |name: &str, otherwise: usize| match self.param(name) {
            None => Ok(otherwise),
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| *n > 0)
                .ok_or_else(|| Refusal::malformed(&format!("{name} is a number from 1"))),
        };
        Ok(Page { number: positive("page", 1)?, size: positive("perPage", 25)? })
    }
}

/// A slice of a list.
pub(super) struct Page {
    number: usize,
    size: usize,
}

impl Page {
    /// The entries of this page; past the end there are none.
    pub(super) fn of<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let from = (self.number - 1).saturating_mul(self.size).min(all.len());
        let to = from.saturating_add(self.size).min(all.len());
        &all[from..to]
    }

    /// How many pages there are.
    pub(super) fn count<T>(&self, all: &[T]) -> usize {
        all.len().div_ceil(self.size)
    }
}

fn authorization(headers: &HeaderMap, scheme: &str) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, rest) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim().to_owned())
}

/// The fields of a body that is a form or JSON; a body of any other kind has none.
fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Ok(form(body)),
        "application/json" if !body.is_empty() => serde_json::from_slice(body).map_err(|_| {
            Refusal::oauth(StatusCode::BAD_REQUEST, "invalid_request", "The body is no JSON object")
        }),
        "multipart/form-data" => multipart(kind, body).ok_or_else(|| {
            Refusal::oauth(StatusCode::BAD_REQUEST, "invalid_request", "The multipart body cannot be read")
        }),
        _ => Ok(Map::new()),
    }
}

/// The fields of a multipart body, files too; a file has to have a name, and `file` has to be one.
fn multipart(kind: &str, body: &[u8]) -> Option<Map<String, Value>> {
    let boundary = kind.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?.trim_matches('"');
    let mut rest = std::str::from_utf8(body).ok()?.strip_prefix(&format!("--{boundary}\r\n"))?;
    let mut fields = Map::new();
    loop {
        let (head, after) = rest.split_once("\r\n\r\n")?;
        let (content, next) = after.split_once(&format!("\r\n--{boundary}"))?;
        let disposition = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let part = |wanted: &str| {
            let parts = disposition.split(';').filter_map(|part| part.trim().split_once('='));
            parts.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"'))
        };
        let name = part("name")?;
        if (name == "file") != part("filename").is_some() {
            return None;
        }
        fields.insert(name.to_owned(), content.into());
        if next.starts_with("--") {
            return Some(fields);
        }
        rest = next.strip_prefix("\r\n")?;
    }
}

fn form(encoded: &[u8]) -> Map<String, Value> {
    url::form_urlencoded::parse(encoded).map(|(k, v)| (k.into_owned(), v.into_owned().into())).collect()
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
