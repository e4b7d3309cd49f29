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
mod scan;
pub mod secrets;
mod set_wifi;
pub mod settings;
mod signals;
mod simulate_cloud;
#[cfg(unix)]
pub mod simulate_photon;
mod ticket;
pub mod udev;
mod wifi;
mod wire;

pub use root::main;
