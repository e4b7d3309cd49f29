use provision::{
    model::Platform,
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};

use crate::wire::{ID, Wire, guarded, photon, start};

#[tokio::test]
async fn modules_are_told_as_one_line_of_json_with_the_platform_first() {
    let (_photon, mut wire) = start(PhotonConfig { platform: Platform::P1, ..photon() });
    wire.send("s").await;
    let line = wire.read_to("\r\n").await;
    assert!(line.starts_with(br#"{"p":8,"m":[{"#) && line.len() > 500);
    let modules: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(modules["m"].as_array().unwrap().len(), 5);
    wire.is_idle().await;
}

#[tokio::test]
async fn diagnostics_are_one_line_of_json() {
    let (_photon, mut wire) = start(photon());
    wire.send("d").await;
    let line = wire.read_to("\r\n").await;
    assert!(serde_json::from_slice::<serde_json::Value>(&line).unwrap().is_object());
    wire.is_idle().await;
}

#[tokio::test]
async fn what_follows_x_stays_queued_and_runs_as_commands_at_the_next_listening() {
    let (photon, mut wire) = start(photon());
    wire.send("xvi").await;
    guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
    photon.press_setup();
    wire.expect(format!("system firmware version: 2.3.1\n\r\nYour device id is {ID}\r\n")).await;
}

#[tokio::test]
async fn a_board_without_wifi_comes_back_to_listening_by_itself() {
    let (_photon, mut wire) =
        start(PhotonConfig { relisten_delay: std::time::Duration::from_millis(1), ..photon() });
    wire.send("x").await;
    wire.is_idle().await;
}

#[tokio::test]
async fn a_transfer_is_ended_by_a_and_enters_silently_by_01_and_02() {
    let (_photon, mut wire) = start(photon());
    let ended = "\x18\x18\x18\x18Aborted by user.\r\n";
    wire.ask("f", "Waiting for the binary file to be sent ... (press 'a' to abort)\r\n").await;
    wire.ask("a", ended).await;
    wire.is_idle().await;
    // The byte is the beginning of a packet: a junk one of the full length is answered by a C.
    for (first, size) in [(1, 132), (2, 1028)] {
        wire.send([first]).await;
        wire.ask(vec![b'j'; size], "C").await;
        wire.ask("a", ended).await;
    }
    wire.is_idle().await;
}

#[tokio::test]
async fn a_transfer_that_gets_junk_gives_up() {
    let (_photon, mut wire) = start(photon());
    wire.ask("f", "Waiting for the binary file to be sent ... (press 'a' to abort)\r\n").await;
    wire.ask("??????", "CCCCCC\x18\x18\x18\x18Failed to receive the file!\r\n").await;
    wire.is_idle().await;
}

#[tokio::test]
async fn l_restarts_into_listening_under_a_new_name() {
    let (photon, mut wire) = start(PhotonConfig { wifi_known: true, ..photon() });
    wire.send("L").await;
    wire.is_gone().await;
    guarded(photon.wait_for(|state| state.boots == 2 && state.mode == Mode::Listening)).await;
    Wire::open(&photon.usb(), 9600).is_idle().await;
}

#[tokio::test]
async fn two_hundred_boards_answer_at_once() {
    let boards: Vec<_> = (0..200).map(|_| start(photon())).collect();
    let mut answers = tokio::task::JoinSet::new();
    for (photon, mut wire) in boards {
        answers.spawn(async move {
            wire.is_idle().await;
            photon
        });
    }
    assert_eq!(answers.join_all().await.len(), 200);
}

#[tokio::test]
async fn a_board_that_there_cannot_be_is_refused() {
    let refused = |config| SimPhoton::start(config).err().unwrap().to_string();
    let old = PhotonConfig { firmware: provision::model::FirmwareVersion::new(0, 4, 8), ..photon() };
    assert_eq!(refused(old), "only firmware 0.4.9 to 3.3.1, releases only, can be simulated, not 0.4.8");
    let electron = PhotonConfig { platform: Platform::Other(10), ..photon() };
    assert_eq!(refused(electron), "only platforms 6 (Photon) and 8 (P1) can be simulated, not 10");
    let asleep = PhotonConfig { listening: false, left_in: Some("C".parse().unwrap()), ..photon() };
    assert!(refused(asleep).contains("cannot have been left there"));
}
