//! `provision prepare`, `deliver` and `verify`: the job in three parts, for a computer with one radio.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    environment::{Directories, Environment},
    ledger::LedgerArgs,
    run::{OwnerKind, ToldFailure, cloud, owner, show, show_warnings},
    secrets::SecretReader,
    settings::{ProfileArgs, SettingsArgs, parse_duration},
    signals::Signals,
    wifi::{Wanted, WifiArgs},
    wire::WireArgs,
};
use crate::{
    cloud::{ApiUrl, Cloud, CloudSettings},
    device::SetupDevice,
    model::{DeviceId, Failure, Ticket},
    record::Ledger,
    report::Style,
    workflow::{Job, Naming, Owner, Policy, parts},
};

const WHAT: &str = "ticket";
const ANOTHER: &str = "make another with `provision prepare`";

/// Do the cloud's part now, and leave a ticket for `deliver`
///
/// The ticket holds a claim code, and perhaps Wi-Fi credentials: it is written for your eyes only, expires
/// with the code, and is deleted when all is done.
#[derive(Debug, clap::Args)]
pub struct PrepareArgs {
    /// Where to write the ticket
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The device, which is imported then; without it any device takes the ticket, and is imported last
    #[arg(long, value_name = "ID", value_parser = DeviceId::parse)]
    device_id: Option<DeviceId>,
    /// Whose the device shall be: a customer of the product, or the signed-in developer
    #[arg(long, value_enum, default_value_t = OwnerKind::Customer, hide_short_help = true)]
    owner: OwnerKind,
    #[command(flatten)]
    wifi: WifiArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Give a ticket's claim code, and its Wi-Fi, to the device; needs no internet
#[derive(Debug, clap::Args)]
pub struct DeliverArgs {
    /// The ticket that `prepare` has written
    #[arg(value_name = "TICKET")]
    ticket: PathBuf,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    profile: ProfileArgs,
}

/// See that the cloud shows the owner of a ticket's device; deletes the ticket then
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The ticket that was delivered
    #[arg(value_name = "TICKET")]
    ticket: PathBuf,
    /// How long to wait for the cloud to show the new owner
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// All that preparing needs, checked.
pub struct Prepare {
    job: Job,
    cloud: Cloud,
    ledger: Option<Ledger>,
    out: PathBuf,
}

impl Prepare {
    /// Reads the settings; may ask for a secret.
    pub fn new(args: &PrepareArgs) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let wifi = match args.wifi.resolve(&env, &mut secrets)? {
            Wanted::Nothing => None,
            Wanted::Network(network) => Some(*network),
            Wanted::Choose => {
                return Err(Failure::configuration(
                    "no device is there yet to say what it sees",
                    "name a file with --wifi, or use --wifi-ssid",
                ));
            }
        };
        // The code would be lost if there were nowhere to put it.
        tempfile::tempfile_in(directory_of(&args.out)).map_err(|e| cannot("written", &args.out, e))?;
        let owner = owner(args.owner, &settings)?;
        let cloud = cloud(&owner, &settings, &mut secrets, Directories::of(&env))?;
        show_warnings(&mut secrets);
        let policy = Policy::default();
        let device_id = args.device_id.clone();
        let job =
            Job { owner, wifi, device_id, naming: Naming::default(), reclaim: false, dry_run: false, policy };
        let ledger = args.ledger.resolve(&args.settings.profile, &env)?;
        Ok(Self { job, cloud, ledger, out: args.out.clone() })
    }

    /// Prepares, and writes the ticket.
    pub async fn run(self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let (_, ticket) = show(style, self.ledger.as_ref(), async |events, journal| {
            parts::prepare(&self.job, &self.cloud, events, journal, signals.first()).await
        })
        .await?;
        if let Some(ticket) = ticket {
            write(&self.out, &ticket)?;
        }
        Ok(())
    }
}

/// All that delivering needs, checked.
pub struct Deliver {
    ticket: Ticket,
    path: PathBuf,
    device: Box<dyn SetupDevice>,
    cloud: Cloud,
    ledger: Option<Ledger>,
}

impl Deliver {
    /// Reads the ticket.
    pub fn new(args: &DeliverArgs) -> Result<Self, Failure> {
        let mut secrets = SecretReader::of_process();
        let ticket = read(&args.ticket, &mut secrets)?;
        show_warnings(&mut secrets);
        let env = Environment::of_process();
        let device = args.wire.device(None, &env, None)?;
        let ledger = args.ledger.resolve(&args.profile, &env)?;
        // It is not asked for anything; the steps merely have one.
        let cloud = Cloud::new(CloudSettings { api_url: api_url(&ticket)?, ..CloudSettings::default() })?;
        Ok(Self { ticket, path: args.ticket.clone(), device, cloud, ledger })
    }

    /// Delivers, and notes in the ticket which device has it.
    pub async fn run(mut self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let summary = show(style, self.ledger.as_ref(), async |events, journal| {
            let device = &mut *self.device;
            parts::deliver(&self.ticket, &self.cloud, device, events, journal, signals.first()).await
        })
        .await?;
        self.ticket.device_id = summary.device_id;
        Ok(write(&self.path, &self.ticket)?)
    }
}

/// All that verifying needs, checked.
pub struct Verify {
    ticket: Ticket,
    path: PathBuf,
    policy: Policy,
    cloud: Cloud,
    ledger: Option<Ledger>,
}

impl Verify {
    /// Reads the ticket and the settings; may ask for a secret.
    pub fn new(args: &VerifyArgs) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let ticket = read(&args.ticket, &mut secrets)?;
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let owner = match (&ticket.owner, ticket.customer()) {
            (Some((product, _)), Some(customer)) => Owner::Customer { product: product.clone(), customer },
            _ => Owner::Developer,
        };
        let cloud = cloud(&owner, &settings, &mut secrets, Directories::of(&env))?;
        show_warnings(&mut secrets);
        // A ticket's code is known to one cloud only.
        if *cloud.api_url() != api_url(&ticket)? {
            let detail =
                format!("the ticket was prepared with {}, not with {}", ticket.api_url, cloud.api_url());
            let next = format!("give --api-url {}, or prepare another ticket", ticket.api_url);
            return Err(Failure::configuration(detail, next));
        }
        let policy = Policy { verify: args.timeout, ..Policy::default() };
        let ledger = args.ledger.resolve(&args.settings.profile, &env)?;
        Ok(Self { ticket, path: args.ticket.clone(), policy, cloud, ledger })
    }

    /// Verifies, and deletes the ticket.
    pub async fn run(self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        show(style, self.ledger.as_ref(), async |events, journal| {
            let (ticket, policy) = (&self.ticket, self.policy.clone());
            parts::verify(ticket, &self.cloud, policy, events, journal, signals.first()).await
        })
        .await?;
        fs::remove_file(&self.path).map_err(|e| cannot("deleted", &self.path, e))?;
        Ok(())
    }
}

fn api_url(ticket: &Ticket) -> Result<ApiUrl, Failure> {
    ApiUrl::parse(&ticket.api_url).map_err(|e| Failure::configuration(e.to_string(), ANOTHER))
}

fn read(path: &Path, secrets: &mut SecretReader) -> Result<Ticket, Failure> {
    let bytes = secrets.read_whole(path, WHAT)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    Ticket::from_json(text).map_err(|e| Failure::configuration(format!("{}: {e}", path.display()), ANOTHER))
}

/// Written whole or not at all, and readable by nobody else at any time.
fn write(path: &Path, ticket: &Ticket) -> Result<(), Failure> {
    let written = tempfile::NamedTempFile::new_in(directory_of(path)).and_then(|mut file| {
        file.write_all(ticket.to_json().as_bytes())?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    });
    written.map_err(|e| cannot("written", path, e))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot(what: &str, path: &Path, error: io::Error) -> Failure {
    let detail = format!("the ticket {} cannot be {what}", path.display());
    Failure::configuration(detail, "see that you can write there").because(error)
}
