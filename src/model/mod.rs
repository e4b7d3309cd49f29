//! Plain values with their checks. An illegal value cannot be built, and nothing here does I/O.

mod claim_code;
mod customer;
mod deadline;
mod device;
mod event;
mod failure;
mod guarded;
mod pem;
mod product;
mod redact;
mod ticket;
mod wifi;

pub use claim_code::ClaimCode;
pub use customer::{Customer, CustomerTemplate};
pub use deadline::Deadline;
pub use device::{DeviceId, FirmwareVersion, Identity, Platform};
pub use event::{Action, Event, EventKind, Events, Outcome, Part, Step, Summary};
pub use failure::{Failure, FailureCode};
pub use pem::{Certificates, KeyKind, KeyPacking, PrivateKey};
pub use product::ProductRef;
pub use redact::{clean, guard, guard_for_now, is_called_a_secret, redact, redact_held, redact_json, tame};
pub use ticket::Ticket;
pub use wifi::{Enterprise, Passphrase, ScannedNetwork, Ssid, WifiAccess, WifiCredentials, WifiSecurity};

/// A text that was refused by one of the checks in this module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {why}")]
pub struct Invalid {
    /// What the text was meant to be, with its article: "a device id".
    pub what: &'static str,
    /// Why it is not one; never the text itself, which may be a secret.
    pub why: String,
}
