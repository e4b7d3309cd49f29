//! One table, in the code, in the README and in the help.

use std::collections::BTreeMap;

use provision::{cli::exit, model::FailureCode};

use crate::program::Home;

/// The codes and their meanings, as the code tells them.
fn in_the_code() -> BTreeMap<u8, String> {
    let source = include_str!("../../src/cli/exit.rs");
    let lines: Vec<_> = source.lines().collect();
    let constants = lines.windows(2).filter_map(|pair| {
        let meaning = pair[0].strip_prefix("/// ")?.trim_end_matches('.');
        let number = pair[1].strip_prefix("pub const ")?.split(" = ").nth(1)?.trim_end_matches(';');
        Some((number.parse().unwrap(), meaning.to_lowercase()))
    });
    constants.collect()
}

#[test]
fn the_readmes_table_is_the_codes() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("| code | meaning |\n|---|---|\n").unwrap();
    let rows = table.lines().map_while(|row| {
        let (code, meaning) = row.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | ")?;
        Some((code.parse().unwrap(), meaning.to_lowercase()))
    });
    assert_eq!(rows.collect::<BTreeMap<u8, String>>(), in_the_code());
}

#[test]
fn the_help_lists_every_code() {
    let help = Home::new().provision(&["--help"]).stdout;
    let (_, listed) = help.split_once("Exit codes: ").unwrap();
    let codes = listed.split([';', '\n']).filter_map(|entry| entry.trim().split(' ').next()?.parse().ok());
    assert_eq!(codes.collect::<Vec<u8>>(), in_the_code().into_keys().collect::<Vec<_>>());
}

#[test]
fn every_failure_has_its_code() {
    use FailureCode as F;
    // `exit::code` matches exhaustively; this is the same by name, for whoever changes it.
    for (failures, code) in [
        (&[F::Unexpected][..], exit::UNEXPECTED),
        (&[F::Configuration], exit::USAGE),
        (&[F::NoDevice, F::SeveralDevices, F::PortForbidden, F::PortBusy, F::WrongDevice], exit::NO_DEVICE),
        (&[F::PartlyFailed], exit::PARTLY_FAILED),
        (
            &[F::NotListening, F::InDialogue, F::NoAnswer, F::ConsoleStuck, F::DeviceOffline],
            exit::NOT_LISTENING,
        ),
        (&[F::FirmwareTooOld, F::CodeRefused], exit::DEVICE_REFUSED),
        (&[F::SignInRefused, F::LoginRefused, F::SignInHeldBack], exit::SIGN_IN_REFUSED),
        (
            &[F::ProductNotVisible, F::WrongPlatform, F::ImportRefused, F::CloudRefused, F::CloudGarbled],
            exit::CLOUD_REFUSED,
        ),
        (&[F::DeviceNotVisible, F::UnknownName], exit::CLOUD_REFUSED),
        (&[F::CloudUnreachable, F::LimitsHit], exit::CLOUD_UNREACHABLE),
        (&[F::NotVerified, F::BackToListening], exit::NOT_VERIFIED),
        (&[F::OwnedByOther, F::InOtherProduct], exit::SOMEBODY_ELSES),
        (&[F::Interrupted], exit::INTERRUPTED),
    ] {
        for failure in failures {
            assert_eq!(exit::code(*failure), code, "{failure:?}");
        }
    }
}
