//! The ledger: what was done to which board, by whom, when, and how it ended.
//!
//! | file | what it does |
//! |---|---|
//! | `location` | where a ledger is: a file of SQLite's, or a PostgreSQL database |
//! | `ledger` | one connection, transactions, what is tried again and what is a failure |
//! | `schema` | the numbered migrations, applied at the first use |
//! | `recording` | one run's record, written while it goes: the workflow's journal |
//! | `runs` | the stored form, and the questions about it |
//! | `leases` | one run at a time on a device, whichever bench it is at |
//! | `orders` | whose the next boards shall be; each order is used once |
//! | `benches` | which benches share the ledger, and are alive |
//! | `figures` | what the runs of a time come to |
//!
//! # What is relied on
//!
//! SQLite in WAL mode with `synchronous=FULL` keeps what was committed over a loss of power; PostgreSQL
//! does by default. Every change is whole, in a transaction of its own or with those of other boards that
//! waited at the same time, and can be repeated: after a connection that broke while it was being
//! committed, nobody knows whether it was.
//!
//! Nothing waits for ever. A connection that falls silent is left for a new one after [`Ledger::ONE_TRY`], and
//! a ledger that stays out of reach is waited for as long as [`Ledger::PATIENCE`] from when it went away,
//! whoever asks.
//!
//! A run's row is inserted as `incomplete` before anything happens to a board, and an intent before each
//! step that cannot be taken back; the end is written last. So what the ledger shows of a run that was
//! killed is never more than what happened, and an intent without its step's end says what may have.
//! The ledger is no source of truth about the cloud: the next run asks that.
//!
//! That a bench's hook is due is written with the run's end, and how it ended afterwards. So a hook is run
//! at least once: one that was killed in between, or has failed, is run again when its board comes back,
//! and one that was killed just before its end was written may be run twice. Its run keeps the device
//! until then, so that no other bench takes the hook for one that never ended.
//!
//! No secret is in it: claim codes, tokens and passwords are not among what is stored, and every text
//! that comes from outside is redacted first.

mod benches;
mod figures;
mod leases;
mod ledger;
mod location;
mod orders;
mod recording;
mod runs;
mod schema;

pub use benches::{Beat, Bench};
pub use figures::{Cause, Figures, Reckoning, StepTime};
pub use leases::Lease;
pub use ledger::{Ledger, Who};
pub use location::Location;
pub use orders::{Imported, NewOrder, Order, OrderState};
pub use recording::Recording;
pub use runs::{
    HookKind, HookState, Intent, Outcome, Retry, Run, RunHook, RunId, RunQuery, StepTimes, Story,
};
