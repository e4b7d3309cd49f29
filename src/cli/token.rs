//! `provision token create`, `show` and `revoke`.

use serde_json::json;

use super::{
    account::until,
    confirm::ConfirmArgs,
    environment::{Directories, Environment},
    listing::{Column, say, show_one, show_result},
    reveal::reveal,
    root::{Output, until_interrupted},
    run::{ToldFailure, show_warnings},
    secrets::{SecretReader, SecretSource},
    settings::{Settings, SettingsArgs, Source, secret_source},
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{AccessToken, LoginStore, TokenInfo, kept_token},
    model::{Customer, Failure, Invalid},
};

const TOKEN: &str = "token";

/// Make, show and revoke access tokens
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    Show(ShowArgs),
    Revoke(RevokeArgs),
}

/// Print a new token of the OAuth client, or of a customer named with --customer
///
/// The token goes to standard output and nowhere else, and is not kept. With --customer the customer has to
/// exist; asking for one that does not counts as a refused sign-in.
#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// How long it shall live: 90s, 2m, 1h, or never [default: the cloud's, 90 days]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires_in: Option<u32>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Tell a token's client, end and scopes; never the token
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// A file with the token to ask about, or - for standard input [default: the one that commands use]
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    token_file: Option<SecretSource>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Revoke a token: the one that is kept for the OAuth client, or for --customer, or one from a file
///
/// It is signed with the token itself, which so stands in no URL.
#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// A file with the token to revoke, or - for standard input (on a terminal: asked for, unseen)
    #[arg(long, value_name = "PATH|-", value_parser = secret_source(), conflicts_with = "customer")]
    token_file: Option<SecretSource>,
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Args {
    /// Whether it prints what CSV can hold.
    pub fn has_rows(&self) -> bool {
        matches!(self.command, TokenCommand::Show(_))
    }
}

/// Does what the command says.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    match &args.command {
        TokenCommand::Create(args) => {
            let access = Access::new(&args.settings, |_| As::Client)?;
            let customer = access.settings.named_customer()?;
            until_interrupted(async || Ok(create(&access, customer.as_ref(), args.expires_in, output).await?))
        }
        TokenCommand::Show(args) => {
            let given = given(args.token_file.as_ref())?;
            let who = if given.is_some() { As::Nobody } else { As::Product };
            let Access { cloud, .. } = Access::new(&args.settings, |_| who)?;
            until_interrupted(async || {
                let token = match given {
                    Some(token) => token,
                    None => cloud.product_token(soon()).await?,
                };
                let info = cloud.token_info(&token, soon()).await?;
                let json = serde_json::to_string(&info).unwrap_or_default();
                Ok(show_one(output, COLUMNS, &info, &json)?)
            })
        }
        TokenCommand::Revoke(args) => {
            let given = given(args.token_file.as_ref())?;
            // What is kept is signed for with itself: neither the client's secret nor another token is needed.
            let is_kept =
                |settings: &Settings| args.settings.customer.is_some() || settings.client_signs_in();
            let access = Access::new(&args.settings, |settings| {
                if given.is_some() || is_kept(settings) { As::Nobody } else { As::User }
            })?;
            until_interrupted(async || Ok(revoke(&access, given, args.confirm, output).await?))
        }
    }
}

/// Makes a token and prints it.
pub(super) async fn create(
    access: &Access,
    customer: Option<&Customer>,
    expires_in: Option<u32>,
    output: Output,
) -> Result<(), Failure> {
    let token = access.cloud.create_token(customer, expires_in, soon()).await?;
    let expires_at = until(token.expires_at());
    let json = json!({"access_token": token.expose(), "expires_at": expires_at, "customer": customer});
    reveal(output, token.expose(), &json)?;
    if output == Output::Text {
        say(&format!("the token lives until {}", expires_at.as_deref().unwrap_or("it is revoked")));
    }
    Ok(())
}

async fn revoke(
    access: &Access,
    given: Option<AccessToken>,
    confirm: ConfirmArgs,
    output: Output,
) -> Result<(), Failure> {
    let Access { cloud, settings } = access;
    let cache_dir = Directories::of(&Environment::of_process()).cache_dir;
    let ask = async |what: &str| confirm.confirm(&format!("This revokes {what}, at once and for good")).await;
    let was_valid = if let Some(token) = &given {
        ask("the token").await?;
        Some(cloud.revoke_token(token, soon()).await?)
    } else if let (Some(token), Some(setting)) = (cloud.user_token(), &settings.access_token) {
        ask(&format!("the token of {}", setting.source)).await?;
        let was_valid = cloud.revoke_token(token, soon()).await?;
        if setting.source == Source::Login
            && let Some(cache_dir) = cache_dir
        {
            LoginStore::new(&cache_dir, cloud.api_url()).remove()?;
        }
        Some(was_valid)
    } else {
        let (id, customer) = (settings.need_client_id()?, settings.named_customer()?);
        let whose =
            customer.as_ref().map_or("the OAuth client".into(), |customer| format!("customer {customer}"));
        ask(&format!("the token that is kept for {whose}")).await?;
        match cache_dir.and_then(|dir| kept_token(&dir, cloud.api_url(), id, customer.as_ref())) {
            Some(kept) => {
                let was_valid = cloud.revoke_token(&kept.token, soon()).await?;
                kept.forget();
                Some(was_valid)
            }
            None => None,
        }
    };
    let words = match was_valid {
        Some(true) => "revoked",
        Some(false) => "it had expired or was revoked before",
        None => "nothing to revoke: no token is kept",
    };
    show_result(output, words, &json!({"revoked": was_valid == Some(true)}))
}

/// The token in the file that was named.
fn given(source: Option<&SecretSource>) -> Result<Option<AccessToken>, Failure> {
    let mut secrets = SecretReader::of_process();
    let text = source.map(|source| secrets.read(source, TOKEN)).transpose()?;
    show_warnings(&mut secrets);
    Ok(text.as_ref().map(AccessToken::given).transpose()?)
}

/// What the cloud tells of a token.
const COLUMNS: &[Column<TokenInfo>] = &[
    Column { name: "client", usual: true, cell: |info| info.client.clone().unwrap_or_default() },
    Column {
        name: "expires",
        usual: true,
        cell: |info| info.expires_at.clone().unwrap_or_else(|| "never".into()),
    },
    Column { name: "scopes", usual: true, cell: |info| info.scopes.join(" ") },
];

/// Seconds; 0 is never, as the cloud has it.
fn lifetime(text: &str) -> Result<u32, Invalid> {
    if text == "never" {
        return Ok(0);
    }
    let seconds = super::settings::parse_duration(text)?.as_secs();
    u32::try_from(seconds).map_err(|_| Invalid { what: "a time", why: "is at most 136 years".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_in_seconds_and_never_is_zero() {
        assert_eq!(lifetime("never"), Ok(0));
        assert_eq!(lifetime("2m"), Ok(120));
        for bad in ["0", "soon", "9999999999h", "4000000h"] {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
