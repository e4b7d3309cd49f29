//! What is refused, by whom, and that nothing is left behind.

use std::path::Path;

use provision::{
    model::{DeviceId, FirmwareVersion},
    sim::{
        cloud::{CloudConfig, DeviceSeed},
        photon::{Mode, PhotonConfig},
    },
};

use crate::bench::{
    ASK_DEVICE, Bench, CLAIM_CODE, CREATE_CUSTOMER, CUSTOMER, ID, IMPORT, OTHER_ID, PRODUCT, SIGN_IN, all,
    codes, guarded, is_at_its_idle_prompt, is_untouched, open,
};

const FOREVER: std::time::Duration = std::time::Duration::from_secs(3600);
const SOMEBODY: &str = "somebody@else.example";

// --- the cloud's refusals ---

#[tokio::test]
async fn a_device_that_the_record_shows_as_somebody_elses() {
    let bench = Bench::new().await;
    bench.seed(Some(SOMEBODY));
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.fails_with(40, "owned-by-other").at("check-device");
    assert!(ended.message().contains(SOMEBODY));
    assert_eq!(bench.owner().as_deref(), Some(SOMEBODY));
    assert_eq!((bench.count(IMPORT), bench.count(CLAIM_CODE)), (0, 0));
    is_untouched(&board);
    is_at_its_idle_prompt(&board).await;
}

#[tokio::test]
async fn a_running_board_that_is_somebody_elses_is_not_disturbed() {
    let bench = Bench::new().await;
    bench.seed(Some(SOMEBODY));
    let board = bench.plug_into_hub(bench.running_board());
    let _held = guarded(open(&board)).await;
    bench.run_in_hub("auto").ended().await.fails_with(40, "owned-by-other").at("check-device");
    assert_eq!((board.effects(), board.state().mode), (vec![], Mode::Running));
}

#[tokio::test]
async fn a_device_that_the_import_finds_to_be_somebody_elses_or_in_another_product() {
    for (owner, product_id) in [(Some(SOMEBODY.to_owned()), None), (None, Some(7))] {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        let seed = DeviceSeed { id: ID.into(), owner: owner.clone(), product_id, ..DeviceSeed::default() };
        assert!(bench.cloud.add_device(seed));
        let before = bench.cloud.device(ID);
        let board = bench.plug(bench.board());
        bench.run(&board).ended().await.fails_with(40, "owned-by-other").at("import");
        assert_eq!(bench.cloud.device(ID), before);
        is_untouched(&board);
    }
}

#[tokio::test]
async fn a_board_of_another_kind_than_the_products() {
    let bench = Bench::with(CloudConfig { platform_id: 8, ..CloudConfig::default() }).await;
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).ended().await.fails_with(21, "wrong-platform").at("check-device");
    ended.saying("P1").saying("Photon");
    bench.knows_no_device();
    is_untouched(&board);
}

#[tokio::test]
async fn a_board_of_another_kind_that_only_its_console_tells() {
    let bench = Bench::with(CloudConfig { platform_id: 8, ..CloudConfig::default() }).await;
    let board = bench.plug_into_hub(bench.board());
    bench.run_in_hub("auto").ended().await.fails_with(21, "wrong-platform").at("check-device");
    is_untouched(&board);
}

#[tokio::test]
async fn a_product_that_nobody_has() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    for product in ["9999", "no-such-product"] {
        let run = bench.run(&board).with(&["--product", product]);
        run.ended().await.fails_with(21, "product-not-visible");
    }
    bench.knows_no_device();
    is_untouched(&board);
}

#[tokio::test]
async fn a_client_that_was_made_outside_the_product() {
    for of in [None, Some(7)] {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        let (id, secret) = bench.cloud.add_client(of);
        let board = bench.plug(bench.board());
        let run = bench.run(&board).env("PARTICLE_CLIENT_ID", id).env("PARTICLE_CLIENT_SECRET", secret);
        let ended = run.ended().await.fails_with(21, "product-not-visible");
        ended.saying("must be made inside the product");
        bench.knows_no_device();
        assert_eq!(bench.customers(), [""; 0]);
        is_untouched(&board);
    }
}

#[tokio::test]
async fn an_id_that_the_product_does_not_take() {
    let bench = Bench::new().await;
    let seed = DeviceSeed { id: ID.into(), platform_id: Some(8), ..DeviceSeed::default() };
    assert!(bench.cloud.add_device(seed));
    let board = bench.plug(bench.board());
    bench.run(&board).ended().await.fails_with(21, "import-refused").at("import");
    is_untouched(&board);
}

#[tokio::test]
async fn a_device_that_the_product_has_turned_away_is_not_verified() {
    let bench = Bench::new().await;
    let seed = DeviceSeed { id: ID.into(), product_id: Some(PRODUCT), denied: true, ..DeviceSeed::default() };
    assert!(bench.cloud.add_device(seed));
    let board = bench.plug(bench.board());
    bench.run(&board).with(&["--timeout", "1s"]).ended().await.fails_with(30, "not-verified").at("verify");
    assert_eq!(bench.owner(), None);
}

#[tokio::test]
async fn a_wrong_secret_ends_the_run_and_is_held_back_before_the_cloud_locks_the_site_out() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let wrong = || bench.run(&board).env("PARTICLE_CLIENT_SECRET", "wrong-secret").ended();
    let mut runs = 0;
    loop {
        bench.forget_requests();
        let ended = wrong().await;
        if ended.result()["error"]["code"] == "sign-in-held-back" {
            ended.fails_with(20, "sign-in-held-back").saying("5 sign-ins in a row were refused");
            break;
        }
        ended.fails_with(20, "sign-in-refused").saying("Client credentials are invalid");
        runs += 1;
        assert!(runs <= 5, "not held back");
    }
    // A first run may have two sign-ins under way, so it may count twice.
    assert!(runs >= 4, "held back after {runs} runs");
    assert_eq!(bench.requests(), [""; 0]);
    let sent = bench.cloud.requests();
    let refused = sent.iter().filter(|r| r.status == Some(401)).count();
    assert!((5..=6).contains(&refused), "{sent:?}");
    bench.knows_no_device();
    is_untouched(&board);
    // The cure is let through, and wipes the record.
    bench.run(&board).ended().await.passes();
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_client_that_nobody_has() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).env("PARTICLE_CLIENT_ID", "nobody-1");
    run.ended().await.fails_with(20, "sign-in-refused");
    is_untouched(&board);
}

#[tokio::test]
async fn a_developers_token_that_the_cloud_does_not_know() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["--owner", "developer"]);
    let ended = run.env("PARTICLE_ACCESS_TOKEN", "0123456789abcdef0123456789abcdef01234567").ended().await;
    ended.fails_with(20, "sign-in-refused").at("check-device");
    is_untouched(&board);
}

#[tokio::test]
async fn a_cached_token_that_was_revoked_is_renewed_once() {
    let bench = Bench::new().await;
    let other = DeviceId::parse(OTHER_ID).unwrap();
    let first = bench.plug(PhotonConfig { device_id: other, ..bench.board() });
    bench.run(&first).ended().await.passes();
    bench.cloud.revoke_tokens();
    bench.forget_requests();
    let board = bench.plug(bench.board());
    bench.run(&board).ended().await.passes();
    assert_eq!(bench.owner().as_deref(), Some(CUSTOMER));
    // One for the product; the customer is found to exist, and gets one as well.
    assert_eq!((bench.count(SIGN_IN), bench.count(CREATE_CUSTOMER)), (2, 1));
}

#[tokio::test]
async fn a_cloud_that_asks_for_more_patience_than_there_is() {
    let cases = [("429:retry-after=1800", "limits-hit"), ("503:retry-after=1800", "cloud-unreachable")];
    all(cases, async |(fault, code)| {
        for route in ["POST /oauth/token", "GET /v1/products/*", "POST /v1/products/*/devices"] {
            let bench = Bench::new().await;
            bench.cloud.add_fault(format!("{route}={fault}").parse().unwrap());
            let board = bench.plug(bench.board());
            bench.run(&board).ended().await.fails_with(22, code);
            is_untouched(&board);
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_that_the_cloud_has_locked_out() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    // Somebody else at this address, with a home of their own each time.
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy();
    // Several may build the crypto provider; one that is there already is as good.
    let client = client.build().unwrap();
    for _ in 0..10 {
        let url = format!("{}/oauth/token", bench.info.api_url);
        client.post(url).basic_auth(&bench.info.client_id, Some("wrong")).send().await.unwrap();
    }
    bench.run(&board).ended().await.fails_with(22, "limits-hit");
    is_untouched(&board);
    bench.cloud.advance(std::time::Duration::from_secs(30 * 60));
    bench.run(&board).ended().await.passes();
}

// --- the device's ---

#[tokio::test]
async fn firmware_that_cannot_take_a_claim_code_over_usb() {
    for version in [FirmwareVersion::new(0, 4, 9), FirmwareVersion::new(0, 5, 3)] {
        let bench = Bench::new().await;
        let board = bench.plug(PhotonConfig { firmware: version.clone(), ..bench.board() });
        let ended = bench.run(&board).ended().await.fails_with(12, "firmware-too-old").at("listening");
        assert!(ended.message().contains(&version.to_string()));
        assert!(ended.result()["error"]["hint"].as_str().unwrap().contains("SoftAP"));
        bench.knows_no_device();
        is_untouched(&board);
    }
}

#[tokio::test]
async fn a_board_that_nobody_brings_to_listening() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { wifi_known: false, ..bench.running_board() });
    let ended = bench.run(&board).with(&["--wait", "1s"]).ended().await;
    let ended = ended.fails_with(11, "not-listening").at("listening");
    assert!(ended.result()["error"]["hint"].as_str().unwrap().contains("SETUP"));
    assert!(ended.events.iter().any(|e| e["action"] == "hold-setup-button"));
    bench.knows_no_device();
    assert_eq!(board.state().mode, Mode::Running);
}

#[tokio::test]
async fn a_board_that_was_given_up_stays_in_listening_mode_when_somebody_brings_it_there_later() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { wifi_known: false, ..bench.running_board() });
    let wait = ["--wait", "1s"];
    bench.run(&board).with(&wait).ended().await.fails_with(11, "not-listening");
    board.press_setup();
    guarded(board.wait_for(|state| state.mode == Mode::Listening)).await;
    // Whatever was typed in vain is read now; nothing of it may lead out again.
    is_at_its_idle_prompt(&board).await;
    is_untouched(&board);
}

#[tokio::test]
async fn a_board_without_wifi_comes_back_to_listening() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { wifi_known: false, ..bench.board() });
    let ended = bench.run(&board).ended().await.fails_with(30, "back-to-listening").at("finish");
    assert!(ended.message().contains("Wi-Fi"));
    // It keeps the code, for when it can join.
    assert_eq!(codes(&board).len(), 1);
    assert_eq!(bench.owner(), None);
}

#[tokio::test]
async fn a_board_that_does_not_come_online_in_time() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { connect_delay: FOREVER, ..bench.board() });
    let ended = bench.run(&board).with(&["--timeout", "1s"]).ended().await;
    ended
        .fails_with(30, "not-verified")
        .at("verify")
        .saying("after 1 s")
        .saying("owned by nobody")
        .saying("offline")
        .saying("never heard from");
}

#[tokio::test]
async fn a_board_that_is_online_and_does_not_claim_in_time() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { claim_delay: FOREVER, ..bench.board() });
    let ended = bench.run(&board).with(&["--timeout", "1s"]).ended().await;
    ended
        .fails_with(30, "not-verified")
        .at("verify")
        .saying("owned by nobody")
        .saying("online")
        .saying("last heard 20");
}

#[tokio::test]
async fn a_device_that_somebody_else_gets_in_the_end() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { connect_delay: FOREVER, ..bench.board() });
    let mut run = bench.run(&board).with(&["--timeout", "1s"]).start();
    run.reaches("step-started", "verify").await;
    bench.cloud.set_owner(ID, Some(SOMEBODY));
    run.ended().await.fails_with(40, "owned-by-other").at("verify").saying(SOMEBODY);
}

// --- ports ---

#[tokio::test]
async fn a_board_that_is_not_the_one_that_is_meant() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["--device-id", OTHER_ID]);
    run.ended().await.fails_with(10, "wrong-device").saying(ID).saying(OTHER_ID);
    is_untouched(&board);
    let board = bench.plug_into_hub(bench.board());
    let _held = guarded(open(&board)).await;
    let run = bench.run_in_hub("auto").with(&["--device-id", OTHER_ID]);
    run.ended().await.fails_with(10, "wrong-device").at("know-device");
    assert_eq!(bench.count(ASK_DEVICE), 0);
    bench.knows_no_device();
    is_untouched(&board);
    bench.run(&bench.plug(bench.board())).with(&["--device-id", ID]).ended().await.passes();
}

#[tokio::test]
async fn a_board_behind_another_ones_name() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { link: Some(bench.hub().join(OTHER_ID)), ..bench.board() });
    bench.run_in_hub("auto").ended().await.fails_with(10, "wrong-device").at("listening");
    is_untouched(&board);
}

#[tokio::test]
async fn no_board_and_more_than_one() {
    let bench = Bench::new().await;
    bench.run_in_hub("auto").ended().await.fails_with(10, "no-device").at("know-device");
    bench.run_in_hub(ID).ended().await.fails_with(10, "no-device").saying(ID);
    let other = DeviceId::parse(OTHER_ID).unwrap();
    let boards = [
        bench.plug_into_hub(bench.board()),
        bench.plug_into_hub(PhotonConfig { device_id: other, ..bench.board() }),
    ];
    let ended = bench.run_in_hub("auto").ended().await.fails_with(10, "several-devices");
    ended.saying(ID).saying(OTHER_ID);
    boards.iter().for_each(is_untouched);
    bench.knows_no_device();
}

#[tokio::test]
async fn what_is_no_port() {
    let bench = Bench::new().await;
    let file = bench.home().join("notes.txt");
    std::fs::write(&file, "").unwrap();
    for port in [Path::new("/no/such/port"), &file, &bench.home(), Path::new("/dev/null")] {
        let ended = bench.run_at_port(port).ended().await.fails_with(10, "no-device");
        ended.saying(port.to_str().unwrap());
    }
    bench.knows_no_device();
}

#[tokio::test]
async fn a_port_that_another_run_works_at() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let gate = bench.cloud.gate(CLAIM_CODE).unwrap();
    let first = bench.run(&board).start();
    guarded(gate.arrived()).await;
    let second = bench.run(&board).ended().await.fails_with(10, "port-busy").saying("in use");
    assert!(second.result()["error"]["hint"].as_str().unwrap().contains("another `provision`"));
    gate.open();
    first.ended().await.passes();
    bench.holds_one_claim();
    assert_eq!(codes(&board).len(), 1);
}

#[tokio::test]
async fn two_runs_at_one_port_at_the_same_moment_do_not_mix() {
    let bench = Bench::new().await;
    // No Wi-Fi question comes up: whoever is second finds the port in use, or a board that is done.
    let board = bench.plug_into_hub(bench.board());
    let (one, two) = (bench.run_in_hub(ID).start(), bench.run_in_hub(ID).start());
    let ends = [one.ended().await, two.ended().await];
    assert!(ends.iter().any(|ended| ended.status.success()), "{ends:?}");
    for ended in ends.into_iter().filter(|ended| !ended.status.success()) {
        ended.fails_with(10, "port-busy");
    }
    bench.holds_one_claim();
    assert!(codes(&board).len() <= 2);
}

// --- settings ---

#[tokio::test]
async fn what_is_missing_is_named_before_anything_is_touched() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    for (variable, words) in [
        ("PARTICLE_PRODUCT", "--product"),
        ("PROVISION_CUSTOMER", "--customer"),
        ("PARTICLE_CLIENT_ID", "--client-id"),
        ("PARTICLE_CLIENT_SECRET", "--client-secret-file"),
    ] {
        let ended = bench.run(&board).without(variable).ended().await.fails_with(2, "configuration");
        let hint = ended.result()["error"]["hint"].to_string();
        assert!(hint.contains(words), "{hint}");
    }
    bench
        .provision()
        .with(&["run"])
        .json()
        .ended()
        .await
        .fails_with(2, "configuration")
        .saying("no board was named");
    assert_eq!(bench.requests(), [""; 0]);
    is_untouched(&board);
}
