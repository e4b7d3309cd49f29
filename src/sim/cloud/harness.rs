//! What tests of the simulated cloud share: a cloud, and a client that is as plain as can be.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{CloudConfig, CloudInfo, DeviceSeed, SimCloud};

/// The ids of the published transcripts.
pub(super) const DEVICE: &str = "3b0021001747353236343033";
pub(super) const OTHER_DEVICE: &str = "1f0030001647353236343033";
pub(super) const ANN: &str = "ann+1@example.com";

pub(super) struct Bench {
    pub(super) cloud: SimCloud,
    pub(super) info: CloudInfo,
    pub(super) http: reqwest::Client,
}

/// Status and body; a body that is no JSON is null.
pub(super) type Got = (u16, Value);

pub(super) fn client() -> reqwest::Client {
    // Only the first of many tests in this process can set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plain = reqwest::Client::builder().tls_certs_only([]).no_proxy();
    plain.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(CloudConfig::default()).await
    }

    pub(super) async fn with_fault(fault: &str) -> Self {
        Self::with(CloudConfig { faults: vec![fault.parse().unwrap()], ..CloudConfig::default() }).await
    }

    pub(super) async fn with(config: CloudConfig) -> Self {
        let cloud = SimCloud::start(config).await.unwrap();
        Self { info: cloud.info(), cloud, http: client() }
    }

    pub(super) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.info.api_url))
    }

    /// With a bearer token and, if it is not null, a JSON body.
    pub(super) async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Got {
        let request = self.request(method, path).bearer_auth(token);
        got(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Got {
        self.call("GET", path, token, Value::Null).await
    }

    /// Without a token.
    pub(super) async fn post(&self, path: &str, body: Value) -> Got {
        got(self.request("POST", path).json(&body)).await
    }

    /// `/oauth/token` with HTTP Basic and this form.
    pub(super) async fn sign_in(&self, id: &str, secret: &str, form: &[(&str, &str)]) -> Got {
        let form = [&[("grant_type", "client_credentials")], form].concat();
        got(self.request("POST", "/oauth/token").basic_auth(id, Some(secret)).form(&form)).await
    }

    pub(super) async fn product_token(&self) -> String {
        token(self.sign_in(&self.info.client_id, &self.info.client_secret, &[]).await)
    }

    pub(super) async fn create_customer(&self, name: &str) -> Got {
        let request = self.request("POST", "/v1/products/1319/customers");
        let request = request.basic_auth(&self.info.client_id, Some(&self.info.client_secret));
        got(request.form(&[("email", name), ("no_password", "true")])).await
    }

    pub(super) async fn customer_token(&self, name: &str) -> String {
        token(self.create_customer(name).await)
    }

    pub(super) async fn claim_code(&self, customer_token: &str) -> String {
        let (status, body) =
            self.call("POST", "/v1/products/1319/device_claims", customer_token, Value::Null).await;
        assert_eq!(status, 200, "{body}");
        body["claim_code"].as_str().unwrap().to_owned()
    }

    pub(super) async fn import(&self, id: &str) -> Value {
        let token = self.product_token().await;
        let (status, body) = self.call("POST", "/v1/products/1319/devices", &token, json!({"id": id})).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub(super) async fn session(&self, id: &str) {
        let body = json!({"platform_id": 6, "firmware": "2.3.1"});
        assert_eq!(self.post(&format!("/simulator/devices/{id}/session"), body).await, (200, json!({})));
    }

    pub(super) async fn show_code(&self, id: &str, code: &str) -> bool {
        let (status, body) =
            self.post(&format!("/simulator/devices/{id}/claim"), json!({"claim_code": code})).await;
        assert_eq!(status, 200, "{body}");
        body["claimed"].as_bool().unwrap()
    }

    pub(super) fn seed(&self, seed: DeviceSeed) {
        assert!(self.cloud.add_device(seed));
    }
}

pub(super) fn seed(id: &str) -> DeviceSeed {
    DeviceSeed { id: id.into(), ..DeviceSeed::default() }
}

pub(super) async fn got(request: reqwest::RequestBuilder) -> Got {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

pub(super) fn token((status, body): Got) -> String {
    assert_eq!(status, StatusCode::OK, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}
