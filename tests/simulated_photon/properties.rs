use proptest::prelude::*;
use provision::sim::photon::{Mode, PhotonConfig};

use crate::wire::{Wire, guarded, photon, start};

fn commands_and_noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(b"ivmscCdwxLfaA \r\n\x08\x7f\x00\x01\x02\x18\x04013".to_vec()),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was typed, RESET brings back a board that answers.
    #[test]
    fn no_input_breaks_the_board_for_good(parts in prop::collection::vec(commands_and_noise(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let networks = vec!["1:WPA2_AES".parse().unwrap(), "0:WPA2_802.1x".parse().unwrap()];
            let (photon, mut wire) = start(PhotonConfig { networks, ..photon() });
            for part in parts {
                let boots = photon.state().boots;
                wire.send(part).await;
                photon.unplug();
                guarded(photon.wait_for(|state| state.mode == Mode::Off)).await;
                photon.plug();
                guarded(photon.wait_for(|state| state.boots > boots && state.mode != Mode::Off)).await;
                photon.press_setup();
                guarded(photon.wait_for(|state| state.mode == Mode::Listening)).await;
                wire = Wire::open(&photon.usb(), 9600);
                wire.is_idle().await;
            }
        });
    }
}
