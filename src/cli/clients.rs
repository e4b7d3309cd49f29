//! `provision clients list`, `create` and `delete`: the OAuth clients of a product.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use clap::builder::NonEmptyStringValueParser;
use futures_util::stream;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{
    confirm::ConfirmArgs,
    devices::name,
    listing::{Column, ListArgs, Listing, say, show_result},
    reveal::reveal,
    root::{Output, interruptible, until_interrupted},
    run::ToldFailure,
    settings::SettingsArgs,
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{ClientRecord, Listed},
    model::{Failure, ProductRef, clean},
};

/// The product's OAuth clients, with which programs sign in
///
/// Takes a user's token: of `provision login`, or as PARTICLE_ACCESS_TOKEN.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: ClientsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ClientsCommand {
    /// List the product's OAuth clients; never their secrets
    List(ListArgs),
    Create(CreateArgs),
    Delete(DeleteArgs),
}

/// Make a two-legged OAuth client inside the product
///
/// Its secret is shown once, here: the cloud does not tell it again.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// What to call it
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// Write the secret to this new file (mode 0600), and do not show it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Delete an OAuth client, and end its tokens
#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The client's id
    #[arg(value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    id: String,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Args {
    /// Whether it prints what CSV can hold.
    pub fn has_rows(&self) -> bool {
        matches!(self.command, ClientsCommand::List(_))
    }
}

const COLUMNS: &[Column<ClientRecord>] = &[
    Column { name: "id", usual: true, cell: |client| client.id.clone() },
    Column { name: "name", usual: true, cell: |client| client.name.clone() },
    Column { name: "type", usual: true, cell: |client| client.kind.clone() },
];

/// Does what the command says.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    match &args.command {
        ClientsCommand::List(args) => {
            let Access { cloud, settings } = Access::new(&args.settings, |_| As::User)?;
            let product = settings.need_product()?.clone();
            let listing = Listing::new(output, &args.listing, COLUMNS)?;
            interruptible(async |signals| {
                let clients = cloud.oauth_clients(&product, soon()).await?;
                let clients = clients.into_iter().map(|client| {
                    let json = client.json.to_string();
                    Ok(Listed { record: client, json })
                });
                listing.show(stream::iter(clients), signals.first()).await
            })
        }
        ClientsCommand::Create(args) => {
            let Access { cloud, settings } = Access::new(&args.settings, |_| As::User)?;
            let product = settings.need_product()?.clone();
            // Before the client is made, as its secret would be lost.
            let file = args.secret_file.as_deref().map(new_private_file).transpose()?;
            until_interrupted(async || {
                let made = cloud.create_oauth_client(&product, &args.name, soon()).await;
                if made.is_err()
                    && let Some(path) = &args.secret_file
                {
                    let _ = std::fs::remove_file(path);
                }
                let made = made?;
                let secret = made.secret.expose_secret();
                let told = match (file, &args.secret_file) {
                    (Some(mut file), Some(path)) => {
                        let written = writeln!(file, "{secret}").and_then(|()| file.sync_all());
                        written.map_err(|e| unusable(path).because(e)).and_then(|()| {
                            let words = format!("made {}; its secret is in {}", made.id, path.display());
                            show_result(output, &words, &json!({"client_id": made.id, "secret_file": path}))
                        })
                    }
                    _ => {
                        let words = format!("client id      {}\nclient secret  {secret}", clean(&made.id));
                        let json = json!({"client_id": made.id, "client_secret": secret});
                        reveal(output, &words, &json).inspect(|()| {
                            say("the secret is shown this once: keep it now, where only you can read it");
                        })
                    }
                };
                Ok(told.map_err(|failure| untold(&made.id, &product, failure))?)
            })
        }
        ClientsCommand::Delete(args) => {
            let Access { cloud, settings } = Access::new(&args.settings, |_| As::User)?;
            let product = settings.need_product()?.clone();
            until_interrupted(async || {
                let what = format!(
                    "This deletes the OAuth client {} of product {product}: its tokens end, and whatever signs in \
                     with it stops working",
                    args.id
                );
                args.confirm.confirm(&what).await?;
                cloud.delete_oauth_client(&product, &args.id, soon()).await?;
                let words = format!("deleted {}", args.id);
                Ok(show_result(output, &words, &json!({"client_id": args.id, "deleted": true}))?)
            })
        }
    }
}

fn new_private_file(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| unusable(path).because(e))
}

/// The client is there, and nobody may know its secret.
fn untold(id: &str, product: &ProductRef, failure: Failure) -> Failure {
    let id = clean(id);
    let detail = format!("the OAuth client {id} was made, but not told: {}", failure.detail);
    let next = format!(
        "if its secret is lost, delete it, as the cloud does not tell that again: `provision clients delete {id} --product {product}`"
    );
    Failure { detail, next: Some(next), ..failure }
}

fn unusable(path: &Path) -> Failure {
    Failure::configuration(
        format!("the secret cannot be written to {}", path.display()),
        "name a file with --secret-file that is not there yet, where you can write",
    )
}
