//! Customers of a product.

use axum::{extract::Path, http::StatusCode};
use serde_json::{Value, json};

use super::sign_in::{authenticate, grant_customer};
use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::Call,
    clock::rfc3339,
    world::{Account, Customer, Owner, hex},
};

/// `POST /v1/products/P/customers`: with the client's id and secret as HTTP Basic; a bearer token is not
/// looked at.
pub(super) async fn create(Path(key): Path<String>, call: Call) -> Answer {
    call.answer_anybody(|world| {
        let (client_id, own) = authenticate(&call, world, call.basic.clone())?;
        call.office.limits.signed_in(call.ip);
        let product = world.product(&key)?.id;
        if own != Some(product) {
            return Err(Refusal::forbidden("This client is not one of the product's"));
        }
        let name = call.need("email")?;
        let password = match call.flag("no_password")? {
            Some(true) => None,
            _ => Some(call.need("password")?),
        };
        let customers = &mut world.products.get_mut(&product).ok_or_else(no_customer)?.customers;
        if customers.contains_key(&name.to_lowercase()) {
            let body = json!({"ok": false, "error": "A customer of this name already exists"});
            return Err(Refusal::new(StatusCode::CONFLICT, body));
        }
        let customer = Customer { id: hex(24), name: name.clone(), password, created_at: call.now };
        customers.insert(name.to_lowercase(), customer);
        Ok(Reply::Json(grant_customer(world, product, &name, &client_id, call.now)))
    })
}

/// `GET /v1/products/P/customers`: only those that own a device.
pub(super) async fn list(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let product = world.managed(&key, caller)?;
        let visible =
            |customer: &&Customer| world.owns_something(&Owner::customer(product.id, &customer.name));
        let visible: Vec<_> = product.customers.values().filter(visible).collect();
        let page = call.page()?;
        let customers: Vec<_> = page.of(&visible).iter().map(|customer| record(customer)).collect();
        Ok(Reply::Json(json!({"customers": customers, "meta": {"total_pages": page.count(&visible)}})))
    })
}

/// `DELETE /v1/products/P/customers/EMAIL`: with its tokens and its unused claim codes; its devices stay
/// in the product, with no owner.
pub(super) async fn remove(Path((key, name)): Path<(String, String)>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let product = world.managed(&key, caller)?.id;
        let customers = world.products.get_mut(&product).map(|product| &mut product.customers);
        customers.and_then(|all| all.remove(&name.to_lowercase())).ok_or_else(no_customer)?;
        let owner = Owner::customer(product, &name);
        world.tokens.retain(|_, token| !matches!(&token.account, Account::Owner(who) if *who == owner));
        world.codes.retain(|_, code| code.owner != owner);
        let devices: Vec<String> = world.owned(&owner).cloned().collect();
        devices.iter().for_each(|id| world.set_owner(id, None));
        Ok(Reply::Empty)
    })
}

/// A customer as lists show it.
pub(super) fn record(customer: &Customer) -> Value {
    json!({"id": customer.id, "username": customer.name, "created_at": rfc3339(customer.created_at)})
}

fn no_customer() -> Refusal {
    Refusal::not_found("The product has no such customer")
}
