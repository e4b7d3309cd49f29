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
