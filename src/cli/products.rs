//! `provision products`.

use super::{
    devices,
    listing::{Column, ListArgs, Listing, ListingArgs, show_one},
    root::{Output, interruptible, until_interrupted},
    run::ToldFailure,
    settings::SettingsArgs,
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{Cloud, Fleet, Product},
    model::{Failure, ProductRef},
};

/// Look at products and their devices
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the user's products
    ///
    /// Takes a user's access token: an OAuth client has none of its own.
    List(ListArgs),
    /// Show a product
    Show(ProductArgs),
    Devices(DevicesArgs),
}

#[derive(Debug, clap::Args)]
struct ProductArgs {
    /// The product, by number or slug [default: that of the settings]
    #[arg(value_name = "PRODUCT", value_parser = ProductRef::parse, conflicts_with = "product")]
    named: Option<ProductRef>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// List a product's devices
#[derive(Debug, clap::Args)]
struct DevicesArgs {
    #[command(flatten)]
    product: ProductArgs,
    #[command(flatten)]
    listing: ListingArgs,
}

/// The columns of products.
pub static COLUMNS: [Column<Product>; 5] = [
    Column { name: "id", usual: true, cell: |product| product.id.to_string() },
    Column { name: "slug", usual: true, cell: |product| product.slug.clone() },
    Column { name: "name", usual: true, cell: |product| product.name.clone() },
    Column {
        name: "platform",
        usual: true,
        cell: |product| product.platform.map_or_else(String::new, |platform| platform.to_string()),
    },
    Column {
        name: "organization",
        usual: true,
        cell: |product| product.organization.clone().unwrap_or_default(),
    },
];

impl ProductArgs {
    fn open(&self) -> Result<(Cloud, ProductRef), Failure> {
        let Access { cloud, settings } = Access::new(&self.settings, |_| As::Product)?;
        let product = match &self.named {
            Some(product) => product.clone(),
            None => settings.need_product()?.clone(),
        };
        Ok((cloud, product))
    }
}

/// Does what the command says, and prints what came of it.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    match &args.command {
        Command::List(args) => {
            let cloud = Access::new(&args.settings, |_| As::User)?.cloud;
            let listing = Listing::new(output, &args.listing, &COLUMNS)?;
            interruptible(async |signals| listing.show_all(cloud.products(soon()), signals.first()).await)
        }
        Command::Show(args) => {
            let (cloud, product) = args.open()?;
            until_interrupted(async || {
                let listed = cloud.product_listed(&product, soon()).await.map_err(Failure::from)?;
                Ok(show_one(output, &COLUMNS, &listed.record, &listed.json)?)
            })
        }
        Command::Devices(args) => {
            let (cloud, product) = args.product.open()?;
            devices::list(&cloud, &Fleet::Product(product), &args.listing, output)
        }
    }
}
