//! Commands, settings, wording, exit codes.

pub mod list;
pub mod secrets;
pub mod udev;
