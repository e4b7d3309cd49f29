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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::sim::cloud::harness::{ANN, Bench, DEVICE, got, token};

    #[tokio::test]
    async fn an_existing_customer_is_refused_in_any_case_and_its_token_can_be_had() {
        let bench = Bench::new().await;
        bench.customer_token(ANN).await;
        let (status, body) = bench.create_customer(&ANN.to_uppercase()).await;
        assert!((400..500).contains(&status));
        assert!(body["error"].as_str().unwrap().contains("already exists"));
        let scope = format!("customer={ANN}");
        let (id, secret) = (&bench.info.client_id, &bench.info.client_secret);
        let (status, body) = bench.sign_in(id, secret, &[("scope", &scope)]).await;
        assert_eq!((status, &body["scope"]), (200, &json!(scope)));
    }

    #[tokio::test]
    async fn creation_takes_basic_credentials_of_the_product_and_a_choice_about_the_password() {
        let bench = Bench::new().await;
        let post = || bench.request("POST", "/v1/products/1319/customers");
        let (id, secret) = (&bench.info.client_id, Some(&bench.info.client_secret));
        let form = [("email", ANN), ("no_password", "true")];
        let bearer = post().bearer_auth(bench.product_token().await).form(&form);
        assert_eq!(got(bearer).await.1["error"], "invalid_client");
        let (other, other_secret) = bench.cloud.add_client(None);
        assert_eq!(got(post().basic_auth(other, Some(other_secret)).form(&form)).await.0, 403);
        assert_eq!(got(post().basic_auth(id, secret).form(&[("email", ANN)])).await.0, 400);
        assert_eq!(got(post().basic_auth(id, secret).form(&[("no_password", "true")])).await.0, 400);
        let with_password = [("email", ANN), ("password", "hunter2")];
        token(got(post().basic_auth(id, secret).form(&with_password)).await);
        assert_eq!(bench.cloud.snapshot()["customers"][0]["shadow"], false);
    }

    #[tokio::test]
    async fn a_customer_is_listed_once_it_owns_a_device_and_is_gone_with_all_its_rights_when_deleted() {
        let bench = Bench::new().await;
        let (list, admin) = ("/v1/products/1319/customers", bench.product_token().await);
        let ann = bench.customer_token(ANN).await;
        let nobody = json!({"customers": [], "meta": {"total_pages": 0}});
        assert_eq!(bench.get(list, &admin).await, (200, nobody));
        bench.import(DEVICE).await;
        bench.session(DEVICE).await;
        assert!(bench.show_code(DEVICE, &bench.claim_code(&ann).await).await);
        let (_, body) = bench.get(list, &admin).await;
        assert_eq!(
            (&body["customers"][0]["username"], &body["meta"]["total_pages"]),
            (&json!(ANN), &json!(1))
        );
        assert_eq!(bench.get("/v1/products/1319/devices", &admin).await.1["customers"][0]["username"], ANN);

        let pending = bench.claim_code(&ann).await;
        let path = format!("{list}/{}", ANN.replace('+', "%2B").replace('@', "%40"));
        assert_eq!(bench.call("DELETE", &path, &admin, Value::Null).await, (204, Value::Null));
        assert_eq!(bench.get("/v1/devices", &ann).await.0, 401);
        assert!(!bench.show_code(DEVICE, &pending).await);
        assert_eq!(bench.cloud.device(DEVICE).unwrap()["owner"], Value::Null);
        assert_eq!(bench.cloud.device(DEVICE).unwrap()["product_id"], 1319);
        assert_eq!(bench.call("DELETE", &path, &admin, Value::Null).await.0, 404);
    }

    #[tokio::test]
    async fn the_hundred_and_first_customer_within_five_minutes_has_to_wait() {
        let bench = Bench::new().await;
        for number in 0..100 {
            assert_eq!(bench.create_customer(&format!("customer{number}")).await.0, 200);
        }
        assert_eq!(bench.create_customer("one-more").await.0, 429);
    }
}
