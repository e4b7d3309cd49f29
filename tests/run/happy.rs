//! What goes well.

use provision::{
    model::{DeviceId, Platform},
    sim::{
        cloud::CloudConfig,
        photon::{Effect, ListenEnd, Mode, PhotonConfig},
    },
};
use serde_json::Value;

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CUSTOMER, ID, OTHER_ID, SIGN_IN, all, codes, is_at_its_idle_prompt,
    is_online, is_untouched,
};

const EVERY_STEP: [&str; 11] = [
    "check-device",
    "check-product",
    "claim-code",
    "customer",
    "deliver",
    "finish",
    "import",
    "know-device",
    "listening",
    "sign-in",
    "verify",
];

#[tokio::test]
async fn a_new_board_is_taken_to_its_customer_with_the_command_and_without() {
    for command in [&["run"][..], &[]] {
        let bench = Bench::new().await;
        let board = bench.plug(bench.board());
        let run = bench.provision().with(command).with(&["--usb"]).with(&[board.usb()]).json();
        let ended = run.ended().await.passes();
        let result = ended.result();
        for (key, value) in [
            ("device_id", ID),
            ("customer", CUSTOMER),
            ("product", "1319"),
            ("platform", "Photon"),
            ("firmware", "2.3.1"),
        ] {
            assert_eq!(result[key], value, "{result}");
        }
        assert_eq!((&result["already"], &result["dry_run"]), (&Value::Bool(false), &Value::Bool(false)));
        assert_eq!(ended.steps(), EVERY_STEP);
        assert_eq!(ended.stderr, "");
        bench.holds_one_claim();
        is_online(&board).await;
        let effects = board.effects();
        assert!(
            matches!(&effects[..], [Effect::ClaimCode { .. }, Effect::ListenEnd { reason: ListenEnd::Exit }]),
            "{effects:?}"
        );
        assert!(board.state().claimed);
    }
}

#[tokio::test]
async fn a_template_makes_a_customer_for_each_device() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let run = bench.run(&board).with(&["--customer", "{device_id}@shadow.example"]);
    let ended = run.ended().await.passes();
    let customer = format!("{ID}@shadow.example");
    assert_eq!(ended.result()["customer"], *customer);
    assert_eq!(bench.owner(), Some(customer.clone()));
    assert_eq!(bench.customers(), [customer]);
}

#[tokio::test]
async fn a_board_is_found_by_its_id_and_as_the_only_one() {
    for target in [ID, "auto"] {
        let bench = Bench::new().await;
        let board = bench.plug_into_hub(bench.board());
        bench.run_in_hub(target).ended().await.passes();
        bench.holds_one_claim();
        is_online(&board).await;
    }
}

#[tokio::test]
async fn a_board_is_found_by_its_id_among_others() {
    let bench = Bench::new().await;
    let other = DeviceId::parse(OTHER_ID).unwrap();
    let other = bench.plug_into_hub(PhotonConfig { device_id: other, ..bench.board() });
    let board = bench.plug_into_hub(bench.board());
    bench.run_in_hub(ID).ended().await.passes();
    bench.holds_one_claim();
    is_online(&board).await;
    is_untouched(&other);
}

#[tokio::test]
async fn a_running_board_whose_id_usb_tells_is_put_into_listening_mode_and_let_out_again() {
    let bench = Bench::new().await;
    let board = bench.plug_into_hub(bench.running_board());
    bench.run_in_hub("auto").ended().await.passes();
    bench.holds_one_claim();
    is_online(&board).await;
}

#[tokio::test]
async fn a_person_may_bring_the_board_to_listening() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.running_board());
    let mut asked = 0;
    let run = bench.run(&board).start().ended_with(|event| {
        if event["event"] == "action-needed" {
            assert_eq!(event["action"], "hold-setup-button");
            asked += 1;
            board.press_setup();
        }
    });
    run.await.passes();
    assert_eq!(asked, 1);
    bench.holds_one_claim();
    is_online(&board).await;
}

#[tokio::test]
async fn a_product_may_be_named_by_its_slug() {
    let bench = Bench::new().await;
    let board = bench.plug(bench.board());
    let slug = &bench.info.product_slug;
    let ended = bench.run(&board).with(&["--product", slug]).ended().await.passes();
    assert_eq!(ended.result()["product"], **slug);
    bench.holds_one_claim();
    // The second run finds what the first one made.
    let board = bench.plug_into_hub(bench.running_board());
    let again = bench.run_in_hub("auto").with(&["--product", slug]).ended().await.passes();
    assert_eq!(again.result()["already"], true);
    assert_eq!(board.effects(), []);
}

#[tokio::test]
async fn a_p1_is_taken_to_a_product_of_its_kind() {
    let bench = Bench::with(CloudConfig { platform_id: 8, ..CloudConfig::default() }).await;
    let board = bench.plug(PhotonConfig { platform: Platform::P1, ..bench.board() });
    let ended = bench.run(&board).ended().await.passes();
    assert_eq!(ended.result()["platform"], "P1");
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_p1_that_is_found_by_its_link_is_not_taken_for_a_photon() {
    let bench = Bench::with(CloudConfig { platform_id: 8, ..CloudConfig::default() }).await;
    let _board = bench.plug_into_hub(PhotonConfig { platform: Platform::P1, ..bench.board() });
    let ended = bench.run_in_hub("auto").ended().await.passes();
    assert_eq!(ended.result()["device_id"], ID);
    bench.holds_one_claim();
}

#[tokio::test]
async fn a_developer_takes_a_board_to_their_own_account() {
    for running in [false, true] {
        let bench = Bench::new().await;
        let config = if running { bench.running_board() } else { bench.board() };
        let board = bench.plug_into_hub(config);
        let run = || {
            bench
                .run_in_hub("auto")
                .with(&["--owner", "developer"])
                .without("PARTICLE_CLIENT_ID")
                .without("PARTICLE_CLIENT_SECRET")
                .without("PARTICLE_PRODUCT")
                .without("PROVISION_CUSTOMER")
                .env("PARTICLE_ACCESS_TOKEN", &bench.info.user_token)
        };
        let ended = run().ended().await.passes();
        assert_eq!((&ended.result()["customer"], &ended.result()["product"]), (&Value::Null, &Value::Null));
        is_online(&board).await;
        assert_eq!(bench.owner().as_deref(), Some("developer@simulated.example"));
        assert_eq!(bench.cloud.device(ID).unwrap()["product_id"], Value::Null);
        assert_eq!(bench.customers(), [""; 0]);
        assert_eq!((bench.count("POST /v1/device_claims"), bench.count(SIGN_IN)), (1, 0));
        bench.forget_requests();
        assert_eq!(run().ended().await.passes().result()["already"], true);
        assert_eq!(bench.requests(), ["GET /v1/devices"]);
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    all(["port", "hub", "hub, running"], async |case| {
        let bench = Bench::new().await;
        let (board, run) = match case {
            "port" => {
                let board = bench.plug(bench.board());
                let run = bench.run(&board);
                (board, run)
            }
            "hub" => (bench.plug_into_hub(bench.board()), bench.run_in_hub("auto")),
            _ => {
                // It does not come online by itself, so nothing but the run could change the cloud.
                let config = PhotonConfig { wifi_known: false, ..bench.running_board() };
                (bench.plug_into_hub(config), bench.run_in_hub("auto"))
            }
        };
        let (before, mode) = (bench.state(), board.state().mode);
        let ended = run.with(&["--dry-run"]).ended().await.passes();
        assert_eq!(ended.result()["dry_run"], true);
        for step in ["import", "customer", "claim-code", "deliver", "finish", "verify"] {
            assert_eq!(ended.outcome(step), Some("would-do"), "{case}: {step}");
        }
        assert_eq!(ended.outcome("listening") == Some("would-do"), mode == Mode::Running, "{case}");
        assert_eq!(bench.state(), before, "{case}");
        let mut asked = bench.requests();
        asked.sort();
        assert_eq!(asked, [ASK_PRODUCT, ASK_DEVICE, SIGN_IN], "{case}");
        assert_eq!((board.effects(), board.state().mode), (vec![], mode), "{case}");
        if mode == Mode::Listening {
            is_at_its_idle_prompt(&board).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_says_that_a_board_is_provisioned_already() {
    let bench = Bench::new().await;
    bench.seed(Some(CUSTOMER));
    let board = bench.plug(bench.board());
    let ended = bench.run(&board).with(&["--dry-run"]).ended().await.passes();
    assert_eq!((&ended.result()["already"], &ended.result()["dry_run"]), (&true.into(), &true.into()));
    is_untouched(&board);
}

#[tokio::test]
async fn a_dry_run_leaves_a_console_where_somebody_left_it() {
    let bench = Bench::new().await;
    let board = bench.plug(PhotonConfig { left_in: Some("C:abc".parse().unwrap()), ..bench.board() });
    bench.run(&board).with(&["--dry-run"]).ended().await.fails_with(11, "in-dialogue").at("listening");
    is_untouched(&board);
}

#[tokio::test]
async fn a_reclaimed_device_changes_hands() {
    let bench = Bench::new().await;
    bench.seed(Some("somebody@else.example"));
    let board = bench.plug(bench.board());
    let dry = bench.run(&board).with(&["--reclaim", "--dry-run"]).ended().await.passes();
    assert_eq!(dry.outcome("check-device"), Some("would-do"));
    assert_eq!(bench.owner().as_deref(), Some("somebody@else.example"));
    let ended = bench.run(&board).with(&["--reclaim"]).ended().await.passes();
    assert_eq!(ended.outcome("check-device"), Some("done"));
    bench.holds_one_claim();
    assert_eq!(codes(&board).len(), 1);
}

#[tokio::test]
async fn two_boards_at_the_same_time_do_not_get_into_each_others_way() {
    let bench = Bench::new().await;
    let other = DeviceId::parse(OTHER_ID).unwrap();
    let boards = [bench.plug(bench.board()), bench.plug(PhotonConfig { device_id: other, ..bench.board() })];
    all(&boards, async |board| {
        bench.run(board).ended().await.passes();
    })
    .await;
    for id in [ID, OTHER_ID] {
        assert_eq!(bench.cloud.device(id).unwrap()["owner"], CUSTOMER);
    }
    assert_eq!(bench.customers(), [CUSTOMER]);
}
