//! A simulated Particle cloud: the API of `api.particle.io` as far as provisioning uses it, over real
//! sockets, strict.
//!
//! Where the real cloud's behaviour is published, this one behaves so. Where it is not, it takes the
//! stricter of the plausible ways, and the place in the code says that it is a choice. In short:
//!
//! * Ids are lower-case hexadecimal everywhere; upper case is not found, or `invalidDeviceIds`.
//! * A product's token, or the token of the user whose product it is, manages the product. For
//!   anybody else's device the answer is 403, for an id that nobody has 404.
//! * Lists of what is a user's own (products, organizations, OAuth clients) want a user's token.
//! * A device that is owned by somebody else, denied, quarantined, or not in the customer's product
//!   does not move by showing a claim code, and the code stays unused.
//! * Import counts a quarantined device as updated, and a denied one as existing: it stays denied.
//! * Deletes below `/v1/products/` answer 204 with no body; `DELETE /v1/devices/D` answers
//!   `{"ok":true}`. Deleting a customer also takes it off its devices.
//! * Whoever presents a client's id and secret and is refused, at `/oauth/token` or when creating a
//!   customer, has failed to sign in; so has who asks for a token of a customer that does not exist.
//!   Ten failures in a row lock the address out of both for 30 minutes.
//! * People sign in at `/oauth/token` with a password and the public client `particle:particle`; a wrong
//!   password, and a wrong one-time code, count like a wrong secret. The real cloud does not publish
//!   whether a one-time code that was wrong spoils its `mfa_token`, nor how long that lives: here it
//!   stays good for 5 minutes. A customer with a password signs in with a client of its product.
//! * Refresh tokens are given out and cannot be used.
//!
//! # The device's side, and control
//!
//! Below `/simulator/` there is what the real cloud does not have: a board's session, and levers for
//! tests. These calls take JSON, ask for no token, and do not count for limits, faults, gates,
//! latency and the request log.
//!
//! | call | what it does |
//! |---|---|
//! | `POST /simulator/devices/D/session` `{"platform_id":6,"firmware":"2.3.1"}` | the board comes online (a board never seen becomes known, nobody's); `spark/status` is published |
//! | `POST /simulator/devices/D/claim` `{"claim_code":"…"}` | the board, which must be online (else 409), shows its code; `{"claimed":true}` if it is now the code's account's, `false` for a wrong, used or expired code and whatever else is in the way |
//! | `POST /simulator/devices/D/update` `{"status":"started"}` | a firmware update of a board that is online (else 409) has `started`, or ended in `success` or `failed`; `spark/flash/status` is published |
//! | `POST /simulator/devices/D/offline` | the session ends |
//! | `POST /simulator/streams/cut` | every open event stream breaks off |
//! | `POST /simulator/devices` | makes a device as a [`DeviceSeed`] describes it |
//! | `POST /simulator/clock` `{"advance_s":N}` | moves the clock forward |
//! | `GET /simulator/state` | devices, customers, numbers of unused codes; no secrets |
//! | `GET /simulator/requests` | `[{"method","path","status","http","connection"}]`, in order of arrival; `connection` numbers those that brought them |
//!
//! When a code is shown, `spark/device/claim/code` is published with empty data (whether the real
//! stream shows the code is not published), and `spark/device/claim/success` if it worked.

mod answer;
mod call;
mod clock;
mod events;
mod faults;
mod gates;
mod limits;
mod lock;
mod office;
mod ownership;
mod pattern;
mod routes;
mod server;
mod storage;
mod tls;
mod traffic;
mod wire;
mod world;

pub use faults::{Action, BadFault, Body, Fault};
pub use gates::Gate;
pub use office::RequestRecord;
pub use pattern::RoutePattern;
pub use server::{CloudConfig, CloudInfo, DeviceSeed, SimCloud};
pub use tls::Certificate;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;
