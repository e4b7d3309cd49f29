//! `provision run`, which is also what `provision` does without a command.

use std::{io::Write, sync::Arc, time::Duration};

use clap::ValueEnum;

use super::{
    environment::{Directories, Environment},
    explain::WORDING,
    secrets::SecretReader,
    settings::{Settings, SettingsArgs, UsbDirArgs, parse_duration},
    signals::Signals,
};
use crate::{
    cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
    device::{Patience, UsbPhoton},
    link::{discovery::UsbTarget, serial::SystemPorts},
    model::{DeviceId, Events, Failure, FailureCode, Invalid},
    report::{self, Reporter, Style},
    workflow::{self, Job, Owner, Policy},
};

/// Which board.
#[derive(Debug, Clone, clap::Args)]
pub struct UsbArgs {
    /// The board: a port (/dev/ttyACM0), a device id, or `auto` for the only one attached
    #[arg(long, value_name = "BOARD", value_parser = parse_target)]
    pub usb: Option<UsbTarget>,
    #[command(flatten)]
    directory: UsbDirArgs,
}

impl UsbArgs {
    /// The board that is meant, by flag or else by profile; nothing is opened yet.
    pub fn device(
        &self,
        profile: Option<&UsbTarget>,
        env: &Environment,
        patience: Patience,
        pace: Option<Duration>,
    ) -> Result<UsbPhoton, Failure> {
        let target = self.usb.as_ref().or(profile).cloned().ok_or_else(|| {
            Failure::new(
                FailureCode::Configuration,
                "no board was named: --usb PORT, --usb DEVICE_ID, or --usb auto for the only one attached",
            )
        })?;
        let lister = Arc::from(self.directory.lister(env));
        Ok(UsbPhoton::new(target, lister, Arc::new(SystemPorts), patience, pace))
    }
}

/// Take one Photon to its customer
///
/// Each step looks before it acts, so a run that failed or was interrupted is simply run again.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    usb: UsbArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// How long to wait for the board to come to listening mode, a person's hands included
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration, hide_short_help = true)]
    wait: Duration,
    /// Type the claim code a character at a time, with a pause of so many milliseconds
    #[arg(long, value_name = "MS", value_parser = parse_milliseconds, hide_short_help = true)]
    pace: Option<Duration>,
    /// The id that the board must have; another board is refused
    #[arg(long, value_name = "ID", value_parser = DeviceId::parse, hide_short_help = true)]
    device_id: Option<DeviceId>,
    /// Whose the device shall be: a customer of the product, or the signed-in developer
    #[arg(long, value_enum, default_value_t = OwnerKind::Customer, hide_short_help = true)]
    owner: OwnerKind,
    /// Take the device off its present owner, if that is another customer of the product
    #[arg(long)]
    reclaim: bool,
    /// Look at everything, change nothing, and say what would be done
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the cloud to show the new owner [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, hide_short_help = true)]
    timeout: Option<Duration>,
}

/// Whose the device shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OwnerKind {
    /// A customer of the product
    Customer,
    /// The developer whose access token is given; no product, no customer
    Developer,
}

/// All that a run needs, checked.
pub struct Ready {
    job: Job,
    cloud: Cloud,
    device: UsbPhoton,
}

impl Ready {
    /// Reads the settings; may ask for a secret, so it is done before anything else is under way.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let usb = settings.usb.as_ref().map(|setting| &setting.value);
        let patience = Patience { listening: args.wait, ..Patience::default() };
        let device = args.usb.device(usb, &env, patience, args.pace)?;
        let job = job(args, &settings)?;
        let cloud = cloud(&job.owner, &settings, &mut secrets, Directories::of(&env))?;
        for warning in secrets.take_warnings() {
            // Nobody reads standard error, so nobody can be warned.
            let warning = report::for_stderr(&format!("warning: {warning}"), 9);
            let _ = writeln!(std::io::stderr(), "{warning}");
        }
        Ok(Self { job, cloud, device })
    }

    /// Runs it, showing its events; the failure, if any, has been shown as well.
    pub async fn run(mut self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let reporter = Reporter::start(style, 1, WORDING)
            .map_err(|e| Failure::new(FailureCode::Unexpected, "no thread for the display").because(e))?;
        let events = Events::new(0, reporter.listener());
        let ended = workflow::run(&self.job, &self.cloud, &mut self.device, &events, signals.first()).await;
        drop(events);
        reporter.finish();
        ended.map(drop).map_err(|failure| ToldFailure { code: failure.code, untold: None })
    }
}

fn job(args: &Args, settings: &Settings) -> Result<Job, Failure> {
    let owner = match args.owner {
        OwnerKind::Developer => Owner::Developer,
        OwnerKind::Customer => Owner::Customer {
            product: settings.need_product()?.clone(),
            customer: settings.need_customer()?.clone(),
        },
    };
    let mut policy = Policy::default();
    if let Some(time) = args.timeout.or(settings.timeout.as_ref().map(|setting| setting.value)) {
        policy.verify = time;
    }
    let device_id = args.device_id.clone();
    Ok(Job { owner, wifi: None, device_id, reclaim: args.reclaim, dry_run: args.dry_run, policy })
}

/// A client of the cloud with what this owner needs: customers are made with the product's OAuth
/// client, a developer's own devices are claimed with the developer's token.
fn cloud(
    owner: &Owner,
    settings: &Settings,
    secrets: &mut SecretReader,
    directories: Directories,
) -> Result<Cloud, Failure> {
    let (client, user_token) = match owner {
        Owner::Customer { .. } => {
            let (id, secret) = settings.need_client(secrets)?;
            (Some(OAuthClient { id, secret }), None)
        }
        Owner::Developer => (None, Some(settings.need_access_token(secrets)?)),
    };
    let api_url = ApiUrl::parse(&settings.api_url.value)
        .map_err(|e| Failure::new(FailureCode::Configuration, e.to_string()))?;
    Ok(Cloud::new(CloudSettings { api_url, client, user_token, cache_dir: directories.cache_dir })?)
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

fn parse_target(text: &str) -> Result<UsbTarget, Invalid> {
    text.parse()
}

fn parse_milliseconds(text: &str) -> Result<Duration, String> {
    let number = text.parse::<u16>().map_err(|_| "a number of milliseconds, at most 65535".to_owned())?;
    Ok(Duration::from_millis(number.into()))
}
