//! The plug: line speeds, vanishing, coming back.

use provision::{
    model::FirmwareVersion,
    sim::photon::{Mode, PhotonConfig, SimPhoton},
};

use crate::wire::{Wire, guarded, photon, start};

fn asleep() -> PhotonConfig {
    PhotonConfig { listening: false, ..photon() }
}

#[tokio::test]
async fn at_28800_a_running_board_listens() {
    let photon = SimPhoton::start(asleep()).unwrap();
    assert_eq!(photon.state().mode, Mode::Running);
    let mut wire = Wire::open(&photon.usb(), 28_800);
    guarded(photon.wait_for(|state| state.mode == Mode::Listening)).await;
    wire.is_idle().await;
    assert!(photon.effects().is_empty());
}

#[tokio::test]
async fn at_28800_firmware_0_4_waits_for_a_file_instead() {
    let photon =
        SimPhoton::start(PhotonConfig { firmware: FirmwareVersion::new(0, 4, 9), ..asleep() }).unwrap();
    let mut wire = Wire::open(&photon.usb(), 28_800);
    guarded(photon.wait_for(|state| state.mode == Mode::FirmwareTransfer)).await;
    wire.ask("a", "\x18\x18\x18\x18Aborted by user.\r\n").await;
    guarded(photon.wait_for(|state| state.mode == Mode::Running)).await;
}

#[tokio::test]
async fn at_14400_the_port_and_its_link_vanish_until_a_reset() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("photon");
    let photon = SimPhoton::start(PhotonConfig { link: Some(link.clone()), ..photon() }).unwrap();
    let before = std::fs::read_link(&link).unwrap();
    let mut wire = Wire::open(&link, 14_400);
    wire.is_gone().await;
    guarded(photon.wait_for(|state| state.mode == Mode::Dfu)).await;
    assert!(link.symlink_metadata().is_err());

    photon.press_setup(); // Means nothing there.
    photon.reset();
    guarded(photon.wait_for(|state| state.boots == 2)).await;
    assert_ne!(std::fs::read_link(&link).unwrap(), before);
    Wire::open(&link, 9600).is_idle().await;
}

#[tokio::test]
async fn a_board_that_was_unplugged_is_gone_until_it_is_plugged_in() {
    let (photon, mut wire) = start(PhotonConfig { left_in: Some("C:abc".parse().unwrap()), ..photon() });
    photon.unplug();
    wire.is_gone().await;
    guarded(photon.wait_for(|state| state.mode == Mode::Off)).await;
    photon.reset(); // Has no power to do anything.
    photon.plug();
    guarded(photon.wait_for(|state| state.boots == 2)).await;
    Wire::open(&photon.usb(), 9600).is_idle().await;
}

#[tokio::test]
async fn a_client_that_was_killed_does_not_lock_the_next_one_out() {
    let photon = SimPhoton::start(asleep()).unwrap();
    let port = std::fs::OpenOptions::new().read(true).write(true).open(photon.usb()).unwrap();
    rustix::termios::ioctl_tiocexcl(&port).unwrap();
    // Each look at the port also lets the next one in; that 28800 was seen proves that there was one.
    let mut terminal = rustix::termios::tcgetattr(&port).unwrap();
    terminal.set_speed(28_800).unwrap();
    rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &terminal).unwrap();
    drop(port);
    guarded(photon.wait_for(|state| state.mode == Mode::Listening)).await;
    Wire::open(&photon.usb(), 9600).is_idle().await;
}

#[tokio::test]
async fn the_port_is_raw_before_anybody_has_set_it_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let photon = SimPhoton::start(photon()).unwrap();
    let mut port = tokio::fs::OpenOptions::new().read(true).write(true).open(photon.usb()).await.unwrap();
    port.write_all(b"v").await.unwrap();
    let mut answer = vec![0; 33];
    port.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"system firmware version: 2.3.1\n\r\n");
}

#[tokio::test]
async fn a_link_never_replaces_a_file_and_goes_with_its_board() {
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("photon");
    std::fs::write(&link, "precious").unwrap();
    let config = PhotonConfig { link: Some(link.clone()), ..photon() };
    assert_eq!(SimPhoton::start(config.clone()).err().unwrap().kind(), std::io::ErrorKind::AlreadyExists);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    let photon = SimPhoton::start(config).unwrap();
    Wire::open(&link, 9600).is_idle().await;
    drop(photon);
    assert!(link.symlink_metadata().is_err());
}
