//! Many boards at once, all day long, with nobody at the keyboard.
//!
//! | file | what it does |
//! |---|---|
//! | `watch` | which boards are attached, now and from now on |
//! | `slots` | what their places are called |
//! | `allowed`, `orders` | which boards are meant, and for whom |
//! | `hooks` | programs that are run about a board |
//! | `event`, `shift` | what happens at a bench, and what it comes to |

mod allowed;
mod event;
mod hooks;
mod orders;
mod shift;
mod slots;
mod watch;

pub use allowed::Allowed;
pub use event::{BenchEvent, LeftAlone, Stopping, Waiting};
pub use hooks::{Hook, HookError, PLACEHOLDERS};
pub use orders::{Order, parse_orders};
pub use shift::{Shift, Times};
pub use slots::SlotMap;
pub use watch::Watch;
