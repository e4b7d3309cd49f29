//! Commands, settings, wording, exit codes.

pub mod list;
pub mod udev;
