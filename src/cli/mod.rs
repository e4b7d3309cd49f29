//! The command line: commands, settings, wording, exit codes. No logic that a user of the library
//! would miss.

mod announce;
#[cfg(unix)]
mod demo;
pub mod environment;
pub mod exit;
mod explain;
mod identify;
pub mod list;
mod logging;
pub mod profiles;
mod root;
mod run;
pub mod secrets;
pub mod settings;
mod signals;
mod simulate_cloud;
#[cfg(unix)]
pub mod simulate_photon;
pub mod udev;

pub use root::main;
