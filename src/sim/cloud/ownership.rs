//! Who may have which device: the rules by which devices enter products and change owners.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{
    answer::Refusal,
    call::Caller,
    world::{Account, Device, Owner, Product, World},
};
use crate::model::DeviceId;

/// How one id of an import fared.
enum Imported {
    Updated,
    Existing,
    Nonmember,
    Invalid,
}

impl World {
    /// The product of this number or slug, if the caller may manage it: a client of the product, or the
    /// user whose product it is. Customers may not.
    pub(super) fn managed(&self, key: &str, caller: &Caller) -> Result<&Product, Refusal> {
        let product = self.product(key)?;
        let may = match &caller.account {
            Account::Client { product: own, .. } => *own == Some(product.id),
            Account::Owner(Owner::User(name)) => *name == product.team,
            Account::Owner(Owner::Customer { .. }) => false,
        };
        if may { Ok(product) } else { Err(Refusal::forbidden("This token is not one of the product's")) }
    }

    /// The product of this number or slug.
    pub(super) fn product(&self, key: &str) -> Result<&Product, Refusal> {
        let by_number = key.parse().ok().and_then(|id: u32| self.products.get(&id));
        by_number
            .or_else(|| self.products.values().find(|product| product.slug == key))
            .ok_or_else(|| Refusal::not_found("Product not found"))
    }

    /// The device, if the caller may see it in the product, or without one among what is its own: a
    /// user's and a customer's devices, a product client's members. An id that nobody has is 404, a
    /// device of somebody else 403 (which of the two the real cloud answers is not published).
    pub(super) fn visible(
        &mut self,
        product: Option<&str>,
        device: &str,
        caller: &Caller,
        api_url: &str,
    ) -> Result<&mut Device, Refusal> {
        let product = product.map(|key| self.managed(key, caller).map(|p| p.id)).transpose()?;
        let device =
            self.devices.get_mut(device).ok_or_else(|| Refusal::not_found("No device has this id"))?;
        let may = match (product, &caller.account) {
            (Some(product), _) => device.product_id == Some(product),
            (None, Account::Owner(owner)) => device.owner.as_ref() == Some(owner),
            (None, Account::Client { product, .. }) => product.is_some() && device.product_id == *product,
        };
        if may { Ok(device) } else { Err(not_yours(caller, api_url)) }
    }

    /// Takes devices into a product and approves quarantined ones. An id that was never seen becomes a
    /// device of the product's platform. Ids are lower case; others are no ids.
    pub(super) fn import(&mut self, product: u32, ids: &[String]) -> Value {
        let (mut updated, mut existing) = (vec![], vec![]);
        let (mut nonmember, mut invalid) = (vec![], vec![]);
        for id in ids {
            match self.import_one(product, id) {
                Imported::Updated => updated.push(id),
                Imported::Existing => existing.push(id),
                Imported::Nonmember => nonmember.push(id),
                Imported::Invalid => invalid.push(id),
            }
        }
        json!({
            "updated": updated.len(),
            "updatedDeviceIds": updated,
            "existingDeviceIds": existing,
            "nonmemberDeviceIds": nonmember,
            "invalidDeviceIds": invalid,
        })
    }

    fn import_one(&mut self, product: u32, id: &str) -> Imported {
        let Some(Product { platform_id, team, .. }) = self.products.get(&product) else {
            return Imported::Invalid;
        };
        if !is_id(id) {
            return Imported::Invalid;
        }
        let Some(device) = self.devices.get_mut(id) else {
            let platform_id = *platform_id;
            self.put(Device {
                id: id.to_owned(),
                product_id: Some(product),
                platform_id,
                ..Device::default()
            });
            return Imported::Updated;
        };
        let outsider = match &device.owner {
            None => false,
            Some(Owner::User(name)) => name != team,
            Some(Owner::Customer { product: theirs, .. }) => *theirs != product,
        };
        match device.product_id {
            _ if device.platform_id != *platform_id => Imported::Invalid,
            Some(other) if other != product => Imported::Nonmember,
            _ if outsider => Imported::Nonmember,
            Some(_) if !device.quarantined => Imported::Existing,
            _ => {
                device.quarantined = false;
                self.set_product(id, Some(product));
                Imported::Updated
            }
        }
    }

    /// Whether this device may be given to this account: it is nobody else's, it is not denied, and it
    /// is an approved member of the customer's product, or of no product of strangers to the user.
    ///
    /// What the real cloud does with a device that is somebody else's or not in the product is not
    /// published; here it never moves.
    pub(super) fn may_have(&self, owner: &Owner, device: &Device) -> bool {
        let free = device.owner.as_ref().is_none_or(|present| present == owner);
        let fits = match owner {
            Owner::Customer { product, .. } => device.product_id == Some(*product) && !device.quarantined,
            Owner::User(name) => device
                .product_id
                .and_then(|id| self.products.get(&id))
                .is_none_or(|product| product.team == *name),
        };
        free && fits && !device.denied
    }

    /// A device shows a claim code. Says whether the device is now the code's account's; if it is, the
    /// code is used up, if not, it stays as it was.
    pub(super) fn present_code(&mut self, id: &str, code: &str, now: i64) -> bool {
        let Some(owner) = self.codes.get(code).filter(|c| c.expires_at > now).map(|c| c.owner.clone()) else {
            return false;
        };
        if !self.devices.get(id).is_some_and(|device| self.may_have(&owner, device)) {
            return false;
        }
        self.codes.remove(code);
        self.set_owner(id, Some(owner));
        true
    }
}

/// The refusal of a device that is somebody else's. Like some of the real cloud's, it repeats the
/// caller's token in a URL, which clients have to take out before they show or log it.
pub(super) fn not_yours(caller: &Caller, api_url: &str) -> Refusal {
    let token = &caller.token;
    Refusal::new(
        StatusCode::FORBIDDEN,
        json!({
            "error": "Permission denied",
            "info": format!("Not a device of this token. See its own at {api_url}/v1/devices?access_token={token}"),
        }),
    )
}

/// Whether this is a device id as the cloud writes them, in lower case.
pub(super) fn is_id(text: &str) -> bool {
    DeviceId::parse(text).is_ok_and(|id| id.as_str() == text)
}
