//! Over the board's own network: the fewest exchanges, taking turns with the cloud, and tickets.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use provision::sim::photon::{PhotonConfig, SimPhoton};
use serde_json::Value;

use crate::{
    bench::{Bench, ID, Run, Running, codes, is_online},
    door::Door,
};

const NETWORKS: [&str; 3] =
    ["Office:WPA2_AES:6:-52:correct horse", "Free:NONE:1:-60", "caf%E9:WPA2_AES:6:-50:correct horse"];

fn board(bench: &Bench) -> PhotonConfig {
    let anywhere = Some(([127, 0, 0, 1], 0).into());
    let networks = NETWORKS.map(|network| network.parse().unwrap()).into();
    PhotonConfig { softap_http: anywhere, softap_tcp: anywhere, networks, wifi_known: false, ..bench.board() }
}

#[tokio::test]
async fn a_run_asks_the_board_for_no_more_than_it_needs() {
    let office = &["--wifi-ssid", "Office", "--wifi-security", "WPA2_AES"][..];
    let open = &["--wifi-ssid", "Free", "--wifi-security", "NONE"][..];
    let unsaid = &["--wifi-ssid", "Office"][..];
    for (wifi, asked) in [
        (office, &["device-id", "set", "public-key", "configure-ap", "connect-ap"][..]),
        (open, &["device-id", "set", "configure-ap", "connect-ap"]),
        (unsaid, &["device-id", "set", "scan-ap", "public-key", "configure-ap", "connect-ap"]),
        (&[], &["device-id", "set", "connect-ap"]),
    ] {
        for tcp in [false, true] {
            let bench = Bench::new().await;
            let photon = bench.plug(PhotonConfig { wifi_known: wifi.is_empty(), ..board(&bench) });
            let to = if tcp { photon.softap_tcp() } else { photon.softap_http() };
            let door = Door::new(to.unwrap(), || true).await;
            let address = format!("{}://{}", if tcp { "tcp" } else { "http" }, door.address);
            let run = bench.provision().with(&["run", "--softap", &address]).with(wifi);
            run.env("PROVISION_WIFI_PASSWORD", "correct horse").json().ended().await.passes();
            // Later ones look whether it comes back.
            let mut through = door.asked();
            let last = through.iter().position(|name| name == "connect-ap").unwrap();
            through.truncate(last + 1);
            assert_eq!(through, asked, "tcp: {tcp}");
            bench.holds_one_claim();
        }
    }
}

/// A computer with one radio, and a person who changes its network.
struct OneRadio {
    bench: Bench,
    photon: SimPhoton,
    at_photon: Arc<AtomicBool>,
    to_photon: Door,
    to_cloud: Door,
}

impl OneRadio {
    async fn new(at_photon: bool) -> Self {
        Self::with(at_photon, |photon| photon).await
    }

    async fn with(at_photon: bool, photon: impl FnOnce(PhotonConfig) -> PhotonConfig) -> Self {
        let bench = Bench::new().await;
        let photon = bench.plug(photon(board(&bench)));
        let at_photon = Arc::new(AtomicBool::new(at_photon));
        let cloud = bench.info.api_url.parse::<url::Url>().unwrap().socket_addrs(|| None).unwrap()[0];
        let (here, there) = (at_photon.clone(), at_photon.clone());
        let to_photon = Door::new(photon.softap_http().unwrap(), move || here.load(Ordering::SeqCst)).await;
        let to_cloud = Door::new(cloud, move || !there.load(Ordering::SeqCst)).await;
        Self { bench, photon, at_photon, to_photon, to_cloud }
    }

    fn run(&self, with: &[&str]) -> Run {
        let run = self.bench.provision().env("PARTICLE_API_URL", format!("http://{}", self.to_cloud.address));
        let run = run.env("PROVISION_WIFI_PASSWORD", "correct horse");
        run.with(&["run", "--softap", &self.to_photon.address.to_string(), "--wifi-ssid", "Office"])
            .with(with)
            .json()
    }

    /// Waits until a person is asked, who then does it.
    async fn is_asked_to(&self, run: &mut Running, wanted: &str) {
        loop {
            let event = run.next_event().await.unwrap_or(Value::Null);
            assert_ne!(event, Value::Null, "nobody is asked to {wanted}");
            if event["event"] == "action-needed" {
                assert_eq!(event["action"], wanted);
                self.at_photon.store(wanted == "join-photon", Ordering::SeqCst);
                return;
            }
        }
    }
}

#[tokio::test]
async fn one_that_is_online_prepares_first_and_is_then_brought_to_the_board_and_back() {
    let computer = OneRadio::new(false).await;
    let mut run = computer.run(&["--device-id", ID]).start();
    computer.is_asked_to(&mut run, "join-photon").await;
    assert_eq!(codes(&computer.photon).len(), 0);
    computer.is_asked_to(&mut run, "go-online").await;
    assert_eq!(codes(&computer.photon).len(), 1);
    let ended = run.ended().await.passes();
    assert_eq!(ended.events.iter().filter(|event| event["event"] == "action-needed").count(), 2);
    // What is out of reach is found by trying.
    assert!(computer.to_photon.knocks() > 0 && computer.to_cloud.knocks() > 0);
    computer.bench.holds_one_claim();
}

#[tokio::test]
async fn one_that_is_at_the_board_is_brought_online_to_prepare_and_back_twice() {
    let computer = OneRadio::new(true).await;
    // It answers who it is, so its id need not be said, and it is imported before it has the code.
    let mut run = computer.run(&[]).start();
    for wanted in ["go-online", "join-photon", "go-online"] {
        computer.is_asked_to(&mut run, wanted).await;
    }
    run.ended().await.passes();
    computer.bench.holds_one_claim();
}

#[tokio::test]
async fn a_board_whose_id_is_not_known_before_is_imported_last_and_the_risk_is_told() {
    // It takes its time to come online, for the cloud is strict about who shows a code before it is imported.
    let slow = |photon| PhotonConfig { connect_delay: Duration::from_secs(3600), ..photon };
    let computer = OneRadio::with(false, slow).await;
    let mut run = computer.run(&[]).start();
    let risk = run.reaches("step-note", "import").await;
    assert!(risk["note"].as_str().unwrap().contains("may show its code before it is imported"), "{risk}");
    run.reaches("step-ended", "claim-code").await;
    computer.bench.knows_no_device();
    computer.is_asked_to(&mut run, "join-photon").await;
    computer.is_asked_to(&mut run, "go-online").await;
    run.reaches("step-ended", "import").await;
    assert_eq!(codes(&computer.photon).len(), 1);
    run.interrupt();
    run.ended().await.fails_with(130, "interrupted");
}

#[tokio::test]
async fn another_board_than_the_one_that_answered_first_gets_nothing() {
    let computer = OneRadio::new(false).await;
    let mut run = computer.run(&["--device-id", "222222222222222222222222"]).start();
    computer.is_asked_to(&mut run, "join-photon").await;
    run.ended().await.fails_with(10, "wrong-device").saying(ID);
    assert!(computer.photon.effects().is_empty());
}

#[tokio::test]
async fn a_ticket_that_has_expired_is_not_delivered() {
    let bench = Bench::new().await;
    let photon = bench.plug(board(&bench));
    let address = photon.softap_http().unwrap().to_string();
    let path = bench.home().join("ticket.json");
    let prepare = bench
        .provision()
        .with(&["prepare", "--device-id", ID, "--wifi-ssid", "Office", "--out"])
        .with(&[&path]);
    prepare.env("PROVISION_WIFI_PASSWORD", "correct horse").ended().await.passes();
    let whole = std::fs::read_to_string(&path).unwrap();
    let mut ticket: Value = serde_json::from_str(&whole).unwrap();
    ticket["expires_at"] = "2026-01-01T00:00:00Z".into();
    std::fs::write(&path, ticket.to_string()).unwrap();
    let deliver = || bench.provision().with(&["deliver"]).with(&[&path]).with(&["--softap", &address]).json();
    deliver().ended().await.fails_with(2, "configuration").saying("expired at 2026-01-01");
    assert!(photon.effects().is_empty());
    // What has been delivered in time can be verified at any time.
    std::fs::write(&path, whole).unwrap();
    deliver().ended().await.passes();
    is_online(&photon).await;
    std::fs::write(&path, ticket.to_string()).unwrap();
    bench.provision().with(&["verify"]).with(&[&path]).ended().await.passes();
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_name_that_is_no_text_arrives_from_a_flag_a_file_and_a_ticket() {
    let name = || OsString::from_vec(b"caf\xe9".to_vec());
    let network = b"caf\xe9";
    for way in ["flag", "file", "ticket", "usb"] {
        let bench = Bench::new().await;
        let photon = bench.plug(board(&bench));
        let address = photon.softap_http().unwrap().to_string();
        let file = bench.home().join("wifi.json");
        std::fs::write(
            &file,
            r#"{"network_hex":"636166e9","security":"WPA2_AES","password":"correct horse"}"#,
        )
        .unwrap();
        let run = bench.provision().env("PROVISION_WIFI_PASSWORD", "correct horse");
        let run = match way {
            "flag" => run.with(&["run", "--softap", &address, "--wifi-ssid"]).with(&[name()]),
            "file" => run.with(&["run", "--softap", &address, "--wifi"]).with(&[&file]),
            "usb" => run.with(&["run", "--wifi-ssid"]).with(&[name()]).with(&["--usb"]).with(&[photon.usb()]),
            _ => {
                let ticket = bench.home().join("ticket.json");
                let prepare =
                    bench.provision().with(&["prepare", "--device-id", ID, "--wifi"]).with(&[&file]);
                prepare.with(&["--out"]).with(&[&ticket]).ended().await.passes();
                run.with(&["deliver"]).with(&[&ticket]).with(&["--softap", &address])
            }
        };
        run.ended().await.passes();
        is_online(&photon).await;
        assert_eq!(photon.state().saved[0].ssid, network, "{way}");
    }
}

#[tokio::test]
async fn a_ticket_that_could_not_be_kept_is_not_prepared() {
    let bench = Bench::new().await;
    let prepare =
        bench.provision().with(&["prepare", "--device-id", ID, "--out", "/no/such/place/ticket.json"]);
    let ended = prepare.ended().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("/no/such/place/ticket.json cannot be written"), "{}", ended.stderr);
    assert_eq!(bench.requests(), [""; 0]);
}

#[tokio::test]
async fn a_board_that_was_imported_after_it_had_its_code_is_told_as_such_when_it_is_not_claimed() {
    let bench = Bench::new().await;
    let claim_delay = Duration::from_secs(3600);
    let photon = bench.plug(PhotonConfig { wifi_known: true, claim_delay, ..board(&bench) });
    let (ticket, address) = (bench.home().join("ticket.json"), photon.softap_http().unwrap().to_string());
    bench.provision().with(&["prepare", "--out"]).with(&[&ticket]).ended().await.passes();
    let deliver = bench.provision().with(&["deliver", "--softap", &address]).with(&[&ticket]);
    deliver.ended().await.passes();
    is_online(&photon).await;
    let verify = bench.provision().with(&["verify", "--timeout", "1s"]).with(&[&ticket]).json();
    let ended = verify.ended().await.fails_with(30, "not-verified");
    let hint = ended.result()["error"]["hint"].as_str().unwrap_or_default().to_owned();
    assert!(hint.contains("before it was imported") && hint.contains("--device-id"), "{hint}");
}
