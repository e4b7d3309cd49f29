//! Many boards at once, all day long, with nobody at the keyboard.
//!
//! | file | what it does |
//! |---|---|
//! | `floor` | the bench at work: who is there, whose turn it is, and when it is over |
//! | `board` | one board, from being taken up to its verdict |
//! | `heart` | what benches that share a ledger hear of each other, and how it is |
//! | `watch` | which boards are attached, now and from now on |
//! | `slots` | what their places are called |
//! | `allowed`, `orders` | which boards are meant, and for whom |
//! | `hooks` | programs that are run about a board |
//! | `event`, `shift` | what happens at a bench, and what it comes to |

mod allowed;
mod board;
mod event;
mod floor;
mod heart;
mod hooks;
mod orders;
mod shift;
mod slots;
mod watch;

pub use allowed::Allowed;
pub use board::Hooks;
pub use event::{BenchEvent, Fate, LeftAlone, Stopping, Waiting};
pub use floor::{Bench, Tell, run};
pub use hooks::{Hook, HookError, PLACEHOLDERS};
pub use orders::{Orders, Scan, parse_orders};
pub use shift::{Shift, Times, is_unfinished};
pub use slots::SlotMap;
pub use watch::Watch;
