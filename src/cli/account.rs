//! `provision login`, `logout` and `whoami`: a developer's own account.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use secrecy::{SecretString, zeroize::Zeroizing};
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    ask::ask,
    environment::{Directories, Environment},
    listing::{Column, say, show_one, show_result},
    profiles::shown,
    root::{Output, until_interrupted},
    run::{ToldFailure, show_warnings},
    secrets::{SecretReader, SecretSource, not_typed, secret},
    settings::{SettingsArgs, secret_source},
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{AccessToken, ApiUrl, Cloud, HalfLogin, LogIn, Login, LoginStore, TokenInfo, kept_tokens},
    model::{Failure, FailureCode, Invalid, clean},
};

const PASSWORD: &str = "password";
const CODE: &str = "one-time code";
const LOG_IN: &str = "log in with `provision login USER`";
const NAME_THE_USER: &str = "name it, as in `provision login USER`";
/// How many one-time codes are asked for: they are mistyped, and they run out.
const CODES: usize = 3;

/// Log in with a developer's own account
///
/// Asks for the password, unseen, and for a one-time code if the account has an authenticator. The token is
/// kept for you alone (mode 0600), and used by every command that wants a user's token and is given none.
#[derive(Debug, clap::Args)]
pub struct LoginArgs {
    /// The account's name, an e-mail address; asked for if left out
    #[arg(value_name = "USER")]
    user: Option<String>,
    /// A file with the password, or - for standard input
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    password_file: Option<SecretSource>,
    /// A file with the one-time code, or - for standard input
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    code_file: Option<SecretSource>,
    /// Use the login of Particle's own CLI: of its present profile, or of this one
    ///
    /// Found in ~/.particle. `logout` forgets such a login and does not revoke it.
    #[arg(long, value_name = "PROFILE", num_args = 0..=1, conflicts_with_all = ["user", "password_file", "code_file"])]
    from_particle_cli: Option<Option<String>>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// End the login: revoke its token, and forget it
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// Revoke and forget the tokens of OAuth clients and customers that are kept here, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Tell whom commands act for: the user, the token's client, and when it ends
#[derive(Debug, clap::Args)]
pub struct WhoamiArgs {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Logs in.
pub fn login(args: &LoginArgs, output: Output) -> Result<(), ToldFailure> {
    let env = Environment::of_process();
    let mut secrets = SecretReader::of_process();
    let Access { cloud, .. } = Access::new(&args.settings, |_| As::Nobody)?;
    let store = store(&env, cloud.api_url())?;
    if let Some(profile) = &args.from_particle_cli {
        let found = ParticleCli::find(&env, profile.as_deref(), &mut secrets)?;
        show_warnings(&mut secrets);
        return until_interrupted(async || Ok(found.take_over(&cloud, &store, output).await?));
    }
    let user = match &args.user {
        Some(user) => account_name(user).map_err(|e| Failure::configuration(e.to_string(), NAME_THE_USER))?,
        None => ask("user name", NAME_THE_USER, account_name)?,
    };
    let password = match &args.password_file {
        Some(source) => secrets.read(source, PASSWORD)?,
        None => secrets.ask(PASSWORD, "give --password-file PATH (or - for standard input)")?,
    };
    let code = args.code_file.as_ref().map(|source| secrets.read(source, CODE)).transpose()?;
    show_warnings(&mut secrets);
    until_interrupted(async || {
        let before = store.load();
        let token = match cloud.log_in(&user, &password, soon()).await? {
            LogIn::Done(token) => token,
            LogIn::CodeNeeded(half) => with_code(&cloud, &half, code, secrets).await?,
        };
        let (expires_at, text) = (token.expires_at(), SecretString::from(token.expose()));
        let login = Login { user, token: text, expires_at, ours: true };
        store.save(&login)?;
        if let Some(before) = before.filter(|before| before.ours) {
            revoke_the_one_before(&cloud, &before).await;
        }
        Ok(tell(output, &login)?)
    })
}

/// Logs out.
pub fn logout(args: &LogoutArgs, output: Output) -> Result<(), ToldFailure> {
    let env = Environment::of_process();
    let Access { cloud, .. } = Access::new(&args.settings, |_| As::Nobody)?;
    let store = store(&env, cloud.api_url())?;
    until_interrupted(async || {
        let login = store.load();
        let mut words = Vec::new();
        let revoked = match &login {
            Some(login) if login.ours => {
                let was_valid = cloud.revoke_token(&AccessToken::given(&login.token)?, soon()).await?;
                let fate = if was_valid { "its token is revoked" } else { "its token had ended already" };
                words.push(format!("logged out {}: {fate}", named(login)));
                was_valid
            }
            Some(login) => {
                words.push(format!(
                    "forgot the login of {}, which Particle's CLI goes on using",
                    named(login)
                ));
                false
            }
            None => {
                words.push("nobody is logged in".to_owned());
                false
            }
        };
        // Also one that has expired.
        store.remove()?;
        let mut others = 0;
        if args.all {
            let cache_dir = Directories::of(&env).cache_dir.unwrap_or_default();
            for kept in kept_tokens(&cache_dir, cloud.api_url()) {
                cloud.revoke_token(&kept.token, soon()).await?;
                kept.forget();
                others += 1;
            }
            words.push(format!("tokens of clients and customers revoked: {others}"));
        }
        let user = login.map(|login| login.user);
        let json = json!({"user": user, "revoked": revoked, "others_revoked": others});
        Ok(show_result(output, &words.join("; "), &json)?)
    })
}

/// Tells whom commands act for.
pub fn whoami(args: &WhoamiArgs, output: Output) -> Result<(), ToldFailure> {
    let access =
        Access::new(&args.settings, |settings| match (&settings.access_token, &settings.client_id) {
            (Some(_), _) => As::User,
            (None, Some(_)) => As::Client,
            (None, None) => As::Nobody,
        })?;
    let Access { cloud, settings } = access;
    until_interrupted(async || {
        let (token, user, source) = match (cloud.user_token(), &settings.access_token, &settings.client_id) {
            (Some(token), Some(given), _) => {
                let user = match cloud.user_name(token, soon()).await {
                    Err(e) if matches!(e.status, Some(400..=499)) && e.status != Some(401) => None,
                    user => Some(user?),
                };
                (token.clone(), user, given.source.to_string())
            }
            (_, _, Some(id)) => (cloud.product_token(soon()).await?, None, id.source.to_string()),
            _ => {
                let next = "use `provision login`, or give an access token or an OAuth client";
                return Err(Failure::configuration("nobody is logged in", next).into());
            }
        };
        let info = cloud.token_info(&token, soon()).await?;
        let json = json!({
            "user": user, "client": info.client, "expires_at": info.expires_at, "scopes": info.scopes,
            "source": source, "api_url": cloud.api_url().to_string(),
        });
        let me = Me { user, info, source, api_url: cloud.api_url().to_string() };
        Ok(show_one(output, ME, &me, &json.to_string())?)
    })
}

struct Me {
    user: Option<String>,
    info: TokenInfo,
    source: String,
    api_url: String,
}

const ME: &[Column<Me>] = &[
    Column {
        name: "user",
        usual: true,
        cell: |me| me.user.clone().unwrap_or_else(|| "none: a client's token".into()),
    },
    Column { name: "client", usual: true, cell: |me| me.info.client.clone().unwrap_or_default() },
    Column {
        name: "expires",
        usual: true,
        cell: |me| me.info.expires_at.clone().unwrap_or_else(|| "never".into()),
    },
    Column { name: "scopes", usual: true, cell: |me| me.info.scopes.join(" ") },
    Column { name: "from", usual: true, cell: |me| me.source.clone() },
    Column { name: "cloud", usual: true, cell: |me| me.api_url.clone() },
];

/// The one-time code that follows a password: the one that was given, and then those that are typed.
async fn with_code(
    cloud: &Cloud,
    half: &HalfLogin,
    mut given: Option<SecretString>,
    mut secrets: SecretReader,
) -> Result<AccessToken, Failure> {
    let mut left = CODES;
    loop {
        left -= 1;
        let code = match given.take() {
            Some(code) => code,
            None => {
                let asked = spawn_blocking(move || {
                    let code = secrets.ask(CODE, "give --code-file PATH (or - for standard input)");
                    (secrets, code)
                });
                let code;
                (secrets, code) = asked.await.map_err(|e| not_typed(CODE).because(e))?;
                code?
            }
        };
        match cloud.log_in_with_code(half, &code, soon()).await {
            Err(e) if e.code == FailureCode::LoginRefused && left > 0 && secrets.can_ask() => {
                say(&format!("that code was refused: {}", e.said));
            }
            token => return Ok(token?),
        }
    }
}

/// Nobody knows of that one any more, so it should not live on.
async fn revoke_the_one_before(cloud: &Cloud, before: &Login) {
    let revoked = async { cloud.revoke_token(&AccessToken::given(&before.token)?, soon()).await };
    if let Err(error) = revoked.await {
        tracing::warn!(%error, "the token of the login before this one could not be revoked");
    }
}

fn tell(output: Output, login: &Login) -> Result<(), Failure> {
    let until = until(login.expires_at);
    let words = format!("logged in as {}, until {}", named(login), until.as_deref().unwrap_or("logged out"));
    show_result(output, &words, &json!({"user": login.user, "expires_at": until, "ours": login.ours}))
}

/// A moment in Unix seconds, as people and programs read it.
pub(super) fn until(expires_at: Option<u64>) -> Option<String> {
    let seconds = i64::try_from(expires_at?).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).ok().map(|at| at.to_string())
}

fn named(login: &Login) -> &str {
    if login.user.is_empty() { "somebody" } else { &login.user }
}

fn account_name(text: &str) -> Result<String, Invalid> {
    let good = !text.is_empty() && !text.contains(char::is_control);
    good.then(|| text.trim().to_owned())
        .ok_or_else(|| Invalid { what: "a user name", why: "is the e-mail address of an account".into() })
}

fn store(env: &Environment, api_url: &ApiUrl) -> Result<LoginStore, Failure> {
    let cache_dir = Directories::of(env).cache_dir;
    let cache_dir = cache_dir.ok_or_else(|| no_home("keep the login in"))?;
    Ok(LoginStore::new(&cache_dir, api_url))
}

fn no_home(to: &str) -> Failure {
    Failure::configuration(format!("there is no home directory to {to}"), "set HOME")
}

/// A login of Particle's own CLI. (Its `settings.js`: the profile's name is in `profile.json`, the login in
/// `NAME.config.json` beside it.)
struct ParticleCli {
    file: PathBuf,
    config: ParticleConfig,
}

#[derive(Deserialize)]
struct ParticleProfile {
    name: Option<String>,
}

#[derive(Deserialize)]
struct ParticleConfig {
    access_token: Option<String>,
    username: Option<String>,
    #[serde(rename = "apiUrl")]
    api_url: Option<String>,
}

impl ParticleCli {
    const USUAL: &str = "particle";

    fn find(env: &Environment, profile: Option<&str>, secrets: &mut SecretReader) -> Result<Self, Failure> {
        let home = env.path("HOME").or_else(|| env.path("USERPROFILE"));
        let dir = home.ok_or_else(|| no_home("look in"))?.join(".particle");
        let profile = profile.map_or_else(|| Self::present_profile(&dir), str::to_owned);
        if profile.contains(['/', '\\']) || profile.starts_with('.') || profile.contains(char::is_control) {
            let detail = format!("{} is no name of a profile", clean(&profile));
            return Err(Failure::configuration(
                detail,
                "name one of Particle's CLI with --from-particle-cli",
            ));
        }
        let file = dir.join(format!("{profile}.config.json"));
        let bytes = secrets.read_whole(&file, "login of Particle's CLI")?;
        let config: ParticleConfig = serde_json::from_slice(&bytes)
            // Its words could repeat the token.
            .map_err(|_| {
                let detail = format!("{} is no config file of Particle's CLI", shown(&file));
                Failure::configuration(detail, LOG_IN)
            })?;
        Ok(Self { file, config })
    }

    fn present_profile(dir: &Path) -> String {
        let bytes = std::fs::read(dir.join("profile.json")).unwrap_or_default();
        let profile = serde_json::from_slice::<ParticleProfile>(&bytes).ok();
        profile.and_then(|profile| profile.name).unwrap_or_else(|| Self::USUAL.into())
    }

    /// Sees that it is good, and keeps it.
    async fn take_over(self, cloud: &Cloud, store: &LoginStore, output: Output) -> Result<(), Failure> {
        let file = shown(&self.file);
        let theirs = self.config.api_url.as_deref().unwrap_or(ApiUrl::PARTICLE);
        if ApiUrl::parse(theirs).ok().as_ref() != Some(cloud.api_url()) {
            let theirs = clean(theirs);
            let detail = format!("the login in {file} is for {theirs}, not for {}", cloud.api_url());
            return Err(Failure::configuration(detail, format!("give --api-url {theirs}, or {LOG_IN}")));
        }
        let nobody = || {
            Failure::configuration(
                format!("nobody is logged in with Particle's CLI, as {file} tells"),
                LOG_IN,
            )
        };
        let text = self.config.access_token.ok_or_else(nobody)?;
        let text = secret(&Zeroizing::new(text), "token of Particle's CLI")?;
        let token = AccessToken::given(&text)?;
        let info = cloud.token_info(&token, soon()).await?;
        let user = match self.config.username {
            Some(user) => user,
            None => cloud.user_name(&token, soon()).await?,
        };
        let expires_at = info.expires_at.and_then(|at| at.parse::<Timestamp>().ok());
        let expires_at = expires_at.and_then(|at| u64::try_from(at.as_second()).ok());
        let login = Login { user: clean(&user), token: text, expires_at, ours: false };
        store.save(&login)?;
        tell(output, &login)
    }
}
