//! Printing a secret that a command exists to print: on standard output and nowhere else.

use std::io::{self, Write};

use serde_json::Value;

use super::root::Output;
use crate::model::{Failure, FailureCode};

/// The text alone, for other tools, or JSON. Not redacted.
///
/// # Errors
///
/// When it cannot be written: whoever waits for a secret has to know that it did not come.
pub fn reveal(output: Output, text: &str, json: &Value) -> Result<(), Failure> {
    let text = if output == Output::Json { json.to_string() } else { text.to_owned() };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e))
}
