use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    Cloud, CloudError,
    auth::Subject,
    devices::text,
    http::{Answer, Call, Kind, Signature},
    token_store::unix_now,
};
use crate::model::{Customer, Deadline, guard_for_now};

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
            guard_for_now(text);
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

    /// Takes a token that the user has given.
    ///
    /// # Errors
    ///
    /// `Configuration` for one that cannot go into a header.
    pub fn given(text: &SecretString) -> Result<Self, CloudError> {
        Self::parse(text.expose_secret(), None, true).ok_or_else(|| {
            let why = "a token holds letters, digits and plain signs, but no blank";
            CloudError::settings("the access token", why)
        })
    }

    /// When it ends, in Unix seconds; absent if that is not known, or never.
    pub fn expires_at(&self) -> Option<u64> {
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
        wire.refresh_token.as_str().inspect(|text| guard_for_now(text));
        let expires_at = unix_now().saturating_add(wire.expires_in.unwrap_or(USUAL_LIFE.as_secs()));
        AccessToken::parse(&wire.access_token, Some(expires_at), false)
    })
}

/// What the cloud tells of a token; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenInfo {
    /// The OAuth client that it was made with; from outside, as is.
    pub client: Option<String>,
    /// When it ends, as the cloud writes it; absent: never.
    pub expires_at: Option<String>,
    /// What it is limited to, such as `customer=NAME`; none: not limited.
    pub scopes: Vec<String>,
}

/// The reference says `client`; Particle's own JavaScript client expects `client_id`.
#[derive(Deserialize)]
struct InfoAnswer {
    #[serde(default, deserialize_with = "text")]
    client: Option<String>,
    #[serde(default, deserialize_with = "text")]
    client_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    expires_at: Option<String>,
    #[serde(default)]
    scopes: Value,
}

impl From<InfoAnswer> for TokenInfo {
    fn from(wire: InfoAnswer) -> Self {
        let scopes = match &wire.scopes {
            Value::Array(scopes) => scopes.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::String(scopes) => scopes.split_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Self { client: wire.client.or(wire.client_id), expires_at: wire.expires_at, scopes }
    }
}

const CURRENT: [&str; 3] = ["v1", "access_tokens", "current"];

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

    /// The user's own token, if one was given.
    pub fn user_token(&self) -> Option<&AccessToken> {
        self.shared.user_token.as_ref()
    }

    /// A new token, which is not kept: of the OAuth client, or of one of its customers, which has to
    /// exist. It ends after so many seconds (0 is never), or else when the cloud likes, usually after 90
    /// days.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::product_token`]. For a customer that does not exist the cloud counts a refused
    /// sign-in.
    pub async fn create_token(
        &self,
        customer: Option<&Customer>,
        seconds: Option<u32>,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let token = match customer {
            Some(customer) => self.sign_in_as(customer, seconds, deadline).await?,
            None => self.sign_in_for(seconds, deadline).await?,
        };
        Ok(if seconds == Some(0) { AccessToken { expires_at: None, ..token } } else { token })
    }

    /// `GET /v1/access_tokens/current`, signed with this token.
    ///
    /// # Errors
    ///
    /// `SignInRefused` for one that has expired or was revoked, besides what can go wrong in any call.
    pub async fn token_info(&self, token: &AccessToken, deadline: Deadline) -> Result<TokenInfo, CloudError> {
        let call = Call::get(&CURRENT).about(Kind::OfTokens);
        let answer = self.send(&call, Signature::Bearer(token), deadline).await?;
        answer.read("what a token is", |wire: InfoAnswer| Some(wire.into()))
    }

    /// `DELETE /v1/access_tokens/current`, signed with the token that ends by it. (`DELETE
    /// /v1/access_tokens/TOKEN` would put it into a URL.) Says whether it was still valid.
    ///
    /// # Errors
    ///
    /// What can go wrong in any call.
    pub async fn revoke_token(&self, token: &AccessToken, deadline: Deadline) -> Result<bool, CloudError> {
        let call = Call::delete(&CURRENT).about(Kind::OfTokens);
        match self.send(&call, Signature::Bearer(token), deadline).await {
            Ok(_) => Ok(true),
            Err(error) if error.status == Some(401) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn sign_in(&self, deadline: Deadline) -> Result<AccessToken, CloudError> {
        self.sign_in_for(None, deadline).await
    }

    async fn sign_in_for(&self, seconds: Option<u32>, deadline: Deadline) -> Result<AccessToken, CloudError> {
        self.grant(Kind::SignIn, &[], seconds, deadline).await
    }

    /// A token for a customer that exists.
    pub(super) async fn sign_in_as(
        &self,
        customer: &Customer,
        seconds: Option<u32>,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let scope = format!("customer={customer}");
        self.grant(Kind::CustomerSignIn, &[("scope", &scope)], seconds, deadline).await
    }

    async fn grant(
        &self,
        kind: Kind,
        more: &[(&str, &str)],
        seconds: Option<u32>,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        let seconds = seconds.map(|seconds| seconds.to_string());
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(more);
        form.extend(seconds.as_deref().map(|seconds| ("expires_in", seconds)));
        let call = Call::repeatable_post(&["oauth", "token"], &form).about(kind);
        read_token(self.send_as_client(&call, deadline).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, client_cloud, signed_in_cloud, soon, token_answer};
    use super::*;

    const CURRENT: &str = "/v1/access_tokens/current";

    #[tokio::test]
    async fn what_a_token_is_comes_in_several_shapes() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        let token = cloud.user_token().unwrap();
        let info = |client: Option<&str>, expires_at: Option<&str>, scopes: &[&str]| TokenInfo {
            client: client.map(Into::into),
            expires_at: expires_at.map(Into::into),
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        };
        for (body, expected) in [
            (
                r#"{"client":"c","expires_at":"2027-01-01","scopes":["a"]}"#,
                info(Some("c"), Some("2027-01-01"), &["a"]),
            ),
            (
                r#"{"client_id":"c","expires_at":null,"scopes":"a b","orgs":[]}"#,
                info(Some("c"), None, &["a", "b"]),
            ),
            ("{}", info(None, None, &[])),
        ] {
            server.expect(&format!("GET {CURRENT}"), 200, body);
            assert_eq!(cloud.token_info(token, soon()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_token_is_revoked_with_itself_and_one_that_had_ended_is_no_failure() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        let token = AccessToken::given(&"an-old-token-1".into()).unwrap();
        server.expect(&format!("DELETE {CURRENT}"), 200, r#"{"ok":true}"#);
        assert!(cloud.revoke_token(&token, soon()).await.unwrap());
        assert!(server.seen()[0].head.contains("Bearer an-old-token-1"));
        server.expect(&format!("DELETE {CURRENT}"), 401, r#"{"error":"invalid_token"}"#);
        assert!(!cloud.revoke_token(&token, soon()).await.unwrap());
    }

    #[tokio::test]
    async fn a_new_token_lives_as_long_as_was_asked_for() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        for (seconds, form) in [(Some(60), "&expires_in=60"), (Some(0), "&expires_in=0"), (None, "")] {
            server.expect("POST /oauth/token", 200, &token_answer("a-new-token"));
            let token = cloud.create_token(None, seconds, soon()).await.unwrap();
            assert_eq!(token.expires_at().is_none(), seconds == Some(0));
            let body = server.seen().last().unwrap().body.clone();
            assert_eq!(body, format!("grant_type=client_credentials{form}"));
        }
    }
}
