//! A ledger that cannot be written any more.

use std::process::Stdio;

use provision::{
    model::DeviceId,
    record::{Outcome, RunQuery, Story},
    sim::photon::PhotonConfig,
};
use tokio::process::Command;

use crate::{
    bench::{Bench, Run},
    checker::agrees,
    place::Place,
};

/// No file may grow beyond so many times 1024 bytes; what would is refused, not killed.
fn limited(run: Run, kib: u64) -> Run {
    let program = run.command.as_std();
    let mut command = Command::new("sh");
    // In blocks of 512 bytes.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    command.arg("-c").arg(script).arg(program.get_program()).args(program.get_args()).env_clear();
    command.env("PATH", "/usr/bin:/bin");
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Run { command, ..run }
}

#[tokio::test]
async fn a_full_disk_stops_a_run_before_what_cannot_be_taken_back() {
    let (bench, place) = (Bench::new().await, Place::sqlite().unwrap());
    let plug = |n: u64| {
        let device_id = DeviceId::parse(&format!("{n:024x}")).unwrap();
        bench.plug_into_hub(PhotonConfig { device_id, ..bench.board() })
    };
    let mut boards = vec![plug(0xfff)];
    let run = |id: &str| bench.run_in_hub(id).env("PROVISION_LEDGER", &place.url);
    run(&format!("{:024x}", 0xfff)).ended().await.passes();
    let (mut stopped, mut passed) = (0, 0);
    // No file may grow beyond so many times 1024 bytes. SQLite's log begins anew with each run, so these
    // are steps from "nothing at all" to "all that a run writes".
    for kib in (0..200).step_by(8) {
        let id = format!("{kib:024x}");
        boards.push(plug(kib));
        let ended = limited(run(&id), kib).ended().await;
        let ledger = place.ledger("office");
        let stories = agrees(&ledger, &bench, &boards[boards.len() - 1], &id).await;
        if ended.status.success() {
            assert_eq!(stories[0].run.outcome, Outcome::Passed);
            passed += 1;
        } else {
            ended.fails_with(50, "ledger-unusable");
            // Its end may still have found room.
            let ended_so = |story: &Story| matches!(story.run.outcome, Outcome::Incomplete | Outcome::Failed);
            assert!(stories.iter().all(ended_so), "{stories:?}");
            stopped += 1;
        }
    }
    assert!(stopped > 2 && passed > 0, "{stopped} {passed}");
    // What was finished before is there, and there is room again.
    let ledger = place.ledger("office");
    let runs = ledger.runs(&RunQuery::default()).await.unwrap();
    assert_eq!(runs.iter().filter(|run| run.outcome == Outcome::Passed).count(), passed + 1);
    let again = format!("{:024x}", 0);
    run(&again).ended().await.passes();
}
