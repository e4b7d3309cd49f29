//! One JSON object a line on standard output.

use std::{io, sync::mpsc};

use serde_json::{Map, Value, json};

use super::{Wording, bench::Places, put};
use crate::{
    bench::{BenchEvent, Fate, Shift},
    model::{Event, EventKind, Failure, redact_json},
};

/// The version of the lines' form. A new field does not raise it; a changed meaning does.
const SCHEMA: u32 = 1;

pub(super) fn draw(inbox: &mpsc::Receiver<Event>, wording: Wording, lanes: bool) {
    for event in inbox {
        put(io::stdout().lock(), &line(&event, wording, lanes));
    }
}

fn line(event: &Event, wording: Wording, lanes: bool) -> String {
    let mut object = begin(event.at);
    if lanes {
        object.insert("lane".into(), event.lane.into());
    }
    end(object, fields(event, wording))
}

/// An event of a bench: what happens to a board has its lane, and its slot if that is known.
pub(super) fn bench_line(event: &BenchEvent, places: &Places, wording: Wording) -> String {
    let (lane, fields) = match event {
        BenchEvent::Run(event) => {
            let mut object = begin(event.at);
            at(&mut object, event.lane, places);
            return end(object, fields(event, wording));
        }
        BenchEvent::Plugged { lane, .. } => (Some(lane), json!({"event": "plugged"})),
        BenchEvent::Unplugged { lane } => (Some(lane), json!({"event": "unplugged"})),
        BenchEvent::Waiting { lane, why } => (Some(lane), json!({"event": "waiting", "why": why})),
        BenchEvent::LeftAlone { lane, why } => (Some(lane), json!({"event": "left-alone", "why": why})),
        BenchEvent::Hook { lane, hook, error } => {
            let error = error.as_ref().map(ToString::to_string);
            (Some(lane), json!({"event": "hook", "hook": hook, "ok": error.is_none(), "error": error}))
        }
        BenchEvent::Scanned { text, fate } => {
            (None, json!({"event": "scanned", "text": text, "taken": *fate == Fate::Next, "fate": fate}))
        }
        BenchEvent::ScanGiven { lane, text } => (Some(lane), json!({"event": "scan-given", "text": text})),
        BenchEvent::Trouble { with, why } => (None, json!({"event": "trouble", "with": with, "why": why})),
        BenchEvent::Benches { alive } => (None, json!({"event": "benches", "alive": alive})),
        BenchEvent::LeftOver { device_ids, hooks } => {
            (None, json!({"event": "left-over", "device_ids": device_ids, "hooks": hooks}))
        }
        BenchEvent::Stopping { why } => (None, json!({"event": "stopping", "why": why})),
        BenchEvent::Ended(shift) => (None, ended(shift, wording)),
    };
    let mut object = begin(jiff::Timestamp::now());
    if let Some(lane) = lane {
        at(&mut object, *lane, places);
    }
    end(object, fields)
}

/// Which board it is about, as far as that is known.
fn at(object: &mut Map<String, Value>, lane: usize, places: &Places) {
    object.insert("lane".into(), lane.into());
    if let Some(slot) = places.slot(lane) {
        object.insert("slot".into(), slot.into());
    }
    if let Some(id) = places.device_id(lane) {
        object.insert("device_id".into(), id.as_str().into());
    }
}

fn ended(shift: &Shift, wording: Wording) -> Value {
    let slowest = shift.slowest().map(|(step, times)| {
        json!({
            "step": step, "mean_seconds": times.mean().as_secs_f64(),
            "longest_seconds": times.longest.as_secs_f64(), "device_id": times.board,
        })
    });
    json!({
        "event": "shift", "passed": shift.passed(), "already": shift.already(), "failed": shift.failed(),
        "unfinished": shift.unfinished(), "hooks_failed": shift.hooks_failed(),
        "boards_per_minute": shift.per_minute(), "seconds": shift.took().as_secs_f64(), "slowest": slowest,
        "exit_code": shift.outcome().map_or(0, wording.exit_code),
    })
}

fn begin(at: jiff::Timestamp) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("at".into(), at.to_string().into());
    object
}

fn end(mut object: Map<String, Value>, fields: Value) -> String {
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    let mut object = Value::Object(object);
    redact_json(&mut object);
    object.to_string()
}

fn fields(event: &Event, wording: Wording) -> Value {
    match &event.kind {
        EventKind::StepStarted { step } => json!({"event": "step-started", "step": step}),
        EventKind::StepNote { step, note } => json!({"event": "step-note", "step": step, "note": note}),
        EventKind::StepRetried { step, note } => {
            json!({"event": "step-note", "step": step, "note": note, "retry": true})
        }
        EventKind::StepEnded { step, outcome, note, took } => json!({
            "event": "step-ended", "step": step, "outcome": outcome, "note": note,
            "seconds": took.as_secs_f64(),
        }),
        EventKind::ActionNeeded { step, action } => {
            json!({"event": "action-needed", "step": step, "action": action})
        }
        EventKind::DeviceKnown { device_id } => json!({"event": "device-known", "device_id": device_id}),
        EventKind::RunEnded { result, device_id, took } => {
            let mut fields = match result {
                Ok(summary) => {
                    let mut fields = json!({"event": "result", "ok": true, "exit_code": 0});
                    // A summary is a plain struct, so it becomes an object.
                    if let Ok(Value::Object(summary)) = serde_json::to_value(summary) {
                        merge(&mut fields, summary);
                    }
                    fields
                }
                Err(failure) => failed(failure, wording),
            };
            if let (Some(id), Some(object)) = (device_id, fields.as_object_mut()) {
                object.insert("device_id".into(), id.as_str().into());
            }
            if let Some(object) = fields.as_object_mut() {
                object.insert("seconds".into(), took.as_secs_f64().into());
            }
            fields
        }
    }
}

fn merge(into: &mut Value, fields: Map<String, Value>) {
    if let Some(object) = into.as_object_mut() {
        object.extend(fields);
    }
}

fn failed(failure: &Failure, wording: Wording) -> Value {
    json!({
        "event": "result", "ok": false, "exit_code": (wording.exit_code)(failure.code),
        "error": {
            "code": failure.code, "step": failure.step, "message": failure.to_string(),
            "hint": (wording.hint)(failure),
        },
    })
}

/// The last line for a failure that came before any run began.
pub fn result_line(failure: &Failure, wording: Wording) -> String {
    let mut object = json!({"schema": SCHEMA, "at": jiff::Timestamp::now().to_string()});
    if let Value::Object(fields) = failed(failure, wording) {
        merge(&mut object, fields);
    }
    redact_json(&mut object);
    object.to_string()
}
