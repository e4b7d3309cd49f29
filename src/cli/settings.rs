//! Settings: from flags, then the environment, then a profile of the config file.
//!
//! Each value keeps where it came from, so that a message can name the place to mend. The environment
//! is read here and not by clap, which shows values in its help and errors.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use secrecy::SecretString;
use url::{Host, Url};

use super::{
    environment::{Directories, Environment},
    profiles::{Config, Profile},
    secrets::{NoSecretFlags, SecretReader, SecretSource, secret},
};
use crate::{
    link::discovery::{Lister, UsbTarget, lister},
    model::{CustomerTemplate, Failure, FailureCode, Invalid, ProductRef, clean},
};

const API_URL: &str = "https://api.particle.io";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// A profile of the config file.
    Profile {
        /// The file.
        file: PathBuf,
        /// The profile's name.
        profile: String,
        /// The key in it.
        key: &'static str,
    },
    /// A variable.
    Environment(&'static str),
    /// A flag of the command.
    Flag(&'static str),
}

impl Source {
    /// Later ones go before earlier ones.
    fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Profile { .. } => 1,
            Self::Environment(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Profile { file, profile, key } => {
                write!(f, "{key} of profile {} in {}", clean(profile), clean(&file.to_string_lossy()))
            }
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Setting<T> {
    /// Checks it; a refusal names the source and not the value.
    fn parse<U>(self, check: impl FnOnce(&T) -> Result<U, Invalid>) -> Result<Setting<U>, Failure> {
        match check(&self.value) {
            Ok(value) => Ok(Setting { value, source: self.source }),
            Err(invalid) => Err(wrong(format!("{}: {invalid}", self.source))),
        }
    }
}

/// Where one setting can be given.
struct Places {
    what: &'static str,
    flag: &'static str,
    variable: &'static str,
    key: &'static str,
    /// For secrets: the key that names a file.
    file_key: &'static str,
}

impl Places {
    const fn plain(
        what: &'static str,
        flag: &'static str,
        variable: &'static str,
        key: &'static str,
    ) -> Self {
        Self { what, flag, variable, key, file_key: "" }
    }

    fn missing(&self) -> Failure {
        wrong(format!("the {} is missing: {}", self.what, self.how()))
    }

    fn how(&self) -> String {
        let key = if self.file_key.is_empty() { self.key } else { self.file_key };
        format!("give {}, set {}, or put {key} into a profile of provision.toml", self.flag, self.variable)
    }
}

const URL: Places = Places::plain("cloud's address", "--api-url", "PARTICLE_API_URL", "api_url");
const PRODUCT: Places = Places::plain("product", "--product", "PARTICLE_PRODUCT", "product");
const CUSTOMER: Places = Places::plain("customer", "--customer", "PROVISION_CUSTOMER", "customer");
const CLIENT_ID: Places = Places::plain("client id", "--client-id", "PARTICLE_CLIENT_ID", "client_id");
const CLIENT_SECRET: Places = Places {
    what: "client secret",
    flag: "--client-secret-file",
    variable: "PARTICLE_CLIENT_SECRET",
    key: "client_secret",
    file_key: "client_secret_file",
};
const ACCESS_TOKEN: Places = Places {
    what: "access token",
    flag: "--access-token-file",
    variable: "PARTICLE_ACCESS_TOKEN",
    key: "access_token",
    file_key: "access_token_file",
};

/// Which board directory to look in; for commands that look for boards.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct UsbDirArgs {
    /// Take the links in this directory for the boards on USB (for simulations; also PROVISION_USB_DIR)
    #[arg(long, value_name = "DIR")]
    pub usb_dir: Option<PathBuf>,
}

impl UsbDirArgs {
    /// What tells the attached boards.
    pub fn lister(&self, env: &Environment) -> Box<dyn Lister> {
        lister(self.usb_dir.clone().or_else(|| env.path("PROVISION_USB_DIR")))
    }
}

/// Flags of every command that talks to the cloud.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings (flags, then environment, then config file)")]
pub struct SettingsArgs {
    /// The product, by number or slug [env: PARTICLE_PRODUCT]
    #[arg(long, value_name = "PRODUCT")]
    pub product: Option<String>,
    /// The customer, who may be one for each device: '{device_id}@shadow.example' [env: PROVISION_CUSTOMER]
    #[arg(long, value_name = "CUSTOMER")]
    pub customer: Option<String>,
    /// The product's OAuth client [env: PARTICLE_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// A file with the client's secret, or - for standard input [env: PARTICLE_CLIENT_SECRET, the secret
    /// itself]
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    pub client_secret_file: Option<SecretSource>,
    /// A file with an access token to use instead of a client, or - for standard input
    /// [env: PARTICLE_ACCESS_TOKEN, the token itself]
    #[arg(long, value_name = "PATH|-", value_parser = secret_source())]
    pub access_token_file: Option<SecretSource>,
    /// Where the cloud is [env: PARTICLE_API_URL] [default: https://api.particle.io]
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// The config file's profile to use [env: PROVISION_PROFILE] [default: default]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// The config file [env: PROVISION_CONFIG] [default: provision.toml in the config directory]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Refuses what must not be a flag.
    #[command(flatten)]
    pub no_secrets: NoSecretFlags,
}

fn secret_source() -> impl TypedValueParser<Value = SecretSource> {
    OsStringValueParser::new().map(SecretSource::from)
}

/// What a command that talks to the cloud works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the cloud is, without a slash at its end. Plain http only to this computer.
    pub api_url: Setting<String>,
    /// The product.
    pub product: Option<Setting<ProductRef>>,
    /// The customer, or one for each device.
    pub customer: Option<Setting<CustomerTemplate>>,
    /// The OAuth client.
    pub client_id: Option<Setting<String>>,
    /// The OAuth client's secret.
    pub client_secret: Option<Setting<SecretString>>,
    /// A token to use instead of a client.
    pub access_token: Option<Setting<SecretString>>,
    /// The board on USB, from a profile.
    pub usb: Option<Setting<UsbTarget>>,
    /// How long the cloud's record may take to turn right, from a profile.
    pub timeout: Option<Setting<Duration>>,
}

/// What to sign in with.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A token that somebody else got.
    Token(SecretString),
    /// A client, to get tokens with.
    Client {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
}

impl SettingsArgs {
    /// Reads the environment, the config file, and the secrets that these and the flags name.
    pub fn resolve(&self, env: &Environment, secrets: &mut SecretReader) -> Result<Settings, Failure> {
        self.no_secrets.refuse()?;
        let profile = self.profile(env)?;
        let at = Lookup { env, profile: profile.as_ref() };
        let text = |setting: Setting<String>| setting.parse(|text| plain_text(text));
        let default_url = || Setting { value: API_URL.to_owned(), source: Source::Default };
        Ok(Settings {
            api_url: at.text(&self.api_url, &URL)?.unwrap_or_else(default_url).parse(|text| api_url(text))?,
            product: at
                .text(&self.product, &PRODUCT)?
                .map(|setting| setting.parse(|text| ProductRef::parse(text)))
                .transpose()?,
            customer: at
                .text(&self.customer, &CUSTOMER)?
                .map(|setting| setting.parse(|text| CustomerTemplate::parse(text)))
                .transpose()?,
            client_id: at.text(&self.client_id, &CLIENT_ID)?.map(text).transpose()?,
            client_secret: at.secret(&self.client_secret_file, &CLIENT_SECRET, secrets)?,
            access_token: at.secret(&self.access_token_file, &ACCESS_TOKEN, secrets)?,
            usb: at.profile("usb").map(|setting| setting.parse(|text| text.parse())).transpose()?,
            timeout: at
                .profile("timeout")
                .map(|setting| setting.parse(|text| parse_duration(text)))
                .transpose()?,
        })
    }

    fn profile(&self, env: &Environment) -> Result<Option<Profile>, Failure> {
        let named = match &self.profile {
            Some(name) => Some(name.clone()),
            None => env.text("PROVISION_PROFILE")?,
        };
        let given = self.config.clone().or_else(|| env.path("PROVISION_CONFIG"));
        let must_exist = given.is_some();
        let config = match given.or_else(|| Directories::of(env).config_file) {
            Some(path) => Config::read(path, must_exist)?,
            None => None,
        };
        match (config, named) {
            (Some(config), named) => config.profile(named),
            (None, None) => Ok(None),
            (None, Some(name)) => {
                Err(wrong(format!("there is no profile {name}, because there is no config file")))
            }
        }
    }
}

impl Settings {
    /// The product, for a command that needs one.
    pub fn need_product(&self) -> Result<&ProductRef, Failure> {
        self.product.as_ref().map(|setting| &setting.value).ok_or_else(|| PRODUCT.missing())
    }

    /// The customer, for a command that needs one.
    pub fn need_customer(&self) -> Result<&CustomerTemplate, Failure> {
        self.customer.as_ref().map(|setting| &setting.value).ok_or_else(|| CUSTOMER.missing())
    }

    /// What to sign in with: the token or the client, whichever was given closer to the command; a
    /// token where both were. A client's missing secret is asked for.
    pub fn need_credentials(&self, secrets: &mut SecretReader) -> Result<Credentials, Failure> {
        match (&self.access_token, &self.client_id) {
            (Some(token), Some(id)) if token.source.rank() < id.source.rank() => self.client(id, secrets),
            (Some(token), _) => Ok(Credentials::Token(token.value.clone())),
            (None, Some(id)) => self.client(id, secrets),
            (None, None) => Err(CLIENT_ID.missing()),
        }
    }

    fn client(&self, id: &Setting<String>, secrets: &mut SecretReader) -> Result<Credentials, Failure> {
        let secret = match &self.client_secret {
            Some(secret) => secret.value.clone(),
            None => secrets.ask(CLIENT_SECRET.what, &CLIENT_SECRET.how())?,
        };
        Ok(Credentials::Client { id: id.value.clone(), secret })
    }
}

/// Where a value is looked for after the flags.
struct Lookup<'a> {
    env: &'a Environment,
    profile: Option<&'a Profile>,
}

impl Lookup<'_> {
    fn text(&self, flag: &Option<String>, places: &Places) -> Result<Option<Setting<String>>, Failure> {
        if let Some(value) = flag {
            return Ok(Some(Setting { value: value.clone(), source: Source::Flag(places.flag) }));
        }
        match self.env.text(places.variable)? {
            Some(value) => Ok(Some(Setting { value, source: Source::Environment(places.variable) })),
            None => Ok(self.profile(places.key)),
        }
    }

    fn profile(&self, key: &'static str) -> Option<Setting<String>> {
        let profile = self.profile?;
        let value = profile.values.get(key)?.clone();
        let source = Source::Profile { file: profile.file.clone(), profile: profile.name.clone(), key };
        Some(Setting { value, source })
    }

    fn secret(
        &self,
        flag: &Option<SecretSource>,
        places: &Places,
        secrets: &mut SecretReader,
    ) -> Result<Option<Setting<SecretString>>, Failure> {
        if let Some(place) = flag {
            let value = secrets.read(place, places.what)?;
            return Ok(Some(Setting { value, source: Source::Flag(places.flag) }));
        }
        let given = match self.env.text(places.variable)? {
            Some(value) => Some(Setting { value, source: Source::Environment(places.variable) }),
            None => self.profile(places.key),
        };
        if let Some(Setting { value, source }) = given {
            let value = secret(&value, places.what).map_err(|e| wrong(format!("{source}: {}", e.detail)))?;
            return Ok(Some(Setting { value, source }));
        }
        let Some(Setting { value: path, source }) = self.profile(places.file_key) else { return Ok(None) };
        let directory = self.profile.and_then(|profile| profile.file.parent()).unwrap_or(Path::new(""));
        let value = secrets.read(&SecretSource::File(directory.join(path)), places.what)?;
        Ok(Some(Setting { value, source }))
    }
}

/// A time such as `90`, `90s`, `2m` or `1h`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    let invalid =
        || Invalid { what: "a time", why: "looks like 90s, 2m or 1h, and is more than nothing".into() };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds_each = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(invalid()),
    };
    let number: u32 = number.parse().map_err(|_| invalid())?;
    match u64::from(number) * seconds_each {
        0 => Err(invalid()),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

fn plain_text(text: &str) -> Result<String, Invalid> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| text.to_owned()).ok_or_else(|| Invalid {
        what: "a client id",
        why: "holds letters, digits and signs, without blanks".into(),
    })
}

/// An address that credentials can be sent to: https, or this computer itself.
fn api_url(text: &str) -> Result<String, Invalid> {
    let invalid = |why: &str| Invalid { what: "the cloud's address", why: why.into() };
    let url = Url::parse(text).map_err(|_| invalid("looks like https://api.particle.io"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(invalid("looks like https://api.particle.io")),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(invalid("is https://…: plain http would show secrets to the network")),
        _ => return Err(invalid("begins with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("cannot hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("cannot hold a query"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn wrong(detail: String) -> Failure {
    Failure::new(FailureCode::Configuration, detail)
}
