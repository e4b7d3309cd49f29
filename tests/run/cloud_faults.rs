//! The cloud at its worst. What is safe to repeat is repeated; what cannot be understood is said; and in
//! the end, perhaps after a second run, there is one claim and no stray customer.

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, IMPORT, SIGN_IN, all, is_online,
};

const ROUTES: [&str; 6] = [SIGN_IN, ASK_PRODUCT, ASK_DEVICE, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];

fn on_every_route<'a>(faults: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    ROUTES.into_iter().flat_map(move |route| faults.iter().map(move |fault| format!("{route}={fault}")))
}

#[tokio::test]
async fn what_passes_is_lived_through() {
    let faults = [
        "503x2",
        "500x1",
        "408x1",
        "429:retry-after=0x1",
        "dropx1",
        "drop-afterx1",
        "truncatex1",
        "delay:30",
    ];
    all(on_every_route(&faults), async |fault| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(fault.parse().unwrap());
        let board = bench.plug(bench.board());
        let ended = bench.run(&board).ended().await;
        assert!(ended.status.success(), "{fault}: {ended:?}");
        bench.holds_one_claim();
        is_online(&board).await;
    })
    .await;
}

#[tokio::test]
async fn who_watches_is_told_what_is_tried_again() {
    let steps = ["sign-in", "check-product", "check-device", "import", "customer", "claim-code"]
        .into_iter()
        .zip(ROUTES);
    all(steps, async |(step, route)| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{route}=503x1").parse().unwrap());
        let board = bench.plug(bench.board());
        let ended = bench.run(&board).ended().await.passes();
        let told = |e: &serde_json::Value| {
            let note = e["note"].as_str().unwrap_or_default();
            e["event"] == "step-note" && e["step"] == step && note.contains("503") && note.contains(route)
        };
        assert!(ended.events.iter().any(told), "{route}: {ended:?}");
    })
    .await;
}

#[tokio::test]
async fn what_nobody_can_understand_is_said_and_a_second_run_mends_it() {
    let faults = [
        ("garbagex1", "cloud-garbled", "damaged JSON"),
        ("garbage-afterx1", "cloud-garbled", "damaged JSON"),
        ("htmlx1", "cloud-garbled", "an HTML page, “Welcome to the hotel's Wi-Fi”"),
        ("html-afterx1", "cloud-garbled", "an HTML page"),
        ("302x1", "cloud-refused", "a redirect to 127.0.0.1, which is not followed"),
        ("307-afterx1", "cloud-refused", "a redirect"),
    ];
    let cases = faults.iter().flat_map(|fault| ROUTES.into_iter().map(move |route| (route, fault)));
    all(cases, async |(route, (fault, code, words))| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{route}={fault}").parse().unwrap());
        let board = bench.plug(bench.board());
        bench.run(&board).ended().await.fails_with(21, code).saying(words).saying(route);
        assert_eq!(bench.count("GET /v1/elsewhere") + bench.count("POST /v1/elsewhere"), 0);
        assert_eq!(board.effects(), [], "{route}={fault}");
        bench.run(&board).ended().await.passes();
        bench.holds_one_claim();
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_refused_again_and_again_is_not_renewed_for_ever() {
    all([ASK_PRODUCT, ASK_DEVICE, IMPORT, CLAIM_CODE], async |route| {
        let bench = Bench::new().await;
        bench.cloud.add_fault(format!("{route}=401").parse().unwrap());
        let board = bench.plug(bench.board());
        bench.run(&board).ended().await.fails_with(20, "sign-in-refused");
        assert_eq!(bench.count(route), 2);
        assert_eq!(board.effects(), []);
    })
    .await;
}

#[tokio::test]
async fn a_look_at_the_record_that_fails_while_verifying_is_made_again() {
    all(["503x2", "dropx1", "truncatex1"], async |fault| {
        let bench = Bench::new().await;
        let board = bench.plug(bench.board());
        let mut run = bench.run(&board).start();
        // The record was read, and is not read again before the board is let out.
        run.reaches("step-ended", "check-device").await;
        bench.cloud.add_fault(format!("{ASK_DEVICE}={fault}").parse().unwrap());
        run.ended().await.passes();
        bench.holds_one_claim();
    })
    .await;
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_is_given_up_in_the_end() {
    // All of these wait for the deadline of a call to the cloud, so they do it together.
    let faults = ["drop", "503", "refused"];
    all(faults, async |fault| {
        let bench = Bench::new().await;
        let board = bench.plug(bench.board());
        let run = match fault {
            // A port that nobody listens at: it was just given back.
            "refused" => {
                let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let url = format!("http://{}", taken.local_addr().unwrap());
                drop(taken);
                bench.run(&board).env("PARTICLE_API_URL", url)
            }
            fault => {
                bench.cloud.add_fault(format!("* /**={fault}").parse().unwrap());
                bench.run(&board)
            }
        };
        let ended = run.ended().await.fails_with(22, "cloud-unreachable");
        assert!(ended.result()["error"]["hint"].as_str().unwrap().contains("network"));
        bench.knows_no_device();
        assert_eq!(board.effects(), []);
    })
    .await;
}
