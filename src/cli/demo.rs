//! `provision demo`: the real workflow, over real serial lines and real HTTP, with nothing attached.

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use super::{explain::WORDING, run::ToldFailure, signals::Signals};
use crate::{
    cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
    device::{Patience, UsbPhoton},
    link::{
        discovery::{UsbTarget, lister},
        serial::SystemPorts,
    },
    model::{CustomerTemplate, DeviceId, Events, Failure, FailureCode, ProductRef, Summary},
    report::{Reporter, Style},
    sim::{
        cloud::{CloudConfig, SimCloud},
        photon::{PhotonConfig, SimPhoton},
    },
    workflow::{self, Job, Owner, Policy},
};

/// What takes a real board 5 to 30 seconds, made short enough to watch.
const JOINING: Duration = Duration::from_millis(400);
const CLAIMING: Duration = Duration::from_millis(200);

/// Tries it all with no hardware.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many simulated Photons, all at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    devices: u16,
}

/// Starts the simulators, provisions every board, and says what the cloud then shows.
pub async fn run(args: &Args, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
    let begun = Instant::now();
    let sim = SimCloud::start(CloudConfig::default()).await.map_err(|e| cannot("the simulated cloud", e))?;
    let info = sim.info();
    let photons = (0..args.devices)
        .map(|_| {
            SimPhoton::start(PhotonConfig {
                wifi_known: true,
                cloud_url: info.api_url.parse().ok(),
                connect_delay: JOINING,
                claim_delay: CLAIMING,
                ..PhotonConfig::new(some_id())
            })
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(|e| cannot("a simulated Photon", e))?;
    if style != Style::Json {
        say(&format!(
            "Simulated: a cloud at {} and {} on {}.",
            info.api_url,
            if photons.len() == 1 { "a Photon".into() } else { format!("{} Photons", photons.len()) },
            photons.first().map(|p| p.usb().display().to_string()).unwrap_or_default()
                + if photons.len() > 1 { ", …" } else { "" },
        ));
    }
    let cloud = Cloud::new(CloudSettings {
        api_url: ApiUrl::parse(&info.api_url)
            .map_err(|e| Failure::new(FailureCode::Unexpected, e.to_string()))?,
        client: Some(OAuthClient { id: info.client_id, secret: info.client_secret.into() }),
        user_token: None,
        cache_dir: None,
    })
    .map_err(Failure::from)?;
    let job = job(&info.product.to_string())?;
    let reporter = Reporter::start(style, photons.len(), WORDING).map_err(|e| cannot("the display", e))?;
    let runs = photons.iter().enumerate().map(|(lane, photon)| {
        let events = Events::new(lane, reporter.listener());
        let (job, cloud, port) = (&job, &cloud, UsbTarget::Port(photon.usb()));
        async move {
            let ports = Arc::new(SystemPorts);
            let mut device = UsbPhoton::new(port, Arc::from(lister(None)), ports, Patience::default(), None);
            workflow::run(job, cloud, &mut device, &events, signals.first()).await
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

fn job(product: &str) -> Result<Job, Failure> {
    let invalid = |e: crate::model::Invalid| Failure::new(FailureCode::Unexpected, e.to_string());
    Ok(Job {
        owner: Owner::Customer {
            product: ProductRef::parse(product).map_err(invalid)?,
            customer: CustomerTemplate::parse("{device_id}@shadow.example").map_err(invalid)?,
        },
        device_id: None,
        reclaim: false,
        dry_run: false,
        policy: Policy::default(),
    })
}

/// The cloud's own word on what was provisioned.
fn show<'a>(summaries: impl Iterator<Item = &'a Summary>, sim: &SimCloud, took: Duration) {
    let mut count = 0;
    for summary in summaries {
        let record = sim.device(summary.device_id.as_str()).unwrap_or_default();
        let text = |key: &str| record.get(key).map(|v| v.to_string().replace('"', "")).unwrap_or_default();
        say(&format!(
            "The cloud's record of {}: owner {}, product {}, online {}.",
            summary.device_id,
            text("owner"),
            text("product_id"),
            text("online"),
        ));
        count += 1;
    }
    let boards = if count == 1 { "board" } else { "boards" };
    say(&format!(
        "{count} {boards} provisioned in {:.1} s, with {} requests to the cloud.",
        took.as_secs_f64(),
        sim.requests().len()
    ));
}

fn say(line: &str) {
    // Nobody is there to be told that nobody reads.
    let _ = writeln!(io::stdout().lock(), "{line}");
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
