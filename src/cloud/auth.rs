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
            let said = format!("not asked for: others were getting it until the time for {} was up", deadline.name);
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

    /// Drops a token that was refused. One that has come in its place meanwhile stays.
    pub(super) async fn forget(&self, subject: &str, refused: &AccessToken) {
        let slot = self.slot(subject);
        let mut held = slot.lock().await;
        if held.as_ref().is_some_and(|token| token.expose() == refused.expose()) {
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
            Subject::Customer(_, customer) => format!("customer={}", customer.as_str().to_lowercase()),
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
                self.shared.tokens.forget(&subject.key(), &token).await;
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
