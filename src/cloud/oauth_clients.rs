use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::{Cloud, CloudError, auth::Subject, devices::text, http::Call};
use crate::model::{Deadline, ProductRef, guard};

/// An OAuth client of a product, as a list shows it. From outside, as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRecord {
    /// What it signs in with, beside its secret.
    pub id: String,
    /// As its makers call it.
    pub name: String,
    /// `installed` (two-legged) or `web`.
    pub kind: String,
    /// The record as the cloud gave it.
    pub json: Value,
}

/// A client that was made just now.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// What it signs in with.
    pub id: String,
    /// The cloud does not tell it again.
    pub secret: SecretString,
}

#[derive(Deserialize)]
struct ListAnswer {
    clients: Vec<Value>,
}

#[derive(Deserialize)]
struct WireClient {
    id: String,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, rename = "type", deserialize_with = "text")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "text")]
    secret: Option<String>,
}

impl Cloud {
    /// `GET /v1/products/P/clients` with the user's own token. A secret in a record is left out of it.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn oauth_clients(
        &self,
        product: &ProductRef,
        deadline: Deadline,
    ) -> Result<Vec<ClientRecord>, CloudError> {
        let path = ["v1", "products", product.as_str(), "clients"];
        let answer = self.send_as(Subject::User, &Call::get(&path), deadline).await?;
        answer.read("a list of OAuth clients", |list: ListAnswer| {
            list.clients.into_iter().map(record).collect()
        })
    }

    /// `POST /v1/products/P/clients` with the user's own token: a two-legged client, made inside the
    /// product. Not repeated when its answer is lost, as the secret would be lost with it.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::oauth_clients`].
    pub async fn create_oauth_client(
        &self,
        product: &ProductRef,
        name: &str,
        deadline: Deadline,
    ) -> Result<NewClient, CloudError> {
        let path = ["v1", "products", product.as_str(), "clients"];
        let form = [("name", name), ("type", "installed")];
        let call = Call { repeatable: false, ..Call::repeatable_post(&path, &form) };
        let answer = self.send_as(Subject::User, &call, deadline).await?;
        answer.read("a new OAuth client", |mut made: Value| {
            // The client itself, or below `client`.
            let inner = made.get_mut("client").map(Value::take);
            let client = WireClient::deserialize(inner.unwrap_or(made)).ok()?;
            let secret = client.secret?;
            guard(&secret);
            Some(NewClient { id: client.id, secret: secret.into() })
        })
    }

    /// `DELETE /v1/products/P/clients/ID` with the user's own token. The client's tokens end with it.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::oauth_clients`]; `CloudRefused` with 404 for one that does not exist.
    pub async fn delete_oauth_client(
        &self,
        product: &ProductRef,
        id: &str,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let path = ["v1", "products", product.as_str(), "clients", id];
        self.send_as(Subject::User, &Call::delete(&path), deadline).await.map(drop)
    }
}

fn record(mut json: Value) -> Option<ClientRecord> {
    let client = WireClient::deserialize(&json).ok()?;
    client.secret.iter().for_each(guard);
    if let Some(fields) = json.as_object_mut() {
        fields.remove("secret");
    }
    let (name, kind) = (client.name.unwrap_or_default(), client.kind.unwrap_or_default());
    Some(ClientRecord { id: client.id, name, kind, json })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::super::scripted::{Scripted, product, signed_in_cloud, soon};
    use crate::model::{FailureCode, redact};

    const CLIENTS: &str = "/v1/products/1319/clients";

    #[tokio::test]
    async fn a_client_is_read_from_both_forms_and_its_secret_is_guarded() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        let create = format!("POST {CLIENTS}");
        server.expect(&create, 200, r#"{"ok":true,"client":{"id":"new-1","secret":"the-new-secret-1"}}"#);
        server.expect(&create, 200, r#"{"id":"new-2","secret":"the-new-secret-2"}"#);
        for n in [1, 2] {
            let made = cloud.create_oauth_client(&product(), "line 1", soon()).await.unwrap();
            assert_eq!(made.id, format!("new-{n}"));
            assert_eq!(redact(made.secret.expose_secret()), "[redacted]");
        }
        assert_eq!(server.seen()[0].body, "name=line+1&type=installed");
    }

    #[tokio::test]
    async fn a_creation_whose_answer_is_lost_is_not_repeated() {
        let server = Scripted::start().await;
        server.expect_and_drop(&format!("POST {CLIENTS}"));
        let error = signed_in_cloud(&server).create_oauth_client(&product(), "x", soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::CloudUnreachable);
    }

    #[tokio::test]
    async fn lists_show_no_secret_even_if_the_cloud_does() {
        let server = Scripted::start().await;
        let body = r#"{"clients":[{"id":"a","name":"line","type":"installed","secret":"a-listed-secret"}]}"#;
        server.expect(&format!("GET {CLIENTS}"), 200, body);
        let clients = signed_in_cloud(&server).oauth_clients(&product(), soon()).await.unwrap();
        assert_eq!((&*clients[0].id, &*clients[0].name, &*clients[0].kind), ("a", "line", "installed"));
        assert_eq!(clients[0].json.get("secret"), None);
    }
}
