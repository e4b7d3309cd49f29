//! From plugged in to verified.
//!
//! A run ensures, it does not perform: each step looks first and acts only where the world is not yet
//! as wanted. So a run that was killed at any point is simply run again.
//!
//! | step | makes true |
//! |---|---|
//! | know the device | its id is known: from USB, so that the cloud can be asked before the board is disturbed, else from the console |
//! | listening | it answers in listening mode |
//! | sign in | a bearer token is at hand |
//! | check product | the product is there, visible, and for this kind of board |
//! | check device | the device is not somebody else's |
//! | import | it is in the product |
//! | customer | the customer exists and a token for it is at hand |
//! | claim code | a fresh code is at hand |
//! | join | this computer is on the device's own network, where it was to join it |
//! | deliver | the device has confirmed it |
//! | wifi | the device has saved the network it shall join, if one was given |
//! | finish | the board has left listening mode |
//! | go back | this computer is on the network of before, where it had left it |
//! | verify | the cloud says that the device is the customer's |
//! | name | the cloud calls the device what it shall be called |
//! | settle | the firmware update that its first connection may start is over, if that is to be waited for |
//!
//! Steps have needs, not positions: what does not depend on each other runs at once.
//!
//! What cannot be taken back (an owner taken off, an import, a customer made, a code or a network given to
//! the device) is told to the run's [`Journal`] first, and not begun before that has kept it.

pub mod diagnosis;
pub mod examine;
mod heard;
mod journal;
pub mod parts;
pub mod policy;
pub mod release;
pub mod run;
mod steps;
mod track;
pub mod transfer;

pub use journal::{Journal, Unrecorded};
pub use policy::Policy;
pub use run::{Job, Naming, Owner, run};
