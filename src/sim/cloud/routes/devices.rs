//! Devices, alone and in a product; what they do and what they say.

use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};

use super::customers;
use crate::sim::cloud::{
    answer::{Answer, Refusal, Reply},
    call::{Call, Caller},
    clock::rfc3339,
    events::{Audience, Filter, Listener, stream},
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

/// `POST /v1/products/P/devices`: one id, in the form or as JSON, or a file with an id on each line.
pub(super) async fn import(Path(key): Path<String>, call: Call) -> Answer {
    call.answer(|world, caller| {
        let product = world.managed(&key, caller)?.id;
        let ids = match call.param("file") {
            None => vec![call.need("id")?],
            Some(file) => {
                file.lines().map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect()
            }
        };
        if ids.is_empty() {
            return Err(Refusal::malformed("The file has no ids"));
        }
        Ok(Reply::Json(world.import(product, &ids)))
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
    let office = &call.office;
    Ok(Reply::Other(stream(Listener {
        heard: office.events.subscribe(),
        filter: Filter { prefix, audience },
        keep_alive: office.keep_alive,
        cuts: office.cuts.subscribe(),
        _seat: office.limits.seat(call.ip)?,
    })))
}

#[cfg(test)]
mod tests {
    use crate::sim::cloud::{
        DeviceSeed,
        harness::{ANN, Bench, DEVICE, OTHER_DEVICE, got, seed},
    };

    use super::*;

    fn member(id: &str) -> DeviceSeed {
        DeviceSeed { product_id: Some(1319), ..seed(id) }
    }

    #[tokio::test]
    async fn import_sorts_ids_by_what_became_of_them() {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        let list_of = async |id: &str| {
            let body = bench.import(id).await;
            let lists = ["updatedDeviceIds", "existingDeviceIds", "nonmemberDeviceIds", "invalidDeviceIds"];
            let holding: Vec<_> = lists.into_iter().filter(|list| body[list] == json!([id])).collect();
            assert_eq!(
                (holding.len(), body["updated"] == 1),
                (1, holding[0] == "updatedDeviceIds"),
                "{body}"
            );
            holding[0]
        };
        assert_eq!(list_of(DEVICE).await, "updatedDeviceIds");
        assert_eq!(list_of(DEVICE).await, "existingDeviceIds");
        let cases = [
            (DeviceSeed { platform_id: Some(8), ..seed(OTHER_DEVICE) }, "invalidDeviceIds"),
            (
                DeviceSeed { owner: Some("somebody@else.example".into()), ..seed(OTHER_DEVICE) },
                "nonmemberDeviceIds",
            ),
            (DeviceSeed { product_id: Some(7), ..seed(OTHER_DEVICE) }, "nonmemberDeviceIds"),
            (DeviceSeed { quarantined: true, ..member(OTHER_DEVICE) }, "updatedDeviceIds"),
            (DeviceSeed { denied: true, ..member(OTHER_DEVICE) }, "existingDeviceIds"),
            (seed(OTHER_DEVICE), "updatedDeviceIds"),
        ];
        for (device, expected) in cases {
            bench.seed(device.clone());
            assert_eq!(list_of(OTHER_DEVICE).await, expected, "{device:?}");
        }
        for no_id in ["undefined", &DEVICE.to_uppercase(), &DEVICE[1..]] {
            assert_eq!(list_of(no_id).await, "invalidDeviceIds");
        }
    }

    #[tokio::test]
    async fn a_file_of_ids_is_imported_at_once_and_a_broken_one_not_at_all() {
        let bench = Bench::new().await;
        let admin = bench.product_token().await;
        let send = async |head: &str, ids: &str| {
            let body = format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{ids}\r\n--b--\r\n");
            let request = bench.request("POST", "/v1/products/1319/devices").bearer_auth(&admin);
            got(request.header("content-type", "multipart/form-data; boundary=b").body(body)).await
        };
        let file = "name=\"file\"; filename=\"ids.txt\"";
        for (head, ids) in [("name=\"file\"", DEVICE), (file, "\n"), ("nonsense", DEVICE)] {
            assert_eq!(send(head, ids).await.0, 400, "{head}");
        }
        let (_, body) = send(file, &format!("{DEVICE}\r\n\n{OTHER_DEVICE}\nxyz\n")).await;
        assert_eq!(body["updatedDeviceIds"], json!([DEVICE, OTHER_DEVICE]));
        assert_eq!(body["invalidDeviceIds"], json!(["xyz"]));
    }

    #[tokio::test]
    async fn the_developers_own_device_enters_the_product_and_keeps_its_owner() {
        let bench = Bench::new().await;
        let (_, current) = bench.get("/simulator/state", "").await;
        assert!(current["devices"].as_array().unwrap().is_empty());
        bench.session(DEVICE).await;
        assert_eq!(
            bench.call("POST", "/v1/devices", &bench.info.user_token, json!({"id": DEVICE})).await.0,
            200
        );
        assert_eq!(bench.import(DEVICE).await["updated"], 1);
        assert_eq!(bench.get("/v1/devices", &bench.info.user_token).await.1[0]["product_id"], 1319);
    }

    #[tokio::test]
    async fn a_token_sees_its_own_devices_and_is_told_nothing_of_others() {
        let bench = Bench::new().await;
        bench.cloud.add_foreign_product(7, 6);
        bench.seed(DeviceSeed { product_id: Some(7), ..seed(DEVICE) });
        let product = bench.product_token().await;
        for path in [format!("/v1/devices/{DEVICE}"), format!("/v1/products/1319/devices/{DEVICE}")] {
            let (status, body) = bench.get(&path, &product).await;
            assert_eq!(status, 403);
            assert!(body["info"].as_str().unwrap().contains(&format!("access_token={product}")));
        }
        for id in [OTHER_DEVICE, &DEVICE.to_uppercase()] {
            assert_eq!(bench.get(&format!("/v1/products/1319/devices/{id}"), &product).await.0, 404);
        }
        bench.seed(member(DEVICE));
        assert_eq!(bench.get(&format!("/v1/devices/{DEVICE}"), &product).await.0, 200);
        let ann = bench.customer_token(ANN).await;
        assert_eq!(bench.get(&format!("/v1/devices/{DEVICE}"), &ann).await.0, 403);
        bench.cloud.set_owner(DEVICE, Some(ANN));
        assert_eq!(bench.get(&format!("/v1/devices/{DEVICE}"), &ann).await.0, 200);
        assert_eq!(bench.get("/v1/devices", &product).await, (200, json!([])));
    }

    #[tokio::test]
    async fn taking_the_owner_off_and_removing_are_two_things() {
        let bench = Bench::new().await;
        bench.seed(DeviceSeed { owner: Some("somebody@else.example".into()), ..member(DEVICE) });
        let (admin, path) = (bench.product_token().await, format!("/v1/products/1319/devices/{DEVICE}"));
        let owner = format!("{path}/owner");
        assert_eq!(bench.call("DELETE", &owner, &admin, Value::Null).await, (204, Value::Null));
        assert_eq!(bench.get(&path, &admin).await.1["owner"], Value::Null);
        bench.cloud.set_owner(DEVICE, Some("somebody@else.example"));
        assert_eq!(bench.call("DELETE", &path, &admin, Value::Null).await, (204, Value::Null));
        assert_eq!(bench.get(&path, &admin).await.0, 403);
        assert_eq!(bench.cloud.device(DEVICE).unwrap()["owner"], "somebody@else.example");
        assert_eq!(bench.get("/v1/products/1319/devices", &admin).await.1["devices"], json!([]));
    }

    #[tokio::test]
    async fn a_developers_device_is_claimed_by_id_only_while_it_is_online() {
        let bench = Bench::new().await;
        let (user, id) = (&bench.info.user_token, json!({"id": DEVICE}));
        assert_eq!(bench.call("POST", "/v1/devices", user, id.clone()).await.0, 404);
        bench.seed(seed(DEVICE));
        assert_eq!(bench.call("POST", "/v1/devices", user, id.clone()).await.0, 404);
        bench.session(DEVICE).await;
        assert_eq!(bench.call("POST", "/v1/devices", user, id).await.0, 200);
        let path = format!("/v1/devices/{DEVICE}");
        assert_eq!(bench.call("DELETE", &path, user, Value::Null).await, (200, json!({"ok": true})));
        assert_eq!(bench.get(&path, user).await.0, 403);
    }

    #[tokio::test]
    async fn a_products_device_is_claimed_by_id_offline_too_but_not_from_its_owner() {
        let bench = Bench::new().await;
        bench.seed(member(DEVICE));
        let (ann, user) = (bench.customer_token(ANN).await, &bench.info.user_token);
        assert_eq!(bench.call("POST", "/v1/devices", &ann, json!({"id": DEVICE})).await.0, 200);
        assert_eq!(bench.call("POST", "/v1/devices", user, json!({"id": DEVICE})).await.0, 403);
        let transfer = json!({"id": DEVICE, "request_transfer": true});
        assert_eq!(bench.call("POST", "/v1/devices", user, transfer).await.0, 200);
        assert_eq!(bench.cloud.device(DEVICE).unwrap()["owner"], ANN);
    }

    #[tokio::test]
    async fn a_device_can_be_renamed_noted_marked_and_made_to_signal_while_online() {
        let bench = Bench::new().await;
        bench.seed(member(DEVICE));
        let (admin, path) = (bench.product_token().await, format!("/v1/products/1319/devices/{DEVICE}"));
        let form = [("name", "kitchen"), ("notes", "by the door"), ("development", "true")];
        let (status, _) = got(bench.request("PUT", &path).bearer_auth(&admin).form(&form)).await;
        assert_eq!(status, 200);
        let (_, record) = bench.get(&path, &admin).await;
        assert_eq!(record["name"], "kitchen");
        assert_eq!((&record["notes"], &record["development"]), (&json!("by the door"), &json!(true)));
        assert_eq!(bench.call("PUT", &path, &admin, json!({})).await.0, 400);
        assert_eq!(bench.call("PUT", &path, &admin, json!({"signal": 1})).await.0, 404);
        let ping = format!("{path}/ping");
        assert_eq!(
            bench.call("PUT", &ping, &admin, json!({})).await,
            (200, json!({"online": false, "ok": true}))
        );
        bench.session(DEVICE).await;
        assert_eq!(bench.call("PUT", &path, &admin, json!({"signal": 1})).await.1["signaling"], true);
        assert_eq!(bench.call("PUT", &ping, &admin, json!({})).await.1["online"], true);
    }

    #[tokio::test]
    async fn a_function_that_the_firmware_does_not_have_is_not_found() {
        let bench = Bench::new().await;
        let functions = [("blink".to_owned(), -1)].into();
        bench.seed(DeviceSeed { functions, online: true, ..member(DEVICE) });
        let admin = bench.product_token().await;
        let call = async |name: &str| {
            let path = format!("/v1/products/1319/devices/{DEVICE}/{name}");
            bench.call("POST", &path, &admin, json!({"arg": ""})).await
        };
        assert_eq!(call("blink").await.1["return_value"], -1);
        assert_eq!(call("explode").await.0, 404);
    }

    #[tokio::test]
    async fn serial_numbers_are_looked_up_fifty_times_an_hour() {
        let bench = Bench::new().await;
        bench.seed(DeviceSeed { serial_number: Some("PH-1".into()), ..seed(DEVICE) });
        let admin = bench.product_token().await;
        let (_, body) = bench.get("/v1/serial_numbers/PH-1", &admin).await;
        assert_eq!(body, json!({"ok": true, "device_id": DEVICE, "platform_id": 6}));
        for _ in 0..49 {
            assert_eq!(bench.get("/v1/serial_numbers/PH-2", &admin).await.0, 404);
        }
        assert_eq!(bench.get("/v1/serial_numbers/PH-1", &admin).await.0, 429);
        assert_eq!(bench.get("/v1/serial_numbers/PH-1", &bench.info.user_token).await.0, 200);
    }

    #[tokio::test]
    async fn pages_have_bounds() {
        let bench = Bench::new().await;
        for number in 0..3 {
            bench.seed(member(&format!("{number:024x}")));
        }
        let admin = bench.product_token().await;
        let page = async |query: &str| bench.get(&format!("/v1/products/1319/devices?{query}"), &admin).await;
        let (_, last) = page("page=2&perPage=2").await;
        assert_eq!((last["devices"].as_array().unwrap().len(), &last["meta"]["total_pages"]), (1, &json!(2)));
        assert_eq!(page("page=3&perPage=2").await.1["devices"], json!([]));
        assert_eq!(
            page("page=18446744073709551615&perPage=18446744073709551615").await.1["devices"],
            json!([])
        );
        assert_eq!(page("page=0").await.0, 400);
        assert_eq!(page("perPage=many").await.0, 400);
    }
}
