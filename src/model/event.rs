use std::{fmt, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Customer, DeviceId, Failure, FirmwareVersion, Platform, ProductRef};

/// The steps of a run; see `workflow` for what each makes true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The device's id is known.
    KnowDevice,
    /// The board answers in listening mode.
    Listening,
    /// A bearer token is at hand.
    SignIn,
    /// The product is there, visible, and for this kind of board.
    CheckProduct,
    /// The device is not somebody else's.
    CheckDevice,
    /// The device is in the product.
    Import,
    /// The customer exists and a token for it is at hand.
    Customer,
    /// A fresh claim code is at hand.
    ClaimCode,
    /// This computer is on the board's own network, where it was to join it.
    Join,
    /// The device has confirmed the code.
    Deliver,
    /// The device has saved the network it shall join.
    Wifi,
    /// The board has left listening mode.
    Finish,
    /// This computer is on the network of before, where it had left it.
    GoBack,
    /// The cloud says that the device is the customer's.
    Verify,
    /// The cloud calls the device what it shall be called.
    Name,
    /// The firmware update that its first connection may start is over.
    Settle,
}

impl Step {
    /// All steps in the order in which a person reads them.
    pub const ALL: [Self; 16] = [
        Self::KnowDevice,
        Self::Listening,
        Self::SignIn,
        Self::CheckProduct,
        Self::CheckDevice,
        Self::Import,
        Self::Customer,
        Self::ClaimCode,
        Self::Join,
        Self::Deliver,
        Self::Wifi,
        Self::Finish,
        Self::GoBack,
        Self::Verify,
        Self::Name,
        Self::Settle,
    ];

    /// The step as it stands in JSON: `claim-code`.
    pub fn as_str(self) -> String {
        // A unit variant always serialises to its name.
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KnowDevice => "know the device",
            Self::Listening => "listening",
            Self::SignIn => "sign in",
            Self::CheckProduct => "check product",
            Self::CheckDevice => "check device",
            Self::Import => "import",
            Self::Customer => "customer",
            Self::ClaimCode => "claim code",
            Self::Join => "join",
            Self::Deliver => "deliver",
            Self::Wifi => "wifi",
            Self::Finish => "finish",
            Self::GoBack => "go back",
            Self::Verify => "verify",
            Self::Name => "name",
            Self::Settle => "settle",
        })
    }
}

/// How a step ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was not so, and was made so.
    Done,
    /// It was so already.
    AlreadySo,
    /// A dry run: it would be done.
    WouldDo,
}

/// What a person has to do for the run to go on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Hold SETUP for three seconds, until the status LED blinks dark blue.
    HoldSetupButton,
    /// Plug the board in again: its port has gone.
    PlugIn,
    /// Join the Photon's own network.
    JoinPhoton,
    /// Go back to a network with internet.
    GoOnline,
}

/// How much of the whole job a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// All of it.
    Whole,
    /// Up to a claim code, which is in a ticket now.
    Prepared,
    /// A ticket's code, and perhaps its network, are with the device.
    Delivered,
    /// The device has a network; nothing was claimed.
    Wifi,
}

/// What a run came to, for the last event and the record.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// How much it was to do.
    pub part: Part,
    /// The board; absent from what was prepared for any board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Its kind, if its wire told it.
    #[serde(serialize_with = "platform_name", skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Its firmware, if its wire told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareVersion>,
    /// The owner that was asked for; absent for a developer's own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer>,
    /// The product; absent for a developer's own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductRef>,
    /// Whether it was so before this run, which then did not touch the board.
    pub already: bool,
    /// Whether no firmware update is under way any more; not looked at unless it was asked for.
    pub settled: bool,
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
}

impl Summary {
    /// Whether the board may be about to update its firmware, or at it: then it must keep its power.
    pub fn may_be_updating(&self) -> bool {
        self.part == Part::Whole && !self.already && !self.dry_run && !self.settled
    }
}

fn platform_name<S: serde::Serializer>(
    platform: &Option<Platform>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match platform {
        Some(platform) => serializer.collect_str(platform),
        None => serializer.serialize_none(),
    }
}

/// Something that happened in a run.
#[allow(missing_docs)] // the fields say what they are
#[derive(Debug, Clone)]
pub enum EventKind {
    /// A step has begun.
    StepStarted { step: Step },
    /// A step is still under way; the note says what it waits for.
    StepNote { step: Step, note: String },
    /// A step tries again; the note says what, and why.
    StepRetried { step: Step, note: String },
    /// A step has ended well; the note is what was found or made.
    StepEnded { step: Step, outcome: Outcome, note: String, took: Duration },
    /// A person has to do something.
    ActionNeeded { step: Step, action: Action },
    /// The board was identified.
    DeviceKnown { device_id: DeviceId },
    /// The run has ended, well or not. Always the last event.
    RunEnded { result: Result<Summary, Arc<Failure>>, device_id: Option<DeviceId>, took: Duration },
}

/// An event with its time and the lane (0 for a single run) it happened in.
#[derive(Debug, Clone)]
pub struct Event {
    /// Wall-clock time.
    pub at: Timestamp,
    /// Which of several runs in this process.
    pub lane: usize,
    /// What happened.
    pub kind: EventKind,
}

/// Where a run's events go. Listeners never make a run wait or fail.
#[derive(Clone)]
pub struct Events {
    lane: usize,
    listener: Arc<dyn Fn(Event) + Send + Sync>,
}

impl Events {
    /// Events of this lane, to this listener, which must not block.
    pub fn new(lane: usize, listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self { lane, listener: Arc::new(listener) }
    }

    /// To nobody.
    pub fn ignored() -> Self {
        Self::new(0, |_| {})
    }

    /// Tells the listener, with the present time.
    pub fn send(&self, kind: EventKind) {
        (self.listener)(Event { at: Timestamp::now(), lane: self.lane, kind });
    }
}
