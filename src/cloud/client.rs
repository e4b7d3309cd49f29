use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use reqwest::redirect;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::{
    AccessToken, ApiUrl, CloudError, RetryNotice, RootCertificates, auth::Tokens, events::EventStreams,
    limits::Limits, products::Products, sign_in_guard::SignInGuard,
};
use crate::model::guard;

/// What a [`Cloud`] is made from.
#[derive(Debug, Clone, Default)]
pub struct CloudSettings {
    /// Where the API is.
    pub api_url: ApiUrl,
    /// The two-legged OAuth client that was made inside the product.
    pub client: Option<OAuthClient>,
    /// A user's own access token: for a developer's own devices, and for the product's calls if there
    /// is no client.
    pub user_token: Option<SecretString>,
    /// Where tokens and the count of refused sign-ins are kept; without it, in memory only.
    pub cache_dir: Option<PathBuf>,
    /// Authorities to trust besides those that the computer trusts anyway.
    pub roots: Option<RootCertificates>,
}

/// An OAuth client's id and secret.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// The id; not a secret.
    pub id: String,
    /// The secret; shown once, when the client is made.
    pub secret: SecretString,
}

impl OAuthClient {
    pub(super) fn expose_secret(&self) -> &str {
        self.secret.expose_secret()
    }
}

/// The Particle API. Clones share one connection pool, the tokens and the limits.
#[derive(Clone)]
pub struct Cloud {
    pub(super) shared: Arc<Shared>,
    pub(super) listener: Option<Listener>,
}

pub(super) type Listener = Arc<dyn Fn(&RetryNotice) + Send + Sync>;

pub(super) struct Shared {
    pub http: reqwest::Client,
    pub api_url: ApiUrl,
    pub client: Option<OAuthClient>,
    pub user_token: Option<AccessToken>,
    pub tokens: Tokens,
    pub sign_in_guard: SignInGuard,
    pub limits: Limits,
    pub products: Products,
    pub streams: EventStreams,
}

impl Cloud {
    /// Makes the client. Nothing is sent and nothing is read from disk yet.
    ///
    /// # Errors
    ///
    /// `Configuration` for credentials that cannot go into a header, and for a computer on which TLS
    /// cannot be set up.
    pub fn new(settings: CloudSettings) -> Result<Self, CloudError> {
        let CloudSettings { api_url, client, user_token, cache_dir, roots } = settings;
        let user_token = user_token.as_ref().map(AccessToken::given).transpose()?;
        if let Some(client) = &client {
            check(client)?;
            guard(client.expose_secret());
        }
        let shared = Shared {
            http: http_client(&api_url, roots.as_ref())?,
            tokens: Tokens::new(cache_dir.as_deref(), &api_url, client.as_ref()),
            sign_in_guard: SignInGuard::new(&api_url, client.as_ref(), cache_dir),
            limits: Limits::new(),
            products: Products::default(),
            streams: EventStreams::default(),
            api_url,
            client,
            user_token,
        };
        Ok(Self { shared: Arc::new(shared), listener: None })
    }

    /// The same client, which tells this listener of every try that is made again. The listener must
    /// not block.
    #[must_use]
    pub fn with_listener(&self, listener: impl Fn(&RetryNotice) + Send + Sync + 'static) -> Self {
        Self { shared: self.shared.clone(), listener: Some(Arc::new(listener)) }
    }

    /// Where the API is.
    pub fn api_url(&self) -> &ApiUrl {
        &self.shared.api_url
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("api_url", &self.shared.api_url).finish_non_exhaustive()
    }
}

fn http_client(api_url: &ApiUrl, roots: Option<&RootCertificates>) -> Result<reqwest::Client, CloudError> {
    // Another part of the process may have chosen a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("provision/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5));
    if api_url.is_loopback() {
        builder = builder.no_proxy();
    } else {
        guard_proxy_passwords();
    }
    if api_url.is_plain() {
        // No TLS, so no certificates: loading the system's takes longer than a whole run.
        builder = builder.tls_certs_only([]);
    } else if let Some(roots) = roots {
        builder = builder.tls_certs_merge(roots.to_vec());
    }
    builder.build().map_err(|error| CloudError::settings("the HTTP client", error.to_string()))
}

/// The variables from which the HTTP client takes its proxy may hold the proxy's password.
fn guard_proxy_passwords() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let Ok(text) = std::env::var(name) else { continue };
        let url = Url::parse(&text).or_else(|_| Url::parse(&format!("http://{text}")));
        if let Some(password) = url.as_ref().ok().and_then(Url::password) {
            // A form is percent-encoded as well, but for its signs between fields.
            let password = password.replace('+', "%2B").replace('&', "%26");
            for (password, _) in form_urlencoded::parse(password.as_bytes()) {
                guard(&*password);
            }
        }
    }
}

fn check(client: &OAuthClient) -> Result<(), CloudError> {
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    // HTTP Basic separates the two by a colon.
    if !plain(&client.id) || client.id.contains(':') {
        let why = "an id holds letters, digits and plain signs, but no blank and no colon";
        return Err(CloudError::settings("the OAuth client", why));
    }
    if !plain(client.expose_secret()) {
        let why = "a secret holds letters, digits and plain signs, but no blank";
        return Err(CloudError::settings("the OAuth client", why));
    }
    Ok(())
}
