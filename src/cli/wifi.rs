//! Wi-Fi credentials from the command line.

use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use secrecy::ExposeSecret;

use super::{
    ask,
    environment::Environment,
    secrets::{SecretReader, SecretSource},
    signals::Signals,
    wire::attend,
};
use crate::{
    device::{Manner, SetupDevice},
    model::{
        Failure, FailureCode, Passphrase, ScannedNetwork, Ssid, WifiAccess, WifiCredentials, WifiSecurity,
    },
};

const PASSWORD: &str = "Wi-Fi password";
const HEADING: &str = "Wi-Fi";

/// The network that the board shall join.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WifiArgs {
    /// Credentials in the JSON form of Particle's own CLI; without FILE, on a terminal: choose from
    /// what the board sees
    #[arg(long, help_heading = HEADING, value_name = "FILE", num_args = 0..=1, conflicts_with = "wifi_ssid")]
    wifi: Option<Option<PathBuf>>,
    /// The network's name; its password comes from PROVISION_WIFI_PASSWORD, a file, or a hidden prompt
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_parser = ssid())]
    wifi_ssid: Option<Ssid>,
    /// NONE, WEP, WPA_TKIP, WPA_AES, WPA_AES+TKIP, WPA2_AES, WPA2_TKIP or WPA2_AES+TKIP; left out, it
    /// is taken from the board's own scan
    #[arg(long, help_heading = HEADING, value_name = "KIND", value_parser = WifiSecurity::parse, requires = "wifi_ssid")]
    wifi_security: Option<WifiSecurity>,
    /// The network's channel, which hardly matters
    #[arg(long, help_heading = HEADING, value_name = "N", requires = "wifi_ssid")]
    wifi_channel: Option<u8>,
    /// A file with the network's password, or - for standard input
    #[arg(long, help_heading = HEADING, value_name = "PATH|-", value_parser = super::settings::secret_source(), requires = "wifi_ssid")]
    wifi_password_file: Option<SecretSource>,
}

/// What was said of Wi-Fi.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Nothing: the board keeps the network that it knows.
    Nothing,
    /// This network.
    Network(Box<WifiCredentials>),
    /// One of those that the board sees.
    Choose,
}

impl WifiArgs {
    /// Reads what the flags name; may ask for a password.
    pub fn resolve(&self, env: &Environment, secrets: &mut SecretReader) -> Result<Wanted, Failure> {
        match (&self.wifi, &self.wifi_ssid) {
            (Some(Some(file)), _) => from_file(file, secrets).map(Box::new).map(Wanted::Network),
            (Some(None), _) => Ok(Wanted::Choose),
            (None, Some(ssid)) => {
                let ssid = ssid.clone();
                let access = match self.wifi_security {
                    Some(WifiSecurity::Open) => WifiAccess::Open,
                    Some(security) if security.is_enterprise() => {
                        return Err(enterprise());
                    }
                    _ => WifiAccess::Shared(self.password(env, secrets)?),
                };
                WifiCredentials::new(ssid, self.wifi_security, self.wifi_channel, access)
                    .map(Box::new)
                    .map(Wanted::Network)
                    .map_err(|e| Failure::configuration(e.to_string(), "mend the --wifi flags"))
            }
            (None, None) => Ok(Wanted::Nothing),
        }
    }

    fn password(&self, env: &Environment, secrets: &mut SecretReader) -> Result<Passphrase, Failure> {
        let secret = match (&self.wifi_password_file, env.text("PROVISION_WIFI_PASSWORD")?) {
            (Some(source), _) => secrets.read(source, PASSWORD)?,
            (None, Some(text)) => return passphrase(text, "mend PROVISION_WIFI_PASSWORD"),
            (None, None) => secrets.ask(
                PASSWORD,
                "set PROVISION_WIFI_PASSWORD, give --wifi-password-file, or --wifi-security NONE for an open network",
            )?,
        };
        passphrase(secret.expose_secret(), "type it, or mend the file that --wifi-password-file names")
    }
}

fn passphrase(text: impl AsRef<[u8]>, next: &str) -> Result<Passphrase, Failure> {
    Passphrase::new(text).map_err(|e| Failure::configuration(e.to_string(), next))
}

fn enterprise() -> Failure {
    Failure::configuration(
        "enterprise networks need more than a password",
        "put what they need into a file, and name that with --wifi: the README's section on Wi-Fi shows it",
    )
}

/// A network's name is bytes of any kind, and on Unix so is an argument.
pub fn ssid() -> impl TypedValueParser<Value = Ssid> {
    OsStringValueParser::new().try_map(|name| Ssid::new(bytes(name)))
}

#[cfg(unix)]
pub(super) fn bytes(name: OsString) -> Vec<u8> {
    std::os::unix::ffi::OsStringExt::into_vec(name)
}

#[cfg(not(unix))]
pub(super) fn bytes(name: OsString) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

fn from_file(file: &Path, secrets: &mut SecretReader) -> Result<WifiCredentials, Failure> {
    let bytes = secrets.read_whole(file, "Wi-Fi credentials")?;
    let refuse = |why: &str| {
        let next = "mend that file: the README's section on Wi-Fi shows one";
        Failure::configuration(format!("{}{why}", file.display()), next)
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse(" is not UTF-8 text"))?;
    // Certificates and keys are named relative to the file that names them.
    let beside = file.parent().unwrap_or(Path::new(""));
    WifiCredentials::from_json(text, |path| read_pem(&beside.join(path)))
        .map_err(|invalid| refuse(&format!(": {invalid}")))
}

fn read_pem(path: &Path) -> io::Result<String> {
    const MOST: u64 = 64 * 1024;
    if std::fs::metadata(path)?.len() > MOST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read_to_string(path)
}

/// Lets a person choose from what the board sees, and type the password.
pub async fn choose(device: &mut dyn SetupDevice, signals: &Signals) -> Result<WifiCredentials, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::configuration(
            "--wifi without a file lets a person choose, on a terminal, and there is none",
            "name a file with --wifi, or use --wifi-ssid",
        ));
    }
    let seen = attend(device, signals, async |device| {
        device.reach(Manner::Tidy, &|_| {}).await?;
        device.scan(&|_| {}).await
    });
    let seen = strongest_first(seen.await?);
    if seen.is_empty() {
        return Err(Failure::new(FailureCode::WifiRefused, "the board sees no network"));
    }
    // Typing waits for a person, so it is done off the runtime.
    let typed = tokio::task::spawn_blocking(move || pick(&seen));
    tokio::select! {
        typed = typed => typed.map_err(|e| Failure::new(FailureCode::Unexpected, "nothing was chosen").because(e))?,
        () = signals.first() => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
    }
}

/// Each name once, the strongest first.
pub fn strongest_first(mut seen: Vec<ScannedNetwork>) -> Vec<ScannedNetwork> {
    seen.sort_by_key(|network| std::cmp::Reverse(network.rssi));
    let mut named = Vec::<ScannedNetwork>::new();
    for network in seen {
        if named.iter().all(|other| other.ssid != network.ssid || other.security != network.security) {
            named.push(network);
        }
    }
    named
}

fn pick(seen: &[ScannedNetwork]) -> Result<WifiCredentials, Failure> {
    let network = &seen[ask::choose("Which network?", seen.iter().map(table_row))?];
    let access = match network.security {
        Some(WifiSecurity::Open) => WifiAccess::Open,
        Some(security) if security.is_enterprise() => {
            return Err(enterprise());
        }
        _ => {
            let secret = SecretReader::of_process().ask(PASSWORD, "it can be typed on a terminal only")?;
            WifiAccess::Shared(passphrase(secret.expose_secret(), "run this again, and type it")?)
        }
    };
    WifiCredentials::new(network.ssid.clone(), network.security, network.channel, access)
        .map_err(|e| Failure::configuration(e.to_string(), "choose another network"))
}

/// Bars for a signal's strength in percent.
pub fn bars(strength: u8) -> &'static str {
    match strength {
        80.. => "▂▄▆█",
        60.. => "▂▄▆ ",
        40.. => "▂▄  ",
        _ => "▂   ",
    }
}

/// Bars for the signal, a lock for security, the name, and what the rest of the row needs.
pub fn table_row(network: &ScannedNetwork) -> String {
    // The usual steps of signal strength, in dBm.
    let bars = bars(match network.rssi {
        -55.. => 100,
        -65.. => 70,
        -75.. => 50,
        _ => 0,
    });
    let (lock, kind) = match network.security {
        Some(WifiSecurity::Open) => (" ", "open".into()),
        Some(security) => ("🔒", security.to_string()),
        None => ("🔒", "unknown".into()),
    };
    let lock = if lock == " " { "  " } else { lock };
    format!("{bars} {lock} {}  {kind}, {} dBm", network.ssid, network.rssi)
}
