//! Asking for what is no secret.

use std::io::{self, Write};

use super::{listing::somebody_is_there, secrets::not_typed};
use crate::{
    model::{Failure, Invalid},
    report,
};

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
        let answer = line(&format!("{what}: ")).map_err(|e| not_typed(what).because(e))?;
        match check(answer.trim()) {
            Ok(value) => return Ok(value),
            Err(invalid) => drop(writeln!(io::stderr(), "{invalid}")),
        }
    }
}

/// Shows the rows, each with its number, and asks until one of them is chosen. Gives its place among them.
///
/// # Errors
///
/// `Configuration` where no answer comes.
pub fn choose(question: &str, rows: impl ExactSizeIterator<Item = String>) -> Result<usize, Failure> {
    let count = rows.len();
    for (number, row) in rows.enumerate() {
        let row = report::for_stderr(&format!("{:>3}  {row}", number + 1), 0);
        let _ = writeln!(io::stderr(), "{row}");
    }
    loop {
        let answer = line(&format!("{question} [1-{count}] ")).map_err(|e| {
            Failure::configuration("nothing was chosen", "run this again, and choose one").because(e)
        })?;
        match answer.trim().parse::<usize>() {
            Ok(number @ 1..) if number <= count => return Ok(number - 1),
            _ => drop(writeln!(io::stderr(), "there is no such number in the list")),
        }
    }
}

fn line(question: &str) -> io::Result<String> {
    let mut err = io::stderr();
    err.write_all(question.as_bytes()).and_then(|()| err.flush())?;
    let mut answer = String::new();
    match io::stdin().read_line(&mut answer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}
