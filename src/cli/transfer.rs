//! `provision transfer`: from one customer of a product to another.

use serde_json::json;

use super::{
    confirm::ConfirmArgs,
    environment::{Directories, Environment},
    ledger::LedgerArgs,
    root::print,
    run::{self, ToldFailure, show, show_warnings},
    secrets::SecretReader,
    settings::SettingsArgs,
    signals::Signals,
    wire::WireArgs,
};
use crate::{
    cloud::Cloud,
    device::SetupDevice,
    model::{
        Customer, CustomerTemplate, Deadline, DeviceId, Failure, FailureCode, ProductRef, clean, redact,
    },
    record::Ledger,
    report::Style,
    workflow::{
        self, Job, Naming, Owner, Policy,
        transfer::{Transferred, look, transfer},
    },
};

/// Take a device off its owner and give it to another customer of the product
///
/// By its id alone, if it is in the product; it need not be online. With --usb or --softap the board on the
/// desk gets a new claim code instead, as with `provision run --reclaim`. The customer is made if need be.
/// Each step looks first and is checked in the cloud's record, so an interrupted one is simply run again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The device's id
    #[arg(value_name = "DEVICE", value_parser = DeviceId::parse)]
    device: DeviceId,
    /// The customer who shall own it
    #[arg(long, value_name = "CUSTOMER", value_parser = Customer::parse)]
    to: Customer,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// All that it needs, checked.
pub struct Ready {
    device: DeviceId,
    to: Customer,
    product: ProductRef,
    policy: Policy,
    confirm: ConfirmArgs,
    cloud: Cloud,
    /// The board on the desk, and where its run is recorded.
    desk: Option<(Box<dyn SetupDevice>, Option<Ledger>)>,
}

impl Ready {
    /// Reads the settings; may ask for a secret.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let mut wire = args.wire.clone();
        if wire.device_id.replace(args.device.clone()).is_some_and(|other| other != args.device) {
            let detail = format!("--device-id names another device than {}", args.device);
            return Err(Failure::configuration(detail, "leave --device-id out: DEVICE names it"));
        }
        let product = settings.need_product()?.clone();
        let mut policy = Policy::default();
        if let Some(time) = &settings.timeout {
            policy.verify = time.value;
        }
        let owner =
            Owner::Customer { product: product.clone(), customer: CustomerTemplate::Fixed(args.to.clone()) };
        let cloud = run::cloud(&owner, &settings, &mut secrets, Directories::of(&env))?;
        let desk = match wire.usb().is_some() || wire.softap().is_some() {
            true => {
                Some((wire.device(None, &env, None)?, args.ledger.resolve(&args.settings.profile, &env)?))
            }
            false => None,
        };
        show_warnings(&mut secrets);
        let (device, to) = (args.device.clone(), args.to.clone());
        Ok(Self { device, to, product, policy, confirm: args.confirm, cloud, desk })
    }

    /// Asks, transfers, and says what was done.
    pub async fn run(self, style: Style, signals: &Signals) -> Result<(), ToldFailure> {
        let as_json = matches!(style, Style::Json);
        let asked = tokio::select! {
            asked = self.ask() => asked,
            () = signals.first() => Err(Failure::new(FailureCode::Interrupted, "interrupted")),
        };
        asked?;
        let Self { device, to, product, policy, cloud, desk, .. } = self;
        if let Some((mut board, ledger)) = desk {
            let job = Job {
                owner: Owner::Customer { product, customer: CustomerTemplate::Fixed(to) },
                wifi: None,
                device_id: Some(device),
                naming: Naming::default(),
                reclaim: true,
                dry_run: false,
                policy,
            };
            return show(style, ledger.as_ref(), async |events, journal| {
                workflow::run(&job, &cloud, &mut *board, events, journal, signals.first()).await
            })
            .await
            .map(drop);
        }
        let transferred = tokio::select! {
            transferred = transfer(&cloud, &product, &to, &device, &policy) => transferred?,
            () = signals.first() => {
                return Err(Failure::new(FailureCode::Interrupted, "interrupted").into());
            }
        };
        print(&redact(&told(&device, &to, &product, &transferred, as_json)))?;
        Ok(())
    }

    /// Asks, if somebody would lose the device.
    async fn ask(&self) -> Result<(), Failure> {
        let Self { device, to, product, policy, .. } = self;
        if self.confirm.yes {
            return Ok(());
        }
        let record = match self.desk {
            None => Some(look(&self.cloud, product, device, policy).await?),
            // A run takes in what is not in the product yet.
            Some(_) => {
                let deadline = Deadline::after(policy.cloud, "reading the device");
                self.cloud.device(product, device, deadline).await?
            }
        };
        match record.and_then(|record| record.owner).filter(|owner| !to.is(owner)) {
            Some(owner) => {
                self.confirm
                    .confirm(&format!("This takes {device} off {} and gives it to {to}", clean(&owner)))
                    .await
            }
            None => Ok(()),
        }
    }
}

fn told(
    device: &DeviceId,
    to: &Customer,
    product: &ProductRef,
    transferred: &Transferred,
    as_json: bool,
) -> String {
    if as_json {
        let mut fields = json!({
            "schema": 1, "ok": true, "device_id": device, "product": product, "customer": to,
            "owner_taken_off": transferred.from, "already": transferred.already,
        });
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        return fields.to_string();
    }
    let to = clean(to.as_str());
    let how = match transferred {
        Transferred { already: true, .. } => format!("is already {to}'s"),
        Transferred { from: Some(from), .. } => format!("taken off {from}, owned by {to}"),
        Transferred { from: None, .. } => format!("owned by {to}"),
    };
    format!("TRANSFERRED  {device}  {how}")
}
