//! `provision demo`: the real workflow, over real serial lines and real HTTP, with nothing attached.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use futures_util::future::join_all;
use serde_json::Value;

use super::{explain::WORDING, run::ToldFailure, signals::Signals};
use crate::{
    cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
    device::{Patience, SetupDevice, SoftApPhoton, UsbPhoton},
    link::{
        discovery::{UsbTarget, lister},
        serial::SystemPorts,
    },
    model::{
        CustomerTemplate, DeviceId, Events, Failure, FailureCode, Invalid, Passphrase, ProductRef, Ssid,
        Summary, WifiAccess, WifiCredentials, WifiSecurity,
    },
    report::{self, Reporter, Style},
    sim::{
        cloud::{CloudConfig, SimCloud},
        photon::{PhotonConfig, SimPhoton},
    },
    workflow::{self, Job, Naming, Owner, Policy, Unrecorded},
};

/// What takes a real board 5 to 30 seconds, made short enough to watch.
const JOINING: Duration = Duration::from_millis(400);
const CLAIMING: Duration = Duration::from_millis(200);
/// What a request takes across half a continent.
const LATENCY: Duration = Duration::from_millis(80);

/// Try it all with no hardware: a simulated cloud and simulated Photons
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many simulated Photons, all at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    devices: u16,
    /// Through the Photons' own Wi-Fi networks instead of USB, giving each its Wi-Fi credentials
    #[arg(long)]
    softap: bool,
    /// How slow the simulators are: to watch, or as the real ones (some 10 s a board, 80 ms a request)
    #[arg(long, value_enum, default_value_t = Profile::Quick)]
    profile: Profile,
    /// One customer for all boards, instead of one for each
    #[arg(long)]
    shared_customer: bool,
    /// With Particle's limits in force: 100 new customers in 5 minutes, and so on
    #[arg(long)]
    limits: bool,
}

/// How slow the simulators are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    /// To watch.
    Quick,
    /// As the real ones.
    Realistic,
}

/// The network that the simulated Photons of `--softap` are given.
const NETWORK: &str = "Simulated office:WPA2_AES:6:-52:simulated pass phrase";

/// Starts the simulators, provisions every board, and says what the cloud then shows.
pub async fn run(args: &Args, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
    let begun = Instant::now();
    let realistic = args.profile == Profile::Realistic;
    let latency = if realistic { LATENCY } else { Duration::ZERO };
    let sim = SimCloud::start(CloudConfig { latency, limits: args.limits, ..CloudConfig::default() })
        .await
        .map_err(|e| cannot("the simulated cloud", e))?;
    let info = sim.info();
    let photons = (0..args.devices)
        .map(|place| {
            let board = PhotonConfig {
                wifi_known: !args.softap,
                softap_http: args.softap.then_some(([127, 0, 0, 1], 0).into()),
                networks: NETWORK.parse().into_iter().collect(),
                cloud_url: info.api_url.parse().ok(),
                connect_delay: JOINING,
                claim_delay: CLAIMING,
                ..PhotonConfig::new(some_id())
            };
            SimPhoton::start(if realistic { board.realistic(place.into()) } else { board })
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| cannot("a simulated Photon", e))?;
    if style != Style::Json {
        let photons = match &photons[..] {
            [one] if args.softap => format!("a Photon's access point at {}", port_of(one)),
            many if args.softap => format!("the access points of {} Photons", many.len()),
            [one] => format!("a Photon on {}", one.usb().display()),
            many => format!("{} Photons on pseudo-terminals", many.len()),
        };
        say(&format!("Simulated: a cloud at {} and {photons}.", info.api_url));
    }
    let cloud = Cloud::new(CloudSettings {
        api_url: ApiUrl::parse(&info.api_url)
            .map_err(|e| Failure::new(FailureCode::Unexpected, e.to_string()))?,
        client: Some(OAuthClient { id: info.client_id, secret: info.client_secret.into() }),
        ..CloudSettings::default()
    })
    .map_err(Failure::from)?;
    if !args.limits {
        cloud.ignore_limits();
    }
    let mut job = job(&info.product.to_string(), args)?;
    job.wifi = args.softap.then(office).transpose()?;
    let reporter = Reporter::start(style, photons.len(), WORDING).map_err(|e| cannot("the display", e))?;
    let runs = photons.iter().enumerate().map(|(lane, photon)| {
        let events = Events::new(lane, reporter.listener());
        let (job, cloud) = (&job, &cloud);
        async move {
            let mut device = device(photon, args.softap);
            workflow::run(job, cloud, &mut *device, &events, &Unrecorded, signals.first()).await
        }
    });
    let ended = join_all(runs).await;
    reporter.finish();
    let failed = ended.iter().find_map(|result| result.as_ref().err().map(|failure| failure.code));
    if style != Style::Json {
        show(ended.iter().flatten(), &sim, begun.elapsed());
    }
    failed.map_or(Ok(()), |code| Err(ToldFailure { code, untold: None }))
}

/// The Photon on one of its wires.
fn device(photon: &SimPhoton, softap: bool) -> Box<dyn SetupDevice> {
    let patience = Patience::default();
    if softap {
        let target = port_of(photon).parse().unwrap_or_default();
        return Box::new(SoftApPhoton::new(target, None, patience));
    }
    let port = UsbTarget::Port(photon.usb());
    Box::new(UsbPhoton::new(port, Arc::from(lister(None)), Arc::new(SystemPorts), patience, None))
}

fn port_of(photon: &SimPhoton) -> String {
    photon.softap_http().map(|address| address.to_string()).unwrap_or_default()
}

fn office() -> Result<WifiCredentials, Failure> {
    let invalid = |e: Invalid| Failure::new(FailureCode::Unexpected, e.to_string());
    let (ssid, passphrase) = ("Simulated office", "simulated pass phrase");
    let access = WifiAccess::Shared(Passphrase::new(passphrase).map_err(invalid)?);
    let ssid = Ssid::new(ssid).map_err(invalid)?;
    WifiCredentials::new(ssid, Some(WifiSecurity::Wpa2Aes), Some(6), access).map_err(invalid)
}

fn job(product: &str, args: &Args) -> Result<Job, Failure> {
    let invalid = |e: Invalid| Failure::new(FailureCode::Unexpected, e.to_string());
    let customer = if args.shared_customer { "shared@example.com" } else { "{device_id}@shadow.example" };
    let patient = args.limits || args.profile == Profile::Realistic;
    Ok(Job {
        owner: Owner::Customer {
            product: ProductRef::parse(product).map_err(invalid)?,
            customer: CustomerTemplate::parse(customer).map_err(invalid)?,
        },
        wifi: None,
        device_id: None,
        naming: Naming::default(),
        reclaim: false,
        dry_run: false,
        policy: if patient { Policy::bench() } else { Policy::default() },
    })
}

/// The cloud's own word on what was provisioned, which has to agree with the runs'.
fn show<'a>(summaries: impl Iterator<Item = &'a Summary>, sim: &SimCloud, took: Duration) {
    let mut records = Vec::new();
    for summary in summaries {
        let id = summary.device_id.as_ref().map(DeviceId::as_str).unwrap_or_default();
        let record = sim.device(id).unwrap_or_default();
        let owner = record.get("owner").and_then(Value::as_str).unwrap_or("nobody").to_owned();
        let online = record.get("online") == Some(&Value::Bool(true));
        let as_reported = summary.customer.as_ref().is_some_and(|customer| customer.is(&owner)) && online;
        records.push((owner, as_reported));
    }
    let so = records.iter().filter(|(_, as_reported)| *as_reported).count();
    match &records[..] {
        [] => {}
        [(owner, true)] => say(&format!("The cloud has it online, and owned by {owner}.")),
        _ => say(&format!("The cloud has {so} of {} online, and owned by their customers.", records.len())),
    }
    let requests = sim.requests();
    let sign_ins = requests.iter().filter(|request| request.path == "/oauth/token").count();
    say(&format!(
        "{} provisioned in {:.1} s, with {} requests to the cloud, {sign_ins} of them to sign in.",
        if records.len() == 1 { "1 board".into() } else { format!("{} boards", records.len()) },
        took.as_secs_f64(),
        requests.len()
    ));
}

fn say(line: &str) {
    // Nobody is there to be told that nobody reads.
    let _ = writeln!(io::stdout().lock(), "{}", report::for_stdout(line, 0));
}

fn cannot(what: &str, error: io::Error) -> Failure {
    Failure::new(FailureCode::Unexpected, format!("{what} cannot be started")).because(error)
}

/// An id in the form of a real Photon's.
fn some_id() -> DeviceId {
    let digits = format!("{:012x}47{:010x}", fastrand::u64(..1 << 48), fastrand::u64(..1 << 40));
    // 12 + 2 + 10 hexadecimal digits.
    DeviceId::parse(&digits).unwrap_or_else(|_| unreachable!("24 hexadecimal digits"))
}
