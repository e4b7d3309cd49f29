//! Commands, settings, wording, exit codes.

pub mod udev;
