//! The line by which a simulator says that it is ready, and how to reach it.

use std::io::{self, Write};

use serde::Serialize;

use crate::model::{Failure, FailureCode};

/// Writes it to standard output as one line of JSON. Whoever started the simulator waits for it, so
/// one that cannot be written is a failure. Not redacted: to hand over the simulator's own secrets is
/// what it is for.
pub fn announce(ready: &impl Serialize) -> Result<(), Failure> {
    let failed = "the ready line cannot be written";
    let line = serde_json::to_string(ready)
        .map_err(|error| Failure::new(FailureCode::Unexpected, failed).because(error))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new(FailureCode::Unexpected, failed).because(error))
}
