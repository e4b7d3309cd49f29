//! `provision simulate cloud`.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use tempfile::TempPath;

use super::announce::announce;
use crate::{
    model::{Failure, FailureCode},
    sim::cloud::{Certificate, CloudConfig, CloudInfo, Fault, SimCloud},
};

/// Run a simulated Particle cloud on a loopback port, until Ctrl-C
///
/// Prints one line of JSON on standard output when it is ready: api_url, product, product_slug,
/// client_id, client_secret, user_token, user, user_password; with TLS also ca_file, the certificate to
/// trust.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Speak TLS, HTTP/2 and HTTP/1.1, with a certificate that it makes for itself
    #[arg(long)]
    pub tls: bool,
    /// Where to write the certificate of those who signed it, to be trusted with --ca-file; in a
    /// temporary file if left out
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca_out: Option<PathBuf>,
    /// Keep everything, tokens included, in this file from one start to the next
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Milliseconds to wait before every answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency: u64,
    /// Whether rate limits and the sign-in lock-out are in force
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub limits: Switch,
    /// What shall go wrong: 'METHOD PATH=ACTION' or '…xN' for the first N times
    ///
    /// For example 'POST /oauth/token=503x2'. ACTION is a status (with :retry-after=SECONDS for 429
    /// and 503), delay:MS, drop, truncate, silent, or a body, with :STATUS for another than it usually
    /// has: garbage, html, text, empty, gzip, latin1, endless, refusal, echo. All but delay, truncate and
    /// silent take -after, to happen when the request was served. In PATH, * is one segment and a last **
    /// is all below. Can be given several times.
    #[arg(long = "fault", value_name = "SPEC")]
    pub faults: Vec<Fault>,
    /// The platform that the product is for: 6 Photon, 8 P1
    #[arg(long, value_name = "ID", default_value_t = 6)]
    pub platform: u16,
    /// Ask the developer, who signs in with a password, for a one-time code, which is always this one
    #[arg(long, value_name = "CODE")]
    pub one_time_code: Option<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// In force.
    On,
    /// Not in force.
    Off,
}

/// Serves until `stop` ends. Fails if it cannot listen, or cannot use its file.
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let config = CloudConfig {
        listen: args.listen,
        tls: args.tls.then_some(Certificate::Good),
        state_file: args.state,
        latency: Duration::from_millis(args.latency),
        limits: args.limits == Switch::On,
        faults: args.faults,
        platform_id: args.platform,
        one_time_code: args.one_time_code,
        ..CloudConfig::default()
    };
    let cloud = SimCloud::start(config).await.map_err(|error| {
        let next = "mend what is named: --listen an address that is free, --state a file that you can write";
        Failure::configuration("the simulated cloud cannot be started", next).because(error)
    })?;
    let ca_file = cloud.ca_pem().map(|pem| CaFile::write(args.ca_out, pem)).transpose().map_err(|error| {
        let next = "name a file where you can write with --ca-out";
        Failure::configuration("the certificate cannot be written", next).because(error)
    })?;
    announce(&Ready { info: cloud.info(), ca_file: ca_file.as_ref().map(CaFile::path) })?;
    stop.await;
    cloud.shutdown().await.map_err(|error| {
        Failure::new(FailureCode::Unexpected, "the state could not be stored").because(error)
    })
}

#[derive(Serialize)]
struct Ready<'a> {
    #[serde(flatten)]
    info: CloudInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a Path>,
}

/// Where the certificate to trust is; a temporary file goes when this does.
enum CaFile {
    Named(PathBuf),
    Temporary(TempPath),
}

impl CaFile {
    fn write(named: Option<PathBuf>, pem: &str) -> io::Result<Self> {
        if let Some(path) = named {
            return fs::write(&path, pem).map(|()| Self::Named(path));
        }
        let mut file = tempfile::Builder::new().prefix("simulated-cloud-").suffix(".pem").tempfile()?;
        file.write_all(pem.as_bytes())?;
        Ok(Self::Temporary(file.into_temp_path()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn plain_it_listens_on_a_free_loopback_port_with_limits_on() {
        let args = Line::try_parse_from(["cloud"]).map(|line| line.args).unwrap();
        assert_eq!(args.listen.to_string(), "127.0.0.1:0");
        assert_eq!((args.limits, args.platform, args.faults.len()), (Switch::On, 6, 0));
    }

    #[test]
    fn faults_can_be_given_several_times_and_a_bad_one_is_explained() {
        let line =
            ["cloud", "--fault", "POST /oauth/token=503x2", "--fault", "GET /v1/**=drop", "--limits=off"];
        assert_eq!(Line::try_parse_from(line).map(|line| line.args.faults.len()).unwrap(), 2);
        let refused =
            Line::try_parse_from(["cloud", "--fault", "POST /x=explode"]).err().unwrap().to_string();
        assert!(refused.contains("the action is a status such as 503"), "{refused}");
    }
}
