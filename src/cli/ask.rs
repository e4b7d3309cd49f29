//! Asking for what is no secret.

use std::io::{self, Write};

use super::{listing::somebody_is_there, secrets::not_typed};
use crate::model::{Failure, Invalid};

/// Asks until the answer is good, or none comes. With nobody there, the failure says how to give it:
/// "name X".
///
/// # Errors
///
/// `Configuration` where nobody can be asked, or nobody answers.
pub fn ask<T>(what: &str, otherwise: &str, check: impl Fn(&str) -> Result<T, Invalid>) -> Result<T, Failure> {
    if !somebody_is_there() {
        return Err(Failure::configuration(format!("the {what} is missing"), otherwise));
    }
    loop {
        let answer = line(what).map_err(|e| not_typed(what).because(e))?;
        match check(answer.trim()) {
            Ok(value) => return Ok(value),
            Err(invalid) => drop(writeln!(io::stderr(), "{invalid}")),
        }
    }
}

fn line(what: &str) -> io::Result<String> {
    let mut err = io::stderr();
    write!(err, "{what}: ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}
