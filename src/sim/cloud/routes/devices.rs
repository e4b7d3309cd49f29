//! Devices, alone and in a product; what they do and what they say.

use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};

use super::customers;
use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::{Call, Caller},
    clock::rfc3339,
    events::{Audience, Filter, stream},
    limits::Budget,
    ownership::not_yours,
    world::{Account, Device, Owner, World},
};

/// What the paths of devices hold: with a product or without, with a word behind the id or without.
#[derive(Deserialize)]
pub(super) struct Place {
    product: Option<String>,
    device: String,
    #[serde(default)]
    name: String,
}

impl Place {
    fn find<'w>(
        &self,
        world: &'w mut World,
        caller: &Caller,
        call: &Call,
    ) -> Result<&'w mut Device, Refusal> {
        world.visible(self.product.as_deref(), &self.device, caller, &call.office.api_url)
    }
}

/// `GET /v1/devices`: what the token's own account owns; a client by itself owns nothing.
pub(super) async fn own(call: Call) -> Answer {
    call.answer(|world, caller| {
        let Account::Owner(owner) = &caller.account else { return Ok(Reply::Json(json!([]))) };
        let records: Vec<Value> = world.owned(owner).map(|id| world.devices[id].record()).collect();
        Ok(Reply::Json(records.into()))
    })
}

/// `GET /v1/products/P/devices`
pub(super) async fn members(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let product = world.managed(&key, caller)?;
        let (page, all) = (call.page()?, world.members(product.id));
        let devices: Vec<&Device> = page.of(all).iter().map(|id| &world.devices[id]).collect();
        let mut owners: Vec<&str> =
            devices.iter().filter_map(|d| d.owner.as_ref()).map(Owner::name).collect();
        owners.sort_unstable();
        owners.dedup();
        let customers = owners.into_iter().filter_map(|name| product.customers.get(name));
        Ok(Reply::Json(json!({
            "devices": devices.into_iter().map(Device::record).collect::<Vec<_>>(),
            "customers": customers.map(customers::record).collect::<Vec<_>>(),
            "meta": {"total_pages": page.count(all)},
        })))
    })
}

/// `GET /v1/devices/D` and `GET /v1/products/P/devices/D`
pub(super) async fn one(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| Ok(Reply::Json(place.find(world, caller, &call)?.record())))
}

/// `POST /v1/products/P/devices`: one id, in the form or as JSON.
pub(super) async fn import(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let product = world.managed(&key, caller)?.id;
        Ok(Reply::Json(world.import(product, &[call.need("id")?])))
    })
}

/// `DELETE /v1/products/P/devices/D`: out of the product; the owner, if it has one, stays.
pub(super) async fn remove(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let device = place.find(world, caller, &call)?;
        (device.quarantined, device.denied, device.development) = (false, false, false);
        world.set_product(&place.device, None);
        Ok(Reply::Empty)
    })
}

/// `DELETE /v1/products/P/devices/D/owner`
pub(super) async fn take_owner_off(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        if place.name != "owner" {
            return Err(Refusal::not_found("Not found"));
        }
        place.find(world, caller, &call)?;
        world.set_owner(&place.device, None);
        Ok(Reply::Empty)
    })
}

/// `DELETE /v1/devices/D`: by its owner.
pub(super) async fn unclaim(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        place.find(world, caller, &call)?;
        if !matches!(caller.account, Account::Owner(_)) {
            return Err(Refusal::forbidden("Only its owner can give up a device"));
        }
        world.set_owner(&place.device, None);
        Ok(Reply::Json(json!({"ok": true})))
    })
}

/// `POST /v1/devices`: claim by id. A device outside products has to be online. With
/// `request_transfer=true` the owner of somebody else's device would get a mail; nothing moves.
pub(super) async fn claim(call: Call) -> Answer {
    call.answer(|world, caller| {
        let Account::Owner(owner) = &caller.account else {
            return Err(Refusal::forbidden("A client by itself can own no device"));
        };
        let id = call.need("id")?;
        let device = world.devices.get(&id).ok_or_else(|| Refusal::not_found("No device has this id"))?;
        if !world.may_have(owner, device) {
            let others = device.owner.as_ref().is_some_and(|present| present != owner);
            return match call.flag("request_transfer")? {
                Some(true) if others => Ok(Reply::Json(json!({"ok": true, "transfer_requested": true}))),
                _ => Err(not_yours(caller, &call.office.api_url)),
            };
        }
        if device.product_id.is_none() && !device.online {
            return Err(Refusal::not_found("The device is not online"));
        }
        world.set_owner(&id, Some(owner.clone()));
        Ok(Reply::Json(json!({"id": id, "ok": true})))
    })
}

/// `PUT /v1/devices/D` and `PUT /v1/products/P/devices/D`: `name`, `notes`, `development`, `signal`.
pub(super) async fn update(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let device = place.find(world, caller, &call)?;
        let (name, notes) = (call.param("name"), call.param("notes"));
        let (development, signal) = (call.flag("development")?, call.flag("signal")?);
        if name.is_none() && notes.is_none() && development.is_none() && signal.is_none() {
            return Err(Refusal::malformed("Nothing to change: name, notes, development, signal"));
        }
        if signal.is_some() && !device.online {
            return Err(Refusal::timed_out());
        }
        device.name = name.unwrap_or_else(|| device.name.clone());
        device.notes = notes.or(device.notes.take());
        device.development = development.unwrap_or(device.development);
        let mut answer = json!({
            "id": device.id,
            "name": device.name,
            "notes": device.notes,
            "development": device.development,
            "updated_at": rfc3339(call.now),
        });
        if let Some(signal) = signal {
            answer["connected"] = true.into();
            answer["signaling"] = signal.into();
        }
        Ok(Reply::Json(answer))
    })
}

/// `PUT …/devices/D/ping`
pub(super) async fn ping(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        if place.name != "ping" {
            return Err(Refusal::not_found("Not found"));
        }
        let device = place.find(world, caller, &call)?;
        Ok(Reply::Json(json!({"online": device.online, "ok": true})))
    })
}

/// `GET …/devices/D/VAR`
pub(super) async fn variable(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let device = place.find(world, caller, &call)?;
        if !device.online {
            return Err(Refusal::timed_out());
        }
        let unknown = || Refusal::not_found(&format!("Unknown Variable: {}", place.name));
        let result = device.variables.get(&place.name).ok_or_else(unknown)?;
        let last_heard = device.last_heard.map(rfc3339);
        Ok(Reply::Json(json!({
            "cmd": "VarReturn",
            "name": place.name,
            "result": result,
            "coreInfo": {
                "last_app": "",
                "last_heard": last_heard,
                "connected": true,
                "last_handshake_at": last_heard,
                "deviceID": device.id,
                "product_id": device.product_id,
            },
        })))
    })
}

/// `POST …/devices/D/FUNC`
pub(super) async fn function(Path(place): Path<Place>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let device = place.find(world, caller, &call)?;
        if !device.online {
            return Err(Refusal::timed_out());
        }
        let unknown = || Refusal::not_found(&format!("Function {} not found", place.name));
        let value = device.functions.get(&place.name).ok_or_else(unknown)?;
        Ok(Reply::Json(json!({"id": device.id, "connected": true, "return_value": value})))
    })
}

/// `GET /v1/serial_numbers/SN`
pub(super) async fn by_serial_number(Path(serial): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let account = match &caller.account {
            Account::Owner(owner) => owner.name(),
            Account::Client { id, .. } => id,
        };
        call.office.limits.spend(Budget::SerialNumbers(account.to_owned()), call.now)?;
        let device = world.devices.values().find(|d| d.serial_number.as_deref() == Some(&serial));
        let device = device.ok_or_else(|| Refusal::not_found("No device has this serial number"))?;
        Ok(Reply::Json(json!({"ok": true, "device_id": device.id, "platform_id": device.platform_id})))
    })
}

/// What the paths of event streams hold.
#[derive(Deserialize)]
pub(super) struct Streamed {
    product: Option<String>,
    #[serde(default)]
    prefix: String,
}

/// `GET /v1/products/P/events/PREFIX`: of every device of the product.
pub(super) async fn product_events(Path(wanted): Path<Streamed>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let key = wanted.product.as_deref().unwrap_or_default();
        let audience = Audience::Product(world.managed(key, caller)?.id);
        subscribe(&call, wanted.prefix, audience)
    })
}

/// `GET /v1/devices/events/PREFIX`: of every device that the token's account owns.
pub(super) async fn own_events(Path(wanted): Path<Streamed>, call: Call) -> Answer {
    call.answer(|_, caller| match &caller.account {
        Account::Owner(owner) => subscribe(&call, wanted.prefix, Audience::Owner(owner.clone())),
        Account::Client { .. } => Err(Refusal::forbidden("A client by itself owns no device")),
    })
}

fn subscribe(call: &Call, prefix: String, audience: Audience) -> Answer {
    let seat = call.office.limits.seat(call.ip)?;
    Ok(Reply::Other(stream(call.office.events.subscribe(), Filter { prefix, audience }, seat)))
}
