use crate::{
    model::{DeviceId, Event},
    record::HookKind,
};

use super::{HookError, Shift};

/// Something that happened at a bench. A board keeps its lane for as long as it is known here; `slot` is
/// what people call its place.
#[allow(missing_docs)] // the fields say what they are
#[derive(Debug, Clone)]
pub enum BenchEvent {
    /// In the run of the board that has this event's lane.
    Run(Event),
    /// A board is there, or is in another place than before.
    Plugged { lane: usize, slot: String, device_id: Option<DeviceId> },
    /// A board is not there any more, and not because it was pulled out in the middle of its run. Its
    /// line may go.
    Unplugged { lane: usize },
    /// A board waits to be taken up.
    Waiting { lane: usize, why: Waiting },
    /// A board will not be taken up.
    LeftAlone { lane: usize, why: LeftAlone },
    /// A hook of a board was run.
    Hook { lane: usize, hook: HookKind, error: Option<HookError> },
    /// A barcode was read, or turns out to be for nobody.
    Scanned { text: String, fate: Fate },
    /// A barcode that waited for the next board is this one's.
    ScanGiven { lane: usize, text: String },
    /// The ledger, or the place that tells of boards, fails; none when it works again.
    Trouble { with: &'static str, why: Option<String> },
    /// How many benches share the limits.
    Benches { alive: usize },
    /// Boards whose runs an earlier process left incomplete, and those whose hooks it did not bring to a good
    /// end.
    LeftOver { device_ids: Vec<DeviceId>, hooks: Vec<DeviceId> },
    /// No new boards are taken up from now on.
    Stopping { why: Stopping },
    /// The bench has ended. Always the last event.
    Ended(Shift),
}

/// What a barcode is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The next board.
    Next,
    /// Nobody: it says not whose a board is.
    Nothing,
    /// Nobody: the board that it was scanned for was unplugged.
    Lost,
    /// Nobody: every order that says so has its board.
    Used,
}

/// What a board waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waiting {
    /// As many boards as may be are being worked on.
    FreeLane,
    /// A barcode is to be scanned for it.
    Scan,
    /// The ledger cannot be written.
    Ledger,
    /// A run of before has ended a moment ago and is tried again.
    Again,
    /// Its hook of before has not ended yet.
    Hook,
}

/// Why a board is not taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftAlone {
    /// It is in no list of what is meant.
    NotMeant,
    /// USB does not tell which board it is, and not every board is meant.
    Unknown,
    /// Every order has its board.
    NoOrder,
    /// Nothing new is begun.
    Stopping,
}

/// Why no new boards are taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopping {
    /// Somebody said so.
    Asked,
    /// As many boards as were asked for have been taken up.
    Count,
    /// The shift is over.
    Time,
    /// Every other board would fail for the same reason.
    Failure,
}
