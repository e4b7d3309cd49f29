//! From one customer of a product to another, by the device's id alone. (With the device on the desk, a
//! transfer is a run that takes the owner off: [`super::run()`] with `reclaim`.)

use super::{
    Policy,
    release::{but, take_owner_off, turns_right},
};
use crate::{
    cloud::{Cloud, DeviceRecord},
    model::{Customer, Deadline, DeviceId, Failure, FailureCode, ProductRef, clean},
};

/// What a transfer did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transferred {
    /// The owner that was taken off; clean.
    pub from: Option<String>,
    /// It was the customer's before.
    pub already: bool,
}

/// The record of a device that can be transferred.
///
/// # Errors
///
/// `InOtherProduct` if the product does not have it; `CloudRefused` if it is denied or in quarantine, so
/// that no customer could own it; `ProductNotVisible`, and what can go wrong in any call.
pub async fn look(
    cloud: &Cloud,
    product: &ProductRef,
    id: &DeviceId,
    policy: &Policy,
) -> Result<DeviceRecord, Failure> {
    let of = cloud.product(product, Deadline::after(policy.cloud, "reading the product")).await?;
    let record = cloud.device(product, id, Deadline::after(policy.cloud, "reading the device")).await?;
    // An id alone does not prove that there is such a device, so it is not imported here.
    let member = record.filter(|record| record.product_id.is_none_or(|product| product == of.id));
    let Some(record) = member else {
        let detail = format!("device {id} is not in product {product}, or not shown to this client");
        return Err(Failure::new(FailureCode::InOtherProduct, detail));
    };
    let barred = [(record.denied, "has been denied by"), (record.quarantined, "is in quarantine in")];
    if let Some((_, how)) = barred.into_iter().find(|(is_so, _)| *is_so) {
        let detail = format!("device {id} {how} product {product}, so no customer can own it");
        return Err(Failure::new(FailureCode::CloudRefused, detail));
    }
    Ok(record)
}

/// Takes the owner off, claims the device to the other customer, and sees that the record says so. Each
/// step looks first, so an interrupted transfer is simply run again.
///
/// # Errors
///
/// As [`look`], and those of making a customer; `NotVerified` if the record does not turn right in time.
pub async fn transfer(
    cloud: &Cloud,
    product: &ProductRef,
    to: &Customer,
    id: &DeviceId,
    policy: &Policy,
) -> Result<Transferred, Failure> {
    let record = look(cloud, product, id, policy).await?;
    let from = record.owner.as_deref().map(clean);
    if record.owner.as_ref().is_some_and(|owner| to.is(owner)) {
        return Ok(Transferred { from: None, already: true });
    }
    // Before anything is taken away: a name that the cloud refuses must not leave the device nobody's.
    cloud.customer_token(product, to, Deadline::after(policy.cloud, "making the customer")).await?;
    if from.is_some() {
        take_owner_off(cloud, product, id, policy).await?;
    }
    let claimed = async {
        let deadline = Deadline::after(policy.cloud, "claiming the device");
        cloud.claim_for_customer(product, to, id, deadline).await?;
        let theirs = async |until| {
            let record = cloud.device(product, id, until).await?;
            Ok(record.is_some_and(|record| record.owner.is_some_and(|owner| to.is(&owner))))
        };
        turns_right(policy, &format!("another owner than {to} for device {id}, or none"), theirs).await
    };
    claimed.await.map_err(|failure| match &from {
        Some(from) => but(&format!("{from} was taken off"), failure),
        None => failure,
    })?;
    Ok(Transferred { from, already: false })
}
