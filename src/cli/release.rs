//! `provision release`: the way back.

use serde_json::json;

use super::{
    confirm::ConfirmArgs,
    root::print,
    run::OwnerKind,
    settings::SettingsArgs,
    sign_in::{Access, As},
    signals::Signals,
};
use crate::{
    model::{DeviceId, Failure, FailureCode, clean, redact},
    workflow::{
        Policy,
        release::{Holder, Released, look, release},
    },
};

/// Take a device off its owner and out of its product
///
/// In this order, each step only where it is not so already, and checked in the cloud's record; so an
/// interrupted one is simply run again. Without a product: out of the account of the developer whose token
/// is given. An id that the cloud does not know is exit code 21.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The device's id
    #[arg(value_name = "DEVICE", value_parser = DeviceId::parse)]
    device: DeviceId,
    /// Whose it is: a customer's of the product, or the signed-in developer's own [default: a customer's,
    /// if a product is named]
    #[arg(long, value_enum)]
    owner: Option<OwnerKind>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// All that it needs, checked.
pub struct Ready {
    device: DeviceId,
    holder: Holder,
    confirm: ConfirmArgs,
    access: Access,
}

impl Ready {
    /// Reads the settings; may ask for a secret.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let mut kind = OwnerKind::Customer;
        let access = Access::new(&args.settings, |settings| {
            let developers = settings.product.is_none() && settings.access_token.is_some();
            let usual = if developers { OwnerKind::Developer } else { OwnerKind::Customer };
            kind = args.owner.unwrap_or(usual);
            if kind == OwnerKind::Developer { As::User } else { As::Product }
        })?;
        let holder = match kind {
            OwnerKind::Customer => Holder::Product(access.settings.need_product()?.clone()),
            OwnerKind::Developer => Holder::Developer,
        };
        Ok(Self { device: args.device.clone(), holder, confirm: args.confirm, access })
    }

    /// Asks, releases, and says what was done.
    pub async fn run(self, as_json: bool, signals: &Signals) -> Result<(), Failure> {
        let work = async {
            let Self { device, holder, confirm, access } = &self;
            let policy = Policy::default();
            let Some(record) = look(&access.cloud, holder, device, &policy).await? else {
                return Ok(Released::default());
            };
            confirm.confirm(&question(device, holder, record.owner.as_deref())).await?;
            release(&access.cloud, holder, device, &policy).await
        };
        let released = tokio::select! {
            released = work => released?,
            () = signals.first() => return Err(Failure::new(FailureCode::Interrupted, "interrupted")),
        };
        print(&redact(&told(&self.device, &self.holder, &released, as_json)))
    }
}

fn question(device: &DeviceId, holder: &Holder, owner: Option<&str>) -> String {
    match (holder, owner) {
        (Holder::Product(product), Some(owner)) => {
            format!("This takes {device} off {} and out of product {product}", clean(owner))
        }
        (Holder::Product(product), None) => {
            format!("This takes {device}, which is nobody's, out of product {product}")
        }
        (Holder::Developer, _) => format!("This takes {device} out of the developer's account"),
    }
}

fn told(device: &DeviceId, holder: &Holder, released: &Released, as_json: bool) -> String {
    let product = match holder {
        Holder::Product(product) => Some(product),
        Holder::Developer => None,
    };
    if as_json {
        let mut fields = json!({
            "schema": 1, "ok": true, "device_id": device, "product": product, "owner_taken_off": released.owner,
            "removed": released.removed, "already": !released.removed,
        });
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        return fields.to_string();
    }
    let place = product.map_or("the developer's account".into(), |product| format!("product {product}"));
    match released {
        Released { removed: false, .. } => format!("ALREADY SO  {device}  is not in {place}"),
        Released { owner: Some(owner), .. } if product.is_some() => {
            format!("RELEASED  {device}  taken off {owner}, removed from {place}")
        }
        _ => format!("RELEASED  {device}  removed from {place}"),
    }
}
