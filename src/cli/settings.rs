//! Settings: from flags, then the environment, then a profile of the config file.
//!
//! Each value keeps where it came from, so that a message can name the place to mend. The environment
//! is read here and not by clap, which shows values in its help and errors.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use secrecy::SecretString;

use super::{
    environment::{Directories, Environment},
    profiles::{Config, Profile},
    secrets::{NoSecretFlags, SecretReader, SecretSource, secret},
};
use crate::{
    cloud::{ApiUrl, LoginStore, RootCertificates},
    link::discovery::{Lister, UsbTarget, lister},
    model::{Customer, CustomerTemplate, Failure, Invalid, ProductRef, clean},
};

const HEADING: &str = "Settings (flags, then environment, then config file)";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// Somebody has logged in, and it is their token.
    Login,
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
            Self::Login => 1,
            Self::Profile { .. } => 2,
            Self::Environment(_) => 3,
            Self::Flag(_) => 4,
        }
    }

    /// What came from there cannot be used.
    fn refuse(&self, why: &str) -> Failure {
        Failure::configuration(format!("{self}: {why}"), format!("mend {self}"))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::Login => f.write_str("the login"),
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
    pub(super) fn parse<U>(
        self,
        check: impl FnOnce(&T) -> Result<U, Invalid>,
    ) -> Result<Setting<U>, Failure> {
        match check(&self.value) {
            Ok(value) => Ok(Setting { value, source: self.source }),
            Err(invalid) => Err(self.source.refuse(&invalid.to_string())),
        }
    }
}

/// Where one setting can be given.
pub(super) struct Places {
    what: &'static str,
    flag: &'static str,
    variable: &'static str,
    key: &'static str,
    /// For secrets: the key that names a file.
    file_key: &'static str,
}

impl Places {
    pub(super) const fn plain(
        what: &'static str,
        flag: &'static str,
        variable: &'static str,
        key: &'static str,
    ) -> Self {
        Self { what, flag, variable, key, file_key: "" }
    }

    fn missing(&self) -> Failure {
        Failure::configuration(format!("the {} is missing", self.what), self.how())
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
const CA_FILE: Places = Places::plain("root certificate", "--ca-file", "PROVISION_CA_FILE", "ca_file");
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
    /// For simulations: take the links in this directory for the boards on USB [env: PROVISION_USB_DIR]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub usb_dir: Option<PathBuf>,
}

impl UsbDirArgs {
    /// What tells the attached boards.
    pub fn lister(&self, env: &Environment) -> Box<dyn Lister> {
        lister(self.directory(env))
    }

    /// The directory, if one stands in for USB.
    pub fn directory(&self, env: &Environment) -> Option<PathBuf> {
        self.usb_dir.clone().or_else(|| env.path("PROVISION_USB_DIR"))
    }
}

/// Which profile of which config file; for every command that takes a setting.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProfileArgs {
    /// The config file's profile to use [env: PROVISION_PROFILE] [default: default]
    #[arg(long, help_heading = HEADING, value_name = "NAME", hide_short_help = true)]
    pub profile: Option<String>,
    /// The config file [env: PROVISION_CONFIG] [default: provision.toml in the config directory]
    #[arg(long, help_heading = HEADING, value_name = "PATH", hide_short_help = true)]
    pub config: Option<PathBuf>,
}

/// Flags of every command that talks to the cloud.
//
// Each names its heading: `next_help_heading` would also head what comes after them.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SettingsArgs {
    /// The product, by number or slug [env: PARTICLE_PRODUCT]
    #[arg(long, help_heading = HEADING, value_name = "PRODUCT")]
    pub product: Option<String>,
    /// The customer, who may be one for each device: '{device_id}@shadow.example' [env: PROVISION_CUSTOMER]
    #[arg(long, help_heading = HEADING, value_name = "CUSTOMER")]
    pub customer: Option<String>,
    /// The product's OAuth client [env: PARTICLE_CLIENT_ID]
    #[arg(long, help_heading = HEADING, value_name = "ID")]
    pub client_id: Option<String>,
    /// A file with the client's secret, or - for standard input [env: PARTICLE_CLIENT_SECRET, the secret
    /// itself]
    #[arg(long, help_heading = HEADING, value_name = "PATH|-", value_parser = secret_source())]
    pub client_secret_file: Option<SecretSource>,
    /// A file with an access token to use instead of a client, or - for standard input
    /// [env: PARTICLE_ACCESS_TOKEN, the token itself]
    #[arg(long, help_heading = HEADING, value_name = "PATH|-", value_parser = secret_source(), hide_short_help = true)]
    pub access_token_file: Option<SecretSource>,
    /// Where the cloud is [env: PARTICLE_API_URL] [default: Particle's own]
    #[arg(long, help_heading = HEADING, value_name = "URL", hide_short_help = true)]
    pub api_url: Option<String>,
    /// A PEM file with root certificates to trust as well, for a proxy that looks into TLS
    /// [env: PROVISION_CA_FILE]
    #[arg(long, help_heading = HEADING, value_name = "FILE", hide_short_help = true)]
    pub ca_file: Option<PathBuf>,
    /// Where those come from that no flag gives.
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Refuses what must not be a flag.
    #[command(flatten)]
    pub no_secrets: NoSecretFlags,
}

pub(super) fn secret_source() -> impl TypedValueParser<Value = SecretSource> {
    OsStringValueParser::new().map(SecretSource::from)
}

/// What a command that talks to the cloud works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the cloud is.
    pub api_url: Setting<ApiUrl>,
    /// Authorities to trust besides those that the computer trusts anyway.
    pub roots: Option<Setting<RootCertificates>>,
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
        let profile = self.profile.find(env)?;
        let at = Lookup { env, profile: profile.as_ref() };
        let text = |setting: Setting<String>| setting.parse(|text| plain_text(text));
        let api_url = match at.text(&self.api_url, &URL)? {
            Some(setting) => setting.parse(|text| ApiUrl::parse(text))?,
            None => Setting { value: ApiUrl::default(), source: Source::Default },
        };
        let given_token = at.secret(&self.access_token_file, &ACCESS_TOKEN, secrets)?;
        Ok(Settings {
            access_token: given_token.or_else(|| login(env, &api_url.value)),
            api_url,
            roots: at.ca_file(&self.ca_file)?,
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
            usb: at.profile("usb").map(|setting| setting.parse(|text| text.parse())).transpose()?,
            timeout: at
                .profile("timeout")
                .map(|setting| setting.parse(|text| parse_duration(text)))
                .transpose()?,
        })
    }
}

impl ProfileArgs {
    /// The profile that is meant, if there is one.
    pub(super) fn find(&self, env: &Environment) -> Result<Option<Profile>, Failure> {
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
            (None, Some(name)) => Err(Failure::configuration(
                format!("there is no profile {name}, because there is no config file"),
                format!(
                    "make it with `provision config init --profile {name}`, or name none (PROVISION_PROFILE)"
                ),
            )),
        }
    }
}

impl Settings {
    /// The product, for a command that needs one.
    pub fn need_product(&self) -> Result<&ProductRef, Failure> {
        self.product.as_ref().map(|setting| &setting.value).ok_or_else(|| PRODUCT.missing())
    }

    /// The customer who was named by the command itself: not by the environment or a profile, which may be
    /// meant for runs only.
    pub fn named_customer(&self) -> Result<Option<Customer>, Failure> {
        let named = self.customer.as_ref().filter(|customer| matches!(customer.source, Source::Flag(_)));
        named.map(|_| self.one_customer()).transpose()
    }

    /// The customer, for a command that needs one and knows no device.
    pub fn one_customer(&self) -> Result<Customer, Failure> {
        self.need_customer()?.fixed().cloned().ok_or_else(|| {
            Failure::configuration(
                "the customer is one for each device, and there is no device here",
                "name one customer with --customer",
            )
        })
    }

    /// The customer, for a command that needs one.
    pub fn need_customer(&self) -> Result<&CustomerTemplate, Failure> {
        self.customer.as_ref().map(|setting| &setting.value).ok_or_else(|| CUSTOMER.missing())
    }

    /// Whether the client signs in, and not the token: whichever was given closer to the command; the token
    /// where both were.
    pub fn client_signs_in(&self) -> bool {
        let Some(token) = &self.access_token else { return true };
        self.client_id.as_ref().is_some_and(|id| token.source.rank() < id.source.rank())
    }

    /// What to sign in with. A client's missing secret is asked for.
    pub fn need_credentials(&self, secrets: &mut SecretReader) -> Result<Credentials, Failure> {
        match self.access_token.as_ref().filter(|_| !self.client_signs_in()) {
            Some(token) => Ok(Credentials::Token(token.value.clone())),
            None => {
                let (id, secret) = self.need_client(secrets)?;
                Ok(Credentials::Client { id, secret })
            }
        }
    }

    /// The OAuth client's id and secret, for a command that no token can do. A missing secret is asked for.
    pub fn need_client(&self, secrets: &mut SecretReader) -> Result<(String, SecretString), Failure> {
        let id = self.need_client_id()?.to_owned();
        let secret = match &self.client_secret {
            Some(secret) => secret.value.clone(),
            None => secrets.ask(CLIENT_SECRET.what, &CLIENT_SECRET.how())?,
        };
        Ok((id, secret))
    }

    /// The OAuth client's id, for a command that needs no more of it.
    pub fn need_client_id(&self) -> Result<&str, Failure> {
        self.client_id.as_ref().map(|id| &*id.value).ok_or_else(|| CLIENT_ID.missing())
    }

    /// The access token, for a command that acts for a developer. A missing one is asked for.
    pub fn need_access_token(&self, secrets: &mut SecretReader) -> Result<SecretString, Failure> {
        match &self.access_token {
            Some(token) => Ok(token.value.clone()),
            None => {
                let how = format!("{}, or log in with `provision login`", ACCESS_TOKEN.how());
                secrets.ask(ACCESS_TOKEN.what, &how)
            }
        }
    }
}

/// The token of whoever has logged in there.
fn login(env: &Environment, api_url: &ApiUrl) -> Option<Setting<SecretString>> {
    let login = LoginStore::new(&Directories::of(env).cache_dir?, api_url).load()?;
    Some(Setting { value: login.token, source: Source::Login })
}

/// Where a value is looked for after the flags.
pub(super) struct Lookup<'a> {
    pub env: &'a Environment,
    pub profile: Option<&'a Profile>,
}

impl Lookup<'_> {
    pub(super) fn text(
        &self,
        flag: &Option<String>,
        places: &Places,
    ) -> Result<Option<Setting<String>>, Failure> {
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

    fn ca_file(&self, flag: &Option<PathBuf>) -> Result<Option<Setting<RootCertificates>>, Failure> {
        let (path, source) = match (flag, self.env.path(CA_FILE.variable), self.profile(CA_FILE.key)) {
            (Some(path), _, _) => (path.clone(), Source::Flag(CA_FILE.flag)),
            (None, Some(path), _) => (path, Source::Environment(CA_FILE.variable)),
            (None, None, Some(Setting { value, source })) => (self.beside_config(value), source),
            (None, None, None) => return Ok(None),
        };
        let refuse = |why: &str| source.refuse(&format!("the {} in {}{why}", CA_FILE.what, path.display()));
        let pem = read_whole(&path).map_err(|e| refuse(" cannot be read").because(e))?;
        let roots = RootCertificates::from_pem(&pem).map_err(|e| refuse(&format!(": {e}")))?;
        Ok(Some(Setting { value: roots, source }))
    }

    /// A path of the config file.
    fn beside_config(&self, path: String) -> PathBuf {
        self.profile.and_then(|profile| profile.file.parent()).unwrap_or(Path::new("")).join(path)
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
            let value = secret(&value, places.what).map_err(|e| source.refuse(&e.detail))?;
            return Ok(Some(Setting { value, source }));
        }
        let Some(Setting { value: path, source }) = self.profile(places.file_key) else { return Ok(None) };
        let value = secrets.read(&SecretSource::File(self.beside_config(path)), places.what)?;
        Ok(Some(Setting { value, source }))
    }
}

/// A whole file, but for one that is far too long for certificates.
fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    const MOST: u64 = 4 << 20;
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
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

pub(super) fn plain_text(text: &str) -> Result<String, Invalid> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    plain.then(|| text.to_owned()).ok_or_else(|| Invalid {
        what: "a client id",
        why: "holds letters, digits and signs, without blanks".into(),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use clap::Parser;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::cli::secrets::Prompt;

    /// What a user has set up, and what the command reads.
    struct Desk {
        home: tempfile::TempDir,
        variables: Vec<(&'static str, String)>,
        stdin: &'static [u8],
    }

    impl Desk {
        fn new() -> Self {
            Self { home: tempfile::tempdir().unwrap(), variables: Vec::new(), stdin: b"" }
        }

        fn set(mut self, name: &'static str, value: &str) -> Self {
            self.variables.push((name, value.to_owned()));
            self
        }

        fn file(self, name: &str, text: &str) -> Self {
            let path = self.home.path().join(name);
            fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            self
        }

        /// A config file that is named by the environment.
        fn config(self, text: &str) -> Self {
            let path = self.home.path().join("provision.toml");
            self.file("provision.toml", text).set("PROVISION_CONFIG", path.to_str().unwrap())
        }

        fn env(&self) -> Environment {
            let mut variables = self.variables.clone();
            variables.push(("HOME", self.home.path().to_str().unwrap().to_owned()));
            Environment::new(move |wanted| {
                variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
            })
        }

        fn secrets(&self) -> SecretReader {
            SecretReader::new(Box::new(self.stdin), None)
        }

        fn resolve(&self, arguments: &[&str]) -> Result<Settings, Failure> {
            let command = Command::try_parse_from([&["x"], arguments].concat()).unwrap();
            command.settings.resolve(&self.env(), &mut self.secrets())
        }

        fn refused(&self, arguments: &[&str]) -> String {
            let failure = self.resolve(arguments).unwrap_err();
            assert_eq!(failure.code, crate::model::FailureCode::Configuration);
            failure.to_string()
        }
    }

    /// A command of its own words.
    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        settings: SettingsArgs,
        #[command(flatten)]
        usb: UsbDirArgs,
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file() {
        let desk = Desk::new()
            .config(
                "[profiles.default]\nproduct = 1\ncustomer = 'c-file'\nclient_id = 'id-file'\nusb = 'auto'\n",
            )
            .set("PARTICLE_PRODUCT", "2")
            .set("PROVISION_CUSTOMER", "c-env")
            .set("PARTICLE_CLIENT_ID", "");
        let settings = desk.resolve(&["--product", "3"]).unwrap();
        let product = settings.product.unwrap();
        assert_eq!((product.value.as_str(), product.source), ("3", Source::Flag("--product")));
        let customer = settings.customer.unwrap();
        assert_eq!(customer.value.fixed().unwrap().as_str(), "c-env");
        assert_eq!(customer.source, Source::Environment("PROVISION_CUSTOMER"));
        let id = settings.client_id.unwrap();
        assert_eq!(id.value, "id-file");
        assert!(id.source.to_string().starts_with("client_id of profile default in "));
        assert_eq!(settings.usb.unwrap().value, UsbTarget::Auto);
        assert_eq!(settings.api_url.value, ApiUrl::default());
        assert_eq!(settings.api_url.source, Source::Default);
    }

    #[test]
    fn refusals_name_the_source_and_not_the_value() {
        let desk = Desk::new().set("PROVISION_CUSTOMER", "{serial}@shadow.example");
        assert_eq!(
            desk.refused(&[]),
            "PROVISION_CUSTOMER: a customer template knows the placeholder {device_id} only"
        );
        assert!(desk.refused(&["--product", "a/b"]).starts_with("--product: a product is named by"));
        let desk = Desk::new().config("[profiles.lab]\ntimeout = 'soon'\n");
        assert!(desk.refused(&["--profile", "lab"]).starts_with("timeout of profile lab in "));
    }

    #[test]
    fn a_root_certificate_that_cannot_be_used_is_told_with_its_place() {
        let desk =
            Desk::new().file("root.pem", "no PEM").config("[profiles.default]\nca_file = 'root.pem'\n");
        let said = desk.refused(&[]);
        assert!(said.starts_with("ca_file of profile default in "), "{said}");
        assert!(
            said.contains("root.pem: a bundle of certificates holds no certificate in PEM form"),
            "{said}"
        );
        let said = desk.refused(&["--ca-file", "/nowhere/root.pem"]);
        assert!(
            said.starts_with("--ca-file: the root certificate in /nowhere/root.pem cannot be read: "),
            "{said}"
        );
        let said = Desk::new().set("PROVISION_CA_FILE", "/dev/zero").refused(&[]);
        assert!(said.starts_with("PROVISION_CA_FILE: ") && said.contains("too large"), "{said}");
    }

    #[test]
    fn a_profile_is_chosen_by_flag_or_environment() {
        let config =
            "[profiles.default]\nproduct = 1\n[profiles.lab]\nproduct = 2\n[profiles.line]\nproduct = 3\n";
        let product = |settings: Settings| settings.product.unwrap().value.to_string();
        let desk = Desk::new().config(config).set("PROVISION_PROFILE", "lab");
        assert_eq!(product(desk.resolve(&[]).unwrap()), "2");
        assert_eq!(product(desk.resolve(&["--profile", "line"]).unwrap()), "3");
        assert_eq!(product(Desk::new().config(config).resolve(&[]).unwrap()), "1");
        assert!(Desk::new().refused(&["--profile", "lab"]).contains("there is no config file"));
    }

    #[test]
    fn the_config_file_is_found_below_home_or_as_named() {
        let desk = Desk::new().file("other.toml", "[profiles.default]\nproduct = 7\n");
        let expected = Directories::of(&desk.env()).config_file.unwrap();
        fs::create_dir_all(expected.parent().unwrap()).unwrap();
        fs::write(&expected, "[profiles.default]\nproduct = 8\n").unwrap();
        let product =
            |arguments: &[&str]| desk.resolve(arguments).unwrap().product.unwrap().value.to_string();
        assert_eq!(product(&[]), "8");
        assert_eq!(product(&["--config", desk.home.path().join("other.toml").to_str().unwrap()]), "7");
    }

    #[test]
    fn secrets_come_from_files_standard_input_and_the_environment() {
        let secret = |settings: Settings| settings.client_secret.unwrap().value.expose_secret().to_owned();
        let mut desk = Desk::new()
            .config("[profiles.default]\nclient_secret_file = 'line.secret'\n[profiles.lab]\nclient_secret = 'in-file'")
            .file("line.secret", "beside-config\n");
        assert_eq!(secret(desk.resolve(&[]).unwrap()), "beside-config");
        assert_eq!(secret(desk.resolve(&["--profile", "lab"]).unwrap()), "in-file");
        desk.stdin = b"from-stdin\n";
        desk = desk.set("PARTICLE_CLIENT_SECRET", "from-env");
        assert_eq!(secret(desk.resolve(&[]).unwrap()), "from-env");
        assert_eq!(secret(desk.resolve(&["--client-secret-file", "-"]).unwrap()), "from-stdin");
        let said = desk.refused(&["--client-secret-file", "-", "--access-token-file", "-"]);
        assert!(said.contains("both the access token and the client secret"), "{said}");
    }

    #[test]
    fn a_bad_secret_is_not_repeated() {
        let desk = Desk::new().set("PARTICLE_ACCESS_TOKEN", "xyzzy ");
        assert_eq!(desk.refused(&[]), "PARTICLE_ACCESS_TOKEN: the access token begins or ends with a blank");
        let refused = Desk::new().resolve(&["--client-secret", "xyzzy"]).unwrap_err();
        assert!(refused.next.as_ref().unwrap().contains("PARTICLE_CLIENT_SECRET"), "{refused:?}");
        assert!(!format!("{refused:?}").contains("xyzzy"));
    }

    #[test]
    fn nothing_that_holds_secrets_prints_them() {
        let settings = Desk::new()
            .set("PARTICLE_CLIENT_SECRET", "xyzzy-client")
            .set("PARTICLE_ACCESS_TOKEN", "xyzzy-token")
            .resolve(&[])
            .unwrap();
        let credentials = settings.need_credentials(&mut Desk::new().secrets()).unwrap();
        assert!(!format!("{settings:?} {credentials:?}").contains("xyzzy"));
    }

    #[test]
    fn credentials_given_closer_to_the_command_are_used() {
        let token_in = |name| Desk::new().set(name, "token-123").set("PARTICLE_CLIENT_SECRET", "secret-123");
        let used = |desk: &Desk, arguments: &[&str]| {
            let settings = desk.resolve(arguments).unwrap();
            settings.need_credentials(&mut desk.secrets())
        };
        let desk = token_in("PARTICLE_ACCESS_TOKEN");
        assert!(matches!(used(&desk, &[]), Ok(Credentials::Token(_))));
        assert!(matches!(used(&desk, &["--client-id", "a-1"]), Ok(Credentials::Client { .. })));
        let missing = used(&Desk::new(), &[]).unwrap_err();
        assert_eq!(missing.detail, "the client id is missing");
        assert!(missing.next.unwrap().starts_with("give --client-id, set PARTICLE_CLIENT_ID"));
    }

    #[test]
    fn a_missing_client_secret_is_asked_for_when_somebody_is_there() {
        let settings = Desk::new().resolve(&["--client-id", "a-1"]).unwrap();
        let prompt: Prompt = Box::new(|_| Ok("typed-secret".into()));
        let mut secrets = SecretReader::new(Box::new(io::empty()), Some(prompt));
        assert!(matches!(
            settings.need_credentials(&mut secrets),
            Ok(Credentials::Client { id, secret }) if id == "a-1" && secret.expose_secret() == "typed-secret"
        ));
        let said = settings.need_credentials(&mut Desk::new().secrets()).unwrap_err().next.unwrap();
        assert!(said.contains("--client-secret-file, set PARTICLE_CLIENT_SECRET"), "{said}");
    }

    #[test]
    fn what_a_command_needs_says_how_to_give_it() {
        let settings = Desk::new().resolve(&[]).unwrap();
        let missing = settings.need_product().unwrap_err();
        assert_eq!(missing.detail, "the product is missing");
        assert_eq!(
            missing.next.unwrap(),
            "give --product, set PARTICLE_PRODUCT, or put product into a profile of provision.toml"
        );
        assert!(settings.need_customer().unwrap_err().next.unwrap().contains("PROVISION_CUSTOMER"));
    }

    #[test]
    fn times_have_a_unit_or_are_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in ["", "0", "0m", "m", "-1", "1.5m", "2 m", "99999999999"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_flags_leave_the_commands_own_words_alone() {
        /// Own words
        #[derive(clap::Parser)]
        struct Own {
            #[command(flatten)]
            _settings: SettingsArgs,
            #[command(flatten)]
            _usb: UsbDirArgs,
            /// An own flag
            #[arg(long)]
            _own: bool,
        }
        let help = <Own as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(help.starts_with("Own words\n"), "{help}");
        let at = |text| help.find(text).unwrap_or_else(|| panic!("no {text} in {help}"));
        assert!(at("--own") < at(HEADING) && at(HEADING) < at("--product"), "{help}");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_stands_in_for_usb_by_flag_or_environment() {
        let id = "3b0021001747353236343033";
        let hub = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", hub.path().join(id)).unwrap();
        let desk = Desk::new().set("PROVISION_USB_DIR", hub.path().to_str().unwrap());
        let boards = UsbDirArgs::default().lister(&desk.env()).boards().unwrap();
        assert_eq!(boards[0].device_id.as_ref().unwrap().as_str(), id);
        let empty = UsbDirArgs { usb_dir: Some(desk.home.path().into()) };
        assert!(empty.lister(&desk.env()).boards().unwrap().is_empty());
    }
}
