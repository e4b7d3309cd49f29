use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Cloud, CloudError, Listed, auth::Subject, http::Call, list::Kindred};
use crate::model::{Deadline, DeviceId, FailureCode, Platform, ProductRef};

/// The cloud's record of a device. Texts are from outside, as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its id.
    pub id: DeviceId,
    /// What its owner calls it.
    pub name: Option<String>,
    /// The user or customer who owns it; names are compared without regard to case.
    pub owner: Option<String>,
    /// The product it belongs to; a developer's own devices have their platform's number here.
    pub product_id: Option<u64>,
    /// What kind of board it is.
    pub platform: Option<Platform>,
    /// Whether it has a session with the cloud now.
    pub online: Option<bool>,
    /// When it last had one, in RFC 3339.
    pub last_heard: Option<String>,
    /// Whether it waits for approval to join the product.
    pub quarantined: bool,
    /// Whether the product has turned it away.
    pub denied: bool,
    /// Whether it is marked as a development device.
    pub development: bool,
    /// What the product's team notes about it.
    pub notes: Option<String>,
    /// The version of its Device OS.
    pub firmware: Option<String>,
    /// The factory's serial number.
    pub serial_number: Option<String>,
    /// The names of its firmware's variables, as far as the cloud knows them: it asks online devices.
    pub variables: Vec<String>,
    /// The names of its firmware's functions, likewise.
    pub functions: Vec<String>,
}

/// The devices among which a call works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fleet {
    /// A product's, with the product's token.
    Product(ProductRef),
    /// The user's own, with the user's token.
    Own,
}

impl Fleet {
    pub(super) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Product(_) => Subject::Product,
            Self::Own => Subject::User,
        }
    }

    /// The path of one of its devices, or of something below it.
    pub(super) fn path<'a>(&'a self, id: &'a DeviceId, below: &[&'a str]) -> Vec<&'a str> {
        let mut path = match self {
            Self::Product(product) => vec!["v1", "products", product.as_str(), "devices", id.as_str()],
            Self::Own => vec!["v1", "devices", id.as_str()],
        };
        path.extend(below);
        path
    }
}

const DEVICES: Kindred<WireDevice, DeviceRecord> =
    Kindred { what: "a device", fields: &["devices"], parse: WireDevice::parse };

#[derive(Deserialize)]
struct WireDevice {
    id: String,
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    owner: Option<String>,
    #[serde(default, deserialize_with = "number")]
    product_id: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    platform_id: Option<u64>,
    #[serde(default, deserialize_with = "flag")]
    online: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    connected: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    last_heard: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    quarantined: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    denied: Option<bool>,
    #[serde(default, deserialize_with = "flag")]
    development: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    notes: Option<String>,
    #[serde(default, deserialize_with = "text")]
    system_firmware_version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    serial_number: Option<String>,
    #[serde(default, deserialize_with = "names")]
    variables: Vec<String>,
    #[serde(default, deserialize_with = "names")]
    functions: Vec<String>,
}

impl WireDevice {
    fn parse(self) -> Option<DeviceRecord> {
        Some(DeviceRecord {
            id: DeviceId::parse(&self.id).ok()?,
            name: self.name,
            owner: self.owner,
            product_id: self.product_id,
            platform: platform(self.platform_id),
            online: self.online.or(self.connected),
            last_heard: self.last_heard,
            quarantined: self.quarantined.unwrap_or_default(),
            denied: self.denied.unwrap_or_default(),
            development: self.development.unwrap_or_default(),
            notes: self.notes,
            firmware: self.system_firmware_version,
            serial_number: self.serial_number,
            variables: self.variables,
            functions: self.functions,
        })
    }
}

impl Cloud {
    /// `GET /v1/products/P/devices`, page by page, or `GET /v1/devices`, as it comes: all devices of the
    /// fleet. Takes the same memory however many there are.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when the product does not exist or this client may not see it,
    /// `Configuration` without a user's token for the user's own, besides what can go wrong in any call;
    /// also after some devices.
    pub fn devices(
        &self,
        fleet: &Fleet,
    ) -> impl Stream<Item = Result<Listed<DeviceRecord>, CloudError>> + use<> {
        match fleet {
            Fleet::Product(product) => {
                let path = ["v1", "products", product.as_str(), "devices"].map(str::to_owned);
                self.in_pages(path.into(), DEVICES).left_stream()
            }
            Fleet::Own => self.as_it_comes(&["v1", "devices"], DEVICES).right_stream(),
        }
    }

    /// The record of one device of the fleet, with its own text, or nothing as for [`Cloud::device`].
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token for the user's own, besides what can go wrong in any call.
    pub async fn device_of(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Option<Listed<DeviceRecord>>, CloudError> {
        match self.send_as(fleet.subject(), &Call::get(&fleet.path(id, &[])), deadline).await {
            Err(error) if error.is_not_visible() => Ok(None),
            answer => answer?.read_listed(DEVICES.what, WireDevice::parse).map(Some),
        }
    }

    /// As [`Cloud::device_of`], but an id that the cloud says it knows nothing of (404) is an error: where
    /// something is taken away, a mistyped id must not look as if that were done already. The real cloud's
    /// statuses are not published; where it answers 403 to such an id, too, it is nothing, as elsewhere.
    ///
    /// # Errors
    ///
    /// `DeviceNotVisible` for an unknown id, besides those of [`Cloud::device_of`].
    pub async fn known_device(
        &self,
        fleet: &Fleet,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Option<DeviceRecord>, CloudError> {
        match self.send_as(fleet.subject(), &Call::get(&fleet.path(id, &[])), deadline).await {
            Err(error) if error.status == Some(404) => {
                Err(CloudError { code: FailureCode::DeviceNotVisible, ..error })
            }
            Err(error) if error.is_not_visible() => Ok(None),
            answer => answer?.read("a device", WireDevice::parse).map(Some),
        }
    }

    /// `GET /v1/products/P/devices/D`: the record, or nothing for a device that is not in the product
    /// or that the token may not see, which the cloud does not tell apart.
    ///
    /// # Errors
    ///
    /// What can go wrong in any call.
    pub async fn device(
        &self,
        product: &ProductRef,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Option<DeviceRecord>, CloudError> {
        let path = ["v1", "products", product.as_str(), "devices", id.as_str()];
        self.record(Subject::Product, &path, deadline).await
    }

    /// `GET /v1/devices/D` with the user's own token: the record of a device of the user's.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn user_device(
        &self,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Option<DeviceRecord>, CloudError> {
        self.record(Subject::User, &["v1", "devices", id.as_str()], deadline).await
    }

    /// `GET /v1/devices` with the user's own token: all devices of the user's, who has few; see
    /// [`Cloud::devices`] for many.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn user_devices(&self, deadline: Deadline) -> Result<Vec<DeviceRecord>, CloudError> {
        let answer = self.send_as(Subject::User, &Call::get(&["v1", "devices"]), deadline).await?;
        answer.read("a list of devices", |devices: Vec<WireDevice>| {
            devices.into_iter().map(WireDevice::parse).collect()
        })
    }

    /// `DELETE /v1/products/P/devices/D/owner`: takes the owner off; the device stays in the product.
    ///
    /// # Errors
    ///
    /// What can go wrong in any call. A refusal is none if the device has no owner.
    pub async fn unclaim(
        &self,
        product: &ProductRef,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<(), CloudError> {
        let path = ["v1", "products", product.as_str(), "devices", id.as_str(), "owner"];
        match self.send_as(Subject::Product, &Call::delete(&path), deadline).await {
            Ok(_) => Ok(()),
            // What the cloud says to a second unclaim is not published, so the record decides.
            Err(refusal) if refusal.status.is_some_and(|status| (400..500).contains(&status)) => {
                match self.device(product, id, deadline).await {
                    Ok(Some(record)) if record.owner.is_none() => Ok(()),
                    _ => Err(refusal),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn record(
        &self,
        subject: Subject<'_>,
        path: &[&str],
        deadline: Deadline,
    ) -> Result<Option<DeviceRecord>, CloudError> {
        match self.send_as(subject, &Call::get(path), deadline).await {
            Err(error) if error.is_not_visible() => Ok(None),
            answer => answer?.read("a device", WireDevice::parse).map(Some),
        }
    }
}

/// A platform's number; one that no platform can have is as good as none.
pub(super) fn platform(id: Option<u64>) -> Option<Platform> {
    id.and_then(|id| u16::try_from(id).ok()).map(Platform::from_id)
}

/// A number, or a text that holds one.
pub(super) fn number<'de, D: Deserializer<'de>>(field: D) -> Result<Option<u64>, D::Error> {
    let field = Value::deserialize(field)?;
    Ok(field.as_u64().or_else(|| field.as_str()?.trim().parse().ok()))
}

/// A text that says something; blank, null or of another type is as good as none.
pub(super) fn text<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    let field = Value::deserialize(field)?;
    Ok(field.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned))
}

/// Names in a list, or as the fields of an object; anything else has none.
fn names<'de, D: Deserializer<'de>>(field: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(field)? {
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    })
}

fn flag<'de, D: Deserializer<'de>>(field: D) -> Result<Option<bool>, D::Error> {
    Ok(Value::deserialize(field)?.as_bool())
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{ID, Scripted, id, product, signed_in_cloud, soon};
    use super::*;

    #[tokio::test]
    async fn a_record_is_read_whatever_the_server_leaves_out_or_adds() {
        let server = Scripted::start().await;
        let path = format!("GET /v1/products/1319/devices/{ID}");
        server.expect(
            &path,
            200,
            &format!(
                r#"{{"id":"{}","connected":true,"owner":"","product_id":"1319","platform_id":6,"new":[]}}"#,
                ID.to_uppercase()
            ),
        );
        server.expect(&path, 200, &format!(r#"{{"id":"{ID}","name":null,"owner":"Ann@x.example","online":false,"connected":true,"denied":true,"last_heard":"2017-04-05T19:59:10.783Z"}}"#));
        server.expect(&path, 200, r#"{"id":"not an id"}"#);
        let cloud = signed_in_cloud(&server);
        let first = cloud.device(&product(), &id(), soon()).await.unwrap().unwrap();
        assert_eq!((&first.id, first.owner, first.online), (&id(), None, Some(true)));
        assert_eq!((first.product_id, first.platform), (Some(1319), Some(Platform::Photon)));
        let second = cloud.device(&product(), &id(), soon()).await.unwrap().unwrap();
        assert_eq!((second.owner.as_deref(), second.online), (Some("Ann@x.example"), Some(false)));
        assert_eq!((second.denied, second.quarantined, second.product_id), (true, false, None));
        let garbled = cloud.device(&product(), &id(), soon()).await.unwrap_err();
        assert_eq!(garbled.code, FailureCode::CloudGarbled);
    }

    #[tokio::test]
    async fn a_device_that_may_not_be_seen_is_none() {
        let server = Scripted::start().await;
        for status in [403, 404] {
            server.expect(&format!("GET /v1/products/1319/devices/{ID}"), status, r#"{"error":"no"}"#);
        }
        server.expect(&format!("GET /v1/devices/{ID}"), 404, "");
        let cloud = signed_in_cloud(&server);
        assert_eq!(cloud.device(&product(), &id(), soon()).await.unwrap(), None);
        assert_eq!(cloud.device(&product(), &id(), soon()).await.unwrap(), None);
        assert_eq!(cloud.user_device(&id(), soon()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_id_that_the_cloud_does_not_know_is_told_from_a_device_elsewhere() {
        let server = Scripted::start().await;
        let get = format!("GET /v1/products/1319/devices/{ID}");
        server.expect(&get, 403, r#"{"error":"not yours"}"#);
        server.expect(&get, 404, r#"{"error":"No device has this id"}"#);
        let (cloud, fleet) = (signed_in_cloud(&server), Fleet::Product(product()));
        assert_eq!(cloud.known_device(&fleet, &id(), soon()).await.unwrap(), None);
        let unknown = cloud.known_device(&fleet, &id(), soon()).await.unwrap_err();
        assert_eq!((unknown.code, &*unknown.said), (FailureCode::DeviceNotVisible, "No device has this id"));
    }

    #[tokio::test]
    async fn a_users_devices_come_as_a_bare_list() {
        let server = Scripted::start().await;
        server.expect("GET /v1/devices", 200, &format!(r#"[{{"id":"{ID}","platform_id":8}}]"#));
        server.expect("GET /v1/devices", 200, r#"{"devices":[]}"#);
        let cloud = signed_in_cloud(&server);
        let devices = cloud.user_devices(soon()).await.unwrap();
        assert_eq!((&devices[0].id, devices[0].platform), (&id(), Some(Platform::P1)));
        assert_eq!(cloud.user_devices(soon()).await.unwrap_err().code, FailureCode::CloudGarbled);
    }

    #[tokio::test]
    async fn an_unclaim_that_is_refused_is_judged_by_the_record() {
        let server = Scripted::start().await;
        let path = format!("/v1/products/1319/devices/{ID}");
        let cloud = signed_in_cloud(&server);
        server.expect(&format!("DELETE {path}/owner"), 204, "");
        cloud.unclaim(&product(), &id(), soon()).await.unwrap();
        server.expect(&format!("DELETE {path}/owner"), 404, r#"{"error":"no owner"}"#);
        server.expect(&format!("GET {path}"), 200, &format!(r#"{{"id":"{ID}","owner":null}}"#));
        cloud.unclaim(&product(), &id(), soon()).await.unwrap();
        server.expect(&format!("DELETE {path}/owner"), 403, r#"{"error":"not yours"}"#);
        server.expect(&format!("GET {path}"), 200, &format!(r#"{{"id":"{ID}","owner":"somebody"}}"#));
        let refusal = cloud.unclaim(&product(), &id(), soon()).await.unwrap_err();
        assert_eq!((refusal.code, &*refusal.said), (FailureCode::CloudRefused, "not yours"));
    }
}
