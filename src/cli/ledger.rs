//! `provision ledger`, and where runs are recorded, and by whom.

use std::io::{self, Write};

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    environment::{Directories, Environment},
    history,
    listing::{ListingArgs, safe_json, show_result},
    moment::since,
    root::Output,
    run::ToldFailure,
    settings::{Lookup, Places, ProfileArgs, Source},
    signals::Signals,
};
use crate::{
    model::{Failure, FailureCode},
    record::{Ledger, Location, RunQuery, Who},
    report,
};

const HEADING: &str = "Record";
const LEDGER: Places = Places::plain("ledger", "--ledger", "PROVISION_LEDGER", "ledger");
const OPERATOR: Places = Places::plain("operator", "--operator", "PROVISION_OPERATOR", "operator");
const BENCH: Places = Places::plain("bench's name", "--bench-name", "PROVISION_BENCH", "bench");
/// The version of the export's form. A new field does not raise it; a changed meaning does.
const SCHEMA: u32 = 1;
/// Instead of a place: nothing is recorded.
const NONE: &str = "none";

/// Which ledger, and who writes into it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LedgerArgs {
    /// The ledger: a file, a postgres:// URL without a password, or `none` [env: PROVISION_LEDGER] [default:
    /// ledger.sqlite in the data directory]
    #[arg(long, help_heading = HEADING, value_name = "PATH|URL", hide_short_help = true)]
    pub ledger: Option<String>,
    /// Who works here [env: PROVISION_OPERATOR] [default: your user name]
    #[arg(long, help_heading = HEADING, value_name = "NAME", hide_short_help = true)]
    pub operator: Option<String>,
    /// What this bench is called [env: PROVISION_BENCH] [default: the computer's name]
    #[arg(long, help_heading = HEADING, value_name = "NAME", hide_short_help = true)]
    pub bench_name: Option<String>,
}

impl LedgerArgs {
    /// The ledger, which is not opened yet. None where the user wants none.
    pub fn resolve(&self, profile: &ProfileArgs, env: &Environment) -> Result<Option<Ledger>, Failure> {
        let profile = profile.find(env)?;
        let at = Lookup { env, profile: profile.as_ref() };
        let place = match at.text(&self.ledger, &LEDGER)? {
            Some(setting) if setting.value == NONE => return Ok(None),
            Some(setting) => {
                if matches!(setting.source, Source::Flag(_)) && Location::holds_password(&setting.value) {
                    return Err(wrong(
                        "--ledger: a password on the command line can be read by everybody on this computer: set \
                         PROVISION_LEDGER or PGPASSWORD, or use a .pgpass file",
                    ));
                }
                let parsed = setting.parse(|text| Location::parse(text))?;
                match (parsed.value, parsed.source) {
                    // As with the other paths in a config file.
                    (Location::File(path), Source::Profile { file, .. }) => Location::File(
                        file.parent().map_or_else(|| path.clone(), |directory| directory.join(&path)),
                    ),
                    (place, _) => place,
                }
            }
            None => Location::File(
                Directories::of(env)
                    .data_dir
                    .ok_or_else(|| wrong("there is no home directory for a ledger: name one with --ledger"))?
                    .join("ledger.sqlite"),
            ),
        };
        let text = |flag, places| at.text(flag, places).map(|setting| setting.map(|setting| setting.value));
        let host = host_name();
        let who = Who {
            bench: text(&self.bench_name, &BENCH)?.unwrap_or_else(|| host.clone()),
            operator: text(&self.operator, &OPERATOR)?.map_or_else(|| user_name(env), Ok)?,
            host,
        };
        Ok(Some(Ledger::new(place, who)))
    }

    /// The ledger, for a command that is about nothing else.
    pub fn need(&self, profile: &ProfileArgs, env: &Environment) -> Result<Ledger, Failure> {
        let detail = "the ledger is switched off: name one with --ledger, or leave `none` out of PROVISION_LEDGER and \
                      the profile";
        self.resolve(profile, env)?.ok_or_else(|| wrong(detail))
    }
}

/// Which ledger to read; found as it is by those who write.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReadArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

impl ReadArgs {
    /// Reads in the ledger until somebody interrupts, and leaves it closed.
    pub async fn read(
        &self,
        signals: &Signals,
        work: impl AsyncFnOnce(&Ledger) -> Result<(), Failure>,
    ) -> Result<(), ToldFailure> {
        let ledger = self.ledger(&Environment::of_process())?;
        let ended = tokio::select! {
            ended = work(&ledger) => ended,
            () = signals.first() => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
        };
        ledger.close().await;
        Ok(ended?)
    }

    /// Reading makes no file. One that somebody named has to be there; the usual one is made by the first
    /// run, and until then there is nothing to tell.
    fn ledger(&self, env: &Environment) -> Result<Ledger, Failure> {
        let ledger = self.ledger.need(&self.profile, env)?;
        let Location::File(path) = ledger.location() else { return Ok(ledger) };
        if !matches!(path.try_exists(), Ok(false)) {
            return Ok(ledger);
        }
        let profile = self.profile.find(env)?;
        let named = Lookup { env, profile: profile.as_ref() }.text(&self.ledger.ledger, &LEDGER)?;
        let said = format!("there is no ledger {}; the first run makes it", ledger.location());
        if named.is_some() {
            return Err(wrong(&said));
        }
        let note = report::for_stderr(&format!("nothing is recorded yet: {said}"), 2);
        let _ = writeln!(io::stderr(), "{note}");
        Ok(Ledger::new(Location::Missing(path.clone()), ledger.who().clone()))
    }
}

/// A form for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

impl Format {
    /// The same as `--output`.
    pub fn output(self) -> Output {
        match self {
            Self::Json => Output::Json,
            Self::Csv => Output::Csv,
        }
    }
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say where the ledger is
    Path(PathArgs),
    /// Print the runs, the newest first: all that is known of each, or a row each
    Export(ExportArgs),
}

#[derive(Debug, clap::Args)]
pub struct PathArgs {
    #[command(flatten)]
    ledger: ReadArgs,
}

#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// A JSON object a line with all that is known of a run, or a row of CSV with the run alone
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    format: ExportFormat,
    /// Since when: 2h, 3d (ago), today, yesterday, 2026-11-01, 2026-11-01T08:30
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
    #[command(flatten)]
    ledger: ReadArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Jsonl,
    Csv,
}

/// Does it.
pub async fn run(command: &Command, output: Output, signals: &Signals) -> Result<(), ToldFailure> {
    match command {
        Command::Path(PathArgs { ledger: ReadArgs { ledger, profile } }) => {
            let place = ledger.need(profile, &Environment::of_process())?.location().to_string();
            Ok(show_result(output, &place, &json!({"ledger": place}))?)
        }
        Command::Export(args) => args.ledger.read(signals, async |ledger| export(ledger, args).await).await,
    }
}

async fn export(ledger: &Ledger, args: &ExportArgs) -> Result<(), Failure> {
    let mut query = RunQuery { since: args.since, limit: history::PAGE, ..RunQuery::default() };
    if args.format == ExportFormat::Csv {
        return history::list_runs(ledger, query, Output::Csv, &ListingArgs::default()).await;
    }
    loop {
        let stories = ledger.stories_of(&query).await?;
        let Some(last) = stories.last() else { return Ok(()) };
        query.before = Some(last.run.id.clone());
        let mut page = String::new();
        for story in &stories {
            let mut line = json!(story);
            line["schema"] = json!(SCHEMA);
            page.push_str(&safe_json(&line.to_string()));
            page.push('\n');
        }
        // On a thread of its own: a reader that pauses must not keep Ctrl-C from being heard.
        let written = spawn_blocking(move || io::stdout().write_all(page.as_bytes())).await;
        match written.unwrap_or_else(|e| Err(io::Error::other(e))) {
            Ok(()) => {}
            // Whoever reads it has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(e) => {
                return Err(
                    Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e)
                );
            }
        }
    }
}

fn user_name(env: &Environment) -> Result<String, Failure> {
    for name in ["USER", "LOGNAME", "USERNAME"] {
        if let Some(user) = env.text(name)? {
            return Ok(user);
        }
    }
    #[cfg(unix)]
    return Ok(format!("user {}", rustix::process::getuid().as_raw()));
    #[cfg(not(unix))]
    Ok("unknown".into())
}

fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    if name.is_empty() { "unnamed".into() } else { name }
}

fn wrong(detail: &str) -> Failure {
    Failure::new(FailureCode::Configuration, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str], variables: &[(&'static str, &str)]) -> Result<Option<Ledger>, Failure> {
        #[derive(Debug, clap::Parser)]
        struct Command {
            #[command(flatten)]
            ledger: LedgerArgs,
            #[command(flatten)]
            profile: ProfileArgs,
        }
        let command = <Command as clap::Parser>::try_parse_from([&["x"], args].concat()).unwrap();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let env = Environment::new(move |wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
        });
        command.ledger.resolve(&command.profile, &env)
    }

    fn place(args: &[&str], variables: &[(&'static str, &str)]) -> String {
        resolve(args, variables).unwrap().unwrap().location().to_string()
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn the_ledger_is_in_the_data_directory_unless_another_is_named() {
        let home = ("HOME", "/home/ann");
        assert_eq!(place(&[], &[home]), "/home/ann/.local/share/provision/ledger.sqlite");
        assert_eq!(place(&[], &[home, ("PROVISION_LEDGER", "/l")]), "/l");
        assert_eq!(place(&["--ledger", "/m"], &[home, ("PROVISION_LEDGER", "/l")]), "/m");
        assert!(resolve(&["--ledger", "none"], &[home]).unwrap().is_none());
        assert!(resolve(&[], &[]).err().unwrap().detail.contains("--ledger"));
    }

    #[test]
    fn a_profile_names_it_beside_itself() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("provision.toml");
        std::fs::write(
            &config,
            "[profiles.default]\nledger = 'line.sqlite'\noperator = 'ann'\nbench = 'left'\n",
        )
        .unwrap();
        let variables = [("PROVISION_CONFIG", config.to_str().unwrap())];
        let ledger = resolve(&["--bench-name", "right"], &variables).unwrap().unwrap();
        assert_eq!(ledger.location().to_string(), home.path().join("line.sqlite").to_str().unwrap());
        assert_eq!((ledger.who().bench.as_str(), ledger.who().operator.as_str()), ("right", "ann"));
    }

    #[test]
    fn a_password_is_no_flag_and_needs_a_private_file() {
        let url = "postgres://ann:xyzzy-plugh@db.example/ledger";
        let refused = resolve(&["--ledger", url], &[]).err().unwrap().detail;
        assert!(refused.contains("PGPASSWORD") && !refused.contains("xyzzy"), "{refused}");
        assert_eq!(place(&[], &[("PROVISION_LEDGER", url)]), "postgres://ann@db.example/ledger");
    }

    #[test]
    fn somebody_is_always_named() {
        let ledger = resolve(&[], &[("HOME", "/h"), ("USER", "ann")]).unwrap().unwrap();
        assert_eq!(ledger.who().operator, "ann");
        assert!(!ledger.who().bench.is_empty());
        assert!(!resolve(&[], &[("HOME", "/h")]).unwrap().unwrap().who().operator.is_empty());
    }
}
