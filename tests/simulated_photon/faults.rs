//! Things that go wrong, each on request.

use std::time::Duration;

use provision::sim::photon::{PhotonConfig, SimPhoton};

use crate::wire::{CODE, ID, RECOVERY, SORRY, Wire, guarded, photon, start};

const PROMPT: &str = "Enter 63-digit claim code: ";
const LOG: &str = "0000042137 [app] INFO: temperature 21.5 C, claim me: no\r\n";

fn with(fault: &str) -> (SimPhoton, Wire) {
    start(PhotonConfig { faults: vec![fault.parse().unwrap()], ..photon() })
}

async fn code_goes_through(wire: &mut Wire) {
    wire.ask("C", PROMPT).await;
    wire.ask(format!("{CODE}\n"), format!("{CODE}\r\nClaim code set to: {CODE}\r\n")).await;
}

#[tokio::test]
async fn a_lost_byte_makes_the_code_too_short_once() {
    let (photon, mut wire) = with("drop:code@7");
    wire.ask("C", PROMPT).await;
    wire.ask(format!("{CODE}\n"), format!("{}{}{SORRY}", &CODE[..6], &CODE[7..])).await;
    assert!(photon.effects().is_empty());
    code_goes_through(&mut wire).await;
}

#[tokio::test]
async fn a_doubled_byte_is_taken_as_part_of_the_code() {
    let (photon, mut wire) = with("double:code@1x2");
    for _ in 0..2 {
        wire.ask("C", PROMPT).await;
        let wrong = format!("{}{}", &CODE[..1], &CODE[..62]);
        wire.ask(CODE, format!("{wrong}\r\nClaim code set to: {wrong}\r\n")).await;
    }
    code_goes_through(&mut wire).await;
    assert_eq!(photon.effects().len(), 3);
}

#[tokio::test]
async fn delayed_bytes_arrive() {
    let (_photon, mut wire) = with("delay:code:20");
    code_goes_through(&mut wire).await;
}

#[tokio::test]
async fn bytes_lost_or_doubled_on_the_way_back_do_not_change_the_code() {
    let (photon, mut wire) = with("drop-sent:code@5");
    wire.ask("C", PROMPT).await;
    wire.ask(format!("{CODE}\n"), format!("{}{}\r\nClaim code set to: {CODE}\r\n", &CODE[..4], &CODE[5..]))
        .await;
    assert_eq!(photon.effects().len(), 1);
    let (photon, mut wire) = with("double-sent:5");
    wire.ask("i", format!("Your  device id is {ID}\r\n")).await;
    code_goes_through(&mut wire).await;
    assert_eq!(photon.effects().len(), 1);
}

#[tokio::test]
async fn a_byte_is_lost_wherever_it_stands() {
    let (_photon, mut wire) = with("drop:2");
    wire.ask("vii", format!("system firmware version: 2.3.1\n\r\nYour device id is {ID}\r\n")).await;
    wire.is_idle().await;
}

#[tokio::test]
async fn a_hang_up_in_the_middle_of_the_code_leaves_the_console_inside_it_under_another_name() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("photon");
    let (photon, mut wire) = start(PhotonConfig {
        faults: vec!["hang-up:code@40:1".parse().unwrap()],
        link: Some(link.clone()),
        ..photon()
    });
    let before = std::fs::read_link(&link).unwrap();
    wire.ask("C", PROMPT).await;
    wire.ask(&CODE[..39], &CODE[..39]).await;
    wire.send(&CODE[39..40]).await;
    wire.is_gone().await;
    assert_eq!(guarded(photon.plugged_in()).await, link);
    // The old name is still taken: its opener has not let go.
    assert_ne!(std::fs::read_link(&link).unwrap(), before);
    let mut wire = Wire::open(&link, 9600);
    wire.ask(RECOVERY, format!("{}{SORRY}", "\x08".repeat(40))).await;
    code_goes_through(&mut wire).await;
}

#[tokio::test]
async fn a_hang_up_on_the_line_end_stores_the_code_and_loses_the_answer() {
    let (photon, mut wire) = with("hang-up:code@64:1");
    wire.ask("C", PROMPT).await;
    wire.ask(CODE, CODE).await;
    wire.send("\n").await;
    wire.is_gone().await;
    guarded(photon.wait_for(|state| state.claim_code.is_some())).await;
    Wire::open(&guarded(photon.plugged_in()).await, 9600).is_idle().await;
}

#[tokio::test]
async fn garbage_comes_before_a_prompt() {
    let (_photon, mut wire) = with("garbage");
    wire.send("C").await;
    let prompt = wire.read_to(PROMPT).await;
    assert!(prompt.len() > PROMPT.len() && prompt.contains(&0xff));
    wire.ask("\n", SORRY).await;
    code_goes_through(&mut wire).await;
}

#[tokio::test]
async fn log_lines_come_before_and_after_prompts_and_answers() {
    let id = format!("Your device id is {ID}\r\n");
    let (_photon, mut wire) = with("log:before-replyx2");
    wire.ask("iii", format!("{LOG}{id}{LOG}{id}{id}")).await;
    let (_photon, mut wire) = with("log:after-reply");
    wire.ask("ii", format!("{id}{LOG}{id}")).await;
    let (_photon, mut wire) = with("log:before-prompt");
    wire.ask("C", format!("{LOG}{PROMPT}")).await;
    let (_photon, mut wire) = with("log:after-prompt");
    wire.ask("C", format!("{PROMPT}{LOG}")).await;
}

#[tokio::test]
async fn a_log_line_tells_the_claim_code_before_the_confirmation() {
    let (_photon, mut wire) = with("log-code");
    wire.ask("C", PROMPT).await;
    wire.ask(
        format!("{CODE}\n"),
        format!("{CODE}\r\n0000042138 [system] TRACE: claim code {CODE}\r\nClaim code set to: {CODE}\r\n"),
    )
    .await;
}

#[tokio::test]
async fn slow_bytes_change_nothing_else() {
    let (_photon, mut wire) = start(PhotonConfig { byte_latency: Duration::from_millis(1), ..photon() });
    code_goes_through(&mut wire).await;
}

#[test]
fn nothing_of_a_code_or_a_pass_phrase_is_printed_by_debug() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (photon, mut wire) = start(PhotonConfig {
            networks: vec!["Home:WPA2_AES:6:-50:correct horse".parse().unwrap()],
            left_in: Some("C:3GjxEd".parse().unwrap()),
            ..photon()
        });
        wire.ask(RECOVERY, format!("{}{SORRY}", "\x08".repeat(6))).await;
        code_goes_through(&mut wire).await;
        wire.ask("w", "SSID: ").await;
        wire.ask("Home\r", "Home\r\nPassword: ").await;
        wire.send("correct horse\r").await;
        guarded(photon.wait_for(|state| state.effects.len() == 3)).await;
        let shown = format!("{:?} {:?}", photon.state(), photon.effects());
        assert!(!shown.contains("3Gjx") && !shown.contains("horse"), "{shown}");
    });
}
