//! `provision customers list`, `create`, `delete` and `token`.

use serde_json::json;

use super::{
    confirm::ConfirmArgs,
    listing::{Column, ListArgs, Listing, show_result},
    root::{Output, interruptible, until_interrupted},
    run::{ToldFailure, show_warnings},
    secrets::{SecretReader, SecretSource},
    settings::{SettingsArgs, secret_source},
    sign_in::{Access, As, soon},
    token,
};
use crate::{
    cloud::{CustomerRecord, CustomerWas},
    model::Customer,
};

const PASSWORD: &str = "customer's password";

/// The product's customers
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: CustomersCommand,
}

#[derive(Debug, clap::Subcommand)]
enum CustomersCommand {
    /// List the product's customers
    ///
    /// The cloud shows a customer only once a device has been claimed to it.
    List(ListArgs),
    Create(CreateArgs),
    Delete(DeleteArgs),
    Token(TokenArgs),
}

/// Make a customer: a shadow customer, or one with a password
///
/// One that exists already is left as it is, and that is no failure.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The customer's name: an e-mail address, or any other unique text (nothing is mailed to it)
    #[arg(value_name = "EMAIL", value_parser = Customer::parse)]
    name: Customer,
    /// With a password, by which the customer signs in itself; it is asked for, unseen
    #[arg(long)]
    simple_auth: bool,
    /// A file with the password, or - for standard input; the same as --simple-auth
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    password_file: Option<SecretSource>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Delete a customer
///
/// Its tokens and pending claim codes end. Its devices stay in the product, with no owner.
#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The customer's name
    #[arg(value_name = "EMAIL", value_parser = Customer::parse)]
    name: Customer,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Print a new token of a customer that exists
///
/// It goes to standard output and nowhere else. Asking for a customer that does not exist counts as a
/// refused sign-in. (`provision token create --customer` can say how long it shall live.)
#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// The customer's name
    #[arg(value_name = "EMAIL", value_parser = Customer::parse)]
    name: Customer,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Args {
    /// Whether it prints what CSV can hold.
    pub fn has_rows(&self) -> bool {
        matches!(self.command, CustomersCommand::List(_))
    }
}

const COLUMNS: &[Column<CustomerRecord>] = &[
    Column { name: "customer", usual: true, cell: |customer| customer.name.clone() },
    Column { name: "id", usual: true, cell: |customer| customer.id.clone().unwrap_or_default() },
    Column { name: "created", usual: true, cell: |customer| customer.created_at.clone().unwrap_or_default() },
];

/// Does what the command says.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    match &args.command {
        CustomersCommand::List(args) => {
            let Access { cloud, settings } = Access::new(&args.settings, |_| As::Product)?;
            let product = settings.need_product()?.clone();
            let listing = Listing::new(output, &args.listing, COLUMNS)?;
            interruptible(async |signals| listing.show(cloud.customers(&product), signals.first()).await)
        }
        CustomersCommand::Create(args) => create(args, output),
        CustomersCommand::Delete(args) => {
            let Access { cloud, settings } = Access::new(&args.settings, |_| As::Product)?;
            let product = settings.need_product()?.clone();
            until_interrupted(async || {
                let what = format!(
                    "This deletes customer {} of product {product}: its tokens and pending claim codes end, and its \
                     devices have no owner any more",
                    args.name
                );
                args.confirm.confirm(&what).await?;
                cloud.delete_customer(&product, &args.name, soon()).await?;
                let words = format!("deleted {}", args.name);
                Ok(show_result(output, &words, &json!({"customer": args.name, "deleted": true}))?)
            })
        }
        CustomersCommand::Token(args) => {
            let access = Access::new(&args.settings, |_| As::Client)?;
            until_interrupted(async || Ok(token::create(&access, Some(&args.name), None, output).await?))
        }
    }
}

fn create(args: &CreateArgs, output: Output) -> Result<(), ToldFailure> {
    let Access { cloud, settings } = Access::new(&args.settings, |_| As::Client)?;
    let product = settings.need_product()?.clone();
    let mut secrets = SecretReader::of_process();
    let password = match &args.password_file {
        Some(source) => Some(secrets.read(source, PASSWORD)?),
        None if args.simple_auth => {
            Some(secrets.ask_twice(PASSWORD, "give --password-file PATH (or - for standard input)")?)
        }
        None => None,
    };
    show_warnings(&mut secrets);
    until_interrupted(async || {
        let was = cloud.create_customer(&product, &args.name, password.as_ref(), soon()).await;
        let created = was? == CustomerWas::Created;
        let words = match (created, &password) {
            (true, Some(_)) => format!("made {}, who signs in with the password", args.name),
            (true, None) => format!("made {}", args.name),
            (false, Some(_)) => format!("{} exists already; its password was not changed", args.name),
            (false, None) => format!("{} exists already", args.name),
        };
        let json = json!({"customer": args.name, "created": created, "simple_auth": password.is_some()});
        Ok(show_result(output, &words, &json)?)
    })
}
