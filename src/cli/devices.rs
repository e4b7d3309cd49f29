//! `provision devices`: the devices of a product, or a developer's own.

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::{
    confirm::ConfirmArgs,
    import,
    listing::{Column, Listing, ListingArgs, say, show_answer, show_one, show_result},
    root::{Output, interruptible, until_interrupted},
    run::ToldFailure,
    settings::{Settings, SettingsArgs},
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{Claimed, Cloud, DeviceRecord, Fleet, Listed, SerialNumber},
    model::{DeviceId, Failure, FailureCode, Invalid, ProductRef},
    workflow::{
        Policy,
        release::{self, Holder, Released},
    },
};

/// Look after the devices of a product, or a developer's own
///
/// With a product (--product, or from the settings) its devices, signed in as its OAuth client or as a
/// user; without one, or with --own, those of the user whose access token is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(ListArgs),
    /// Show all that the cloud knows of a device
    Show(DeviceArgs),
    Lookup(LookupArgs),
    Import(import::Args),
    Rename(RenameArgs),
    Note(NoteArgs),
    Signal(SignalArgs),
    /// Ask whether a device answers the cloud now
    ///
    /// Offline is exit code 11.
    Ping(DeviceArgs),
    Variable(VariableArgs),
    Call(CallArgs),
    Claim(ClaimArgs),
    /// Take a device off its owner; it stays in the product
    Unclaim(UnclaimArgs),
    /// Take a device off its owner and out of the product
    Remove(UnclaimArgs),
}

/// Whose devices a command works on.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Work on the developer's own devices, whatever product is set
    #[arg(long, conflicts_with = "product")]
    own: bool,
}

/// List devices, as they come, page by page
///
/// To a pipe or a file all of them; on a terminal the first 100, unless --all is given.
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    listing: ListingArgs,
    #[command(flatten)]
    fleet: FleetArgs,
}

#[derive(Debug, clap::Args)]
struct DeviceArgs {
    /// The device's id, in either case
    #[arg(value_name = "DEVICE_ID")]
    id: DeviceId,
    #[command(flatten)]
    fleet: FleetArgs,
}

/// Find the device that a serial number belongs to
///
/// The cloud allows 50 of these an hour.
#[derive(Debug, clap::Args)]
struct LookupArgs {
    /// The serial number, as on the label
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    serial: String,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Name a device
#[derive(Debug, clap::Args)]
struct RenameArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Its new name
    #[arg(value_parser = name)]
    name: String,
}

/// Note something about a device, in place of what was noted before
#[derive(Debug, clap::Args)]
struct NoteArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The note
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    text: String,
}

/// Let a device show itself by a rainbow on its status LED
#[derive(Debug, clap::Args)]
struct SignalArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Let it stop
    #[arg(long)]
    off: bool,
}

/// Read a variable of a device's firmware
#[derive(Debug, clap::Args)]
struct VariableArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The variable
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    name: String,
}

/// Call a function of a device's firmware, once
///
/// Prints the number that it returns. What that means is the firmware's to say: zero and negative ones
/// are no failures of this command.
#[derive(Debug, clap::Args)]
struct CallArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The function
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    function: String,
    /// What it is called with
    #[arg(default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    argument: String,
}

/// Claim a device for the user by its id, with no code
///
/// It has to be online, unless it is in a product of the user's.
#[derive(Debug, clap::Args)]
struct ClaimArgs {
    /// The device's id, in either case
    #[arg(value_name = "DEVICE_ID")]
    id: DeviceId,
    /// If it is somebody else's, let the cloud ask its owner by mail to hand it over
    #[arg(long)]
    request_transfer: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct UnclaimArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

/// The columns of devices.
pub static COLUMNS: [Column<DeviceRecord>; 15] = [
    Column { name: "id", usual: true, cell: |device| device.id.to_string() },
    Column { name: "name", usual: true, cell: |device| text(&device.name) },
    Column { name: "owner", usual: true, cell: |device| text(&device.owner) },
    Column { name: "online", usual: true, cell: |device| device.online.map_or_else(String::new, yes) },
    Column { name: "last_heard", usual: true, cell: |device| text(&device.last_heard) },
    Column { name: "product", usual: false, cell: |device| number(device.product_id) },
    Column {
        name: "platform",
        usual: false,
        cell: |device| device.platform.map_or_else(String::new, |platform| platform.to_string()),
    },
    Column { name: "firmware", usual: false, cell: |device| text(&device.firmware) },
    Column { name: "serial_number", usual: false, cell: |device| text(&device.serial_number) },
    Column { name: "notes", usual: false, cell: |device| text(&device.notes) },
    Column { name: "development", usual: false, cell: |device| yes(device.development) },
    Column { name: "quarantined", usual: false, cell: |device| yes(device.quarantined) },
    Column { name: "denied", usual: false, cell: |device| yes(device.denied) },
    Column { name: "variables", usual: false, cell: |device| device.variables.join(" ") },
    Column { name: "functions", usual: false, cell: |device| device.functions.join(" ") },
];

static SERIAL_NUMBERS: [Column<SerialNumber>; 2] = [
    Column { name: "id", usual: true, cell: |found| found.id.to_string() },
    Column {
        name: "platform",
        usual: true,
        cell: |found| found.platform.map_or_else(String::new, |platform| platform.to_string()),
    },
];

fn text(field: &Option<String>) -> String {
    field.clone().unwrap_or_default()
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.into()
}

fn number(field: Option<u64>) -> String {
    field.map_or_else(String::new, |number| number.to_string())
}

impl Args {
    /// Whether it prints what CSV can hold.
    pub fn has_rows(&self) -> bool {
        matches!(self.command, Command::List(_) | Command::Show(_) | Command::Lookup(_) | Command::Import(_))
    }
}

impl FleetArgs {
    fn open(&self) -> Result<(Cloud, Fleet), Failure> {
        // Whoever has a client, and neither a product nor a token, has forgotten the product.
        let is_products = |settings: &Settings| {
            let client_only = settings.access_token.is_none() && settings.client_id.is_some();
            !self.own && (settings.product.is_some() || client_only)
        };
        let whose = |settings: &Settings| if is_products(settings) { As::Product } else { As::User };
        let Access { cloud, settings } = Access::new(&self.settings, whose)?;
        let fleet = match is_products(&settings) {
            true => Fleet::Product(settings.need_product()?.clone()),
            false => Fleet::Own,
        };
        Ok((cloud, fleet))
    }
}

/// Does what the command says, and prints what came of it.
pub fn run(args: Args, output: Output) -> Result<(), ToldFailure> {
    let ready = Ready::new(args.command)?;
    match &ready.command {
        Command::List(args) => list(&ready.cloud, &ready.fleet, &args.listing, output),
        Command::Import(args) => {
            interruptible(async |signals| args.run(&ready.cloud, &ready.fleet, output, &signals).await)
        }
        _ => until_interrupted(async || Ok(ready.act(output).await?)),
    }
}

/// A command, signed in.
struct Ready {
    command: Command,
    cloud: Cloud,
    fleet: Fleet,
}

impl Ready {
    /// Reads the settings; may ask for a secret, so it is done before anything else is under way.
    fn new(command: Command) -> Result<Self, Failure> {
        let (cloud, fleet) = match &command {
            Command::List(args) => args.fleet.open()?,
            Command::Show(args) | Command::Ping(args) => args.fleet.open()?,
            Command::Rename(args) => args.device.fleet.open()?,
            Command::Note(args) => args.device.fleet.open()?,
            Command::Signal(args) => args.device.fleet.open()?,
            Command::Variable(args) => args.device.fleet.open()?,
            Command::Call(args) => args.device.fleet.open()?,
            Command::Unclaim(args) | Command::Remove(args) => args.device.fleet.open()?,
            Command::Lookup(args) => (Access::new(&args.settings, |_| As::Product)?.cloud, Fleet::Own),
            Command::Claim(args) => (Access::new(&args.settings, |_| As::User)?.cloud, Fleet::Own),
            Command::Import(args) => {
                let Access { cloud, settings } = Access::new(&args.settings, |_| As::Product)?;
                (cloud, Fleet::Product(settings.need_product()?.clone()))
            }
        };
        if let (Command::Remove(_), Fleet::Own) = (&command, &fleet) {
            let next = "give --product; `provision devices unclaim` gives up one's own";
            return Err(Failure::configuration("a device is removed from a product", next));
        }
        Ok(Self { command, cloud, fleet })
    }

    async fn act(&self, output: Output) -> Result<(), Failure> {
        let (cloud, fleet) = (&self.cloud, &self.fleet);
        match &self.command {
            // Those that list are done elsewhere.
            Command::List(_) | Command::Import(_) => Ok(()),
            Command::Show(args) => {
                let Listed { record, json } = self.record(&args.id).await?;
                show_one(output, &COLUMNS, &record, &json)
            }
            Command::Lookup(args) => {
                let found = cloud.serial_number(&args.serial, soon()).await?.ok_or_else(|| {
                    let said = format!("the cloud shows no device with the serial number {}", args.serial);
                    Failure::new(FailureCode::DeviceNotVisible, said)
                })?;
                show_one(output, &SERIAL_NUMBERS, &found.record, &found.json)
            }
            Command::Rename(RenameArgs { device, name }) => {
                cloud.rename_device(fleet, &device.id, name, soon()).await?;
                let json = json!({"device_id": device.id, "name": name});
                show_result(output, &format!("{} is called {name} now", device.id), &json)
            }
            Command::Note(NoteArgs { device, text }) => {
                cloud.note_device(fleet, &device.id, text, soon()).await?;
                let json = json!({"device_id": device.id, "notes": text});
                show_result(output, &format!("noted about {}", device.id), &json)
            }
            Command::Signal(SignalArgs { device, off }) => {
                cloud.signal_device(fleet, &device.id, !off, soon()).await?;
                let json = json!({"device_id": device.id, "signaling": !off});
                let does = if *off {
                    "shows no rainbow any more"
                } else {
                    "shows a rainbow on its status LED: --off ends it"
                };
                show_result(output, &format!("{} {does}", device.id), &json)
            }
            Command::Ping(DeviceArgs { id, .. }) => {
                if !cloud.ping_device(fleet, id, soon()).await? {
                    return Err(Failure::new(FailureCode::DeviceOffline, format!("{id} is offline")));
                }
                let json = json!({"device_id": id, "online": true});
                show_result(output, &format!("{id} is online"), &json)
            }
            Command::Variable(VariableArgs { device, name }) => {
                let read = cloud.device_variable(fleet, &device.id, name, soon()).await?;
                show_answer(output, &plain(&read.record), &read.json)
            }
            Command::Call(CallArgs { device, function, argument }) => {
                let called = cloud.call_function(fleet, &device.id, function, argument, soon()).await?;
                show_answer(output, &plain(&called.record), &called.json)
            }
            Command::Claim(args) => self.claim(args, output).await,
            Command::Unclaim(args) => self.unclaim(args, output).await,
            Command::Remove(args) => match fleet {
                Fleet::Product(product) => self.remove(product, args, output).await,
                Fleet::Own => Ok(()),
            },
        }
    }

    async fn claim(&self, args: &ClaimArgs, output: Output) -> Result<(), Failure> {
        let id = &args.id;
        let claimed = self.cloud.claim_device(id, args.request_transfer, soon()).await.map_err(|error| {
            let mut failure = Failure::from(error);
            if failure.code == FailureCode::OwnedByOther && !args.request_transfer {
                failure.detail.push_str(" (--request-transfer lets the cloud ask its owner by mail)");
            }
            failure
        })?;
        let (words, json) = match claimed {
            Claimed::Now => (format!("{id} is claimed"), json!({"device_id": id, "claimed": true})),
            Claimed::Asked => (
                format!("{id} is somebody else's, who has been asked by mail to hand it over"),
                json!({"device_id": id, "claimed": false, "transfer_requested": true}),
            ),
        };
        show_result(output, &words, &json)
    }

    async fn unclaim(&self, args: &UnclaimArgs, output: Output) -> Result<(), Failure> {
        let id = &args.device.id;
        let owner = self.record(id).await?.record.owner;
        let answer = |words: &str, was: Option<&String>| {
            show_result(output, words, &json!({"device_id": id, "owner_was": was}))
        };
        match (&self.fleet, &owner) {
            (Fleet::Product(_), None) => answer(&format!("{id} has no owner: nothing to do"), None),
            (Fleet::Product(product), Some(owner)) => {
                args.confirm.confirm(&format!("This takes {id} off {owner}")).await?;
                self.cloud.unclaim(product, id, soon()).await?;
                answer(&format!("{id} is taken off {owner}, and stays in product {product}"), Some(owner))
            }
            (Fleet::Own, owner) => {
                args.confirm.confirm(&format!("This gives up {id}")).await?;
                self.cloud.give_up(id, soon()).await?;
                answer(&format!("{id} is given up: it has no owner now"), owner.as_ref())
            }
        }
    }

    async fn remove(&self, product: &ProductRef, args: &UnclaimArgs, output: Output) -> Result<(), Failure> {
        let id = &args.device.id;
        let (holder, policy) = (Holder::Product(product.clone()), Policy::default());
        let Some(record) = release::look(&self.cloud, &holder, id, &policy).await? else {
            let json = json!({"device_id": id, "owner_was": null, "removed_from": null});
            return show_result(output, &format!("{id} is not in product {product}: nothing to do"), &json);
        };
        let off = record.owner.as_ref().map(|owner| format!("off {owner} and ")).unwrap_or_default();
        args.confirm.confirm(&format!("This takes {id} {off}out of product {product}")).await?;
        let Released { owner, .. } = release::release(&self.cloud, &holder, id, &policy).await?;
        if let Some(owner) = &owner {
            say(&format!("{id} is taken off {owner}"));
        }
        let json = json!({"device_id": id, "owner_was": owner, "removed_from": product});
        show_result(output, &format!("{id} is removed from product {product}"), &json)
    }

    async fn record(&self, id: &DeviceId) -> Result<Listed<DeviceRecord>, Failure> {
        self.cloud.device_of(&self.fleet, id, soon()).await?.ok_or_else(|| {
            let said = match &self.fleet {
                Fleet::Product(product) => {
                    format!("product {product} has no device {id}, or does not show it to this token")
                }
                Fleet::Own => format!("{id} is not one of the user's own devices"),
            };
            Failure::new(FailureCode::DeviceNotVisible, said)
        })
    }
}

/// Lists a fleet.
pub fn list(cloud: &Cloud, fleet: &Fleet, args: &ListingArgs, output: Output) -> Result<(), ToldFailure> {
    let listing = Listing::new(output, args, &COLUMNS)?;
    interruptible(async |signals| listing.show(cloud.devices(fleet), signals.first()).await)
}

/// What something is called, in one line.
pub(super) fn name(text: &str) -> Result<String, Invalid> {
    let good = !text.trim().is_empty() && !text.contains(char::is_control);
    good.then(|| text.to_owned()).ok_or_else(|| Invalid {
        what: "a name",
        why: "is not blank, and holds no control characters".into(),
    })
}

/// A value of the firmware's: a text without quotes, else JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
