//! The device's side, and levers for tests; the table is in the documentation of `sim::cloud`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::sim::cloud::{
    DeviceSeed,
    answer::{Answer, Refusal, Reply},
    events::Said,
    office::Office,
    ownership::is_id,
    server::seed_device,
    world::Device,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    platform_id: u16,
    firmware: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    claim_code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    status: UpdateStatus,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UpdateStatus {
    Started,
    Success,
    Failed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u32,
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(&error.to_string()))
}

/// Whatever was changed is stored before the answer leaves.
fn done(office: &Office, reply: Reply) -> Answer {
    let failed = |error| {
        let body = json!({"error": format!("The state could not be stored: {error}")});
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, body)
    };
    office.settle().map_err(failed)?;
    Ok(reply)
}

/// A board connects. Its platform is what it says, whatever the record said.
pub(super) async fn session(
    State(office): State<Arc<Office>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let said: Session = read(&body)?;
    if !is_id(&id) {
        return Err(Refusal::malformed("Not a device id: 24 hexadecimal digits in lower case"));
    }
    let now = office.clock.now();
    {
        let mut world = office.world();
        if !world.devices.contains_key(&id) {
            world.put(Device { id: id.clone(), ..Device::default() });
        }
        world.dirty = true;
        let device = world.devices.get_mut(&id).ok_or_else(unknown)?;
        device.platform_id = said.platform_id;
        device.firmware = said.firmware.or(device.firmware.take());
        device.online = true;
        device.last_heard = Some(now);
        office.publish(Said::about(device, "spark/status", "online", now));
    }
    done(&office, Reply::Json(json!({})))
}

/// A board shows its claim code.
pub(super) async fn claim(State(office): State<Arc<Office>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Shown { claim_code } = read(&body)?;
    let now = office.clock.now();
    let claimed = {
        let mut world = office.world();
        let device = world.devices.get_mut(&id).ok_or_else(unknown)?;
        if !device.online {
            return Err(no_session());
        }
        device.last_heard = Some(now);
        office.publish(Said::about(device, "spark/device/claim/code", "", now));
        let claimed = world.present_code(&id, &claim_code, now);
        if claimed {
            office.publish(Said::about(&world.devices[&id], "spark/device/claim/success", "", now));
        }
        world.dirty = true;
        claimed
    };
    done(&office, Reply::Json(json!({"claimed": claimed})))
}

/// A firmware update of a board that is online begins, or is over.
pub(super) async fn update(State(office): State<Arc<Office>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Update { status } = read(&body)?;
    let data = match status {
        UpdateStatus::Started => "started ",
        UpdateStatus::Success => "success ",
        UpdateStatus::Failed => "failed ",
    };
    let world = office.world();
    let device = world.devices.get(&id).filter(|device| device.online).ok_or_else(no_session)?;
    office.publish(Said::about(device, "spark/flash/status", data, office.clock.now()));
    Ok(Reply::Json(json!({})))
}

/// A board's session ends.
pub(super) async fn offline(State(office): State<Arc<Office>>, Path(id): Path<String>) -> Answer {
    {
        let mut world = office.world();
        world.dirty = true;
        let device = world.devices.get_mut(&id).ok_or_else(unknown)?;
        device.online = false;
        office.publish(Said::about(device, "spark/status", "offline", office.clock.now()));
    }
    done(&office, Reply::Json(json!({})))
}

/// A device comes into being.
pub(super) async fn seed(State(office): State<Arc<Office>>, body: Bytes) -> Answer {
    let seed: DeviceSeed = read(&body)?;
    if !seed_device(&mut office.world(), seed) {
        return Err(Refusal::malformed("Not a device id in lower case, or no such product"));
    }
    done(&office, Reply::Json(json!({})))
}

/// Time passes.
pub(super) async fn clock(State(office): State<Arc<Office>>, body: Bytes) -> Answer {
    let Advance { advance_s } = read(&body)?;
    office.clock.advance(Duration::from_secs(advance_s.into()));
    office.world().dirty = true;
    done(&office, Reply::Json(json!({})))
}

pub(super) async fn state(State(office): State<Arc<Office>>) -> Answer {
    Ok(Reply::Json(office.world().dump(office.clock.now())))
}

pub(super) async fn requests(State(office): State<Arc<Office>>) -> Answer {
    Ok(Reply::Json(json!(office.log.records())))
}

pub(super) async fn cut_streams(State(office): State<Arc<Office>>) -> Answer {
    office.cuts.send_modify(|cuts| *cuts += 1);
    Ok(Reply::Json(json!({})))
}

fn no_session() -> Refusal {
    Refusal::new(StatusCode::CONFLICT, json!({"error": "The device has no session"}))
}

fn unknown() -> Refusal {
    Refusal::not_found("No device has this id")
}
