use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Cloud, CloudError,
    auth::Subject,
    http::{Answer, Call, Kind},
    token_store::unix_now,
};
use crate::model::{Customer, Deadline, guard};

/// How long a token is taken to live whose answer does not say so (missing, null, or 0, which asks
/// for a token without end): Particle's default of 90 days. One that ends earlier is renewed when it
/// is refused; one that lives longer is replaced for nothing.
const USUAL_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A token this close to its end is not used any more. A run may outlive it even so; then it is
/// refused once, and renewed.
const MARGIN: Duration = Duration::from_secs(60);

/// A token for the `Authorization` header. Cannot be printed; [`AccessToken::expose`] is the one way
/// to its text.
#[derive(Debug, Clone)]
pub struct AccessToken {
    text: SecretString,
    /// Unix seconds; absent for one that was given by the user.
    expires_at: Option<u64>,
    was_kept: bool,
}

impl AccessToken {
    /// Takes what can stand in a header.
    pub(super) fn parse(text: &str, expires_at: Option<u64>, was_kept: bool) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= 4096 && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| {
            guard(text);
            Self { text: text.into(), expires_at, was_kept }
        })
    }

    /// The text itself, for a header or for the user who asked for it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether it was at hand already; false for one that was got by the call that returned it.
    pub fn was_kept(&self) -> bool {
        self.was_kept
    }

    pub(super) fn kept(mut self) -> Self {
        self.was_kept = true;
        self
    }

    pub(super) fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.expires_at.is_none_or(|at| unix_now().saturating_add(MARGIN.as_secs()) < at)
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default)]
    refresh_token: Value,
}

/// Whatever is no positive number tells nothing.
fn seconds<'de, D: Deserializer<'de>>(field: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(field)?.as_u64().filter(|seconds| *seconds > 0))
}

/// The token in an answer of `/oauth/token` or of a customer's creation.
pub(super) fn read_token(answer: Answer) -> Result<AccessToken, CloudError> {
    answer.read("a token", |wire: TokenAnswer| {
        // Never used, but the cloud might repeat it.
        wire.refresh_token.as_str().inspect(|text| guard(text));
        let expires_at = unix_now().saturating_add(wire.expires_in.unwrap_or(USUAL_LIFE.as_secs()));
        AccessToken::parse(&wire.access_token, Some(expires_at), false)
    })
}

impl Cloud {
    /// The token for the product's calls: the OAuth client's own, from the cache or by signing in,
    /// or, without a client, the user's.
    ///
    /// Callers that come while a sign-in is under way share its token.
    ///
    /// # Errors
    ///
    /// `SignInRefused` for wrong credentials, at once and for everybody who shares them;
    /// `SignInHeldBack` when too many were refused of late; `Configuration` without any credentials.
    pub async fn product_token(&self, deadline: Deadline) -> Result<AccessToken, CloudError> {
        self.token(&Subject::Product, deadline).await
    }

    /// The refusal of this client's credentials, once there was one: nobody signs in with them again in
    /// this process, so whoever works on many boards may as well stop.
    pub fn sign_in_refused(&self) -> Option<CloudError> {
        self.shared.sign_in_guard.refusal().cloned()
    }

    pub(super) async fn sign_in(&self, deadline: Deadline) -> Result<AccessToken, CloudError> {
        let form = [("grant_type", "client_credentials")];
        let call = Call::repeatable_post(&["oauth", "token"], &form).about(Kind::SignIn);
        read_token(self.send_as_client(&call, deadline).await?)
    }

    /// A token for a customer that exists.
    pub(super) async fn sign_in_as(
        &self,
        customer: &Customer,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let scope = format!("customer={customer}");
        let form = [("grant_type", "client_credentials"), ("scope", &scope)];
        let call = Call::repeatable_post(&["oauth", "token"], &form).about(Kind::CustomerSignIn);
        read_token(self.send_as_client(&call, deadline).await?)
    }
}
