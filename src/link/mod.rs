//! The wires, and finding them. "There, but you may not open it" is an answer, not an error.

pub mod discovery;
pub mod host;
pub mod serial;
pub mod softap;
