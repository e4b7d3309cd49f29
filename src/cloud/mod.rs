//! The Particle API: one client for all calls, tokens that are kept, one file a resource.
//!
//! | file | what it does |
//! |---|---|
//! | `client` | [`Cloud`] and what it is made from |
//! | `http` | one request: sign it, send it, try it again where that is safe, judge the answer |
//! | `auth`, `token_store` | tokens, and where they are kept until they expire |
//! | `sign_in_guard` | stops signing in before the cloud locks the site's address out |
//! | `limits` | keeps under the cloud's rate limits |
//! | `roots` | authorities that are trusted besides the computer's own |
//! | `trace` | each try as a redacted line of JSON |
//! | `events` | what devices do, as it happens: one stream for all who watch |
//! | `error`, `words` | what went wrong, and what the cloud said about it |
//! | `list`, `elements` | lists of any length, each record with its own text |
//! | `products`, `organizations`, `devices`, `device_actions`, `import`, `customers`, `claim_codes`, `access_tokens`, `oauth_clients`, `login` | the calls |
//! | `any_call` | any other call, for people who know what they want |
//!
//! # What is relied on
//!
//! From Particle's reference of the Cloud API (<https://docs.particle.io/reference/cloud-apis/api/>)
//! and its guide for product creators, unless said otherwise.
//!
//! **Signing in.** `POST /oauth/token` with the OAuth client's id and secret as HTTP Basic and the
//! form `grant_type=client_credentials` answers a bearer token with `expires_in` in seconds (90 days
//! unless asked otherwise). The product is implied by the client; a client made at account level,
//! not inside the product, signs in well but is refused by the product's calls. With
//! `scope=customer=NAME` the same call answers a token of a customer that exists. Tokens travel in
//! the `Authorization` header; the older ways, in a query or a form, get logged on the way.
//!
//! People sign in with a name and a password: the same call with `grant_type=password` and the public
//! client `particle:particle`. An account with an authenticator is answered 403 with `mfa_required` and an
//! `mfa_token`, which goes with the one-time code into `grant_type=urn:custom:mfa-otp` (both as in
//! Particle's JavaScript client, 12.0). A wrong password is `invalid_grant` and counts like a wrong secret.
//!
//! **Refusals.** `invalid_token` with 401: the token has expired or was revoked; a new one is got
//! once and the call is repeated once. `invalid_client` with 400 or 401: wrong id or secret; never
//! tried again, as ten refused sign-ins in a row lock the *address* out for 30 minutes, and with it
//! everybody behind the same router. Some 403 answers carry an `info` text with a URL that holds the
//! caller's token, so every text from the cloud is redacted.
//!
//! **Limits**, per address: 100 sign-ins, 100 new users (taken to count customers too) and 10,000
//! calls in 5 minutes. 429 may carry `Retry-After`, in seconds or as a date.
//!
//! **Products.** `GET /v1/products/P`, where P is the number or the slug, answers `{"product":{…}}`
//! or, from some servers, `{"product":[{…}]}`. A product is for one platform.
//!
//! **Devices.** `GET /v1/products/P/devices/D` answers the record. Which status a device has that
//! the token may not see is not published: 403 and 404 both count as "not there". The record's fields
//! differ by server: `online` or `connected`; `owner` may be null, empty or missing.
//! `POST /v1/products/P/devices` with `id=D` answers `updated` and up to four lists of ids
//! (`updatedDeviceIds`, `existingDeviceIds`, `nonmemberDeviceIds`, `invalidDeviceIds`); older servers
//! leave the first two out; several go as the field `file` of `multipart/form-data`, an id on each line.
//! `DELETE /v1/products/P/devices/D/owner` takes the owner off, `DELETE /v1/products/P/devices/D` takes
//! the device out, `DELETE /v1/devices/D` gives up a developer's own. `GET /v1/products/P/devices` comes
//! in pages (`page`, `perPage`), whose number is `meta.total_pages`; `GET /v1/devices` is one bare list.
//! A variable or function of a device that is not online ends in 404 or 408 with "timed out", one that
//! its firmware does not have in 404 with other words: the words alone tell the two apart.
//!
//! **Customers.** `POST /v1/products/P/customers` takes HTTP Basic, not the bearer token, and with
//! `no_password=true` makes a shadow customer, whose token is the answer. The words for a customer
//! that exists are not published: a 4xx that says exists, already, taken or in use. Only then is the
//! customer's token asked for instead; after any other refusal, asking would burn a sign-in. The
//! "e-mail" is any unique name; nothing is mailed.
//!
//! **Claim codes.** `POST /v1/products/P/device_claims` with the *customer's* token, or
//! `POST /v1/device_claims` with a developer's, answers a `claim_code` of 63 characters. It works once,
//! for whichever device presents it first.
//!
//! **Events.** `GET /v1/products/P/events/spark` is an endless answer of server-sent events: `spark/status`
//! (`online`, `offline`) and `spark/flash/status` (`started`, `success`, `failed`) with the device's id as
//! `coreid`, for every device of the product; `/v1/devices/events/spark` the same for those that the user
//! owns. A keep-alive comes at least every 12 s. Events of before the stream was open are not in it.
//!
//! **Safe to repeat.** Every call here but a function's and a request for transfer: a second import finds
//! a member, a second creation finds a
//! customer that exists, a second token or claim code leaves an unused one behind.

mod access_tokens;
mod any_call;
mod api_url;
mod auth;
mod claim_codes;
mod client;
mod customers;
mod device_actions;
mod devices;
mod elements;
mod error;
mod events;
mod http;
mod import;
mod limits;
mod list;
mod login;
mod oauth_clients;
mod organizations;
mod ownership;
mod products;
mod roots;
#[cfg(test)]
mod scripted;
mod sign_in_guard;
mod token_store;
mod trace;
mod words;

pub use access_tokens::{AccessToken, TokenInfo};
pub use any_call::{AnyAnswer, AnyBody, AnyCall, ApiPath, TokenIn, Who};
pub use api_url::ApiUrl;
pub use client::{Cloud, CloudSettings, OAuthClient};
pub use customers::{CustomerRecord, CustomerWas};
pub use device_actions::{Claimed, SerialNumber};
pub use devices::{DeviceRecord, Fleet};
pub use error::CloudError;
pub use events::{EventStream, Sign, Watch};
pub use http::RetryNotice;
pub(crate) use http::not_secure;
pub use import::Import;
pub use list::Listed;
pub use login::{HalfLogin, LogIn, Login, LoginStore};
pub use oauth_clients::{ClientRecord, NewClient};
pub use organizations::Organization;
pub use products::Product;
pub use reqwest::Method;
pub use roots::RootCertificates;
pub use sign_in_guard::RefusedSignIns;
pub use token_store::{KeptToken, kept_token, kept_tokens};
pub use trace::TRACE_TARGET;
