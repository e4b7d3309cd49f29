use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Cloud, CloudError,
    auth::Subject,
    http::{Call, Kind},
};
use crate::model::{Deadline, DeviceId, Platform, ProductRef};

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
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// It was no member and is one now.
    Added,
    /// It was a member before.
    AlreadyMember,
    /// Somebody outside the product's team owns it.
    OwnedByOther,
    /// It is no id that the cloud knows, or one of another platform.
    Invalid,
}

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
        })
    }
}

/// Older servers leave out all but the first and the last two.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportAnswer {
    #[serde(default, deserialize_with = "number")]
    updated: Option<u64>,
    #[serde(default)]
    updated_device_ids: Vec<String>,
    #[serde(default)]
    existing_device_ids: Vec<String>,
    #[serde(default)]
    nonmember_device_ids: Vec<String>,
    #[serde(default)]
    invalid_device_ids: Vec<String>,
}

impl ImportAnswer {
    fn fate_of(&self, id: &DeviceId) -> Option<Import> {
        let names = |list: &[String]| list.iter().any(|named| named.eq_ignore_ascii_case(id.as_str()));
        let nobody_refused = self.nonmember_device_ids.is_empty() && self.invalid_device_ids.is_empty();
        if names(&self.nonmember_device_ids) {
            Some(Import::OwnedByOther)
        } else if names(&self.invalid_device_ids) {
            Some(Import::Invalid)
        } else if names(&self.existing_device_ids) {
            Some(Import::AlreadyMember)
        } else if names(&self.updated_device_ids) || self.updated == Some(1) {
            Some(Import::Added)
        } else if self.updated == Some(0) && nobody_refused {
            Some(Import::AlreadyMember)
        } else {
            None
        }
    }
}

impl Cloud {
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

    /// `GET /v1/devices` with the user's own token: all devices of the user's.
    ///
    /// # Errors
    ///
    /// `Configuration` without a user's token, besides what can go wrong in any call.
    pub async fn user_devices(&self, deadline: Deadline) -> Result<Vec<DeviceRecord>, CloudError> {
        const WHAT: &str = "a list of devices";
        let answer = self.send_as(Subject::User, &Call::get(&["v1", "devices"]), deadline).await?;
        let garbled = answer.garbled(WHAT);
        let devices: Vec<WireDevice> = answer.read(WHAT)?;
        devices.into_iter().map(WireDevice::parse).collect::<Option<_>>().ok_or(garbled)
    }

    /// `POST /v1/products/P/devices`: makes the device a member of the product.
    ///
    /// # Errors
    ///
    /// `ProductNotVisible` when the product does not exist or this client may not see it, besides what
    /// can go wrong in any call. A device that was not taken is an answer, not an error.
    pub async fn import(
        &self,
        product: &ProductRef,
        id: &DeviceId,
        deadline: Deadline,
    ) -> Result<Import, CloudError> {
        const WHAT: &str = "the result of an import";
        let path = ["v1", "products", product.as_str(), "devices"];
        let form = [("id", id.as_str())];
        let call = Call::repeatable_post(&path, &form).about(Kind::OfProduct);
        let answer = self.send_as(Subject::Product, &call, deadline).await?;
        let garbled = answer.garbled(WHAT);
        answer.read::<ImportAnswer>(WHAT)?.fate_of(id).ok_or(garbled)
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
        const WHAT: &str = "a device";
        let answer = match self.send_as(subject, &Call::get(path), deadline).await {
            Err(error) if error.is_not_visible() => return Ok(None),
            answer => answer?,
        };
        let garbled = answer.garbled(WHAT);
        answer.read::<WireDevice>(WHAT)?.parse().ok_or(garbled).map(Some)
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
fn text<'de, D: Deserializer<'de>>(field: D) -> Result<Option<String>, D::Error> {
    let field = Value::deserialize(field)?;
    Ok(field.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned))
}

fn flag<'de, D: Deserializer<'de>>(field: D) -> Result<Option<bool>, D::Error> {
    Ok(Value::deserialize(field)?.as_bool())
}
