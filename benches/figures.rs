//! The figures that the project answers for, in one run: `cargo bench --bench figures`. Prints medians;
//! asserts nothing, as machines differ.

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(unix::measure())
}

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
mod unix {
    use std::{
        io,
        time::{Duration, Instant},
    };

    use provision::{
        model::DeviceId,
        sim::{
            cloud::{CloudConfig, SimCloud},
            photon::{PhotonConfig, SimPhoton},
        },
    };
    use tokio::process::Command;

    const RUNS: u32 = 21;
    const NETWORK: &str = "Office:WPA2_AES:6:-52:correct horse";

    pub async fn measure() -> io::Result<()> {
        let cloud = SimCloud::start(CloudConfig::default()).await?;
        let info = cloud.info();
        let home = tempfile::tempdir()?;
        let wifi = home.path().join("wifi.json");
        std::fs::write(&wifi, r#"{"network":"Office","security":"WPA2_AES","password":"correct horse"}"#)?;
        let wifi = wifi.display().to_string();
        let provision = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
            command.args(arguments).env_clear().env("HOME", home.path());
            command.env("PARTICLE_API_URL", &info.api_url).env("PARTICLE_PRODUCT", info.product.to_string());
            command.env("PARTICLE_CLIENT_ID", &info.client_id);
            command.env("PARTICLE_CLIENT_SECRET", &info.client_secret);
            command.env("PROVISION_CUSTOMER", "{device_id}@shadow.example");
            command
        };
        let board = |number: u32| {
            SimPhoton::start(PhotonConfig {
                cloud_url: info.api_url.parse().ok(),
                wifi_known: true,
                connect_delay: Duration::ZERO,
                claim_delay: Duration::ZERO,
                networks: NETWORK.parse().into_iter().collect(),
                softap_http: Some(([127, 0, 0, 1], 0).into()),
                ..PhotonConfig::new(DeviceId::parse(&format!("{number:024x}")).map_err(io::Error::other)?)
            })
        };
        let (mut version, mut identify, mut usb, mut softap) = (vec![], vec![], vec![], vec![]);
        for number in 0..RUNS {
            version.push(time(provision(&["--version"])).await?);
            let photon = board(2 * number)?;
            let port = photon.usb().display().to_string();
            identify.push(time(provision(&["identify", "--usb", &port])).await?);
            usb.push(time(provision(&["--usb", &port])).await?);
            let photon = board(2 * number + 1)?;
            let address = photon.softap_http().map(|address| address.to_string()).unwrap_or_default();
            softap.push(time(provision(&["--softap", &address, "--wifi", &wifi])).await?);
        }
        println!("medians of {RUNS}, whole process, milliseconds:");
        let rows = [
            ("--version", version),
            ("identify", identify),
            ("run over USB", usb),
            ("run over SoftAP", softap),
        ];
        for (what, mut times) in rows {
            times.sort_by(f64::total_cmp);
            println!("  {what:<16} {:6.1}", times[times.len() / 2]);
        }
        let requests = cloud.requests().len();
        println!("requests to the cloud for {} boards with a customer each: {requests}", 2 * RUNS);
        Ok(())
    }

    async fn time(mut command: Command) -> io::Result<f64> {
        let begun = Instant::now();
        let output = command.output().await?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        if output.status.success() {
            return Ok(took);
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
