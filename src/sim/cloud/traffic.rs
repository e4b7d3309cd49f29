//! What every request of the API goes through before and after its endpoint: log, gates, limits,
//! faults, latency.

use std::{io, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{FutureExt, StreamExt, future, stream};
use serde_json::json;

use super::{
    Action, Fault,
    answer::Refusal,
    faults,
    limits::{Budget, TryAgain},
    office::Office,
    wire::Peer,
};

/// Serves one request, or lets go wrong what is to go wrong with it.
pub(super) async fn oversee(
    State(office): State<Arc<Office>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let http = if request.version() == Version::HTTP_2 { "2" } else { "1.1" };
    let connection = peer.line.number(|| office.next_connection());
    let number = office.log.arrived(method.as_str(), &path, http, connection);
    office.gates.pass(method.as_str(), &path).await;
    let answer = match admit(&office, &peer, &method, &path) {
        Err(wait) => Some(Refusal::from(wait).into_response()),
        Ok(()) => match office.faults.take(method.as_str(), &path) {
            None => Some(serve(&office, request, next).await),
            Some(fault) => go_wrong(&office, fault, request, next).await,
        },
    };
    if !office.latency.is_zero() {
        tokio::time::sleep(office.latency).await;
    }
    match answer {
        Some(answer) => {
            office.log.answered(number, answer.status().as_u16());
            answer
        }
        None => {
            peer.line.cut();
            // Never sent: the line is dead.
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Limits count a request before faults do: also what then goes wrong has been asked.
fn admit(office: &Office, peer: &Peer, method: &Method, path: &str) -> Result<(), TryAgain> {
    let (ip, now) = (peer.address.ip(), office.clock.now());
    office.limits.spend(Budget::Calls(ip), now)?;
    let creates_customer = path.starts_with("/v1/products/") && path.ends_with("/customers");
    if path == "/oauth/token" {
        office.limits.spend(Budget::SignIns(ip), now)
    } else if path.starts_with("/v1/access_tokens/") || (method == Method::POST && creates_customer) {
        office.limits.spend(Budget::Management(ip), now)
    } else {
        Ok(())
    }
}

/// The endpoint's answer. What it changed is stored before the answer leaves.
async fn serve(office: &Office, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    match office.settle() {
        Ok(()) => answer,
        Err(error) => {
            let body = json!({"ok": false, "error": format!("The state could not be stored: {error}")});
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

/// The answer that a fault makes of a request; `None` if there is to be none.
async fn go_wrong(office: &Office, fault: Fault, request: Request, next: Next) -> Option<Response> {
    match fault.action {
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            return Some(serve(office, request, next).await);
        }
        Action::Truncate => return truncated(serve(office, request, next).await).await,
        Action::Silent => return Some(silenced(serve(office, request, next).await)),
        _ => {}
    }
    let (head, body) = request.into_parts();
    let sent = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if fault.after {
        drop(serve(office, Request::from_parts(head.clone(), sent.clone().into()), next).await);
    }
    match fault.action {
        Action::Status(status, retry_after) => Some(failed(office, status, retry_after)),
        Action::Body(body, status) => {
            let mut response = odd_body(body, &head, &sent);
            // The parser of faults lets nothing else through.
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            Some(response)
        }
        Action::Drop | Action::Delay(_) | Action::Truncate | Action::Silent => None,
    }
}

fn odd_body(body: faults::Body, head: &Parts, sent: &[u8]) -> Response {
    const JSON: &str = "application/json";
    let of = |kind: &'static str, body: Body| ([(header::CONTENT_TYPE, kind)], body).into_response();
    match body {
        faults::Body::Garbage => of(JSON, "{\"access_token\": \u{1}~~".into()),
        faults::Body::Html => {
            of("text/html", "<!doctype html><title>Welcome to the hotel's Wi-Fi</title>".into())
        }
        faults::Body::Text => of(JSON, "upstream connect error or disconnect/reset before headers".into()),
        faults::Body::Empty => of(JSON, Body::empty()),
        faults::Body::Gzip => {
            let mut response = of(JSON, SQUEEZED.into());
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        faults::Body::Latin1 => of(JSON, (&b"{\"error\":\"d\xe9sol\xe9\"}"[..]).into()),
        faults::Body::Endless => {
            let more = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[b' '; 16 * 1024])));
            of(JSON, Body::from_stream(more))
        }
        faults::Body::Refusal => {
            of(JSON, json!({"ok": false, "errors": [{"message": "Not today"}]}).to_string().into())
        }
        faults::Body::Echo => of(JSON, echo(head, sent).to_string().into()),
    }
}

/// `{"error":"squeezed"}`, by gzip.
const SQUEEZED: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x2d, 0x2a, 0xca, 0x2f,
    0x52, 0xb2, 0x52, 0x2a, 0x2e, 0x2c, 0x4d, 0x4d, 0xad, 0x4a, 0x4d, 0x51, 0xaa, 0x05, 0x00, 0x5a, 0xf1,
    0xb2, 0x43, 0x14, 0x00, 0x00, 0x00,
];

/// Says everything back that the request was signed with, in every way that comes to mind.
fn echo(head: &Parts, sent: &[u8]) -> serde_json::Value {
    let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let authorization = authorization.unwrap_or_default();
    let signed = authorization.split_once(' ').map_or("", |(_, signed)| signed);
    let pair = BASE64_STANDARD.decode(signed).ok().and_then(|pair| String::from_utf8(pair).ok());
    // A token may look like base64, but has no colon in it then.
    let pair = pair.filter(|pair| pair.contains(':'));
    let secret = pair.as_ref().and_then(|pair| pair.split_once(':')).map_or(signed, |(_, secret)| secret);
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let escaped: String = secret.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let sent = String::from_utf8_lossy(sent);
    json!({
        "ok": false,
        "error": format!("Refused: {secret}"),
        "error_description": format!("{percent} {escaped} {}", BASE64_STANDARD.encode(secret)),
        "errors": [authorization, json!({"authorization": authorization, "sent": sent}).to_string(), pair],
        "info": format!("https://api.particle.io{}?access_token={percent}", head.uri),
    })
}

fn failed(office: &Office, status: u16, retry_after: Option<u32>) -> Response {
    if status == 401 {
        return Refusal::bad_token().into_response();
    }
    // The parser of faults lets nothing else through.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"ok": false, "error": "A fault that was asked for"});
    let mut response = Refusal::new(status, body).retry_after(retry_after.map(i64::from)).into_response();
    if status.is_redirection()
        && let Ok(elsewhere) = HeaderValue::from_str(&format!("{}/v1/elsewhere", office.api_url))
    {
        response.headers_mut().insert(header::LOCATION, elsewhere);
    }
    response
}

/// The head alone. What would have come behind it stays open.
fn silenced(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let nothing = stream::once(async move {
        let _held = body;
        future::pending::<io::Result<Bytes>>().await
    });
    Response::from_parts(parts, Body::from_stream(nothing))
}

/// Announces the whole body, sends half of it and breaks off. An answer with no body to break, or
/// without an end, does not come at all.
async fn truncated(answer: Response) -> Option<Response> {
    if answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream") {
        return None;
    }
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.ok().filter(|bytes| !bytes.is_empty())?;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = stream::once(future::ready(Ok::<Bytes, io::Error>(whole.slice(..whole.len() / 2))));
    // Yielding once lets the server write out the half before it learns that no more will come.
    let end = tokio::task::yield_now().map(|()| Err(io::ErrorKind::UnexpectedEof.into()));
    let body = Body::from_stream(half.chain(stream::once(end)));
    Some(Response::from_parts(parts, body))
}
