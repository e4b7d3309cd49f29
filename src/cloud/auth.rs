//! Who a call is signed as, and the tokens for that.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::Mutex as Turn, task::spawn_blocking, time::timeout_at};

use super::{
    AccessToken, ApiUrl, Cloud, CloudError, OAuthClient,
    http::{Answer, Call, Signature},
    token_store::TokenStore,
};
use crate::model::{Customer, Deadline, FailureCode, ProductRef};

/// Whose token signs a call.
pub(super) enum Subject<'a> {
    /// The product's: the OAuth client's own, or, without a client, the user's.
    Product,
    /// A customer's, who is made if need be.
    Customer(&'a ProductRef, &'a Customer),
    /// A customer's, who has to exist.
    Existing(&'a Customer),
    /// The user's own.
    User,
}

/// The tokens that were got, in memory and on disk.
pub(super) struct Tokens {
    slots: Mutex<HashMap<String, Slot>>,
    store: Option<TokenStore>,
}

/// One subject's token. Whoever holds the slot gets it; the others wait for that, and share it.
type Slot = Arc<Turn<Option<AccessToken>>>;

impl Tokens {
    pub(super) fn new(cache_dir: Option<&Path>, api_url: &ApiUrl, client: Option<&OAuthClient>) -> Self {
        let store = cache_dir.zip(client).map(|(dir, client)| TokenStore::new(dir, api_url, &client.id));
        Self { slots: Mutex::default(), store }
    }

    /// The subject's token: at hand, from the cache, or else from `get`, which runs once at a time.
    pub(super) async fn get_or(
        &self,
        subject: &str,
        deadline: Deadline,
        get: impl Future<Output = Result<AccessToken, CloudError>>,
    ) -> Result<AccessToken, CloudError> {
        let slot = self.slot(subject);
        let mut held = timeout_at(deadline.at, slot.lock()).await.map_err(|_| {
            let said =
                format!("not asked for: others were getting it until the time for {} was up", deadline.name);
            CloudError::new(FailureCode::CloudUnreachable, "the token", None, said)
        })?;
        if let Some(token) = held.as_ref().filter(|token| token.is_fresh()) {
            return Ok(token.clone().kept());
        }
        let kept = self.on_disk(subject, |store, subject| store.load(subject)).await.flatten();
        let token = match kept {
            Some(token) => token,
            None => {
                let token = get.await?;
                let saved = token.clone();
                self.on_disk(subject, move |store, subject| store.save(subject, &saved)).await;
                token
            }
        };
        *held = Some(token.clone());
        Ok(token)
    }

    /// The subject's token, if it is at hand or in the cache.
    pub(super) async fn kept(&self, subject: &str, deadline: Deadline) -> Option<AccessToken> {
        let slot = self.slot(subject);
        let held = timeout_at(deadline.at, slot.lock()).await.ok()?;
        match held.as_ref().filter(|token| token.is_fresh()) {
            Some(token) => Some(token.clone().kept()),
            None => self.on_disk(subject, |store, subject| store.load(subject)).await.flatten(),
        }
    }

    /// Keeps a token that came by another call, in place of any other.
    pub(super) async fn keep(&self, subject: &str, token: AccessToken, deadline: Deadline) {
        let slot = self.slot(subject);
        let Ok(mut held) = timeout_at(deadline.at, slot.lock()).await else { return };
        let saved = token.clone();
        self.on_disk(subject, move |store, subject| store.save(subject, &saved)).await;
        *held = Some(token);
    }

    /// Drops a token that was refused. One that has come in its place meanwhile stays.
    pub(super) async fn forget(&self, subject: &str, refused: &AccessToken, deadline: Deadline) {
        let slot = self.slot(subject);
        // Whoever asks for it next finds out that the time is up.
        let Ok(mut held) = timeout_at(deadline.at, slot.lock()).await else { return };
        if held.as_ref().is_none_or(|token| token.expose() == refused.expose()) {
            *held = None;
            let refused = refused.clone();
            self.on_disk(subject, move |store, subject| store.remove(subject, &refused)).await;
        }
    }

    fn slot(&self, subject: &str) -> Slot {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(subject.into()).or_default().clone()
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        subject: &str,
        work: impl FnOnce(&TokenStore, &str) -> T + Send + 'static,
    ) -> Option<T> {
        let (store, subject) = (self.store.clone()?, subject.to_owned());
        spawn_blocking(move || work(&store, &subject)).await.ok()
    }
}

impl Subject<'_> {
    /// The name under which its token is kept. The cloud's names know no case.
    pub(super) fn key(&self) -> String {
        match self {
            Subject::Customer(_, customer) | Subject::Existing(customer) => {
                format!("customer={}", customer.as_str().to_lowercase())
            }
            Subject::Product | Subject::User => "product".into(),
        }
    }
}

impl Cloud {
    /// Sends a call signed with the subject's token. A token that is refused is renewed, once.
    pub(super) async fn send_as(
        &self,
        subject: Subject<'_>,
        call: &Call<'_>,
        deadline: Deadline,
    ) -> Result<Answer, CloudError> {
        let token = self.token(&subject, deadline).await?;
        match self.send(call, Signature::Bearer(&token), deadline).await {
            // A token without an end is the user's own: there is no other.
            Err(error) if error.status == Some(401) && token.expires_at().is_some() => {
                tracing::debug!(call = error.call, "the token was refused, getting a new one");
                self.shared.tokens.forget(&subject.key(), &token, deadline).await;
                let token = self.token(&subject, deadline).await?;
                self.send(call, Signature::Bearer(&token), deadline).await
            }
            other => other,
        }
    }

    /// Sends a call signed with the OAuth client's id and secret.
    pub(super) async fn send_as_client(
        &self,
        call: &Call<'_>,
        deadline: Deadline,
    ) -> Result<Answer, CloudError> {
        let Some(client) = &self.shared.client else {
            let call = call.name(&self.shared.api_url);
            return Err(CloudError::settings(&call, "not sent: it needs an OAuth client's id and secret"));
        };
        self.send(call, Signature::Client(client), deadline).await
    }

    pub(super) async fn token(
        &self,
        subject: &Subject<'_>,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        match subject {
            Subject::Product if self.shared.client.is_some() => {
                self.shared.tokens.get_or(&subject.key(), deadline, self.sign_in(deadline)).await
            }
            Subject::Customer(product, customer) => {
                Ok(self.customer_token(product, customer, deadline).await?.0)
            }
            Subject::Existing(customer) => {
                let get = self.sign_in_as(customer, None, deadline);
                self.shared.tokens.get_or(&subject.key(), deadline, get).await
            }
            Subject::Product | Subject::User => self.shared.user_token.clone().ok_or_else(|| {
                let why = match subject {
                    Subject::User => "a user's own access token is needed",
                    _ => "an OAuth client's id and secret, or a user's access token, are needed",
                };
                CloudError::settings("signing in", why)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        CloudSettings,
        scripted::{Scripted, client_cloud, settings, signed_in_cloud, soon, token_answer},
    };
    use super::*;
    use crate::model::DeviceId;

    const SIGN_IN: &str = "POST /oauth/token";
    const DEVICE: &str = "GET /v1/products/1319/devices/3b0021001747353236343033";
    const EXPIRED: &str =
        r#"{"error":"invalid_token","error_description":"The access token provided is invalid."}"#;

    async fn look(cloud: &Cloud) -> Result<(), CloudError> {
        let id = DeviceId::parse("3b0021001747353236343033").unwrap();
        cloud.device(&ProductRef::parse("1319").unwrap(), &id, soon()).await.map(drop)
    }

    #[tokio::test]
    async fn many_callers_share_one_sign_in() {
        let server = Scripted::start().await;
        let gate = server.expect_gated(SIGN_IN, 200, &token_answer("token-1"));
        let cloud = client_cloud(&server);
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let cloud = cloud.clone();
                tokio::spawn(async move { cloud.product_token(soon()).await.unwrap() })
            })
            .collect();
        server.arrived(1).await;
        // A second request would be unscripted, which fails the test.
        gate.add_permits(1);
        let mut fresh = 0;
        for caller in callers {
            let token = caller.await.unwrap();
            assert_eq!(token.expose(), "token-1");
            fresh += usize::from(!token.was_kept());
        }
        assert_eq!(fresh, 1);
    }

    #[tokio::test]
    async fn the_next_caller_signs_in_if_the_first_one_is_cancelled() {
        let server = Scripted::start().await;
        let _never = server.expect_gated(SIGN_IN, 200, "");
        server.expect(SIGN_IN, 200, &token_answer("token-2"));
        let cloud = client_cloud(&server);
        let first = tokio::spawn({
            let cloud = cloud.clone();
            async move { cloud.product_token(soon()).await }
        });
        server.arrived(1).await;
        first.abort();
        assert_eq!(cloud.product_token(soon()).await.unwrap().expose(), "token-2");
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        server.expect(SIGN_IN, 200, &token_answer("token-1"));
        server.expect(DEVICE, 401, EXPIRED);
        server.expect(SIGN_IN, 200, &token_answer("token-2"));
        server.expect(DEVICE, 404, "");
        look(&cloud).await.unwrap();
        assert!(server.seen()[3].head.contains("Bearer token-2"));
    }

    #[tokio::test]
    async fn a_token_that_is_refused_again_is_not_renewed_again() {
        let server = Scripted::start().await;
        let cloud = client_cloud(&server);
        for token in ["token-1", "token-2"] {
            server.expect(SIGN_IN, 200, &token_answer(token));
            server.expect(DEVICE, 401, EXPIRED);
        }
        let error = look(&cloud).await.unwrap_err();
        assert_eq!((error.code, error.status), (FailureCode::SignInRefused, Some(401)));
    }

    #[tokio::test]
    async fn a_users_own_token_that_is_refused_cannot_be_renewed() {
        let server = Scripted::start().await;
        server.expect(DEVICE, 401, EXPIRED);
        let error = look(&signed_in_cloud(&server)).await.unwrap_err();
        assert_eq!(error.code, FailureCode::SignInRefused);
        assert!(error.said.contains("The access token provided is invalid."), "{error}");
    }

    #[tokio::test]
    async fn a_second_process_uses_the_cached_token_and_replaces_a_refused_one() {
        let (server, dir) = (Scripted::start().await, tempfile::tempdir().unwrap());
        let cloud =
            || Cloud::new(CloudSettings { cache_dir: Some(dir.path().into()), ..settings(&server) }).unwrap();
        server.expect(SIGN_IN, 200, &token_answer("token-1"));
        assert!(!cloud().product_token(soon()).await.unwrap().was_kept());
        let kept = cloud().product_token(soon()).await.unwrap();
        assert_eq!((kept.expose(), kept.was_kept()), ("token-1", true));
        server.expect(DEVICE, 401, EXPIRED);
        server.expect(SIGN_IN, 200, &token_answer("token-2"));
        server.expect(DEVICE, 404, "");
        look(&cloud()).await.unwrap();
        assert_eq!(cloud().product_token(soon()).await.unwrap().expose(), "token-2");
    }

    #[tokio::test]
    async fn a_life_that_is_not_told_is_taken_to_be_long() {
        let server = Scripted::start().await;
        for answer in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"a","expires_in":null}"#,
            r#"{"access_token":"a","expires_in":0}"#,
        ] {
            server.expect(SIGN_IN, 200, answer);
            assert!(client_cloud(&server).product_token(soon()).await.unwrap().is_fresh());
        }
        server.expect(SIGN_IN, 200, r#"{"access_token":"a","expires_in":59}"#);
        assert!(!client_cloud(&server).product_token(soon()).await.unwrap().is_fresh());
        for answer in [r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#, r#"{"token":"secret"}"#, "[]"]
        {
            server.expect(SIGN_IN, 200, answer);
            let error = client_cloud(&server).product_token(soon()).await.unwrap_err();
            assert_eq!(error.code, FailureCode::CloudGarbled);
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[tokio::test]
    async fn missing_credentials_are_told_without_a_request() {
        let server = Scripted::start().await;
        let nobody =
            Cloud::new(CloudSettings { client: None, user_token: None, ..settings(&server) }).unwrap();
        assert_eq!(nobody.product_token(soon()).await.unwrap_err().code, FailureCode::Configuration);
        assert_eq!(nobody.user_claim_code(soon()).await.unwrap_err().code, FailureCode::Configuration);
    }
}
