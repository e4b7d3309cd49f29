//! Products, organizations, OAuth clients.

use axum::extract::Path;
use serde_json::{Value, json};

use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::{Call, Caller},
    world::{Account, Client, Owner, Product, World, hex},
};

fn record(product: &Product) -> Value {
    json!({
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "platform_id": product.platform_id,
        "org": product.organization,
    })
}

/// The user whose token it is; these lists are about people.
fn user(caller: &Caller) -> Result<&str, Refusal> {
    match &caller.account {
        Account::Owner(Owner::User(name)) => Ok(name),
        _ => Err(Refusal::forbidden("This takes a user's token")),
    }
}

fn list<'a>(products: impl Iterator<Item = &'a Product>) -> Answer {
    Ok(Reply::Json(json!({"products": products.map(record).collect::<Vec<_>>()})))
}

/// `GET /v1/user/products`
pub(super) async fn mine(call: Call) -> Answer {
    call.answer(|world, caller| {
        let user = user(caller)?;
        list(world.products.values().filter(|product| product.team == user))
    })
}

/// `GET /v1/products/P`
pub(super) async fn one(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| Ok(Reply::Json(json!({"product": record(world.managed(&key, caller)?)}))))
}

/// `GET /v1/orgs`
pub(super) async fn organizations(call: Call) -> Answer {
    call.answer(|world, caller| {
        let slugs = own_organization(world, caller)?.into_iter();
        let all: Vec<_> = slugs.map(|slug| json!({"slug": slug, "name": "Simulated organization"})).collect();
        Ok(Reply::Json(json!({"organizations": all})))
    })
}

/// `GET /v1/orgs/ORG/products`
pub(super) async fn of_organization(Path(slug): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        if own_organization(world, caller)? != Some(&slug) {
            return Err(Refusal::not_found("Organization not found"));
        }
        list(world.products.values().filter(|product| product.organization.as_ref() == Some(&slug)))
    })
}

/// There is one, and only the developer is in it.
fn own_organization<'w>(world: &'w World, caller: &Caller) -> Result<Option<&'w String>, Refusal> {
    Ok((user(caller)? == world.home.user).then_some(&world.home.organization))
}

/// `GET /v1/products/P/clients`: without the secrets.
pub(super) async fn clients(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        user(caller)?;
        let product = world.managed(&key, caller)?.id;
        let clients = world.clients.iter().filter(|(_, client)| client.product == Some(product));
        let clients: Vec<_> = clients.map(|(id, client)| describe(id, client)).collect();
        Ok(Reply::Json(json!({"ok": true, "clients": clients})))
    })
}

/// `POST /v1/products/P/clients`: the one answer that holds the secret.
pub(super) async fn create_client(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        user(caller)?;
        let product = world.managed(&key, caller)?.id;
        let (name, kind) = (call.need("name")?, call.need("type")?);
        let client =
            Client { secret: hex(40), product: Some(product), name, kind, scope: call.param("scope") };
        let id = format!("provision-sim-{}", hex(8));
        let mut answer = describe(&id, &client);
        answer["secret"] = client.secret.clone().into();
        world.clients.insert(id, client);
        Ok(Reply::Json(json!({"ok": true, "client": answer})))
    })
}

/// `DELETE /v1/products/P/clients/CLIENT_ID`: its tokens end with it.
pub(super) async fn delete_client(Path((key, id)): Path<(String, String)>, call: Call) -> Answer {
    call.answer(|world, caller| {
        user(caller)?;
        let product = world.managed(&key, caller)?.id;
        if world.clients.get(&id).is_none_or(|client| client.product != Some(product)) {
            return Err(Refusal::not_found("The product has no such client"));
        }
        world.clients.remove(&id);
        world.tokens.retain(|_, token| token.client_id != id);
        Ok(Reply::Empty)
    })
}

fn describe(id: &str, client: &Client) -> Value {
    json!({"id": id, "name": client.name, "type": client.kind, "scope": client.scope})
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::sim::cloud::harness::{ANN, Bench, token};

    #[tokio::test]
    async fn a_product_is_found_by_number_and_by_slug() {
        let bench = Bench::new().await;
        let token = bench.product_token().await;
        let (status, by_number) = bench.get("/v1/products/1319", &token).await;
        assert_eq!((status, &by_number["product"]["platform_id"]), (200, &json!(6)));
        let by_slug = bench.get(&format!("/v1/products/{}", bench.info.product_slug), &token).await;
        assert_eq!(by_slug, (200, by_number));
        assert_eq!(bench.get("/v1/products/9", &token).await.0, 404);
    }

    #[tokio::test]
    async fn lists_of_ones_own_are_for_users() {
        let bench = Bench::new().await;
        let user = &bench.info.user_token;
        assert_eq!(bench.get("/v1/user/products", user).await.1["products"][0]["id"], 1319);
        let (_, body) = bench.get("/v1/orgs", user).await;
        let slug = body["organizations"][0]["slug"].as_str().unwrap();
        let path = format!("/v1/orgs/{slug}/products");
        assert_eq!(bench.get(&path, user).await.1["products"][0]["id"], 1319);
        assert_eq!(bench.get("/v1/orgs/others/products", user).await.0, 404);
        let product = bench.product_token().await;
        for path in ["/v1/user/products", "/v1/orgs", &path, "/v1/products/1319/clients"] {
            assert_eq!(bench.get(path, &product).await.0, 403, "{path}");
        }
    }

    #[tokio::test]
    async fn a_customers_token_manages_no_product() {
        let bench = Bench::new().await;
        let customer = bench.customer_token(ANN).await;
        for path in ["/v1/products/1319", "/v1/products/1319/devices", "/v1/products/1319/customers"] {
            assert_eq!(bench.get(path, &customer).await.0, 403, "{path}");
        }
    }

    #[tokio::test]
    async fn a_clients_secret_is_shown_once_and_its_tokens_end_with_it() {
        let bench = Bench::new().await;
        let (path, user) = ("/v1/products/1319/clients", &bench.info.user_token);
        assert_eq!(bench.call("POST", path, user, json!({"name": "station"})).await.0, 400);
        let new = json!({"name": "station", "type": "installed"});
        let (status, made) = bench.call("POST", path, user, new).await;
        assert_eq!(status, 200, "{made}");
        let field = |name: &str| made["client"][name].as_str().unwrap().to_owned();
        let (id, secret) = (field("id"), field("secret"));
        let (_, listed) = bench.get(path, user).await;
        assert_eq!(listed["clients"].as_array().unwrap().len(), 2);
        assert!(!listed.to_string().contains(&secret));
        let station = token(bench.sign_in(&id, &secret, &[]).await);
        assert_eq!(bench.get("/v1/products/1319", &station).await.0, 200);
        let client = format!("{path}/{id}");
        assert_eq!(bench.call("DELETE", &client, user, Value::Null).await, (204, Value::Null));
        assert_eq!(bench.get("/v1/products/1319", &station).await.0, 401);
        assert_eq!(bench.sign_in(&id, &secret, &[]).await.0, 401);
        assert_eq!(bench.call("DELETE", &client, user, Value::Null).await.0, 404);
    }
}
