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
use crate::model::{Failure, FailureCode, clean, guard};

const DEFAULT_PROFILE: &str = "default";

/// The keys of a profile.
const KEYS: [&str; 10] = [
    "access_token",
    "access_token_file",
    "api_url",
    "client_id",
    "client_secret",
    "client_secret_file",
    "customer",
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
    profiles: BTreeMap<String, BTreeMap<&'static str, String>>,
}

/// One of its profiles.
pub struct Profile {
    /// The file.
    pub file: PathBuf,
    /// The profile's name.
    pub name: String,
    /// What it sets, by key.
    pub values: BTreeMap<&'static str, String>,
}

impl Config {
    /// None where there is no file and there need not be one.
    pub fn read(file: PathBuf, must_exist: bool) -> Result<Option<Self>, Failure> {
        let unreadable = |e| wrong(format!("cannot read the config file {}", shown(&file))).because(e);
        let mut open = match fs::File::open(&file) {
            Ok(open) => open,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(None),
            Err(e) => return Err(unreadable(e)),
        };
        let exposure = exposure(&open.metadata().map_err(unreadable)?);
        let mut text = String::new();
        open.read_to_string(&mut text).map_err(unreadable)?;
        let profiles = profiles_of(&text).map_err(|why| wrong(format!("{}: {why}", shown(&file))))?;
        let secrets = profiles.iter().flat_map(|(name, values)| {
            SECRET_KEYS.into_iter().filter(|key| values.contains_key(key)).map(move |key| (name, key))
        });
        for (name, key) in secrets {
            if exposure != Exposure::Private {
                let (name, file, remedy) = (clean(name), shown(&file), exposure.remedy());
                return Err(wrong(format!("{key} of profile {name} in {file} {remedy}")));
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
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                Err(wrong(format!("{} has no profile {name}; it has: {known}", shown(&self.file))))
            }
        }
    }
}

/// The profiles, every one checked. What is wrong is said without the values, some of which are
/// secrets; so toml's own messages, which show the line, are not passed on.
fn profiles_of(text: &str) -> Result<BTreeMap<String, BTreeMap<&'static str, String>>, String> {
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

fn values_of(table: Table) -> Result<BTreeMap<&'static str, String>, String> {
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

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

fn wrong(detail: String) -> Failure {
    Failure::new(FailureCode::Configuration, detail)
}
