use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::limits::TryAgain;

/// What an endpoint says when all is well.
pub(super) enum Reply {
    /// 200 and this.
    Json(Value),
    /// 204: done, nothing to say.
    Empty,
    /// Something else altogether.
    Other(Response),
}

/// What an endpoint says when it refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    body: Value,
    retry_after: Option<i64>,
}

/// What an endpoint says.
pub(super) type Answer = Result<Reply, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, retry_after: None }
    }

    /// The form of OAuth's errors.
    pub(super) fn oauth(status: StatusCode, error: &str, description: &str) -> Self {
        Self::new(status, json!({"error": error, "error_description": description}))
    }

    pub(super) fn no_token() -> Self {
        Self::oauth(StatusCode::BAD_REQUEST, "invalid_request", "The access token was not found")
    }

    pub(super) fn bad_token() -> Self {
        Self::oauth(StatusCode::UNAUTHORIZED, "invalid_token", "The access token provided is invalid.")
    }

    pub(super) fn malformed(description: &str) -> Self {
        Self::oauth(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(super) fn forbidden(error: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, json!({"ok": false, "error": error}))
    }

    pub(super) fn not_found(error: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, json!({"ok": false, "error": error}))
    }

    /// What is said when a device that would have to answer is not online.
    pub(super) fn timed_out() -> Self {
        Self::not_found("timed out")
    }

    /// The same refusal once more.
    pub(super) fn again(&self) -> Self {
        Self { status: self.status, body: self.body.clone(), retry_after: self.retry_after }
    }

    /// An announced wait of this many seconds.
    pub(super) fn retry_after(mut self, seconds: Option<i64>) -> Self {
        self.retry_after = seconds;
        self
    }
}

impl From<TryAgain> for Refusal {
    fn from(TryAgain(seconds): TryAgain) -> Self {
        let body = json!({"ok": false, "error": "Too many requests, try again later"});
        Self::new(StatusCode::TOO_MANY_REQUESTS, body).retry_after(Some(seconds))
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Json(body) => json_response(StatusCode::OK, &body),
            Self::Empty => StatusCode::NO_CONTENT.into_response(),
            Self::Other(response) => response,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, body.to_string()).into_response()
}
