//! Tokens: `/oauth/token` and `/v1/access_tokens`.

use axum::{extract::Path, http::StatusCode};
use serde_json::{Value, json};

use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::Call,
    clock::rfc3339,
    world::{Account, Owner, Token, World, hex},
};

/// Seconds that a token lives unless told otherwise: 90 days.
const LIFETIME: i64 = 7_776_000;

/// `POST /oauth/token`
pub(super) async fn token(call: Call) -> Answer {
    call.answer_anybody(|world| {
        let credentials =
            call.basic.clone().or_else(|| call.param("client_id").zip(call.param("client_secret")));
        let (client_id, product) = authenticate(&call, world, credentials)?;
        if call.need("grant_type")? != "client_credentials" {
            return Err(Refusal::oauth(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "Only client_credentials is simulated",
            ));
        }
        let lifetime = match call.param("expires_in") {
            None => LIFETIME,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (0..=i64::from(u32::MAX)).contains(seconds))
                .ok_or_else(|| Refusal::malformed("expires_in is a number of seconds"))?,
        };
        let scope = call.param("scope");
        let account = match (&scope, product) {
            (None, product) => Account::Client { id: client_id.clone(), product },
            (Some(scope), product) => {
                let name = scope.strip_prefix("customer=").zip(product);
                let (name, product) = name.ok_or_else(|| {
                    Refusal::oauth(StatusCode::BAD_REQUEST, "invalid_scope", "Not a scope of this client")
                })?;
                let customers = world.products.get(&product).map(|product| &product.customers);
                if !customers.is_some_and(|all| all.contains_key(&name.to_lowercase())) {
                    call.office.limits.sign_in_failed(call.ip, call.now);
                    return Err(Refusal::oauth(
                        StatusCode::BAD_REQUEST,
                        "invalid_grant",
                        "The product has no such customer",
                    ));
                }
                Account::Owner(Owner::customer(product, name))
            }
        };
        call.office.limits.signed_in(call.ip);
        Ok(Reply::Json(grant(world, account, &client_id, scope, lifetime, call.now)))
    })
}

/// Who holds these credentials: the client's id and its product. A refusal counts towards the lock-out,
/// and while that is on, right credentials are refused as well.
pub(super) fn authenticate(
    call: &Call,
    world: &World,
    credentials: Option<(String, String)>,
) -> Result<(String, Option<u32>), Refusal> {
    let limits = &call.office.limits;
    limits.check_lock(call.ip, call.now)?;
    let refused = |status, why| {
        limits.sign_in_failed(call.ip, call.now);
        Refusal::oauth(status, "invalid_client", why)
    };
    let (id, secret) =
        credentials.ok_or_else(|| refused(StatusCode::BAD_REQUEST, "Missing client_id and client_secret"))?;
    match world.clients.get(&id) {
        Some(client) if client.secret == secret => Ok((id, client.product)),
        _ => Err(refused(StatusCode::UNAUTHORIZED, "Client credentials are invalid")),
    }
}

/// Makes a token and the answer that tells it. A lifetime of 0 seconds means for ever.
pub(super) fn grant(
    world: &mut World,
    account: Account,
    client_id: &str,
    scope: Option<String>,
    lifetime: i64,
    now: i64,
) -> Value {
    let (text, refresh) = (hex(40), hex(40));
    world.given_out.extend([text.clone(), refresh.clone()]);
    let expires_at = (lifetime > 0).then(|| now.saturating_add(lifetime * 1000));
    world.tokens.insert(text.clone(), Token { account, client_id: client_id.to_owned(), expires_at });
    let mut answer = json!({
        "token_type": "bearer",
        "access_token": text,
        "expires_in": lifetime,
        "refresh_token": refresh,
    });
    if let Some(scope) = scope {
        answer["scope"] = scope.into();
    }
    answer
}

/// The same for a customer that was just made.
pub(super) fn grant_customer(
    world: &mut World,
    product: u32,
    name: &str,
    client_id: &str,
    now: i64,
) -> Value {
    let account = Account::Owner(Owner::customer(product, name));
    grant(world, account, client_id, Some(format!("customer={name}")), LIFETIME, now)
}

/// `GET /v1/access_tokens/current`
pub(super) async fn current(call: Call) -> Answer {
    call.answer(|world, caller| {
        let token = world.tokens.get(&caller.token).ok_or_else(Refusal::bad_token)?;
        let scopes = match &token.account {
            Account::Owner(Owner::Customer { name, .. }) => vec![format!("customer={name}")],
            _ => vec![],
        };
        Ok(Reply::Json(json!({
            "expires_at": token.expires_at.map(rfc3339),
            "client": token.client_id,
            "scopes": scopes,
        })))
    })
}

/// `DELETE /v1/access_tokens/current`
pub(super) async fn revoke_current(call: Call) -> Answer {
    call.answer(|world, caller| {
        world.tokens.remove(&caller.token);
        Ok(Reply::Json(json!({"ok": true})))
    })
}

/// `DELETE /v1/access_tokens/TOKEN`: of the same account only.
pub(super) async fn revoke(Path(text): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        if world.tokens.get(&text).is_none_or(|token| token.account != caller.account) {
            return Err(Refusal::not_found("Not a token of this account"));
        }
        world.tokens.remove(&text);
        Ok(Reply::Json(json!({"ok": true})))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::sim::cloud::harness::{ANN, Bench, got, token};

    #[tokio::test]
    async fn credentials_are_taken_from_basic_form_and_json_but_never_from_the_url() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        token(bench.sign_in(id, secret, &[]).await);
        let fields = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
        token(bench.post("/oauth/token", fields.clone()).await);
        token(got(bench.request("POST", "/oauth/token").form(&fields)).await);
        let url = format!("/oauth/token?grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let (status, body) = got(bench.request("POST", &url)).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_client")));
    }

    #[tokio::test]
    async fn a_token_expires_when_it_said() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        let (_, body) = bench.sign_in(id, secret, &[("expires_in", "60")]).await;
        assert_eq!(body["expires_in"], 60);
        let short = body["access_token"].as_str().unwrap();
        bench.cloud.advance(Duration::from_secs(50));
        let (status, body) = bench.get("/v1/access_tokens/current", short).await;
        assert_eq!((status, &body["client"], &body["scopes"]), (200, &json!(id), &json!([])));
        assert!(body["expires_at"].is_string());
        bench.cloud.advance(Duration::from_secs(10));
        let (status, body) = bench.get("/v1/access_tokens/current", short).await;
        assert_eq!(status, 401);
        assert_eq!(
            body,
            json!({"error": "invalid_token", "error_description": "The access token provided is invalid."})
        );
    }

    #[tokio::test]
    async fn other_grants_scopes_and_lifetimes_are_refused() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        for (form, error) in [
            ([("scope", "everything")], "invalid_scope"),
            ([("scope", "customer=nobody@example.com")], "invalid_grant"),
            ([("expires_in", "soon")], "invalid_request"),
            ([("expires_in", "-1")], "invalid_request"),
        ] {
            let (status, body) = bench.sign_in(id, secret, &form).await;
            assert_eq!((status, &body["error"]), (400, &json!(error)), "{form:?}");
        }
        let fields = json!({"grant_type": "password", "client_id": id, "client_secret": secret});
        assert_eq!(bench.post("/oauth/token", fields).await.1["error"], "unsupported_grant_type");
    }

    #[tokio::test]
    async fn a_client_made_at_account_level_signs_in_and_may_do_nothing_with_products() {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        for product in [None, Some(7)] {
            let (id, secret) = bench.cloud.add_client(product);
            let outsider = token(bench.sign_in(&id, &secret, &[]).await);
            for path in ["/v1/products/1319", "/v1/products/1319/devices", "/v1/products/1319/events/spark"] {
                assert_eq!(bench.get(path, &outsider).await.0, 403, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn after_ten_failures_the_right_secret_is_refused_for_half_an_hour() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        for _ in 0..10 {
            let (status, body) = bench.sign_in(id, "wrong", &[]).await;
            assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
        }
        assert_eq!(bench.sign_in(id, secret, &[]).await.0, 429);
        assert_eq!(bench.create_customer(ANN).await.0, 429);
        bench.cloud.advance(Duration::from_secs(29 * 60));
        assert_eq!(bench.sign_in(id, secret, &[]).await.0, 429);
        bench.cloud.advance(Duration::from_secs(60));
        token(bench.sign_in(id, secret, &[]).await);
    }

    #[tokio::test]
    async fn asking_for_tokens_of_customers_that_do_not_exist_burns_failures() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        for _ in 0..10 {
            assert_eq!(bench.sign_in(id, secret, &[("scope", "customer=x")]).await.0, 400);
        }
        assert_eq!(bench.sign_in(id, secret, &[]).await.0, 429);
    }

    #[tokio::test]
    async fn a_token_is_revoked_by_its_own_account_only() {
        let bench = Bench::new().await;
        let (first, second) = (bench.product_token().await, bench.product_token().await);
        let path = format!("/v1/access_tokens/{first}");
        assert_eq!(bench.call("DELETE", &path, &bench.info.user_token, Value::Null).await.0, 404);
        assert_eq!(bench.call("DELETE", &path, &second, Value::Null).await, (200, json!({"ok": true})));
        assert_eq!(bench.get("/v1/access_tokens/current", &first).await.0, 401);
        assert_eq!(bench.call("DELETE", "/v1/access_tokens/current", &second, Value::Null).await.0, 200);
        assert_eq!(bench.get("/v1/access_tokens/current", &second).await.0, 401);
    }

    #[tokio::test]
    async fn revoked_by_an_administrator_every_token_but_the_developers_is_invalid() {
        let bench = Bench::new().await;
        let product = bench.product_token().await;
        bench.cloud.revoke_tokens();
        assert_eq!(bench.get("/v1/products/1319", &product).await.0, 401);
        assert_eq!(bench.get("/v1/products/1319", &bench.info.user_token).await.0, 200);
    }
}
