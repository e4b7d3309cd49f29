use std::{error::Error, fmt};

use super::{Step, clean};

/// Why a run failed, as a stable code for scripts, tickets and the ledger.
///
/// What a person should read about it, and the process's exit code, are chosen in `cli/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// A value that the user gave cannot be used.
    Configuration,
    /// No board is attached, or not the one that was asked for.
    NoDevice,
    /// More than one board is attached and none was named.
    SeveralDevices,
    /// The port is there but may not be opened by this user.
    PortForbidden,
    /// Another program, or another run, holds the port.
    PortBusy,
    /// Another board answers than the one that was asked for.
    WrongDevice,
    /// The board is not in listening mode and did not get there in time.
    NotListening,
    /// The console was left inside a dialogue, and nothing was to be changed about that.
    InDialogue,
    /// The board answered and then stopped answering.
    NoAnswer,
    /// The board was pulled out in the middle of it.
    PulledOut,
    /// The console is inside a dialogue that cannot be left without saving something.
    ConsoleStuck,
    /// Firmware before 0.6.0 has no claim-code command on its console.
    FirmwareTooOld,
    /// The device did not confirm the claim code, character for character, in any try.
    CodeRefused,
    /// The credentials would not arrive at the device as they are.
    WifiCannotArrive,
    /// The device did not save the Wi-Fi credentials.
    WifiRefused,
    /// This computer has no NetworkManager that could join a network.
    NoNetworkManager,
    /// This computer has no Wi-Fi that could join a network.
    NoWifi,
    /// This user may not make this computer join a network.
    JoinForbidden,
    /// The network to join is not in the air.
    NetworkNotSeen,
    /// The network is there, and could not be joined.
    JoinRefused,
    /// The network was joined, and got lost before all was done.
    NetworkLost,
    /// The cloud refused the credentials.
    SignInRefused,
    /// The cloud refused a person's name, password or one-time code.
    LoginRefused,
    /// This program stopped signing in, so that the cloud does not lock the site's address out.
    SignInHeldBack,
    /// The product does not exist, or this client may not see it.
    ProductNotVisible,
    /// The product is for another kind of board.
    WrongPlatform,
    /// The cloud refused to take the device into the product.
    ImportRefused,
    /// The cloud refused a request for another reason.
    CloudRefused,
    /// The cloud answered what nobody can understand.
    CloudGarbled,
    /// The cloud could not be reached, or failed by itself, until the deadline.
    CloudUnreachable,
    /// The server could not prove that it is the cloud, or does not speak TLS.
    NotSecure,
    /// The cloud's rate limits, or its lock-out, are in force.
    LimitsHit,
    /// The cloud's record did not turn right in time.
    NotVerified,
    /// The board came back to listening mode: it knows no Wi-Fi, or cannot join it.
    BackToListening,
    /// The firmware update that its first connection started did not end in time, or may not have.
    NotSettled,
    /// The device is owned by somebody else.
    OwnedByOther,
    /// The device belongs to another product.
    InOtherProduct,
    /// The cloud has no such device, or does not show it to this token; it does not tell the two apart.
    DeviceNotVisible,
    /// The device has no session with the cloud, so it cannot be asked.
    DeviceOffline,
    /// The device's firmware has no variable or function of this name.
    UnknownName,
    /// Some of several did not succeed.
    PartlyFailed,
    /// Another run, perhaps of another bench, works on this device.
    DeviceTaken,
    /// The ledger cannot be read or written.
    LedgerUnusable,
    /// A newer version of this program has changed the ledger's form.
    LedgerNewer,
    /// Ctrl-C, or a signal.
    Interrupted,
    /// What should not happen.
    Unexpected,
}

impl FailureCode {
    /// The code as it stands in JSON: `not-listening`.
    pub fn as_str(self) -> String {
        // A unit variant always serialises to its name.
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// A failed operation: its code, the step it failed in, and what was seen.
#[derive(Debug)]
pub struct Failure {
    /// The stable code.
    pub code: FailureCode,
    /// The step that failed, once a run knows it.
    pub step: Option<Step>,
    /// What was seen, in a sentence without its full stop. Holds no secret.
    pub detail: String,
    /// What to do about this very one, where its code alone does not tell: which flag or file to mend.
    pub next: Option<String>,
    /// The error underneath, if there is one.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure with nothing underneath. The detail is cleaned.
    pub fn new(code: FailureCode, detail: impl AsRef<str>) -> Self {
        Self { code, step: None, detail: clean(detail.as_ref()), next: None, source: None }
    }

    /// A value of the user's that cannot be used, and what to do about that. Both are cleaned.
    pub fn configuration(detail: impl AsRef<str>, next: impl AsRef<str>) -> Self {
        Self { next: Some(clean(next.as_ref())), ..Self::new(FailureCode::Configuration, detail) }
    }

    /// The same failure, with the error that led to it.
    #[must_use]
    pub fn because(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same failure, seen in this step; an earlier step stays.
    #[must_use]
    pub fn in_step(mut self, step: Step) -> Self {
        self.step.get_or_insert(step);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        let mut cause = self.source.as_deref().map(|e| e as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {}", clean(&error.to_string()))?;
            cause = error.source();
        }
        Ok(())
    }
}

// `source` is already part of the text, so it is not offered again to printers of error chains.
impl Error for Failure {}
