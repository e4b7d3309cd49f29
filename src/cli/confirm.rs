//! Asking before something is deleted or taken away.

use std::io::{self, Write};

use tokio::task::spawn_blocking;

use super::listing::somebody_is_there;
use crate::{
    model::{Failure, FailureCode},
    report,
};

// Of every command that deletes or takes away. Clap would show a doc comment as the command's own.
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct ConfirmArgs {
    /// Do not ask first
    #[arg(long, short)]
    pub yes: bool,
}

impl ConfirmArgs {
    /// Asks whether to do this; `what` is a sentence without its end: "This takes D off its owner".
    /// Nothing but y and yes means yes.
    ///
    /// # Errors
    ///
    /// `Configuration` where nobody can be asked; `Interrupted` when the answer is no.
    pub async fn confirm(self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !somebody_is_there() {
            let said = format!("{what}, and nobody is there to be asked");
            return Err(Failure::configuration(said, "give --yes to do it"));
        }
        let question = report::for_stderr(&format!("{what}. Go on? [y/N] "), 0);
        let answer = spawn_blocking(move || {
            let mut err = io::stderr();
            err.write_all(question.as_bytes()).and_then(|()| err.flush())?;
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        match answer.await {
            Ok(Ok(answer)) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
            _ => Err(Failure::new(FailureCode::Interrupted, "not confirmed, so nothing was done")),
        }
    }
}
