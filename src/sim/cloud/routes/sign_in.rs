//! Tokens: `/oauth/token` and `/v1/access_tokens`.

use axum::{extract::Path, http::StatusCode};
use serde_json::{Value, json};

use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::Call,
    clock::rfc3339,
    world::{Account, HalfSignedIn, Owner, Token, World, hex},
};

/// Seconds that a token lives unless told otherwise: 90 days.
const LIFETIME: i64 = 7_776_000;

/// `POST /oauth/token`
pub(super) async fn token(call: Call) -> Answer {
    call.answer_anybody(|world| {
        let credentials =
            call.basic.clone().or_else(|| call.param("client_id").zip(call.param("client_secret")));
        if credentials.as_ref().is_some_and(|(id, secret)| (id.as_str(), secret.as_str()) == PUBLIC) {
            return person(&call, world);
        }
        let (client_id, product) = authenticate(&call, world, credentials)?;
        match call.need("grant_type")?.as_str() {
            "client_credentials" => {}
            "password" if product.is_some() => return customer(&call, world, &client_id, product),
            _ => return Err(unsupported("Not a grant of this client")),
        }
        let lifetime = lifetime(&call)?;
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

/// The client of everybody who has a password, which is no secret.
const PUBLIC: (&str, &str) = ("particle", "particle");
/// How long a one-time code is waited for. Not published; a choice.
const PATIENCE: i64 = 5 * 60 * 1000;

/// `password`, and the `urn:custom:mfa-otp` that follows it for accounts with an authenticator.
fn person(call: &Call, world: &mut World) -> Answer {
    call.office.limits.check_lock(call.ip, call.now)?;
    match call.need("grant_type")?.as_str() {
        "password" => {
            let (name, password) = (call.need("username")?.to_lowercase(), call.need("password")?);
            let lifetime = lifetime(call)?;
            match world.users.get(&name) {
                Some(user) if user.password == password => {
                    if user.one_time_code.is_none() {
                        return Ok(signed_in(call, world, &name, lifetime));
                    }
                    let mfa_token = hex(40);
                    world.given_out.push(mfa_token.clone());
                    let half =
                        HalfSignedIn { user: name, expires_at: call.now.saturating_add(PATIENCE), lifetime };
                    world.half_signed_in.insert(mfa_token.clone(), half);
                    // A refusal that changes something.
                    world.dirty = true;
                    let body = json!({
                        "error": "mfa_required",
                        "error_description": "Multi-factor authentication required",
                        "mfa_token": mfa_token,
                    });
                    Err(Refusal::new(StatusCode::FORBIDDEN, body))
                }
                _ => Err(wrong(call, "User credentials are invalid")),
            }
        }
        "urn:custom:mfa-otp" => {
            let (mfa_token, code) = (call.need("mfa_token")?, call.need("otp")?);
            let half =
                world.half_signed_in.get(&mfa_token).filter(|half| half.expires_at > call.now).cloned();
            let right = half.filter(|half| {
                let user = world.users.get(&half.user);
                user.and_then(|user| user.one_time_code.as_ref()).is_some_and(|its| *its == code)
            });
            let half = right.ok_or_else(|| wrong(call, "The one-time code is invalid"))?;
            world.half_signed_in.remove(&mfa_token);
            Ok(signed_in(call, world, &half.user, half.lifetime))
        }
        _ => Err(unsupported("Not a grant of the public client")),
    }
}

fn signed_in(call: &Call, world: &mut World, user: &str, lifetime: i64) -> Reply {
    call.office.limits.signed_in(call.ip);
    Reply::Json(grant(world, Account::Owner(Owner::user(user)), PUBLIC.0, None, lifetime, call.now))
}

/// A simple-auth customer, who has a password, signs in with a client of its product.
fn customer(call: &Call, world: &mut World, client_id: &str, product: Option<u32>) -> Answer {
    let (name, password) = (call.need("username")?, call.need("password")?);
    let product = product.and_then(|id| world.products.get(&id));
    let known = product.and_then(|product| Some((product.id, product.customers.get(&name.to_lowercase())?)));
    match known {
        Some((product, customer)) if customer.password.as_ref() == Some(&password) => {
            call.office.limits.signed_in(call.ip);
            Ok(Reply::Json(grant_customer(world, product, &name, client_id, call.now)))
        }
        _ => Err(wrong(call, "User credentials are invalid")),
    }
}

/// A refusal that counts towards the lock-out.
fn wrong(call: &Call, why: &str) -> Refusal {
    call.office.limits.sign_in_failed(call.ip, call.now);
    Refusal::oauth(StatusCode::BAD_REQUEST, "invalid_grant", why)
}

fn unsupported(why: &str) -> Refusal {
    Refusal::oauth(StatusCode::BAD_REQUEST, "unsupported_grant_type", why)
}

fn lifetime(call: &Call) -> Result<i64, Refusal> {
    let Some(text) = call.param("expires_in") else { return Ok(LIFETIME) };
    let seconds = text.parse().ok().filter(|seconds| (0..=i64::from(u32::MAX)).contains(seconds));
    seconds.ok_or_else(|| Refusal::malformed("expires_in is a number of seconds"))
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

/// `GET /v1/user`: with a user's token.
pub(super) async fn user(call: Call) -> Answer {
    call.answer(|world, caller| match &caller.account {
        Account::Owner(Owner::User(name)) => {
            let user = world.users.get(name);
            Ok(Reply::Json(json!({
                "username": user.map_or(name, |user| &user.name),
                "mfa": {"enabled": user.is_some_and(|user| user.one_time_code.is_some())},
            })))
        }
        _ => Err(Refusal::forbidden("This takes a user's token")),
    })
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

    use crate::sim::cloud::{
        CloudConfig,
        harness::{ANN, Bench, Got, got, token},
    };

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
        let fields = json!({"grant_type": "implicit", "client_id": id, "client_secret": secret});
        assert_eq!(bench.post("/oauth/token", fields).await.1["error"], "unsupported_grant_type");
        let everybody = bench.sign_in("particle", "particle", &[]).await;
        assert_eq!(everybody.1["error"], "unsupported_grant_type");
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

    /// The grant of people, with the public client.
    async fn person(bench: &Bench, fields: &[(&str, &str)]) -> Got {
        got(bench.request("POST", "/oauth/token").basic_auth("particle", Some("particle")).form(fields)).await
    }

    #[tokio::test]
    async fn a_developer_signs_in_with_a_password_in_any_case_of_the_name() {
        let bench = Bench::new().await;
        let name = bench.info.user.to_uppercase();
        let form = |password| [("grant_type", "password"), ("username", &*name), ("password", password)];
        let (status, body) = person(&bench, &form("wrong")).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
        let token = token(person(&bench, &form(&bench.info.user_password)).await);
        let (_, user) = bench.get("/v1/user", &token).await;
        assert_eq!(user, json!({"username": bench.info.user, "mfa": {"enabled": false}}));
        assert_eq!(bench.get("/v1/access_tokens/current", &token).await.1["client"], "particle");
        assert_eq!(bench.get("/v1/user", &bench.product_token().await).await.0, 403);
    }

    #[tokio::test]
    async fn an_account_with_an_authenticator_is_asked_for_its_code() {
        let config = CloudConfig { one_time_code: Some("314159".into()), ..CloudConfig::default() };
        let bench = Bench::with(config).await;
        let password = &*bench.info.user_password;
        let form = [("grant_type", "password"), ("username", &bench.info.user), ("password", password)];
        let (status, body) = person(&bench, &form).await;
        assert_eq!((status, &body["error"]), (403, &json!("mfa_required")));
        let mfa_token = body["mfa_token"].as_str().unwrap();
        let form = |code| [("grant_type", "urn:custom:mfa-otp"), ("mfa_token", mfa_token), ("otp", code)];
        assert_eq!(person(&bench, &form("000000")).await.0, 400);
        token(person(&bench, &form("314159")).await);
        assert_eq!(person(&bench, &form("314159")).await.0, 400, "the token of the half sign-in is spent");
        assert!(bench.cloud.secrets().iter().any(|secret| secret == mfa_token));
    }

    #[tokio::test]
    async fn wrong_passwords_and_codes_lock_the_address_out_like_wrong_secrets() {
        let bench = Bench::new().await;
        let form = [("grant_type", "password"), ("username", &*bench.info.user), ("password", "wrong")];
        for _ in 0..9 {
            assert_eq!(person(&bench, &form).await.0, 400);
        }
        let form = [("grant_type", "urn:custom:mfa-otp"), ("mfa_token", "none"), ("otp", "000000")];
        assert_eq!(person(&bench, &form).await.0, 400);
        assert_eq!(person(&bench, &form).await.0, 429);
        assert_eq!(bench.sign_in(&bench.info.client_id, &bench.info.client_secret, &[]).await.0, 429);
    }

    #[tokio::test]
    async fn a_customer_with_a_password_signs_in_with_a_client_of_the_product() {
        let bench = Bench::new().await;
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        let request = bench.request("POST", "/v1/products/1319/customers").basic_auth(id, Some(secret));
        token(got(request.form(&[("email", ANN), ("password", "hunter2-and-more")])).await);
        let sign_in = async |name: &str, password: &str| {
            let form = [("grant_type", "password"), ("username", name), ("password", password)];
            got(bench.request("POST", "/oauth/token").basic_auth(id, Some(secret)).form(&form)).await
        };
        let (status, body) = sign_in(ANN, "hunter2-and-more").await;
        assert_eq!((status, &body["scope"]), (200, &json!(format!("customer={ANN}"))));
        assert_eq!(sign_in(ANN, "wrong").await.0, 400);
        bench.create_customer("shadow").await;
        assert_eq!(sign_in("shadow", "wrong").await.0, 400);
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
