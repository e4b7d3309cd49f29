//! Commands, settings, wording, exit codes.

pub mod environment;
pub mod list;
pub mod profiles;
pub mod secrets;
pub mod settings;
pub mod udev;
