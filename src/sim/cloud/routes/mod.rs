//! The endpoints, a file for each kind of thing they are about.

mod claim_codes;
mod control;
mod customers;
mod devices;
mod products;
mod sign_in;
mod table;

pub(super) use table::{api, beside_the_api};
