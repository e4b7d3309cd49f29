//! How a command that works in the cloud gets to it: settings, credentials, a client.

use std::time::Duration;

use super::{
    environment::{Directories, Environment},
    run::show_warnings,
    secrets::SecretReader,
    settings::{Credentials, Settings, SettingsArgs},
};
use crate::{
    cloud::{Cloud, CloudSettings, OAuthClient},
    model::{Deadline, Failure},
};

/// Whose calls a command makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// The product's: signed by its OAuth client, or by the user's token, whichever was given closer to
    /// the command.
    Product,
    /// The user's own: signed by the user's token.
    User,
    /// Those that the OAuth client's secret is needed for.
    Client,
    /// Whatever needs no credentials, or brings its own.
    Nobody,
}

/// A client of the cloud, and the settings that it came from.
pub struct Access {
    /// The client. Nothing has been sent yet.
    pub cloud: Cloud,
    /// The settings.
    pub settings: Settings,
}

impl Access {
    /// Reads the settings. `who` is asked once they are known, as they often decide. May ask for a
    /// secret, so it comes before anything else is under way.
    ///
    /// # Errors
    ///
    /// `Configuration` for settings that are wrong or missing.
    pub fn new(args: &SettingsArgs, who: impl FnOnce(&Settings) -> As) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.resolve(&env, &mut secrets)?;
        let cloud = cloud(who(&settings), &settings, &mut secrets, Directories::of(&env))?;
        show_warnings(&mut secrets);
        Ok(Self { cloud, settings })
    }
}

/// A client of the cloud that can make these calls. A product's has the user's token as well, if both
/// were given, for the few calls that take no other.
///
/// # Errors
///
/// `Configuration` for credentials that are wrong or missing.
pub fn cloud(
    who: As,
    settings: &Settings,
    secrets: &mut SecretReader,
    directories: Directories,
) -> Result<Cloud, Failure> {
    let given_token = || settings.access_token.as_ref().map(|token| token.value.clone());
    let (client, user_token) = match who {
        As::Nobody => (None, None),
        As::Client => {
            let (id, secret) = settings.need_client(secrets)?;
            (Some(OAuthClient { id, secret }), given_token())
        }
        As::User => (None, Some(settings.need_access_token(secrets)?)),
        As::Product => match settings.need_credentials(secrets)? {
            Credentials::Client { id, secret } => (Some(OAuthClient { id, secret }), given_token()),
            Credentials::Token(token) => (None, Some(token)),
        },
    };
    let (api_url, cache_dir) = (settings.api_url.value.clone(), directories.cache_dir);
    let roots = settings.roots.as_ref().map(|roots| roots.value.clone());
    Ok(Cloud::new(CloudSettings { api_url, client, user_token, cache_dir, roots })?)
}

/// How long one call of a command may take.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60), "the call")
}
