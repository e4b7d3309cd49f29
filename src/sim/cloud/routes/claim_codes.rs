//! Claim codes, for customers and for developers.

use axum::extract::Path;
use serde_json::json;

use crate::{
    model::ClaimCode,
    sim::cloud::{
        answer::{Answer, Refusal, Reply},
        call::Call,
        clock::millis,
        world::{Account, Code, Owner, World},
    },
};

/// `POST /v1/products/P/device_claims`: with a token of a customer of this product.
pub(super) async fn for_customer(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let here = world.product(&key)?.id;
        match &caller.account {
            Account::Owner(owner @ Owner::Customer { product, .. }) if *product == here => {
                Ok(issue(world, owner, &call))
            }
            _ => Err(Refusal::forbidden("This takes a token of one of the product's customers")),
        }
    })
}

/// `POST /v1/device_claims`: with a user's token.
pub(super) async fn for_user(call: Call) -> Answer {
    call.answer(|world, caller| match &caller.account {
        Account::Owner(owner @ Owner::User(_)) => Ok(issue(world, owner, &call)),
        _ => Err(Refusal::forbidden("This takes a user's token")),
    })
}

fn issue(world: &mut World, owner: &Owner, call: &Call) -> Reply {
    let text = random_code();
    world.given_out.push(text.clone());
    let expires_at = call.now.saturating_add(millis(call.office.claim_code_lifetime));
    world.codes.insert(text.clone(), Code { owner: owner.clone(), expires_at });
    Reply::Json(json!({"claim_code": text, "device_ids": world.owned(owner).collect::<Vec<_>>()}))
}

/// 63 characters of the base64 alphabet.
fn random_code() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::iter::repeat_with(|| char::from(ALPHABET[fastrand::usize(..64)])).take(ClaimCode::LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::sim::cloud::{
        DeviceSeed,
        harness::{ANN, Bench, DEVICE, OTHER_DEVICE, seed},
    };

    #[tokio::test]
    async fn codes_are_for_the_products_customers_and_for_users() {
        let bench = Bench::new().await;
        let (product, ann) = (bench.product_token().await, bench.customer_token(ANN).await);
        let ask = async |path: &str, token: &str| bench.call("POST", path, token, Value::Null).await.0;
        assert_eq!(ask("/v1/products/1319/device_claims", &ann).await, 200);
        assert_eq!(ask("/v1/products/1319/device_claims", &product).await, 403);
        assert_eq!(ask("/v1/products/1319/device_claims", &bench.info.user_token).await, 403);
        assert_eq!(ask("/v1/device_claims", &bench.info.user_token).await, 200);
        assert_eq!(ask("/v1/device_claims", &ann).await, 403);
        assert_eq!(ask("/v1/device_claims", &product).await, 403);
    }

    #[tokio::test]
    async fn a_code_works_once() {
        let bench = Bench::new().await;
        let code = bench.claim_code(&bench.customer_token(ANN).await).await;
        assert!(ClaimCode::parse(&code).is_ok());
        for id in [DEVICE, OTHER_DEVICE] {
            bench.import(id).await;
            bench.session(id).await;
        }
        assert_eq!(bench.cloud.snapshot()["unused_claim_codes"], json!({ANN: 1}));
        assert!(bench.show_code(DEVICE, &code).await);
        assert!(!bench.show_code(OTHER_DEVICE, &code).await);
        assert_eq!(bench.cloud.snapshot()["unused_claim_codes"], json!({}));
    }

    #[tokio::test]
    async fn a_code_expires() {
        let bench = Bench::new().await;
        let code = bench.claim_code(&bench.customer_token(ANN).await).await;
        bench.import(DEVICE).await;
        bench.session(DEVICE).await;
        bench.cloud.advance(Duration::from_secs(60 * 60));
        assert!(!bench.show_code(DEVICE, &code).await);
    }

    #[tokio::test]
    async fn the_answer_lists_what_the_account_owns_already() {
        let bench = Bench::new().await;
        let ann = bench.customer_token(ANN).await;
        bench.seed(DeviceSeed { owner: Some(ANN.into()), product_id: Some(1319), ..seed(DEVICE) });
        let (_, body) = bench.call("POST", "/v1/products/1319/device_claims", &ann, Value::Null).await;
        assert_eq!(body["device_ids"], json!([DEVICE]));
    }

    #[tokio::test]
    async fn a_device_that_is_not_free_for_the_account_does_not_move_and_the_code_stays_good() {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        let code = bench.claim_code(&bench.customer_token(ANN).await).await;
        let member = || DeviceSeed { product_id: Some(1319), online: true, ..seed(DEVICE) };
        let in_the_way = [
            DeviceSeed { owner: Some("somebody@else.example".into()), ..member() },
            DeviceSeed { product_id: None, ..member() },
            DeviceSeed { product_id: Some(7), ..member() },
            DeviceSeed { quarantined: true, ..member() },
            DeviceSeed { denied: true, ..member() },
        ];
        for device in in_the_way {
            let owner = device.owner.clone();
            bench.seed(device.clone());
            assert!(!bench.show_code(DEVICE, &code).await, "{device:?}");
            assert_eq!(bench.cloud.device(DEVICE).unwrap()["owner"], json!(owner));
        }
        bench.seed(member());
        assert!(bench.show_code(DEVICE, &code).await);
    }

    #[tokio::test]
    async fn a_developers_code_moves_a_device_that_is_in_no_product() {
        let bench = Bench::new().await;
        let user = &bench.info.user_token;
        let (_, body) = bench.call("POST", "/v1/device_claims", user, Value::Null).await;
        bench.session(DEVICE).await;
        assert!(bench.show_code(DEVICE, body["claim_code"].as_str().unwrap()).await);
        assert_eq!(bench.get("/v1/devices", user).await.1[0]["product_id"], Value::Null);
    }

    #[tokio::test]
    async fn a_board_without_a_session_cannot_show_a_code() {
        let bench = Bench::new().await;
        let path = format!("/simulator/devices/{DEVICE}/claim");
        assert_eq!(bench.post(&path, json!({"claim_code": "x"})).await.0, 404);
        bench.import(DEVICE).await;
        assert_eq!(bench.post(&path, json!({"claim_code": "x"})).await.0, 409);
    }
}
