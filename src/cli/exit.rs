//! Exit codes: one table, here and in the README.

use crate::model::FailureCode;

/// Done, or already done.
pub const OK: u8 = 0;
/// Unexpected.
pub const UNEXPECTED: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;
/// Partly failed: some of several did not succeed.
pub const PARTLY_FAILED: u8 = 3;
/// No device, or no permission to open it or to join its network.
pub const NO_DEVICE: u8 = 10;
/// Not listening, no answer, or its network cannot be joined.
pub const NOT_LISTENING: u8 = 11;
/// The device refused.
pub const DEVICE_REFUSED: u8 = 12;
/// Sign-in refused.
pub const SIGN_IN_REFUSED: u8 = 20;
/// The cloud refused.
pub const CLOUD_REFUSED: u8 = 21;
/// The cloud could not be reached or trusted, or its limits were hit.
pub const CLOUD_UNREACHABLE: u8 = 22;
/// Not verified in time.
pub const NOT_VERIFIED: u8 = 30;
/// The device belongs to somebody else or to another product.
pub const SOMEBODY_ELSES: u8 = 40;
/// The ledger cannot be used.
pub const LEDGER: u8 = 50;
/// Interrupted.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a failure.
pub fn code(failure: FailureCode) -> u8 {
    use FailureCode as F;
    match failure {
        F::Unexpected => UNEXPECTED,
        F::Configuration | F::WifiCannotArrive | F::NoNetworkManager | F::NoWifi => USAGE,
        F::NoDevice | F::SeveralDevices | F::PortForbidden | F::PortBusy | F::WrongDevice => NO_DEVICE,
        F::JoinForbidden | F::DeviceTaken => NO_DEVICE,
        F::NotListening | F::InDialogue | F::NoAnswer | F::PulledOut | F::ConsoleStuck => NOT_LISTENING,
        F::NetworkNotSeen | F::JoinRefused | F::NetworkLost => NOT_LISTENING,
        F::DeviceOffline => NOT_LISTENING,
        F::FirmwareTooOld | F::CodeRefused | F::WifiRefused => DEVICE_REFUSED,
        F::SignInRefused | F::LoginRefused | F::SignInHeldBack => SIGN_IN_REFUSED,
        F::ProductNotVisible
        | F::DeviceNotVisible
        | F::UnknownName
        | F::WrongPlatform
        | F::ImportRefused
        | F::CloudRefused
        | F::CloudGarbled => CLOUD_REFUSED,
        F::CloudUnreachable | F::NotSecure | F::LimitsHit => CLOUD_UNREACHABLE,
        F::NotVerified | F::NotSettled | F::BackToListening => NOT_VERIFIED,
        F::OwnedByOther | F::InOtherProduct => SOMEBODY_ELSES,
        F::PartlyFailed => PARTLY_FAILED,
        F::LedgerUnusable | F::LedgerNewer => LEDGER,
        F::Interrupted => INTERRUPTED,
    }
}
