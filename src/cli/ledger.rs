//! `provision ledger`, and where runs are recorded, and by whom.

use super::{
    environment::{Directories, Environment},
    settings::{Lookup, Places, SettingsArgs, Source},
};
use crate::{
    model::{Failure, FailureCode},
    record::{Ledger, Location, Who},
};

const HEADING: &str = "Record";
const LEDGER: Places = Places::plain("ledger", "--ledger", "PROVISION_LEDGER", "ledger");
const OPERATOR: Places = Places::plain("operator", "--operator", "PROVISION_OPERATOR", "operator");
const BENCH: Places = Places::plain("bench's name", "--bench-name", "PROVISION_BENCH", "bench");
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
    pub fn resolve(&self, settings: &SettingsArgs, env: &Environment) -> Result<Option<Ledger>, Failure> {
        let profile = settings.profile(env)?;
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
    pub fn need(&self, settings: &SettingsArgs, env: &Environment) -> Result<Ledger, Failure> {
        let detail = "the ledger is switched off: name one with --ledger, or leave `none` out of PROVISION_LEDGER and \
                      the profile";
        self.resolve(settings, env)?.ok_or_else(|| wrong(detail))
    }
}

/// The ledger itself
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say where the ledger is
    Path(PathArgs),
}

#[derive(Debug, clap::Args)]
pub struct PathArgs {
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Does it, and gives what to print.
pub async fn run(command: &Command) -> Result<String, Failure> {
    let (settings, env) = (SettingsArgs::default(), Environment::of_process());
    match command {
        Command::Path(args) => Ok(args.ledger.need(&settings, &env)?.location().to_string()),
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
