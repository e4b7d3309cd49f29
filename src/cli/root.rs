//! The command tree, and what each command's end means for the process.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use super::{
    account, api, bench, claim_code, clients, config, customers, devices, environment::Environment, exit,
    explain::WORDING, history, identify, ledger, list, logging, organizations, products, run,
    run::ToldFailure, scan, set_wifi, shell, signals::Signals, simulate_cloud, ticket, token, udev,
};
#[cfg(unix)]
use super::{demo, simulate_photon};
use crate::{
    model::{Failure, FailureCode},
    report::{self, Style},
};

/// Take a Particle Photon from its bag to a customer's account
///
/// Without a command it does what `provision run` does.
#[derive(Debug, Parser)]
#[command(name = "provision", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Settings also come from the environment and from provision.toml; --help tells all, and each command has a --help of its own. `provision demo` shows it at work with no hardware.",
    after_long_help = "Exit codes: 0 done; 1 unexpected; 2 usage; 3 partly failed; 10 no device; 11 not listening; 12 device refused;
20 sign-in refused; 21 cloud refused; 22 cloud unreachable; 30 not verified; 40 somebody else's; 50 no ledger; 130 interrupted"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
    #[command(flatten)]
    global: Global,
}

#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// How to print: for people; as JSON, an object a line or one document; or, for lists, as CSV
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, help_heading = "Output")]
    output: Output,
    /// Log more on standard error; up to three times
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    verbose: u8,
    /// Append each request to the cloud, with its answer, to this file as a line of JSON, without
    /// secrets; for Particle's support
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output", hide_short_help = true)]
    trace_http: Option<PathBuf>,
}

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets: lists and records only
    Csv,
}

// What a command does is told where its flags are.
#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Identify(identify::Args),
    List(list::Args),
    Scan(scan::Args),
    Wifi(Box<set_wifi::Args>),
    Prepare(Box<ticket::PrepareArgs>),
    Deliver(ticket::DeliverArgs),
    Verify(Box<ticket::VerifyArgs>),
    Doctor(Box<super::doctor::Args>),
    Release(Box<super::release::Args>),
    Transfer(Box<super::transfer::Args>),
    History(history::Args),
    Report(super::report::Args),
    /// The ledger itself
    #[command(subcommand)]
    Ledger(ledger::Command),
    Bench(Box<bench::Args>),
    #[cfg(unix)]
    Demo(demo::Args),
    /// Run a simulator until Ctrl-C
    #[command(subcommand)]
    Simulate(Simulate),
    Udev(udev::UdevArgs),
    Devices(Box<devices::Args>),
    Products(Box<products::Args>),
    Organizations(Box<organizations::Args>),
    Customers(Box<customers::Args>),
    ClaimCode(Box<claim_code::Args>),
    Token(Box<token::Args>),
    Clients(Box<clients::Args>),
    Login(Box<account::LoginArgs>),
    Logout(Box<account::LogoutArgs>),
    Whoami(Box<account::WhoamiArgs>),
    Api(Box<api::Args>),
    Config(Box<config::Args>),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

impl Command {
    /// Whether it prints what CSV can hold.
    fn has_rows(&self) -> bool {
        match self {
            Self::Devices(args) => args.has_rows(),
            Self::Customers(args) => args.has_rows(),
            Self::Bench(args) => args.command.is_some(),
            Self::Clients(args) => args.has_rows(),
            Self::Token(args) => args.has_rows(),
            Self::Config(args) => args.has_rows(),
            Self::Products(_) | Self::Organizations(_) => true,
            Self::Whoami(_) | Self::History(_) | Self::Report(_) | Self::Ledger(_) => true,
            _ => false,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Simulate {
    Cloud(simulate_cloud::Args),
    #[cfg(unix)]
    Photon(Box<simulate_photon::Args>),
}

/// Parses the command line, does what it says, and gives the process's exit code.
pub fn main() -> u8 {
    // Nothing at all: a person who wants to know what this is.
    if std::env::args_os().len() == 1 {
        let _ = Cli::command().print_help();
        return exit::USAGE;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            if !error.use_stderr() {
                return exit::OK;
            }
            if asks_for_json(std::env::args_os().skip(1)) {
                let _ = writeln!(io::stdout(), "{}", report::result_line(&misused(&error), WORDING));
            }
            return exit::USAGE;
        }
    };
    let output = cli.global.output;
    let trace = cli.global.trace_http.as_deref().map(logging::HttpTrace::to).transpose();
    let trace = match trace {
        Ok(trace) => trace,
        Err(failure) => return tell(failure.into(), output),
    };
    logging::start(cli.global.verbose, trace);
    dispatch(cli).map_or_else(|failure| tell(failure, output), |()| exit::OK)
}

/// Whether a command line that is not understood asks for JSON all the same.
fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<_> = args.collect();
    args.iter().any(|arg| arg == "--output=json")
        || args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

/// What is wrong with the arguments, without the usage that follows it.
fn misused(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    Failure::configuration(what, "mend the arguments: --help of the command tells what it takes")
}

fn dispatch(cli: Cli) -> Result<(), ToldFailure> {
    if cli.global.output == Output::Csv && !cli.command.as_ref().is_some_and(Command::has_rows) {
        let said = "--output csv is for commands that list or show records";
        return Err(Failure::configuration(said, "leave it out, or give --output json").into());
    }
    let output = cli.global.output;
    let json = output == Output::Json;
    let style = match cli.global.output {
        Output::Json => Style::Json,
        // Log lines and lines that are redrawn in place do not go together.
        Output::Text if cli.global.verbose > 0 || std::env::var_os("RUST_LOG").is_some() => Style::Plain,
        Output::Text | Output::Csv => Style::for_people(),
    };
    let hold = || matches!(style, Style::Live { .. }).then(logging::Hold::new);
    let run = |args: &run::Args| {
        let ready = run::Ready::new(args)?;
        let _held = hold();
        interruptible(async |signals| ready.run(style, &signals).await)
    };
    match cli.command {
        None => run(&cli.run),
        Some(Command::Run(args)) => run(&args),
        Some(Command::Identify(args)) => {
            let mut device = args.device()?;
            interruptible(async |signals| Ok(print(&identify::run(&mut *device, json, &signals).await?)?))
        }
        Some(Command::Scan(args)) => {
            let mut device = args.device()?;
            interruptible(async |signals| Ok(print(&scan::run(&mut *device, json, &signals).await?)?))
        }
        Some(Command::Wifi(args)) => {
            let ready = set_wifi::Ready::new(&args)?;
            let _held = hold();
            interruptible(async |signals| ready.run(style, &signals).await)
        }
        Some(Command::Prepare(args)) => {
            let ready = ticket::Prepare::new(&args)?;
            let _held = hold();
            interruptible(async |signals| ready.run(style, &signals).await)
        }
        Some(Command::Deliver(args)) => {
            let ready = ticket::Deliver::new(&args)?;
            let _held = hold();
            interruptible(async |signals| ready.run(style, &signals).await)
        }
        Some(Command::Verify(args)) => {
            let ready = ticket::Verify::new(&args)?;
            let _held = hold();
            interruptible(async |signals| ready.run(style, &signals).await)
        }
        Some(Command::Doctor(args)) => {
            let ready = super::doctor::Ready::new(&args)?;
            interruptible(async |signals| ready.run(json, &signals).await)
        }
        Some(Command::Release(args)) => {
            let ready = super::release::Ready::new(&args)?;
            interruptible(async |signals| Ok(ready.run(json, &signals).await?))
        }
        Some(Command::Transfer(args)) => {
            let ready = super::transfer::Ready::new(&args)?;
            interruptible(async |signals| ready.run(style, &signals).await)
        }
        Some(Command::List(args)) => {
            let lister = args.directory.lister(&Environment::of_process());
            list::run(json, &*lister, &mut io::stdout().lock()).map_err(|failure| match json {
                // The empty list has been printed, and says it all.
                true if failure.code == FailureCode::NoDevice => {
                    ToldFailure { code: failure.code, untold: None }
                }
                _ => failure.into(),
            })
        }
        Some(Command::History(args)) => {
            interruptible(async |signals| history::run(&args, output, &signals).await)
        }
        Some(Command::Report(args)) => {
            interruptible(async |signals| super::report::run(&args, output, &signals).await)
        }
        Some(Command::Ledger(command)) => {
            interruptible(async |signals| ledger::run(&command, output, &signals).await)
        }
        Some(Command::Devices(args)) => devices::run(*args, output),
        Some(Command::Products(args)) => products::run(&args, output),
        Some(Command::Organizations(args)) => organizations::run(&args, output),
        Some(Command::Customers(args)) => customers::run(&args, output),
        Some(Command::ClaimCode(args)) => claim_code::run(&args, output),
        Some(Command::Token(args)) => token::run(&args, output),
        Some(Command::Clients(args)) => clients::run(&args, output),
        Some(Command::Login(args)) => account::login(&args, output),
        Some(Command::Logout(args)) => account::logout(&args, output),
        Some(Command::Whoami(args)) => account::whoami(&args, output),
        Some(Command::Api(args)) => api::run(&args, output),
        Some(Command::Config(args)) => config::run(&args, output),
        Some(Command::Completions(args)) => Ok(shell::completions(&args, Cli::command())?),
        Some(Command::Man(args)) => Ok(shell::man(&args, Cli::command())?),
        Some(Command::Udev(args)) => Ok(udev::run(&args, &mut io::stdout().lock())?),
        Some(Command::Bench(args)) => match args.command {
            Some(bench::Command::Status(args)) => {
                interruptible(async |signals| bench::status(&args, output, &signals).await)
            }
            None => {
                let ready = bench::Ready::new(&args.shift)?;
                let _held = hold();
                // The second signal ends the boards under way, and still sums up.
                left_at_once_after(3, async |signals| ready.run(style, &signals).await)
            }
        },
        #[cfg(unix)]
        Some(Command::Demo(args)) => {
            let _held = hold();
            interruptible(async |signals| demo::run(&args, style, &signals).await)
        }
        Some(Command::Simulate(Simulate::Cloud(args))) => {
            interruptible(async |signals| Ok(simulate_cloud::run(args, signals.first()).await?))
        }
        #[cfg(unix)]
        Some(Command::Simulate(Simulate::Photon(args))) => {
            interruptible(async |signals| Ok(simulate_photon::run(*args, signals.first()).await?))
        }
    }
}

/// Does what takes time, on the runtime. The first signal is the work's to heed; the second ends it.
pub(super) fn interruptible(
    work: impl AsyncFnOnce(Signals) -> Result<(), ToldFailure>,
) -> Result<(), ToldFailure> {
    left_at_once_after(2, work)
}

fn left_at_once_after(
    count: u8,
    work: impl AsyncFnOnce(Signals) -> Result<(), ToldFailure>,
) -> Result<(), ToldFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(FailureCode::Unexpected, "no runtime").because(e))?;
    let ended = runtime.block_on(async {
        let signals = Signals::listen();
        tokio::select! {
            ended = work(signals.clone()) => ended,
            () = signals.reached(count) => Err(Failure::new(
                FailureCode::Interrupted,
                "interrupted again, and left at once, without tidying up",
            )
            .into()),
        }
    });
    // What is still under way on the runtime's helper threads is not waited for.
    runtime.shutdown_background();
    ended
}

/// Does what takes time, and stops at the first signal.
pub(super) fn until_interrupted(
    work: impl AsyncFnOnce() -> Result<(), ToldFailure>,
) -> Result<(), ToldFailure> {
    interruptible(async |signals| {
        tokio::select! {
            ended = work() => ended,
            () = signals.first() => Err(Failure::new(FailureCode::Interrupted, "interrupted").into()),
        }
    })
}

/// Prints what a command found.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e))
}

/// Shows a failure that nobody has shown yet, and gives its exit code.
fn tell(failure: ToldFailure, output: Output) -> u8 {
    if let Some(failure) = failure.untold {
        let to_people = || writeln!(io::stderr(), "{}", report::explain(&failure, WORDING, ""));
        let _ = match output {
            // Perhaps that it cannot be written is the failure.
            Output::Json => {
                writeln!(io::stdout(), "{}", report::result_line(&failure, WORDING)).or_else(|_| to_people())
            }
            Output::Text | Output::Csv => to_people(),
        };
    }
    exit::code(failure.code)
}
