//! Two hundred boards at once, each as slow as a real one: `cargo bench --bench bench200`. Prints figures;
//! asserts nothing, as machines differ.
//!
//! The simulators run in this process; the boards' client side runs in a process of its own, whose memory
//! and processor time are told.

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match std::env::var_os("BENCH_USB_DIR") {
        Some(hub) => runtime.block_on(linux::client(hub.into())),
        None => runtime.block_on(linux::measure()),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs, io,
        path::{Path, PathBuf},
        process::Stdio,
        sync::Arc,
        time::{Duration, Instant},
    };

    use futures_util::future::join_all;
    use provision::{
        cloud::{ApiUrl, Cloud, CloudSettings, OAuthClient},
        device::{Patience, UsbPhoton},
        link::{
            discovery::{UsbTarget, lister},
            serial::SystemPorts,
        },
        model::{CustomerTemplate, DeviceId, Events, ProductRef},
        report::{Reporter, Style, Wording},
        sim::{
            cloud::{CloudConfig, SimCloud},
            photon::{PhotonConfig, SimPhoton},
        },
        workflow::{self, Job, Naming, Owner, Policy, Unrecorded},
    };
    use serde_json::{Value, json};
    use tokio::process::Command;

    const BOARDS: usize = 200;
    const LATENCY: Duration = Duration::from_millis(80);

    pub async fn measure() -> io::Result<()> {
        for (what, customer, limits) in [
            ("one shared customer, limits on", "shared@example.com", true),
            ("a customer each, limits off", "{device_id}@shadow.example", false),
        ] {
            let alone = boards(1, customer, limits).await?;
            let all = boards(BOARDS, customer, limits).await?;
            let number = |figures: &Value, name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
            let (slowest, took) = (number(&alone, "seconds"), number(&all, "seconds"));
            let beyond = number(&all, "requests") - number(&alone, "requests");
            println!("{BOARDS} boards at once, {what}:");
            println!("  the slowest board alone  {slowest:8.2} s");
            println!("  all at once              {took:8.2} s, {:.3} times as long", took / slowest);
            println!("  passed                   {:8}", all["passed"]);
            println!("  memory at most           {:8.1} MB", number(&all, "megabytes"));
            println!("  cores on average         {:8.2}", number(&all, "processor_seconds") / took);
            println!(
                "  requests a board         {:8.2}, beyond the first one's {}",
                beyond / (BOARDS - 1) as f64,
                alone["requests"]
            );
            println!("  sign-ins                 {:8}", all["sign_ins"]);
        }
        Ok(())
    }

    /// Provisions so many boards, the slowest of all among them, in another process.
    async fn boards(count: usize, customer: &str, limits: bool) -> io::Result<Value> {
        let cloud =
            SimCloud::start(CloudConfig { latency: LATENCY, limits, ..CloudConfig::default() }).await?;
        let info = cloud.info();
        let hub = tempfile::tempdir()?;
        let plug = |place: usize| {
            let id = DeviceId::parse(&format!("{:024x}", place + 1)).map_err(io::Error::other)?;
            SimPhoton::start(PhotonConfig {
                link: Some(hub.path().join(id.as_str())),
                cloud_url: info.api_url.parse().ok(),
                ..PhotonConfig::new(id).realistic(place)
            })
        };
        let _photons = (0..count).map(plug).collect::<io::Result<Vec<_>>>()?;
        let output = Command::new(std::env::current_exe()?)
            .env("BENCH_USB_DIR", hub.path())
            .env("BENCH_API_URL", &info.api_url)
            .env("BENCH_CUSTOMER", customer)
            .env("PARTICLE_CLIENT_ID", &info.client_id)
            .env("PARTICLE_CLIENT_SECRET", &info.client_secret)
            .envs((!limits).then_some(("BENCH_NO_LIMITS", "1")))
            .stdout(Stdio::null())
            .output()
            .await?;
        let told = String::from_utf8_lossy(&output.stderr);
        let mut figures: Value = serde_json::from_str(told.lines().last().unwrap_or_default())
            .map_err(|error| io::Error::other(format!("{error}: {told}")))?;
        let requests = cloud.requests();
        figures["requests"] = json!(requests.len());
        figures["sign_ins"] = json!(requests.iter().filter(|request| request.path == "/oauth/token").count());
        Ok(figures)
    }

    /// Provisions every board of the hub at once, and tells what that took.
    pub async fn client(hub: PathBuf) -> io::Result<()> {
        let setting = |name| std::env::var(name).map_err(io::Error::other);
        let cloud = Cloud::new(CloudSettings {
            api_url: ApiUrl::parse(&setting("BENCH_API_URL")?).map_err(io::Error::other)?,
            client: Some(OAuthClient {
                id: setting("PARTICLE_CLIENT_ID")?,
                secret: setting("PARTICLE_CLIENT_SECRET")?.into(),
            }),
            ..CloudSettings::default()
        })
        .map_err(io::Error::other)?;
        if std::env::var_os("BENCH_NO_LIMITS").is_some() {
            cloud.ignore_limits();
        }
        let job = Job {
            owner: Owner::Customer {
                product: ProductRef::parse("1319").map_err(io::Error::other)?,
                customer: CustomerTemplate::parse(&setting("BENCH_CUSTOMER")?).map_err(io::Error::other)?,
            },
            wifi: None,
            device_id: None,
            naming: Naming::default(),
            reclaim: false,
            dry_run: false,
            policy: Policy::bench(),
        };
        let ids = fs::read_dir(&hub)?
            .map(|link| DeviceId::parse(&link?.file_name().to_string_lossy()).map_err(io::Error::other))
            .collect::<io::Result<Vec<_>>>()?;
        let wording = Wording { hint: |_| String::new(), exit_code: |_| 1 };
        let reporter = Reporter::start(Style::Json, ids.len(), wording)?;
        let begun = Instant::now();
        let runs = ids.iter().enumerate().map(|(lane, id)| {
            let events = Events::new(lane, reporter.listener());
            let (job, cloud, hub) = (&job, &cloud, hub.clone());
            async move {
                let ports = Arc::from(lister(Some(hub)));
                let target = UsbTarget::Device(id.clone());
                let mut device =
                    UsbPhoton::new(target, ports, Arc::new(SystemPorts), Patience::default(), None);
                workflow::run(job, cloud, &mut device, &events, &Unrecorded, std::future::pending()).await
            }
        });
        let ended = join_all(runs).await;
        let took = begun.elapsed();
        reporter.finish();
        for failure in ended.iter().filter_map(|ended| ended.as_ref().err()) {
            eprintln!("{:?}: {failure}", failure.code);
        }
        let figures = json!({
            "seconds": took.as_secs_f64(),
            "passed": ended.iter().filter(|ended| ended.is_ok()).count(),
            "megabytes": most_memory()?,
            "processor_seconds": processor_time()?,
        });
        eprintln!("{figures}");
        Ok(())
    }

    /// The most memory that this process had, in megabytes.
    fn most_memory() -> io::Result<f64> {
        let status = fs::read_to_string("/proc/self/status")?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        let kib: f64 = kib.and_then(|kib| kib.trim().parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(kib * 1024.0 / 1e6)
    }

    /// The seconds that this process has kept a processor busy.
    fn processor_time() -> io::Result<f64> {
        // Fields 14 and 15, behind a name that may hold blanks; 100 ticks a second on every Linux.
        let stat = fs::read_to_string(Path::new("/proc/self/stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: f64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }
}
