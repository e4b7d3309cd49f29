//! One JSON object a line on standard output.

use std::{io, sync::mpsc};

use serde_json::{Map, Value, json};

use super::{Wording, put};
use crate::model::{Event, EventKind, Failure, redact};

/// The version of the lines' form. A new field does not raise it; a changed meaning does.
const SCHEMA: u32 = 1;

pub(super) fn draw(inbox: &mpsc::Receiver<Event>, wording: Wording, lanes: bool) {
    for event in inbox {
        put(io::stdout().lock(), &line(&event, wording, lanes));
    }
}

fn line(event: &Event, wording: Wording, lanes: bool) -> String {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("at".into(), event.at.to_string().into());
    if lanes {
        object.insert("lane".into(), event.lane.into());
    }
    let fields = match &event.kind {
        EventKind::StepStarted { step } => json!({"event": "step-started", "step": step}),
        EventKind::StepNote { step, note } => json!({"event": "step-note", "step": step, "note": note}),
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
    };
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    redact(&Value::Object(object).to_string()).into_owned()
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
    redact(&object.to_string()).into_owned()
}
