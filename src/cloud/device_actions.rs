use serde::Deserialize;
use serde_json::Value;

use super::{
    Cloud, CloudError, Fleet, Listed,
    auth::Subject,
    devices::{number, platform},
    http::{Call, Kind},
};
use crate::model::{Deadline, DeviceId, FailureCode, Platform};

/// What became of a claim by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// The device is the user's.
    Now,
    /// Somebody else's; its owner has been asked by mail to hand it over.
    Asked,
}

/// The device that a serial number belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialNumber {
    /// The device's id.
    pub id: DeviceId,
    /// What kind of board it is.
    pub platform: Option<Platform>,
}

#[derive(Deserialize)]
struct WireSerialNumber {
    #[serde(alias = "deviceId")]
    device_id: String,
    #[serde(default, alias = "platformId", deserialize_with = "number")]
    platform_id: Option<u64>,
}

#[derive(Deserialize)]
struct Pinged {
    online: bool,
}

#[derive(Deserialize)]
struct Returned {
    return_value: Value,
}

#[derive(Deserialize)]
struct Variable {
    result: Value,
}

impl Cloud {
    /// `PUT …/devices/D` with `name`: what the device is called.
    ///
    /// # Errors
    ///
    /// `DeviceNotVisible`, besides what can go wrong in any call.
    pub async fn rename_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        name: &str,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        self.update_device(fleet, id, ("name", name), deadline).await
    }

    /// `PUT …/devices/D` with `notes`: what is known about the device.
    ///
    /// # Errors
    ///
    /// Those of [`Cloud::rename_device`].
    pub async fn note_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        notes: &str,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        self.update_device(fleet, id, ("notes", notes), deadline).await
    }

    /// `PUT …/devices/D` with `signal`: whether the device shows itself by a rainbow on its status LED.
    ///
    /// # Errors
    ///
    /// `DeviceOffline`, besides those of [`Cloud::rename_device`].
    pub async fn signal_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        on: bool,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        self.update_device(fleet, id, ("signal", if on { "1" } else { "0" }), deadline).await
    }

    async fn update_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        change: (&str, &str),
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let (path, form) = (fleet.path(id, &[]), [change]);
        let call = Call::put(&path, &form).about(Kind::OfDevice);
        self.send_as(fleet.subject(), &call, deadline).await.map(drop)
    }

    /// `PUT …/devices/D/ping`: whether the device answers the cloud now.
    ///
    /// # Errors
    ///
    /// `DeviceNotVisible`, besides what can go wrong in any call.
    pub async fn ping_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<bool, CloudError> {
        let path = fleet.path(id, &["ping"]);
        let call = Call::put(&path, &[]).about(Kind::OfDevice);
        match self.send_as(fleet.subject(), &call, deadline).await {
            Err(error) if error.code == FailureCode::DeviceOffline => Ok(false),
            answer => answer?.read("an answer to a ping", |pinged: Pinged| Some(pinged.online)),
        }
    }

    /// `GET …/devices/D/VAR`: the value of one of the firmware's variables, and the whole answer's text.
    ///
    /// # Errors
    ///
    /// `DeviceOffline`; `UnknownName` if the firmware has no such variable; `DeviceNotVisible`; besides
    /// what can go wrong in any call.
    pub async fn device_variable(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        name: &str,
        deadline: Deadline,
    ) -> Result<Listed<Value>, CloudError> {
        let path = fleet.path(id, &[name]);
        let call = Call::get(&path).about(Kind::OfDevice);
        let answer = self.send_as(fleet.subject(), &call, deadline).await?;
        answer.read_listed("a variable", |variable: Variable| Some(variable.result))
    }

    /// `POST …/devices/D/FUNC`: calls one of the firmware's functions, and gives what it returned, with the
    /// whole answer's text. What the number means is the firmware's to say: zero and negative ones are
    /// no failures. Never repeated by itself, as the firmware would do it twice.
    ///
    /// # Errors
    ///
    /// `DeviceOffline`; `UnknownName` if the firmware has no such function; `DeviceNotVisible`; besides
    /// what can go wrong in any call.
    pub async fn call_function(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        name: &str,
        argument: &str,
        deadline: Deadline,
    ) -> Result<Listed<Value>, CloudError> {
        let (path, form) = (fleet.path(id, &[name]), [("arg", argument)]);
        let call = Call::single_post(&path, &form).about(Kind::OfDevice);
        let answer = self.send_as(fleet.subject(), &call, deadline).await?;
        answer.read_listed("a function's return value", |returned: Returned| Some(returned.return_value))
    }

    /// `POST /v1/devices`: claims a device for the user by its id, with no code. It has to be online,
    /// unless it is in a product of the user's. With `request_transfer` the present owner of somebody
    /// else's is asked by mail.
    ///
    /// # Errors
    ///
    /// `OwnedByOther`; `DeviceOffline`; `DeviceNotVisible` for an id that the cloud does not know;
    /// `Configuration` without a user's token; besides what can go wrong in any call.
    pub async fn claim_device(
        &self,
        id: &DeviceId,
        request_transfer: bool,
        deadline: Deadline,
    ) -> Result<Claimed, CloudError> {
        let form = [("id", id.as_str()), ("request_transfer", "true")];
        // A second request would be a second mail.
        let call = match request_transfer {
            true => Call::single_post(&["v1", "devices"], &form),
            false => Call::repeatable_post(&["v1", "devices"], &form[..1]),
        };
        match self.send_as(Subject::User, &call.about(Kind::OfDevice), deadline).await {
            Ok(answer) => {
                let asked = ["transfer_requested", "transferRequested", "transfer_id", "transferId"];
                let asked = request_transfer && asked.iter().any(|field| answer.json().get(field).is_some());
                Ok(if asked { Claimed::Asked } else { Claimed::Now })
            }
            Err(error) if says_somebody_elses(&error) => {
                Err(CloudError { code: FailureCode::OwnedByOther, ..error })
            }
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/serial_numbers/SN`: the device of this serial number, with the answer's text, or nothing.
    /// 50 an hour for each account.
    ///
    /// # Errors
    ///
    /// `LimitsHit` after the fiftieth, at once; besides what can go wrong in any call.
    pub async fn serial_number(
        &self,
        serial: &str,
        deadline: Deadline,
    ) -> Result<Option<Listed<SerialNumber>>, CloudError> {
        let path = ["v1", "serial_numbers", serial];
        match self.send_as(Subject::Product, &Call::get(&path), deadline).await {
            Err(error) if error.is_not_visible() => Ok(None),
            Err(mut error) if error.code == FailureCode::LimitsHit => {
                error.said.push_str(" (serial numbers can be looked up 50 times an hour)");
                Err(error)
            }
            answer => answer?
                .read_listed("a serial number's device", |wire: WireSerialNumber| {
                    let id = DeviceId::parse(&wire.device_id).ok()?;
                    Some(SerialNumber { id, platform: platform(wire.platform_id) })
                })
                .map(Some),
        }
    }
}

/// "That belongs to someone else" is what Particle's own CLI looks for; others are 403.
fn says_somebody_elses(error: &CloudError) -> bool {
    error.status == Some(403) || error.said.to_lowercase().contains("belongs to someone else")
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{ID, Scripted, id, signed_in_cloud, soon};
    use super::*;
    use crate::model::ProductRef;

    fn product() -> Fleet {
        Fleet::Product(ProductRef::parse("1319").unwrap())
    }

    #[tokio::test]
    async fn what_a_device_cannot_be_asked_is_told_apart() {
        for (status, body, code) in [
            (404, r#"{"ok":false,"error":"timed out"}"#, FailureCode::DeviceOffline),
            (408, r#"{"ok":false,"error":"Timed out."}"#, FailureCode::DeviceOffline),
            (400, r#"{"error":"Device is not connected"}"#, FailureCode::DeviceOffline),
            (404, r#"{"ok":false,"error":"Unknown Variable: x"}"#, FailureCode::UnknownName),
            (404, r#"{"ok":false,"error":"Function x not found"}"#, FailureCode::UnknownName),
            (404, r#"{"ok":false,"error":"No device has this id"}"#, FailureCode::DeviceNotVisible),
            (403, r#"{"error":"Permission denied"}"#, FailureCode::DeviceNotVisible),
        ] {
            let server = Scripted::start().await;
            server.expect(&format!("GET /v1/devices/{ID}/x"), status, body);
            let error =
                signed_in_cloud(&server).device_variable(&Fleet::Own, &id(), "x", soon()).await.unwrap_err();
            assert_eq!(error.code, code, "{body}");
        }
    }

    #[tokio::test]
    async fn a_functions_own_value_is_no_error_and_it_is_not_called_twice() {
        let server = Scripted::start().await;
        let call = format!("POST /v1/products/1319/devices/{ID}/turn%20on%2Foff");
        for value in [1, 0, -1] {
            server.expect(&call, 200, &format!(r#"{{"id":"{ID}","connected":true,"return_value":{value}}}"#));
        }
        server.expect_and_drop(&call);
        let cloud = signed_in_cloud(&server);
        let turn = async || cloud.call_function(&product(), &id(), "turn on/off", "a&b", soon()).await;
        for value in [1, 0, -1] {
            assert_eq!(turn().await.unwrap().record, value);
        }
        assert_eq!(turn().await.unwrap_err().code, FailureCode::CloudUnreachable);
        assert_eq!(server.seen()[0].body, "arg=a%26b");
    }

    #[tokio::test]
    async fn a_claim_by_id_says_whose_the_device_is_now() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        let claim = async |body: &str, status, transfer| {
            server.expect("POST /v1/devices", status, body);
            cloud.claim_device(&id(), transfer, soon()).await.map_err(|error| error.code)
        };
        assert_eq!(claim(r#"{"ok":true}"#, 200, false).await, Ok(Claimed::Now));
        assert_eq!(claim(r#"{"ok":true,"transfer_requested":true}"#, 200, true).await, Ok(Claimed::Asked));
        let others = r#"{"ok":false,"errors":["That belongs to someone else. To request a transfer …"]}"#;
        assert_eq!(claim(others, 400, false).await, Err(FailureCode::OwnedByOther));
        assert_eq!(claim("", 403, false).await, Err(FailureCode::OwnedByOther));
        assert_eq!(claim(r#"{"error":"not online"}"#, 404, false).await, Err(FailureCode::DeviceOffline));
        let bodies: Vec<_> = server.seen().iter().map(|seen| seen.body.clone()).collect();
        assert_eq!(bodies[..2], [format!("id={ID}"), format!("id={ID}&request_transfer=true")]);
    }

    #[tokio::test]
    async fn names_that_are_no_names_are_not_sent() {
        let server = Scripted::start().await;
        let cloud = signed_in_cloud(&server);
        for name in ["", ".", ".."] {
            let error = cloud.device_variable(&Fleet::Own, &id(), name, soon()).await.unwrap_err();
            assert_eq!(error.code, FailureCode::Configuration);
        }
    }

    #[tokio::test]
    async fn the_limit_of_serial_numbers_is_named_and_not_waited_for() {
        let server = Scripted::start().await;
        server.expect_with("GET /v1/serial_numbers/P%2F1", 429, "retry-after: 3000\r\n", "");
        let error = signed_in_cloud(&server).serial_number("P/1", soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::LimitsHit);
        assert!(error.to_string().ends_with("50 times an hour)"), "{error}");
    }
}
