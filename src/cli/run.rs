//! `provision run`, which is also what `provision` does without a command.

use std::{collections::BTreeSet, io::Write, sync::Arc, time::Duration};

use clap::ValueEnum;
use tokio::time::timeout;

use super::{
    environment::{Directories, Environment},
    explain::WORDING,
    ledger::LedgerArgs,
    secrets::SecretReader,
    settings::{Settings, SettingsArgs, parse_duration},
    sign_in::{self, As},
    signals::Signals,
    wifi::{Wanted, WifiArgs, choose},
    wire::WireArgs,
};
use crate::{
    cloud::{Cloud, CloudError},
    device::SetupDevice,
    model::{Events, Failure, FailureCode, clean},
    record::{Ledger, Recording},
    report::{self, Reporter, Style},
    workflow::{self, Job, Journal, Naming, Owner, Policy, Unrecorded},
};

/// Take one Photon to its customer
///
/// Each step looks before it acts, so a run that failed or was interrupted is simply run again.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    wifi: WifiArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Type the claim code a character at a time, with a pause of so many milliseconds
    #[arg(long, value_name = "MS", value_parser = parse_milliseconds, hide_short_help = true)]
    pace: Option<Duration>,
    /// Whose the device shall be: a customer of the product, or the signed-in developer
    #[arg(long, value_enum, default_value_t = OwnerKind::Customer, hide_short_help = true)]
    owner: OwnerKind,
    /// Take the device off its present owner, if that is another customer of the product
    #[arg(long)]
    reclaim: bool,
    /// Look at everything, change nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    until: UntilArgs,
}

// Until when a board is waited for after it has its code. Clap would show a doc comment as the command's own.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct UntilArgs {
    /// How long to wait for the cloud to show the new owner [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, hide_short_help = true)]
    timeout: Option<Duration>,
    /// Pass only once the firmware update is over, too, that the first connection may start; by TIME at the
    /// latest
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "15m"
    )]
    settle: Option<Duration>,
}

impl UntilArgs {
    /// This policy, with what the flags and the profile say.
    pub(super) fn within(&self, policy: Policy, settings: &Settings) -> Policy {
        let profiles = settings.timeout.as_ref().map(|setting| setting.value);
        let verify = self.timeout.or(profiles).unwrap_or(policy.verify);
        Policy { verify, settle: self.settle, ..policy }
    }
}

/// Whose the device shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OwnerKind {
    /// A customer of the product
    Customer,
    /// The developer whose access token is given; no product, no customer
    Developer,
}

/// All that a run needs, checked.
pub struct Ready {
    job: Job,
    cloud: Cloud,
    device: Box<dyn SetupDevice>,
    /// Where the run is recorded; a dry run, which changes nothing, is not.
    ledger: Option<Ledger>,
    /// The network is still to be chosen from what the board sees.
    choose: bool,
}

impl Ready {
    /// Reads the settings; may ask for a secret, so it is done before anything else is under way.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let usb = settings.usb.as_ref().map(|setting| &setting.value);
        let device = args.wire.device(usb, &env, args.pace)?;
        let mut job = job(args, &settings)?;
        let mut choose = false;
        match args.wifi.resolve(&env, &mut secrets)? {
            Wanted::Nothing => {}
            Wanted::Network(network) => job.wifi = Some(*network),
            Wanted::Choose => choose = true,
        }
        let cloud = cloud(&job.owner, &settings, &mut secrets, Directories::of(&env))?;
        let ledger = if args.dry_run { None } else { args.ledger.resolve(&args.settings.profile, &env)? };
        show_warnings(&mut secrets);
        Ok(Self { job, cloud, device, ledger, choose })
    }

    /// Runs it, showing its events; the failure, if any, has been shown as well.
    pub async fn run(mut self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        if self.choose {
            self.job.wifi = Some(choose(&mut *self.device, signals).await?);
        }
        show(style, self.ledger.as_ref(), async |events, journal| {
            let device = &mut *self.device;
            workflow::run(&self.job, &self.cloud, device, events, journal, signals.first()).await
        })
        .await
        .map(drop)
    }
}

/// Shows the events of a run, or a part of one, and how it ended; records it if there is a ledger.
pub async fn show<T>(
    style: Style,
    ledger: Option<&Ledger>,
    work: impl AsyncFnOnce(&Events, &dyn Journal) -> Result<T, Arc<Failure>>,
) -> Result<T, ToldFailure> {
    if let Some(ledger) = ledger {
        tell_left_over(ledger).await;
    }
    let reporter = Reporter::start(style, 1, WORDING)
        .map_err(|e| Failure::new(FailureCode::Unexpected, "no thread for the display").because(e))?;
    let draw = reporter.listener();
    let ended = match ledger.map(|ledger| Recording::new(ledger, None)) {
        Some(recording) => {
            let heard = recording.clone();
            let both = move |event| {
                heard.hear(&event);
                draw(event);
            };
            work(&Events::new(0, both), &recording).await
        }
        None => work(&Events::new(0, draw), &Unrecorded).await,
    };
    reporter.finish();
    if let Some(ledger) = ledger {
        ledger.close().await;
    }
    ended.map_err(|failure| ToldFailure { code: failure.code, untold: None })
}

/// Says which boards earlier processes were killed at. A ledger that does not answer at once has the run
/// say so.
async fn tell_left_over(ledger: &Ledger) {
    const AT_ONCE: Duration = Duration::from_secs(1);
    const NAMED: usize = 3;
    let asked = timeout(AT_ONCE, ledger.incomplete_runs(&ledger.who().bench)).await;
    let Ok(Ok(runs)) = asked else { return };
    let boards: BTreeSet<_> = runs.into_iter().filter_map(|run| run.device_id).collect();
    if boards.is_empty() {
        return;
    }
    let named: Vec<_> = boards.iter().take(NAMED).map(String::as_str).collect();
    let mut line =
        format!("warning: left incomplete, and settled when the board is run again: {}", named.join(" "));
    if boards.len() > NAMED {
        line += &format!(" and {} more; see `provision history --failed`", boards.len() - NAMED);
    }
    let _ = writeln!(std::io::stderr(), "{}", report::for_stderr(&clean(&line), 9));
}

/// Says what the user should know about how the secrets are kept.
pub fn show_warnings(secrets: &mut SecretReader) {
    for warning in secrets.take_warnings() {
        // Nobody reads standard error, so nobody can be warned.
        let warning = report::for_stderr(&format!("warning: {warning}"), 9);
        let _ = writeln!(std::io::stderr(), "{warning}");
    }
}

fn job(args: &Args, settings: &Settings) -> Result<Job, Failure> {
    let owner = owner(args.owner, settings)?;
    let policy = args.until.within(Policy::default(), settings);
    let device_id = args.wire.device_id.clone();
    Ok(Job {
        owner,
        wifi: None,
        device_id,
        naming: Naming::default(),
        reclaim: args.reclaim,
        dry_run: args.dry_run,
        policy,
    })
}

/// Whose the device shall be, with what that needs.
pub fn owner(kind: OwnerKind, settings: &Settings) -> Result<Owner, Failure> {
    Ok(match kind {
        OwnerKind::Developer => Owner::Developer,
        OwnerKind::Customer => Owner::Customer {
            product: settings.need_product()?.clone(),
            customer: settings.need_customer()?.clone(),
        },
    })
}

/// A client of the cloud with what this owner needs: customers are made with the product's OAuth
/// client, a developer's own devices are claimed with the developer's token.
pub fn cloud(
    owner: &Owner,
    settings: &Settings,
    secrets: &mut SecretReader,
    directories: Directories,
) -> Result<Cloud, Failure> {
    let who = match owner {
        Owner::Customer { .. } => As::Client,
        Owner::Developer => As::User,
    };
    sign_in::cloud(who, settings, secrets, directories)
}

/// A failure that may have been shown already.
pub struct ToldFailure {
    /// Its code, for the exit code.
    pub code: FailureCode,
    /// The failure itself, if nobody has shown it yet.
    pub untold: Option<Failure>,
}

impl From<Failure> for ToldFailure {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, untold: Some(failure) }
    }
}

impl From<CloudError> for ToldFailure {
    fn from(error: CloudError) -> Self {
        Failure::from(error).into()
    }
}

pub fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<u16>().map_err(|_| "a number of milliseconds, at most 65535".to_owned())?;
    Ok(Duration::from_millis(number.into()))
}
