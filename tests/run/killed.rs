//! `kill -9` at every step boundary. A run that was killed is simply run again.

use provision::sim::photon::{PhotonConfig, SimPhoton};

use crate::bench::{
    ASK_DEVICE, ASK_PRODUCT, Bench, CLAIM_CODE, CREATE_CUSTOMER, CUSTOMER, IMPORT, Run, SIGN_IN, all, codes,
    guarded, is_online, open,
};

/// How the board hangs on the computer.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// At a port that tells nothing, listening.
    Port,
    /// On the hub, where its id is seen, running: the program puts it into listening mode.
    Hub,
}

impl Place {
    fn plug(self, bench: &Bench) -> SimPhoton {
        match self {
            Self::Port => bench.plug(bench.board()),
            Self::Hub => bench.plug_into_hub(bench.running_board()),
        }
    }

    fn run(self, bench: &Bench, board: &SimPhoton) -> Run {
        match self {
            Self::Port => bench.run(board),
            Self::Hub => bench.run_in_hub("auto"),
        }
    }
}

/// The second run comes to the same end as one that was not killed.
async fn converges(bench: &Bench, board: &SimPhoton, place: Place) {
    // The kernel has closed the port, and a pty needs a moment to let the next one in.
    drop(guarded(open(board)).await);
    let run = place.run(bench, board).start().ended_with(|event| {
        if event["event"] == "action-needed" {
            board.press_setup();
        }
    });
    run.await.passes();
    bench.holds_one_claim();
    is_online(board).await;
    // Whatever is spent or lost, no code is left with anybody else than the customer.
    let unused = bench.cloud.snapshot()["unused_claim_codes"].clone();
    assert!(unused.as_object().unwrap().keys().all(|owner| owner == CUSTOMER), "{unused}");
    // And it stays so.
    let before = (bench.state()["customers"].clone(), codes(board));
    assert_eq!(
        place.run(bench, board).with(&["--dry-run", "--wait", "1s"]).ended().await.outcome("deliver"),
        None
    );
    assert_eq!((bench.state()["customers"].clone(), codes(board)), before);
}

async fn lines_of_a_run(place: Place) -> usize {
    let bench = Bench::new().await;
    let board = place.plug(&bench);
    place.run(&bench, &board).ended().await.passes().events.len()
}

#[tokio::test]
async fn after_any_line_of_its_story() {
    let mut cases = Vec::new();
    for place in [Place::Port, Place::Hub] {
        cases.extend((0..=lines_of_a_run(place).await).map(|lines| (lines, place)));
    }
    all(cases, async |(lines, place)| {
        let bench = Bench::new().await;
        let board = place.plug(&bench);
        let mut run = place.run(&bench, &board).start();
        for _ in 0..lines {
            run.next_event().await;
        }
        run.kill().await;
        converges(&bench, &board, place).await;
    })
    .await;
}

#[tokio::test]
async fn while_it_waits_for_any_answer_of_the_cloud() {
    let routes = [SIGN_IN, ASK_PRODUCT, ASK_DEVICE, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];
    let cases = routes.into_iter().flat_map(|route| [(route, Place::Port), (route, Place::Hub)]);
    all(cases, async |(route, place)| {
        let bench = Bench::new().await;
        let board = place.plug(&bench);
        let gate = bench.cloud.gate(route).unwrap();
        let run = place.run(&bench, &board).start();
        guarded(gate.arrived()).await;
        run.kill().await;
        drop(gate);
        converges(&bench, &board, place).await;
    })
    .await;
}

#[tokio::test]
async fn after_the_cloud_has_done_what_it_was_asked_and_before_it_could_say_so() {
    let cases = [SIGN_IN, IMPORT, CREATE_CUSTOMER, CLAIM_CODE];
    all(cases, async |route| {
        let bench = Bench::new().await;
        let board = Place::Port.plug(&bench);
        bench.cloud.add_fault(format!("{route}=drop-afterx1").parse().unwrap());
        let first = bench.cloud.gate(route).unwrap();
        let run = Place::Port.run(&bench, &board).start();
        guarded(first.arrived()).await;
        // The answer gets lost, so the run asks again, and is killed while it waits.
        let second = bench.cloud.gate(route).unwrap();
        first.open();
        guarded(second.arrived()).await;
        run.kill().await;
        drop(second);
        converges(&bench, &board, Place::Port).await;
    })
    .await;
}

#[tokio::test]
async fn in_the_middle_of_the_claim_code() {
    // The board stops at this byte for longer than the run lives, then goes on with what it has.
    all([1, 32, 63, 64], async |byte| {
        let bench = Bench::new().await;
        let faults = vec![format!("delay:code@{byte}:300").parse().unwrap()];
        let board = bench.plug(PhotonConfig { faults, ..bench.board() });
        let mut run = bench.run(&board).start();
        run.reaches("step-started", "deliver").await;
        run.kill().await;
        converges(&bench, &board, Place::Port).await;
    })
    .await;
}
