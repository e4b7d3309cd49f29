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
    let expires_at = call.now.saturating_add(millis(call.office.claim_code_lifetime));
    world.codes.insert(text.clone(), Code { owner: owner.clone(), expires_at });
    Reply::Json(json!({"claim_code": text, "device_ids": world.owned(owner).collect::<Vec<_>>()}))
}

/// 63 characters of the base64 alphabet.
fn random_code() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::iter::repeat_with(|| char::from(ALPHABET[fastrand::usize(..64)])).take(ClaimCode::LENGTH).collect()
}
