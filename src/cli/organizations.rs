//! `provision organizations`.

use clap::builder::NonEmptyStringValueParser;

use super::{
    listing::{Column, ListArgs, Listing},
    products,
    root::{Output, interruptible},
    run::ToldFailure,
    sign_in::{Access, As, soon},
};
use crate::cloud::Organization;

/// Look at the organizations that a user is in
///
/// Takes a user's access token: an OAuth client is in none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the user's organizations
    List(ListArgs),
    Products(ProductsArgs),
}

/// List an organization's products
#[derive(Debug, clap::Args)]
struct ProductsArgs {
    /// The organization's slug
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    organization: String,
    #[command(flatten)]
    list: ListArgs,
}

static COLUMNS: [Column<Organization>; 2] = [
    Column { name: "slug", usual: true, cell: |organization| organization.slug.clone() },
    Column { name: "name", usual: true, cell: |organization| organization.name.clone().unwrap_or_default() },
];

/// Does what the command says, and prints what came of it.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    let (ListArgs { listing, settings }, organization) = match &args.command {
        Command::List(list) => (list, None),
        Command::Products(args) => (&args.list, Some(&args.organization)),
    };
    let cloud = Access::new(settings, |_| As::User)?.cloud;
    match organization {
        None => {
            let listing = Listing::new(output, listing, &COLUMNS)?;
            interruptible(async |signals| {
                listing.show_all(cloud.organizations(soon()), signals.first()).await
            })
        }
        Some(organization) => {
            let listing = Listing::new(output, listing, &products::COLUMNS)?;
            let listed = cloud.organization_products(organization, soon());
            interruptible(async |signals| listing.show_all(listed, signals.first()).await)
        }
    }
}
