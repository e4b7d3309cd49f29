//! The way back: a device off its owner and out of its product. Each step is ensured: it looks first,
//! acts only where that is not so yet, and is checked in the record afterwards. So a release that was
//! interrupted is simply run again.

use tokio::time::sleep;

use super::Policy;
use crate::{
    cloud::{Cloud, CloudError, DeviceRecord, Fleet},
    model::{Deadline, DeviceId, Failure, FailureCode, ProductRef, clean},
};

/// What a device is released from.
#[derive(Debug, Clone)]
pub enum Holder {
    /// A product, and whatever customer owns it there.
    Product(ProductRef),
    /// The account of the developer whose token was given.
    Developer,
}

/// What a release did. Nothing at all if all was so already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// The owner that was taken off; clean. A developer's own name the cloud does not always tell.
    pub owner: Option<String>,
    /// Whether it was taken out of the product, or of the developer's account.
    pub removed: bool,
}

/// The record of a device that would be released; `None` if there is nothing to release it from.
///
/// # Errors
///
/// `ProductNotVisible` when the product does not exist or this client may not see it; `DeviceNotVisible` when
/// the cloud knows no such device; and what can go wrong in any call.
pub async fn look(
    cloud: &Cloud,
    holder: &Holder,
    id: &DeviceId,
    policy: &Policy,
) -> Result<Option<DeviceRecord>, Failure> {
    match holder {
        Holder::Product(product) => {
            // A product that cannot be seen shows no device either, and that would look like the end.
            cloud.product(product, Deadline::after(policy.cloud, "reading the product")).await?;
            known(cloud, &Fleet::Product(product.clone()), id, policy).await
        }
        Holder::Developer => {
            let deadline = Deadline::after(policy.cloud, "reading the account's devices");
            match own(cloud, id, deadline).await? {
                // A device of a product's that the user may look at is not the user's own.
                None => known(cloud, &Fleet::Own, id, policy).await.map(|_| None),
                record => Ok(record),
            }
        }
    }
}

async fn known(
    cloud: &Cloud,
    fleet: &Fleet,
    id: &DeviceId,
    policy: &Policy,
) -> Result<Option<DeviceRecord>, Failure> {
    let record = cloud.known_device(fleet, id, Deadline::after(policy.cloud, "reading the device")).await;
    record.map_err(|error| match (error.code, fleet) {
        (FailureCode::DeviceNotVisible, Fleet::Product(product)) => {
            let detail = format!("product {product} does not have {id}: the cloud knows no such device");
            Failure::new(error.code, detail)
        }
        (FailureCode::DeviceNotVisible, Fleet::Own) => {
            Failure::new(error.code, format!("the cloud knows no device {id}"))
        }
        _ => error.into(),
    })
}

/// Takes the owner off, then the device out of the product: in the other order the product could not
/// unclaim it any more. From a developer's account it is one step.
///
/// # Errors
///
/// As [`look`]; `NotVerified` if the record does not turn right in time.
pub async fn release(
    cloud: &Cloud,
    holder: &Holder,
    id: &DeviceId,
    policy: &Policy,
) -> Result<Released, Failure> {
    let Some(record) = look(cloud, holder, id, policy).await? else { return Ok(Released::default()) };
    let owner = record.owner.as_deref().map(clean);
    match holder {
        Holder::Product(product) => {
            if owner.is_some() {
                take_owner_off(cloud, product, id, policy).await?;
            }
            let removed = async {
                cloud.remove(product, id, Deadline::after(policy.cloud, "removing the device")).await?;
                let gone = async |until| Ok(cloud.device(product, id, until).await?.is_none());
                turns_right(policy, &format!("device {id} in product {product}"), gone).await
            };
            removed.await.map_err(|failure| match &owner {
                Some(owner) => but(&format!("{owner} was taken off"), failure),
                None => failure,
            })?;
        }
        Holder::Developer => {
            cloud.give_up(id, Deadline::after(policy.cloud, "giving up the device")).await?;
            let gone = async |until| Ok(own(cloud, id, until).await?.is_none());
            turns_right(policy, &format!("device {id} in the account"), gone).await?;
        }
    }
    Ok(Released { owner, removed: true })
}

/// Takes the owner off, and sees that the record says so.
pub(super) async fn take_owner_off(
    cloud: &Cloud,
    product: &ProductRef,
    id: &DeviceId,
    policy: &Policy,
) -> Result<(), Failure> {
    cloud.unclaim(product, id, Deadline::after(policy.cloud, "taking the owner off")).await?;
    let nobodys = async |until| {
        let record = cloud.device(product, id, until).await?;
        Ok(record.is_none_or(|record| record.owner.is_none()))
    };
    turns_right(policy, &format!("an owner of device {id}"), nobodys).await
}

/// Looks until it is so; `still` is what the cloud shows as long as it is not.
pub(super) async fn turns_right(
    policy: &Policy,
    still: &str,
    look: impl AsyncFn(Deadline) -> Result<bool, CloudError>,
) -> Result<(), Failure> {
    let deadline = Deadline::after(policy.verify, "the cloud's record");
    let mut pause = policy.first_look;
    loop {
        if look(deadline).await? {
            return Ok(());
        }
        if deadline.left() <= pause {
            let seconds = deadline.passed().as_secs_f64().round();
            let detail = format!("after {seconds} s the cloud still shows {still}");
            return Err(Failure::new(FailureCode::NotVerified, detail));
        }
        sleep(pause).await;
        pause = (pause * 2).min(policy.longest_look);
    }
}

/// The same failure, with what had been done by then.
pub(super) fn but(done: &str, failure: Failure) -> Failure {
    Failure { detail: format!("{done}, but then: {}", failure.detail), ..failure }
}

/// The record of a device in the developer's own account. The account's list is what its token may see.
async fn own(cloud: &Cloud, id: &DeviceId, deadline: Deadline) -> Result<Option<DeviceRecord>, CloudError> {
    Ok(cloud.user_devices(deadline).await?.into_iter().find(|device| device.id == *id))
}
