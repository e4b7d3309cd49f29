//! What to do next about a failure: the words that people read.

use crate::{
    model::{Failure, FailureCode, Step},
    report::Wording,
};

/// The wording of this program.
pub const WORDING: Wording = Wording { hint, exit_code: super::exit::code };

/// The wording of a bench, where nobody types and a line has to do.
pub const AT_A_BENCH: Wording = Wording { hint: hint_at_a_bench, exit_code: super::exit::code };

/// The same, where barcodes say which board is to come.
pub const AT_A_SCANNING_BENCH: Wording =
    Wording { hint: hint_at_a_scanning_bench, exit_code: super::exit::code };

/// What to do next at such a bench.
fn hint_at_a_scanning_bench(failure: &Failure) -> String {
    match failure.code {
        FailureCode::WrongDevice => {
            "the wrong code was scanned: plug it in again, and scan its own code".into()
        }
        _ => hint_at_a_bench(failure),
    }
}

/// What to do next with a board in one's hand, in a line.
fn hint_at_a_bench(failure: &Failure) -> String {
    use FailureCode as F;
    match failure.code {
        _ if failure.step == Some(Step::Name) => "plug it in again: it is its owner's, but is not named yet",
        F::NotListening => "hold SETUP for 3 s until the LED blinks dark blue, then plug it in again",
        F::NoDevice | F::NoAnswer => "check the cable, press RESET, then plug it in again",
        F::PortForbidden => "run `sudo provision udev install`, then plug it in again",
        F::PortBusy => "close the other program that uses its port, then plug it in again",
        F::ConsoleStuck | F::InDialogue => "press RESET, then plug it in again",
        F::WrongDevice => "plug it in again: another board answered",
        F::FirmwareTooOld => "put it aside: update its Device OS, or claim it over SoftAP",
        F::CodeRefused => "plug it in again, with another cable or in another socket",
        F::WifiRefused => "check the network that is given to the boards",
        F::WifiCannotArrive => "end the bench, and correct the network that is given to the boards",
        F::WrongPlatform => "put it aside: it is another kind of board than the product's",
        F::ImportRefused => "put it aside: the cloud does not know a board with this id",
        F::CloudRefused => "put it aside: the cloud refuses it, and the log says why",
        F::CloudUnreachable | F::CloudGarbled | F::NotSecure => {
            "plug it in again when the cloud answers; a proxy may stand in between"
        }
        F::LimitsHit => "plug it in again in some minutes: the cloud's limits are hit",
        F::SignInRefused => "check the client's id and secret, then start the bench again",
        F::SignInHeldBack => "correct the client's id or secret, then start the bench again",
        F::ProductNotVisible => "check the product, and that the client was made in it",
        F::DeviceNotVisible => "put it aside: the cloud does not show it in the product",
        F::DeviceTaken => "plug it in again when the other bench (`bench status`) is done with it",
        F::NotSettled => "leave it plugged in until its LED breathes cyan; it is its owner's",
        F::NotVerified => "plug it in again; if its LED blinks green, it cannot join the Wi-Fi",
        F::BackToListening => "put it aside: it cannot join the Wi-Fi, or knows none",
        F::OwnedByOther => "put it aside: it is somebody else's",
        F::InOtherProduct => "put it aside: it is in another product",
        F::Interrupted | F::PulledOut => "plug it in again: it goes on where it stopped",
        F::Unexpected => "plug it in again; if that does not help, the log says more (-vv)",
        F::LedgerUnusable => {
            "free space on the disk, mend its rights, or bring the database back; then plug it in again"
        }
        _ => return hint(failure),
    }
    .into()
}

/// What to do next.
pub fn hint(failure: &Failure) -> String {
    use FailureCode as F;
    if let Some(next) = &failure.next {
        return next.clone();
    }
    match failure.code {
        F::Configuration => "mend that, and run this again: --help of the command tells how each value is given",
        F::NoDevice => {
            "plug the board in with a cable that carries data (some only charge), and look at `provision list`; a board that blinks yellow is in DFU mode and has no serial port: press RESET"
        }
        F::SeveralDevices => "name one of them: `--usb PORT` or `--usb DEVICE_ID`",
        F::PortForbidden => "run `sudo provision udev install`, then plug the board in again",
        F::PortBusy => {
            "close the other program (a serial monitor, another `provision`); ModemManager lets go within a minute, and for good after `sudo provision udev install`"
        }
        F::WrongDevice => "plug in the board that is meant, or name this one",
        F::NotListening => {
            "hold SETUP for 3 seconds until the status LED blinks dark blue, then run this again"
        }
        F::InDialogue => {
            "run `provision identify`, which leaves a dialogue that somebody opened, or press RESET (nothing has been saved)"
        }
        F::NoAnswer => "check the cable, press RESET, hold SETUP until the LED blinks dark blue, and run this again",
        F::PulledOut => "put the board back: it goes on where it stopped",
        F::ConsoleStuck => "press RESET (nothing has been saved), hold SETUP until the LED blinks dark blue, and run this again",
        F::FirmwareTooOld => {
            "update the board's Device OS, or claim it through its own Wi-Fi network (SoftAP), which old firmware can do"
        }
        F::CodeRefused => "try another cable or USB port; with a long or bad cable, `--pace 20` types slowly",
        F::WifiCannotArrive => "correct the credentials, or use the other wire where one is named",
        F::WifiRefused => {
            "check the network's name, kind and password; Photons join 2.4 GHz networks only"
        }
        F::NoNetworkManager => {
            "join the Photon's network yourself, and leave `--join` out: it needs NetworkManager 1.16 or later on the system's D-Bus"
        }
        F::NoWifi => "switch Wi-Fi on (`nmcli radio wifi on`), or name its interface with `--join-interface`; `nmcli device` lists them",
        F::JoinForbidden => {
            "run this in the session at the computer's screen, or as root; `nmcli general permissions` shows what this user may do"
        }
        F::NetworkNotSeen => {
            "hold SETUP for 3 seconds until the status LED blinks dark blue, bring the board near, and look for its exact name with `nmcli device wifi list`"
        }
        F::JoinRefused => "bring the board nearer and run this again; or join its network yourself, and leave `--join` out",
        F::NetworkLost => {
            "if the status LED still blinks dark blue, bring the board nearer and run this again: it goes on where it stopped"
        }
        F::SignInRefused => {
            "check PARTICLE_CLIENT_ID and PARTICLE_CLIENT_SECRET (or PARTICLE_ACCESS_TOKEN, or log in again); the client must be made inside the product, not in the account"
        }
        F::LoginRefused => "check the name, the password and the one-time code: ten refusals in a row lock this whole site out of the cloud for 30 minutes",
        F::SignInHeldBack => {
            "correct what is signed in with, and run this again; the same is tried again after 30 minutes"
        }
        F::ProductNotVisible => {
            "check the product's number or slug, and that the OAuth client was made inside this product: one made at account level does not work for it"
        }
        F::WrongPlatform => "use a product for this kind of board, or a board of the product's kind",
        F::ImportRefused => "check that the device id and the product's platform belong together",
        F::CloudRefused => "the cloud's words above say why",
        F::CloudGarbled => "a proxy or a captive portal may have answered in the cloud's place: check the network and the API URL",
        F::CloudUnreachable => "check the network, and https://status.particle.io; running this again goes on where it stopped",
        F::NotSecure => {
            "check the API URL, the network and this computer's clock; where a proxy looks into TLS, give its root certificate with --ca-file"
        }
        F::LimitsHit => "wait some minutes: the limits count every computer behind the same address",
        F::NotVerified => {
            "look at the status LED. Blinking green: it cannot join Wi-Fi (password, 5 GHz, hidden network). Breathing green, or cyan with red: Wi-Fi works, the cloud handshake fails (keys). Breathing cyan: online; run this again"
        }
        F::NotSettled => {
            "the device is its owner's; leave it plugged in until the status LED breathes cyan (magenta: an update is under way)"
        }
        F::BackToListening => {
            "give the board Wi-Fi that it can join, then run this again (the status LED blinks dark blue while it listens)"
        }
        F::OwnedByOther => "its owner has to release it; `provision transfer` moves the board of a customer of this product to another, as a run does with `--reclaim`",
        F::InOtherProduct => "remove it from the other product first",
        F::DeviceNotVisible => {
            "check the device id, and whose the device is: a product's client sees the product's devices, a user's token the user's own (--own)"
        }
        F::DeviceOffline => "the device has to be online for that: look at its status LED (breathing cyan), and run this again",
        F::UnknownName => "`provision devices show` lists the names that the device's firmware has",
        F::PartlyFailed => "each of those that failed says why above; run this again for them",
        F::DeviceTaken => "let the other run finish, or end it; then run this again",
        F::LedgerUnusable => {
            "free space on the disk, mend its rights, or bring the database back; `--ledger PATH` names another ledger, and a single run can do without (`--ledger none`)"
        }
        F::LedgerNewer => "update this program, or name another ledger with `--ledger`",
        F::Interrupted => "run this again: it goes on where it stopped",
        F::Unexpected => "run this again with -vv, and report what it says",
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_is_not_told_to_run_again_what_runs_all_day() {
        use FailureCode as F;
        for code in [
            F::NoDevice,
            F::PortForbidden,
            F::PortBusy,
            F::WrongDevice,
            F::NotListening,
            F::InDialogue,
            F::NoAnswer,
            F::PulledOut,
            F::ConsoleStuck,
            F::FirmwareTooOld,
            F::CodeRefused,
            F::WifiCannotArrive,
            F::WifiRefused,
            F::SignInRefused,
            F::SignInHeldBack,
            F::ProductNotVisible,
            F::WrongPlatform,
            F::ImportRefused,
            F::CloudRefused,
            F::CloudGarbled,
            F::CloudUnreachable,
            F::NotSecure,
            F::LimitsHit,
            F::NotVerified,
            F::NotSettled,
            F::BackToListening,
            F::OwnedByOther,
            F::InOtherProduct,
            F::DeviceNotVisible,
            F::DeviceTaken,
            F::LedgerUnusable,
            F::Interrupted,
            F::Unexpected,
        ] {
            let failure = Failure::new(code, "no");
            for said in [hint_at_a_bench(&failure), hint_at_a_scanning_bench(&failure)] {
                assert!(!said.contains("run this again") && !said.contains("--"), "{code:?}: {said}");
                // In a line of the screen, beside a slot; the ledger's has a line of its own above the boards.
                assert!(said.len() <= 75 || code == F::LedgerUnusable, "{code:?}: {said}");
            }
        }
    }

    #[test]
    fn no_bench_is_told_to_work_without_a_ledger() {
        for code in [FailureCode::LedgerUnusable, FailureCode::LedgerNewer] {
            let said = hint_at_a_bench(&Failure::new(code, "the disk is full"));
            assert!(!said.contains("none"), "{said}");
        }
        // Also told before a shift begins, where the words are those of a single run.
        let said = hint(&Failure::new(FailureCode::LedgerUnusable, "the disk is full"));
        assert!(said.contains("a single run can do without (`--ledger none`)"), "{said}");
    }
}
