//! `provision simulate photon`: a Photon on a pseudo-terminal and as an access point, until Ctrl-C.

use std::{io::BufRead, net::SocketAddr, path::PathBuf, time::Duration};

use clap::builder::{OsStringValueParser, TypedValueParser};
use serde_json::json;
use tokio::sync::mpsc;
use url::Url;

use super::{announce::announce, wifi::bytes};
use crate::{
    cloud::RootCertificates,
    model::{DeviceId, Failure, FailureCode, FirmwareVersion, Platform},
    sim::photon::{DeviceKey, FirmwareUpdate, LeftIn, Network, PhotonConfig, PhotonFault, SimPhoton},
};

/// Run a simulated Photon on a pseudo-terminal, and on its own access point if asked to, until Ctrl-C
///
/// Prints one JSON line when it is ready, then runs until Ctrl-C. Lines on standard input are the
/// person's hands: `setup` (hold SETUP), `reset`, `unplug`, `plug`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// API address of a simulated cloud
    #[arg(long, value_name = "URL")]
    cloud: Option<Url>,
    /// The certificate that this cloud's is signed with, where it speaks TLS: its ca_file
    #[arg(long, value_name = "FILE", requires = "cloud", value_parser = read_roots)]
    ca_file: Option<RootCertificates>,
    /// Its device id; random if left out
    #[arg(long, value_name = "ID", value_parser = DeviceId::parse)]
    device_id: Option<DeviceId>,
    /// Its firmware, 0.4.9 to 3.3.1
    #[arg(long, value_name = "VERSION", default_value = "2.3.1", value_parser = FirmwareVersion::parse)]
    firmware: FirmwareVersion,
    /// 6 for a Photon, 8 for a P1
    #[arg(long, value_name = "ID", default_value_t = 6)]
    platform: u16,
    /// A symbolic link that always points to its port
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// Answer SoftAP over HTTP here while it listens; port 0 for any that is free
    #[arg(long, value_name = "ADDR")]
    softap_http: Option<SocketAddr>,
    /// Answer SoftAP's TCP protocol here while it listens; port 0 for any that is free
    #[arg(long, value_name = "ADDR")]
    softap_tcp: Option<SocketAddr>,
    /// Its 1024-bit RSA key: PKCS#1 DER, plain or in hex; a well-known test key if left out
    #[arg(long, value_name = "FILE")]
    device_key_file: Option<PathBuf>,
    /// Its own claimed bit is set
    #[arg(long)]
    claimed: bool,
    /// It runs user firmware instead of listening
    #[arg(long)]
    not_listening: bool,
    /// It knows a network that it can join
    #[arg(long)]
    wifi_known: bool,
    /// A factory serial number
    #[arg(long, value_name = "SN")]
    serial_number: Option<String>,
    /// A network in its reach, SSID:WPA2_AES[:CHANNEL[:RSSI[:PASSPHRASE]]]; repeatable
    #[arg(long, value_name = "NETWORK", value_parser = network())]
    network: Vec<Network>,
    /// From the end of listening mode to being online
    #[arg(long, value_name = "MS", default_value_t = 5)]
    connect_delay: u64,
    /// From being online to presenting the claim code
    #[arg(long, value_name = "MS", default_value_t = 5)]
    claim_delay: u64,
    /// From a connection that cannot be made to listening again
    #[arg(long, value_name = "MS", default_value_t = 50)]
    relisten_delay: u64,
    /// How long a Wi-Fi scan takes
    #[arg(long, value_name = "MS", default_value_t = 1)]
    scan_delay: u64,
    /// How long each byte takes to arrive
    #[arg(long, value_name = "MS", default_value_t = 0)]
    byte_latency: u64,
    /// A firmware update over the air that it gets once it has shown its claim code: milliseconds, with
    /// :fails behind them for one that does
    #[arg(long, value_name = "MS")]
    update: Option<FirmwareUpdate>,
    /// Where somebody left its console: C, C:TYPED, w:ssid, w:security, w:cipher, w:cipher-open, w:password,
    /// w:eap-type, w:username, w:peap-password, w:client-certificate, w:private-key, w:outer-identity,
    /// w:root-ca, scanning, ymodem
    #[arg(long, value_name = "PLACE")]
    left_in: Option<LeftIn>,
    /// Something that goes wrong, xTIMES for more than once; repeatable: drop:WHERE, double:WHERE,
    /// delay:WHERE:MS, drop-sent:WHERE, double-sent:WHERE, hang-up:WHERE[:MS], garbage, log-code,
    /// log:before-prompt, log:after-prompt, log:before-reply, log:after-reply. WHERE is code, code@N (the Nth
    /// byte of the next claim code) or N (every Nth byte). Over SoftAP, with :COMMAND for answers to that one
    /// only: softap-reset, softap-slow:MS, softap-garbage, softap-endless
    #[arg(long, value_name = "FAULT")]
    fault: Vec<PhotonFault>,
}

/// Runs it until `stop` ends, and takes its link away.
///
/// # Errors
///
/// `Configuration` for a board that there cannot be, `Unexpected` when the system has no pty.
pub async fn run(args: Args, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let config = config(args)?;
    let device_id = config.device_id.clone();
    let photon = SimPhoton::start(config).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::AlreadyExists => {
            let next = "change the flags that do not go together";
            Failure::configuration("there is no such simulated Photon", next).because(error)
        }
        _ => Failure::new(FailureCode::Unexpected, "the simulated Photon cannot run").because(error),
    })?;
    let mut ready = json!({ "device_id": device_id, "usb": photon.usb() });
    for (name, address) in [("softap_http", photon.softap_http()), ("softap_tcp", photon.softap_tcp())] {
        if let Some(address) = address {
            ready[name] = json!(address);
        }
    }
    announce(&ready)?;

    let mut hands = lines_of_stdin();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            Some(hand) = hands.recv() => match hand.trim() {
                "setup" => photon.press_setup(),
                "reset" => photon.reset(),
                "unplug" => photon.unplug(),
                "plug" => photon.plug(),
                _ => tracing::warn!("hands know setup, reset, unplug and plug"),
            },
        }
    }
}

fn config(args: Args) -> Result<PhotonConfig, Failure> {
    let device_id = match args.device_id {
        Some(id) => id,
        None => random_id()?,
    };
    Ok(PhotonConfig {
        platform: Platform::from_id(args.platform),
        firmware: args.firmware,
        serial_number: args.serial_number,
        cloud_url: args.cloud,
        cloud_roots: args.ca_file,
        link: args.link,
        softap_http: args.softap_http,
        softap_tcp: args.softap_tcp,
        device_key: args.device_key_file.map(read_key).transpose()?,
        claimed: args.claimed,
        listening: !args.not_listening,
        wifi_known: args.wifi_known,
        networks: args.network,
        connect_delay: Duration::from_millis(args.connect_delay),
        claim_delay: Duration::from_millis(args.claim_delay),
        relisten_delay: Duration::from_millis(args.relisten_delay),
        scan_delay: Duration::from_millis(args.scan_delay),
        byte_latency: Duration::from_millis(args.byte_latency),
        update: args.update,
        faults: args.fault,
        left_in: args.left_in,
        ..PhotonConfig::new(device_id)
    })
}

/// Its name is bytes of any kind, as they stand in the argument or as `%XX`.
fn network() -> impl TypedValueParser<Value = Network> {
    OsStringValueParser::new().try_map(|text| Network::parse(bytes(text)))
}

fn read_roots(path: &str) -> Result<RootCertificates, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    RootCertificates::from_pem(&pem).map_err(|invalid| invalid.to_string())
}

fn read_key(path: PathBuf) -> Result<DeviceKey, Failure> {
    let refuse = || {
        let next = "name a 1024-bit RSA key as PKCS#1 DER, plain or in hex, with --device-key-file";
        Failure::configuration(format!("no device key in {}", path.display()), next)
    };
    let bytes = std::fs::read(&path).map_err(|error| refuse().because(error))?;
    let key = match std::str::from_utf8(&bytes) {
        Ok(hex) => hex.parse(),
        Err(_) => DeviceKey::from_pkcs1_der(&bytes),
    };
    key.map_err(|error| refuse().because(error))
}

/// An id such as Photons have: the middle is the same on all of them.
fn random_id() -> Result<DeviceId, Failure> {
    let text = format!("{:06x}001747{:012x}", fastrand::u32(..1 << 24), fastrand::u64(..1 << 48));
    DeviceId::parse(&text)
        .map_err(|e| Failure::new(FailureCode::Unexpected, "no id could be made up").because(e))
}

/// Read by a thread of its own: a read from standard input cannot be called off, and must not hold the
/// process back at its end. A terminal that is in front of somebody else is left alone: reading from it
/// would stop the process.
fn lines_of_stdin() -> mpsc::UnboundedReceiver<String> {
    let (lines, read) = mpsc::unbounded_channel();
    let input = std::io::stdin();
    if rustix::termios::tcgetpgrp(&input).is_ok_and(|front| front != rustix::process::getpgrp()) {
        return read;
    }
    std::thread::spawn(move || {
        for line in input.lock().lines() {
            if !line.is_ok_and(|line| lines.send(line).is_ok()) {
                break;
            }
        }
    });
    read
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Top {
        #[command(flatten)]
        args: Args,
    }

    fn parse(text: &str) -> Result<PhotonConfig, clap::Error> {
        Top::try_parse_from(text.split(' ')).map(|top| config(top.args).unwrap())
    }

    #[test]
    fn a_networks_name_may_be_bytes_of_any_kind() {
        let network = OsStr::from_bytes(b"caf\xe9:NONE");
        let top = Top::try_parse_from([OsStr::new("photon"), OsStr::new("--network"), network]).unwrap();
        assert_eq!(config(top.args).unwrap().networks[0].ssid, b"caf\xe9");
    }

    #[test]
    fn every_flag_reaches_the_board() {
        let config = parse(
            "photon --cloud http://127.0.0.1:1/ --device-id 3B0021001747353236343033 --firmware 0.6.4 --platform 8 \
             --link /tmp/x --claimed --not-listening --wifi-known --serial-number PH --network a:NONE --network \
             b:WPA2_AES:6:-52:secret --connect-delay 1 --claim-delay 2 --relisten-delay 3 --scan-delay 4 \
             --byte-latency 5 --update 6:fails --fault garbage --fault drop:code@3x2 --left-in C:abc --softap-http 127.0.0.1:0 \
             --softap-tcp [::1]:5609",
        )
        .unwrap();
        assert_eq!(config.device_id.as_str(), "3b0021001747353236343033");
        assert_eq!(config.platform, Platform::P1);
        assert_eq!((config.networks.len(), config.faults.len()), (2, 2));
        assert!(config.claimed && !config.listening && config.wifi_known && config.left_in.is_some());
        assert_eq!(config.softap_http.unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(config.softap_tcp.unwrap().to_string(), "[::1]:5609");
        assert!(config.update.is_some_and(|update| update.fails && update.takes.as_millis() == 6));
        let delays = [
            config.connect_delay,
            config.claim_delay,
            config.relisten_delay,
            config.scan_delay,
            config.byte_latency,
        ];
        assert_eq!(delays.map(|delay| delay.as_millis()), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn left_out_flags_make_a_new_photon_with_an_id_of_its_own() {
        let (one, other) = (parse("photon").unwrap(), parse("photon").unwrap());
        assert_ne!(one.device_id, other.device_id);
        assert!(one.listening && !one.wifi_known && one.firmware == FirmwareVersion::new(2, 3, 1));
    }

    #[test]
    fn a_device_key_is_read_from_a_file_as_der_or_as_hex() {
        let recorded: serde_json::Value =
            serde_json::from_str(include_str!("../../fixtures/softap-2.3.1.key.json")).unwrap();
        let hex = recorded["private_key_der"].as_str().unwrap();
        let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let der: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("key");
        for content in [der, format!("{hex}\n").into_bytes()] {
            std::fs::write(&path, content).unwrap();
            assert!(read_key(path.clone()).unwrap() == DeviceKey::of_the_recordings());
        }
        std::fs::write(&path, "no key").unwrap();
        assert!(read_key(path).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in [
            "--softap-http 80",
            "--firmware 2",
            "--network a",
            "--fault fire",
            "--left-in bed",
            "--device-id 1",
            "--cloud https://127.0.0.1:1/ --ca-file /nowhere",
        ] {
            assert!(parse(&format!("photon {bad}")).is_err(), "{bad}");
        }
    }
}
