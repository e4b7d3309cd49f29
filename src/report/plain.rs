//! A line an event, for log files and dumb terminals: progress on standard error, the result on
//! standard output.

use std::{io, sync::mpsc};

use super::{Wording, explain, put, seconds};
use crate::model::{Action, DeviceId, Event, EventKind, Failure, Outcome, Part, Summary, redact};

pub(super) fn draw(inbox: &mpsc::Receiver<Event>, wording: Wording, lanes: bool) {
    for event in inbox {
        let lane = if lanes { format!("[{}] ", event.lane + 1) } else { String::new() };
        tell(&event, &lane, wording);
    }
}

/// Tells one event; each line begins with `lane`.
pub(super) fn tell(event: &Event, lane: &str, wording: Wording) {
    match &event.kind {
        EventKind::StepStarted { .. } | EventKind::DeviceKnown { .. } => {}
        EventKind::StepNote { step, note } | EventKind::StepRetried { step, note } => {
            say(&format!("{lane}{step}: {note}"));
        }
        EventKind::StepEnded { step, outcome, note, took } => {
            say(&format!("{lane}{step}: {} ({})", outcome_text(*outcome, note), seconds(*took)));
        }
        EventKind::ActionNeeded { action, .. } => say(&format!("{lane}>>> {}", action_text(action))),
        EventKind::RunEnded { result, device_id, took } => match result {
            Ok(summary) => put(io::stdout().lock(), &format!("{lane}{}", pass_line(summary, *took))),
            Err(failure) => {
                put(io::stdout().lock(), &format!("{lane}{}", fail_line(device_id.as_ref(), failure, *took)));
                put(io::stderr().lock(), &explain(failure, wording, lane));
            }
        },
    }
}

fn say(line: &str) {
    put(io::stderr().lock(), &redact(line));
}

pub(super) fn outcome_text(outcome: Outcome, note: &str) -> String {
    let word = match outcome {
        Outcome::Done => "done",
        Outcome::AlreadySo => "ok",
        Outcome::WouldDo => "would be done",
    };
    if note.is_empty() { word.into() } else { format!("{word}, {note}") }
}

pub(super) fn action_text(action: &Action) -> &'static str {
    match action {
        Action::HoldSetupButton => {
            "Hold the SETUP button for 3 seconds, until the status LED blinks dark blue. Waiting."
        }
        Action::JoinPhoton => {
            "Join the Photon's own network (Photon-XXXX) with this computer; the status LED blinks dark blue. Waiting."
        }
        Action::GoOnline => "Go back to a network with internet with this computer. Waiting.",
        Action::PlugIn => "Plug the board in again. Waiting.",
    }
}

/// The word that an operator looks for.
pub(super) fn verdict(summary: &Summary) -> &'static str {
    match summary.part {
        _ if summary.dry_run => "DRY RUN",
        Part::Whole => "PASS",
        Part::Prepared => "PREPARED",
        Part::Delivered => "DELIVERED",
        Part::Wifi => "SAVED",
    }
}

pub(super) fn board(summary: &Summary) -> &str {
    summary.device_id.as_ref().map_or("any device", DeviceId::as_str)
}

/// Whether it is claimed to no customer, but to the developer.
pub(super) fn in_own_account(summary: &Summary) -> bool {
    summary.customer.is_none() && summary.part != Part::Wifi
}

/// What an operator reads in one glance.
pub(super) fn pass_line(summary: &Summary, took: std::time::Duration) -> String {
    let mut line = format!("{}  {}", verdict(summary), board(summary));
    let fields = [
        ("customer", summary.customer.as_ref().map(ToString::to_string)),
        ("product", summary.product.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            line += &format!("  {name} {value}");
        }
    }
    if in_own_account(summary) {
        line += "  in the developer's account";
    }
    line += &format!("  {}", seconds(took));
    if summary.already {
        line += "  (was so already; the board was not touched)";
    }
    if summary.may_be_updating() {
        line += "  (do not unplug while magenta)";
    }
    line
}

pub(super) fn fail_line(
    device_id: Option<&crate::model::DeviceId>,
    failure: &Failure,
    took: std::time::Duration,
) -> String {
    let id = device_id.map_or("unknown device", |id| id.as_str());
    redact(&format!("FAIL  {id}  {}  {}", failure.code.as_str(), seconds(took))).into_owned()
}
