//! Any other call of the API, for people who know what they want.

use std::{fmt, str::FromStr};

use reqwest::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::{
    AccessToken, ApiUrl, Cloud, CloudError,
    auth::Subject,
    http::{Kind, Raw, judge, lost, receive},
};
use crate::model::{Customer, Deadline, FailureCode, Invalid, is_called_a_secret};

/// A path below the API's address, perhaps with a query: what cannot lead to another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// Takes `/v1/devices?page=2` and the like.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a path of the API", why: why.into() };
        if !text.starts_with('/') || text.starts_with("//") {
            return Err(invalid("begins with one / and names no host: /v1/devices"));
        }
        // What URLs' parsers drop, or take for something else.
        if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\' || c == '#') {
            return Err(invalid("holds no blanks, control characters, backslashes or #"));
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let is_dots =
            |segment: &str| matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | "..");
        if path.split('/').any(is_dots) {
            return Err(invalid("has no . and .. in it"));
        }
        if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| is_called_a_secret(&name)) {
            return Err(invalid("holds no secret: the call is signed by itself, and URLs are logged"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Its address. Checked once more, as a token goes there.
    fn below(&self, api_url: &ApiUrl) -> Option<Url> {
        let base = api_url.join(&[]);
        let url = Url::parse(&format!("{api_url}{}", self.0)).ok()?;
        let ours = url.origin() == base.origin()
            && url.username().is_empty()
            && url.password().is_none()
            && url.path().starts_with(base.path());
        ours.then_some(url)
    }
}

impl FromStr for ApiPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose token signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The product's: the OAuth client's, or the user's where there is none.
    Product,
    /// The user's own.
    User,
    /// Of a customer that exists.
    Customer(Customer),
}

/// How the token travels: the three ways that Particle's guide knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenIn {
    /// `Authorization: Bearer`.
    Header,
    /// A field of the form in the body of a POST or PUT. Deprecated.
    Form,
    /// `access_token` in the query of a GET. Deprecated; URLs are logged on the way.
    Query,
}

/// What is sent along.
#[derive(Debug, Clone)]
pub enum AnyBody {
    /// Nothing.
    Empty,
    /// Names and values; some may be secrets.
    Form(Vec<(String, SecretString)>),
    /// A text that is JSON.
    Json(SecretString),
}

/// Any call.
#[derive(Debug, Clone)]
pub struct AnyCall {
    /// GET, POST and so on.
    pub method: Method,
    /// Where, below the API's address.
    pub path: ApiPath,
    /// Added to the path's own query.
    pub query: Vec<(String, String)>,
    /// What is sent along.
    pub body: AnyBody,
    /// How the token travels.
    pub token_in: TokenIn,
}

/// What was answered, whatever it is.
pub struct AnyAnswer {
    /// The status.
    pub status: u16,
    /// As it came. May hold secrets: those that the call has made, or such as the cloud repeats.
    pub body: Vec<u8>,
    /// What a status other than 200 or so means.
    pub refusal: Option<CloudError>,
}

impl Cloud {
    /// Sends the call once; only a kept token that is refused is renewed, and then it is sent again.
    /// Redirects are not followed.
    ///
    /// # Errors
    ///
    /// `Configuration` for a call that cannot carry its token in this way; those of
    /// [`Cloud::product_token`]; `CloudUnreachable` when nothing was answered; `CloudGarbled` for more than
    /// can be read. A refusal is an answer.
    pub async fn call_any(
        &self,
        call: &AnyCall,
        who: &Who,
        deadline: Deadline,
    ) -> Result<AnyAnswer, CloudError> {
        let subject = || match who {
            Who::Product => Subject::Product,
            Who::User => Subject::User,
            Who::Customer(customer) => Subject::Existing(customer),
        };
        let token = self.token(&subject(), deadline).await?;
        let answer = self.call_any_with(call, &token, deadline).await?;
        if answer.status != 401 || token.expires_at().is_none() || !token.was_kept() {
            return Ok(answer);
        }
        self.shared.tokens.forget(&subject().key(), &token, deadline).await;
        let token = self.token(&subject(), deadline).await?;
        self.call_any_with(call, &token, deadline).await
    }

    async fn call_any_with(
        &self,
        call: &AnyCall,
        token: &AccessToken,
        deadline: Deadline,
    ) -> Result<AnyAnswer, CloudError> {
        let path = call.path.0.split('?').next().unwrap_or_default();
        let name = format!("{} {path}", call.method);
        let request = self.any_request(call, token).map_err(|why| CloudError::settings(&name, why))?;
        self.shared.limits.admit(Kind::Other, &name, deadline).await?;
        let Raw { status, headers, body, too_long } = match timeout(deadline.left(), receive(request)).await {
            Ok(sent) => sent.map_err(|error| lost(&name, &error).error)?,
            Err(_) => {
                let said = format!("no answer within the time for {}", deadline.name);
                return Err(CloudError::new(FailureCode::CloudUnreachable, &name, None, said));
            }
        };
        if too_long {
            let said = "a longer answer than is read";
            return Err(CloudError::new(FailureCode::CloudGarbled, &name, Some(status.as_u16()), said));
        }
        let raw = Raw { status, headers, body, too_long };
        let refusal = if status.is_success() {
            None
        } else {
            judge(Kind::Other, &name, &raw).err().map(|trouble| trouble.error)
        };
        Ok(AnyAnswer { status: status.as_u16(), body: raw.body, refusal })
    }

    fn any_request(
        &self,
        call: &AnyCall,
        token: &AccessToken,
    ) -> Result<reqwest::RequestBuilder, &'static str> {
        let mut url = call.path.below(&self.shared.api_url).ok_or("the path leads away from the API")?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let in_url = call.token_in == TokenIn::Query;
        if in_url && call.method != Method::GET {
            return Err("a token can be in the query of a GET only");
        }
        if in_url {
            url.query_pairs_mut().append_pair("access_token", token.expose());
        }
        let in_form = call.token_in == TokenIn::Form;
        if in_form
            && (![Method::POST, Method::PUT].contains(&call.method) || matches!(call.body, AnyBody::Json(_)))
        {
            return Err("a token can be in the form of a POST or PUT only");
        }
        let mut request = self.shared.http.request(call.method.clone(), url);
        if call.token_in == TokenIn::Header {
            request = request.bearer_auth(token.expose());
        }
        Ok(match &call.body {
            AnyBody::Json(text) => {
                request.header(header::CONTENT_TYPE, "application/json").body(text.expose_secret().to_owned())
            }
            AnyBody::Empty if !in_form => request,
            body => {
                let fields = if let AnyBody::Form(fields) = body { fields.as_slice() } else { &[] };
                let fields = fields.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
                let token = in_form.then(|| ("access_token", token.expose()));
                request.form(&fields.chain(token).collect::<Vec<_>>())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scripted::{Scripted, USER_TOKEN, client_cloud, signed_in_cloud, soon, token_answer};
    use super::*;

    fn get(path: &str) -> AnyCall {
        AnyCall {
            method: Method::GET,
            path: ApiPath::parse(path).unwrap(),
            query: Vec::new(),
            body: AnyBody::Empty,
            token_in: TokenIn::Header,
        }
    }

    #[test]
    fn paths_that_could_lead_elsewhere_or_hold_a_token_are_refused() {
        for good in ["/v1/devices", "/v1/products/a%2Fb/customers/a+b@c.example?page=2", "/v1/@evil.example"]
        {
            ApiPath::parse(good).unwrap();
        }
        for bad in [
            "",
            "v1/devices",
            "//evil.example/v1",
            "https://evil.example/",
            "@evil.example/",
            ":80/x",
            "/\\evil.example",
            "/v1/../../x",
            "/v1/%2E%2e/x",
            "/v1/./x",
            "/v1\n/x",
            "/v1/\t/x",
            "/v1/a b",
            "/v1#x",
            "/v1?access_token=x",
            "/v1?a=b&ACCESS%5Ftoken=x",
        ] {
            assert!(ApiPath::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_apis_origin(text in "[/\\\\.:@?#%a-z0-9\\PC]{0,30}", base in prop::bool::ANY) {
            let base = if base { "https://api.particle.io" } else { "http://localhost:4000/base" };
            let base = ApiUrl::parse(base).unwrap();
            if let Ok(path) = ApiPath::parse(&text) {
                let url = path.below(&base).unwrap();
                prop_assert_eq!(url.origin(), base.join(&[]).origin());
                prop_assert!(url.as_str().starts_with(&base.to_string()));
            }
        }
    }

    #[tokio::test]
    async fn the_token_travels_in_the_way_that_was_asked_for() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        server.expect("GET /v1/x?page=2", 200, "as it is");
        let call = AnyCall { query: vec![("page".into(), "2".into())], ..get("/v1/x") };
        assert_eq!(cloud.call_any(&call, &Who::User, soon()).await.unwrap().body, b"as it is");
        assert!(server.seen()[0].head.contains(&format!("Bearer {USER_TOKEN}")));

        server.expect(&format!("GET /v1/x?access_token={USER_TOKEN}"), 200, "");
        let call = AnyCall { token_in: TokenIn::Query, ..get("/v1/x") };
        cloud.call_any(&call, &Who::User, soon()).await.unwrap();
        assert!(!server.seen()[1].head.contains("authorization"));

        server.expect("PUT /v1/x", 200, "");
        let body = AnyBody::Form(vec![("name".into(), "a b".into())]);
        let call = AnyCall { method: Method::PUT, token_in: TokenIn::Form, body, ..get("/v1/x") };
        cloud.call_any(&call, &Who::User, soon()).await.unwrap();
        assert_eq!(server.seen()[2].body, format!("name=a+b&access_token={USER_TOKEN}"));

        for call in [
            AnyCall { method: Method::DELETE, token_in: TokenIn::Query, ..get("/v1/x") },
            AnyCall { token_in: TokenIn::Form, ..get("/v1/x") },
        ] {
            let error = cloud.call_any(&call, &Who::User, soon()).await.err().unwrap();
            assert_eq!(error.code, FailureCode::Configuration);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_an_answer_and_is_not_asked_for_again() {
        let server = Scripted::start().await;
        server.expect("GET /v1/x", 503, r#"{"error":"busy"}"#);
        let answer = signed_in_cloud(&server).call_any(&get("/v1/x"), &Who::User, soon()).await.unwrap();
        assert_eq!((answer.status, answer.body), (503, br#"{"error":"busy"}"#.to_vec()));
        let refusal = answer.refusal.unwrap();
        assert_eq!(refusal.to_string(), "GET /v1/x was answered with 503: busy");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let server = Scripted::start().await;
        server.expect_with("GET /v1/x", 302, "location: https://evil.example/\r\n", "");
        let answer = signed_in_cloud(&server).call_any(&get("/v1/x"), &Who::User, soon()).await.unwrap();
        assert_eq!(answer.status, 302);
        assert!(answer.refusal.unwrap().said.contains("evil.example, which is not followed"));
    }

    #[tokio::test]
    async fn a_customers_call_takes_a_token_of_a_customer_that_exists() {
        let server = Scripted::start().await;
        server.expect("POST /oauth/token", 200, &token_answer("anns"));
        server.expect("GET /v1/devices", 200, "[]");
        let who = Who::Customer(Customer::parse("ann").unwrap());
        client_cloud(&server).call_any(&get("/v1/devices"), &who, soon()).await.unwrap();
        assert!(server.seen()[1].head.contains("Bearer anns"));
    }
}
