use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};

use super::{claim_codes, control, customers, devices, products, sign_in};
use crate::sim::cloud::{answer::Refusal, office::Office};

/// Every endpoint of the API. What is not here is 404, with the wrong method too.
pub(in crate::sim::cloud) fn api() -> Router<Arc<Office>> {
    Router::new()
        .route("/oauth/token", post(sign_in::token))
        .route("/v1/access_tokens/current", get(sign_in::current).delete(sign_in::revoke_current))
        .route("/v1/access_tokens/{token}", delete(sign_in::revoke))
        .route("/v1/user", get(sign_in::user))
        .route("/v1/user/products", get(products::mine))
        .route("/v1/orgs", get(products::organizations))
        .route("/v1/orgs/{organization}/products", get(products::of_organization))
        .route("/v1/products/{product}", get(products::one))
        .route("/v1/products/{product}/clients", get(products::clients).post(products::create_client))
        .route("/v1/products/{product}/clients/{client}", delete(products::delete_client))
        .route("/v1/products/{product}/customers", get(customers::list).post(customers::create))
        .route("/v1/products/{product}/customers/{customer}", delete(customers::remove))
        .route("/v1/products/{product}/device_claims", post(claim_codes::for_customer))
        .route("/v1/device_claims", post(claim_codes::for_user))
        .route("/v1/products/{product}/events", get(devices::product_events))
        .route("/v1/products/{product}/events/{*prefix}", get(devices::product_events))
        .route("/v1/devices/events", get(devices::own_events))
        .route("/v1/devices/events/{*prefix}", get(devices::own_events))
        .route("/v1/devices", get(devices::own).post(devices::claim))
        .route("/v1/devices/{device}", get(devices::one).put(devices::update).delete(devices::unclaim))
        .route(
            "/v1/devices/{device}/{name}",
            get(devices::variable).post(devices::function).put(devices::ping),
        )
        .route("/v1/products/{product}/devices", get(devices::members).post(devices::import))
        .route(
            "/v1/products/{product}/devices/{device}",
            get(devices::one).put(devices::update).delete(devices::remove),
        )
        .route(
            "/v1/products/{product}/devices/{device}/{name}",
            get(devices::variable).post(devices::function).put(devices::ping).delete(devices::take_owner_off),
        )
        .route("/v1/serial_numbers/{serial}", get(devices::by_serial_number))
        .fallback(nothing_here)
        .method_not_allowed_fallback(nothing_here)
}

/// The device's side and the levers for tests.
pub(in crate::sim::cloud) fn beside_the_api() -> Router<Arc<Office>> {
    Router::new()
        .route("/simulator/devices", post(control::seed))
        .route("/simulator/devices/{device}/session", post(control::session))
        .route("/simulator/devices/{device}/claim", post(control::claim))
        .route("/simulator/devices/{device}/update", post(control::update))
        .route("/simulator/devices/{device}/offline", post(control::offline))
        .route("/simulator/streams/cut", post(control::cut_streams))
        .route("/simulator/clock", post(control::clock))
        .route("/simulator/state", get(control::state))
        .route("/simulator/requests", get(control::requests))
}

async fn nothing_here() -> Refusal {
    Refusal::not_found("Not found")
}
