//! The command line: commands, settings, wording, exit codes. No logic that a user of the library
//! would miss.

pub mod exit;
pub mod list;
#[cfg(unix)]
pub mod simulate_photon;
pub mod udev;
