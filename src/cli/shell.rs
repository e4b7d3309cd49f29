//! `provision completions` and `provision man`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;

use crate::model::{Failure, FailureCode};

/// Print completions for a shell
///
/// For example `provision completions bash > ~/.local/share/bash-completion/completions/provision`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page, or write those of all commands into a directory
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// A directory, which is made if need be: `man -M` wants them in its man1
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the completions of this command tree.
pub fn completions(args: &CompletionsArgs, tree: Command) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut with_flags(tree, offered), "provision", &mut bytes);
    print(&bytes)
}

/// Prints or writes the manual pages of this command tree.
pub fn man(args: &ManArgs, tree: Command) -> Result<(), Failure> {
    let tree = with_flags(tree, told);
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(tree, dir)).map_err(|e| {
                let detail = format!("the manual cannot be written to {}", dir.display());
                Failure::configuration(detail, "name a directory where you can write with --dir").because(e)
            })
        }
        None => {
            let mut bytes = Vec::new();
            // Into memory, which cannot fail.
            let _ = clap_mangen::Man::new(tree).render(&mut bytes);
            print(&bytes)
        }
    }
}

/// The tree with each of its flags changed.
fn with_flags(tree: Command, change: fn(Arg) -> Arg) -> Command {
    let names: Vec<_> = tree.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let tree = tree.mut_args(change);
    names
        .into_iter()
        .fold(tree, |tree, name| tree.mut_subcommand(name, |command| with_flags(command, change)))
}

/// Flags that are there to be refused lose their names: clap's completions would offer them. That makes
/// them positional, and such may only follow those of one value that can be left out.
fn offered(arg: Arg) -> Arg {
    match (arg.is_hide_set(), arg.is_positional()) {
        (true, _) => arg.long(None).num_args(1),
        (_, true) => arg.num_args(1).action(ArgAction::Set).required(false),
        _ => arg,
    }
}

/// A page leaves out the words for what `-h` does not show.
fn told(arg: Arg) -> Arg {
    arg.hide_short_help(false)
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e))
        }
        _ => Ok(()),
    }
}
