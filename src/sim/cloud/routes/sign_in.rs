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
    let text = hex(40);
    let expires_at = (lifetime > 0).then(|| now.saturating_add(lifetime * 1000));
    world.tokens.insert(text.clone(), Token { account, client_id: client_id.to_owned(), expires_at });
    let mut answer = json!({
        "token_type": "bearer",
        "access_token": text,
        "expires_in": lifetime,
        "refresh_token": hex(40),
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
        if !world.tokens.get(&text).is_some_and(|token| token.account == caller.account) {
            return Err(Refusal::not_found("Not a token of this account"));
        }
        world.tokens.remove(&text);
        Ok(Reply::Json(json!({"ok": true})))
    })
}
