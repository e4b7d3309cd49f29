//! `provision wifi`: credentials only, nothing claimed.

use std::time::Duration;

use super::{
    environment::Environment,
    ledger::LedgerArgs,
    run::{ToldFailure, show, show_warnings},
    secrets::SecretReader,
    settings::{ProfileArgs, parse_duration},
    signals::Signals,
    wifi::{Wanted, WifiArgs, choose},
    wire::WireArgs,
};
use crate::{
    cloud::{Cloud, CloudSettings},
    device::SetupDevice,
    model::Failure,
    record::Ledger,
    report::Style,
    workflow::{Job, Naming, Owner, Policy, parts},
};

/// Give a board its Wi-Fi, and claim nothing
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    wifi: WifiArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    /// How long to look whether the board comes back because it cannot join
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_duration)]
    watch: Duration,
}

/// All that it needs, checked.
pub struct Ready {
    job: Job,
    device: Box<dyn SetupDevice>,
    cloud: Cloud,
    ledger: Option<Ledger>,
    watch: Duration,
}

impl Ready {
    /// Reads the credentials; may ask for a password.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let wifi = match args.wifi.resolve(&env, &mut secrets)? {
            Wanted::Network(network) => Some(*network),
            Wanted::Choose => None,
            Wanted::Nothing => {
                return Err(Failure::configuration(
                    "no network was named",
                    "give --wifi FILE, --wifi to choose one, or --wifi-ssid NAME",
                ));
            }
        };
        show_warnings(&mut secrets);
        let job = Job {
            owner: Owner::Developer,
            wifi,
            device_id: args.wire.device_id.clone(),
            naming: Naming::default(),
            reclaim: false,
            dry_run: false,
            policy: Policy::default(),
        };
        let device = args.wire.device(None, &env, None)?;
        // It is not asked for anything; the steps merely have one.
        let cloud = Cloud::new(CloudSettings::default())?;
        let ledger = args.ledger.resolve(&args.profile, &env)?;
        Ok(Self { job, device, cloud, ledger, watch: args.watch })
    }

    /// Gives the board its network.
    pub async fn run(mut self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        if self.job.wifi.is_none() {
            self.job.wifi = Some(choose(&mut *self.device, signals).await?);
        }
        show(style, self.ledger.as_ref(), async |events, journal| {
            let (device, watch) = (&mut *self.device, self.watch);
            parts::give_wifi(&self.job, &self.cloud, device, watch, events, journal, signals.first()).await
        })
        .await
        .map(drop)
    }
}
