//! The config file, `provision.toml`, with its named profiles.
//!
//! ```toml
//! # provision.toml
//! [profiles.default]
//! product = 1319
//! customer = "{device_id}@shadow.example"
//! client_id = "line-1-4242"
//! client_secret_file = "line-1.secret"   # relative to this file
//!
//! [profiles.lab]
//! api_url = "http://127.0.0.1:8080"
//! ```

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::secrets::{Exposure, exposure};
use crate::{
    model::{Failure, clean, guard},
    record::Location,
};

pub(super) const DEFAULT_PROFILE: &str = "default";
/// What to do about a config file that cannot be used at all.
pub(super) const ANOTHER: &str = "mend its rights, or name another file with --config (or PROVISION_CONFIG)";

/// The keys of a profile.
const KEYS: [&str; 14] = [
    "access_token",
    "access_token_file",
    "api_url",
    "bench",
    "ca_file",
    "client_id",
    "client_secret",
    "client_secret_file",
    "customer",
    "ledger",
    "operator",
    "product",
    "timeout",
    "usb",
];
const SECRET_KEYS: [&str; 2] = ["access_token", "client_secret"];
/// Keys that may be written as a number, too.
const NUMBER_KEYS: [&str; 2] = ["product", "timeout"];

/// The config file.
pub struct Config {
    file: PathBuf,
    profiles: Profiles,
}

/// Profiles by their names.
pub(super) type Profiles = BTreeMap<String, Values>;

/// What a profile sets, by key.
type Values = BTreeMap<&'static str, String>;

/// One of its profiles.
pub struct Profile {
    /// The file.
    pub file: PathBuf,
    /// The profile's name.
    pub name: String,
    /// What it sets, by key.
    pub values: Values,
}

impl Config {
    /// None where there is no file and there need not be one.
    pub fn read(file: PathBuf, must_exist: bool) -> Result<Option<Self>, Failure> {
        let unreadable = |e| unreadable(&file, e);
        let mut open = match fs::File::open(&file) {
            Ok(open) => open,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(None),
            Err(e) => return Err(unreadable(e)),
        };
        let exposure = exposure(&open.metadata().map_err(unreadable)?);
        let mut text = String::new();
        open.read_to_string(&mut text).map_err(unreadable)?;
        let profiles = parse(&file, &text)?;
        let secrets = profiles.iter().flat_map(|(name, values)| {
            let secret = |(key, value): &(&&'static str, &String)| {
                SECRET_KEYS.contains(key) || (**key == "ledger" && Location::holds_password(value))
            };
            values.iter().filter(secret).map(move |(key, _)| (name, key))
        });
        for (name, key) in secrets {
            if exposure != Exposure::Private {
                let (name, file) = (clean(name), shown(&file));
                let detail = format!("{key} of profile {name} in {file} {}", exposure.danger());
                return Err(Failure::configuration(detail, exposure.remedy(&file)));
            }
        }
        Ok(Some(Self { file, profiles }))
    }

    /// The profile of this name, which has to be there; with no name the default one, which need not.
    pub fn profile(mut self, named: Option<String>) -> Result<Option<Profile>, Failure> {
        let name = named.clone().unwrap_or_else(|| DEFAULT_PROFILE.into());
        match (self.profiles.remove(&name), named) {
            (Some(values), _) => Ok(Some(Profile { file: self.file, name, values })),
            (None, None) => Ok(None),
            (None, Some(name)) => {
                let known: Vec<_> = self.profiles.into_keys().collect();
                let next = match known.is_empty() {
                    true => format!("make it with `provision config init --profile {name}`"),
                    false => format!("--profile (or PROVISION_PROFILE) takes one of: {}", known.join(", ")),
                };
                Err(Failure::configuration(format!("{} has no profile {name}", shown(&self.file)), next))
            }
        }
    }
}

/// The file is there, and cannot be read.
pub(super) fn unreadable(file: &Path, error: io::Error) -> Failure {
    Failure::configuration(format!("cannot read the config file {}", shown(file)), ANOTHER).because(error)
}

/// The profiles of the file's text.
pub(super) fn parse(file: &Path, text: &str) -> Result<Profiles, Failure> {
    profiles_of(text)
        .map_err(|why| Failure::configuration(format!("{}: {why}", shown(file)), "mend it there"))
}

/// The profiles, every one checked. What is wrong is said without the values, some of which are
/// secrets; so toml's own messages, which show the line, are not passed on.
fn profiles_of(text: &str) -> Result<Profiles, String> {
    let table: Table = text.parse().map_err(|e: toml::de::Error| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("line {} is not valid TOML", before.matches('\n').count() + 1)
    })?;
    let mut profiles = BTreeMap::new();
    for (key, value) in table {
        let Value::Table(found) = value else {
            return Err(format!("{key} is outside of a profile: it goes below a line [profiles.NAME]"));
        };
        if key != "profiles" {
            return Err(format!("there is a table [{key}]; those known are [profiles.NAME]"));
        }
        for (name, values) in found {
            let Value::Table(values) = values else {
                return Err(format!("profiles.{name} is not a table: write [profiles.{name}]"));
            };
            let values = values_of(values).map_err(|why| format!("profile {name}: {why}"))?;
            profiles.insert(name, values);
        }
    }
    Ok(profiles)
}

fn values_of(table: Table) -> Result<Values, String> {
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            return Err(format!("unknown key {key}; those known are {}", KEYS.join(", ")));
        };
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) if NUMBER_KEYS.contains(&known) => number.to_string(),
            _ => return Err(format!("{known} has to be a text in quotes")),
        };
        if SECRET_KEYS.contains(&known) {
            guard(&text);
        }
        values.insert(known, text);
    }
    for [inline, file] in [["client_secret", "client_secret_file"], ["access_token", "access_token_file"]] {
        if values.contains_key(inline) && values.contains_key(file) {
            return Err(format!("{inline} and {file} exclude each other"));
        }
    }
    Ok(values)
}

pub(super) fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_hold_texts_and_where_it_is_natural_numbers() {
        let profiles =
            profiles_of("[profiles.default]\nproduct = 1319\ntimeout = \"2m\"\n[profiles.lab]\n").unwrap();
        assert_eq!(profiles["default"]["product"], "1319");
        assert_eq!(profiles["default"]["timeout"], "2m");
        assert!(profiles["lab"].is_empty());
        assert!(profiles_of("").unwrap().is_empty());
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_known() {
        for (text, why) in [
            ("product = 1", "product is outside of a profile: it goes below a line [profiles.NAME]"),
            ("[default]", "there is a table [default]; those known are [profiles.NAME]"),
            ("[profiles]\nlab = 1", "profiles.lab is not a table: write [profiles.lab]"),
            (
                "[profiles.lab]\nprodcut = 1",
                "profile lab: unknown key prodcut; those known are access_token, ",
            ),
            ("[profiles.lab]\ncustomer = 1", "profile lab: customer has to be a text in quotes"),
        ] {
            let said = profiles_of(text).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }

    #[test]
    fn a_secret_is_in_no_message_about_the_file_that_holds_it() {
        for text in [
            "[profiles.lab]\nclient_secret = xyzzy",
            "[profiles.lab]\nclient_secret = \"xyzzy",
            "[profiles.lab]\nclient_secret = 'xyzzy' xyzzy",
            "[profiles.lab]\nclient_secret = ['xyzzy']",
            "[profiles.lab]\nclient_secret = 'xyzzy'\nclient_secret = 'xyzzy'",
            "[profiles.lab]\nclient_secret = 'xyzzy'\nclient_secret_file = 'xyzzy'",
        ] {
            let said = profiles_of(text).unwrap_err();
            assert!(!said.contains("xyzzy"), "{said}");
        }
        assert_eq!(profiles_of("[profiles.lab]\n\nusb = auto").unwrap_err(), "line 3 is not valid TOML");
    }

    #[test]
    fn a_file_need_not_exist_unless_it_was_named() {
        let file = tempfile::tempdir().unwrap().path().join("provision.toml");
        assert!(Config::read(file.clone(), false).unwrap().is_none());
        let failure = Config::read(file, true).err().unwrap();
        assert!(failure.detail.starts_with("cannot read the config file "), "{failure}");
    }

    #[test]
    fn a_profile_that_was_named_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("provision.toml");
        fs::write(&file, "[profiles.lab]\n[profiles.line]\n").unwrap();
        let read = || Config::read(file.clone(), true).unwrap().unwrap();
        assert!(read().profile(None).unwrap().is_none());
        assert_eq!(read().profile(Some("lab".into())).unwrap().unwrap().name, "lab");
        let failure = read().profile(Some("bench".into())).err().unwrap();
        assert!(failure.detail.ends_with("has no profile bench"), "{failure}");
        assert!(failure.next.unwrap().ends_with("lab, line"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_a_secret_in_it_has_to_be_private() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("provision.toml");
        let read = |text, mode| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            Config::read(file.clone(), true)
        };
        let with_secret = "[profiles.lab]\nclient_secret = 'xyzzy'\n";
        assert!(read(with_secret, 0o600).is_ok());
        for mode in [0o644, 0o640, 0o602] {
            let failure = read(with_secret, mode).err().unwrap();
            assert!(failure.detail.starts_with("client_secret of profile lab in "), "{failure}");
            assert!(failure.next.unwrap().starts_with("chmod 600 /"));
        }
        assert!(read("[profiles.lab]\nclient_secret_file = 'secret'\n", 0o644).is_ok());
        let with_password = "[profiles.lab]\nledger = 'postgres://ann:xyzzy@db.example/ledger'\n";
        assert!(read(with_password, 0o644).is_err() && read(with_password, 0o600).is_ok());
        assert!(read("[profiles.lab]\nledger = 'postgres://ann@db.example/ledger'\n", 0o644).is_ok());
    }
}
