//! `provision config init` and `config show`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use futures_util::stream;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::task::spawn_blocking;
use toml::Value;

use super::{
    ask::ask,
    confirm::ConfirmArgs,
    environment::{Directories, Environment},
    listing::{Column, ListArgs, Listing, show_result, somebody_is_there},
    profiles::{self, ANOTHER, DEFAULT_PROFILE, shown},
    root::{Output, interruptible, until_interrupted},
    run::{ToldFailure, show_warnings},
    secrets::{SecretReader, not_typed},
    settings::{Setting, SettingsArgs, plain_text},
};
use crate::{
    cloud::{ApiUrl, Listed},
    model::{CustomerTemplate, Failure, Invalid, ProductRef, clean},
};

/// The config file and its profiles
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    Init(InitArgs),
    /// Show what commands work with, and where each value comes from; secrets stay hidden
    Show(ListArgs),
}

/// Ask for what a profile holds, and write it
///
/// The profile is the one that --profile names, in the file that --config names. The file is yours alone (mode
/// 0600), and other profiles in it stay as they are.
#[derive(Debug, clap::Args)]
struct InitArgs {
    #[command(flatten)]
    confirm: ConfirmArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl Args {
    /// Whether it prints what CSV can hold.
    pub fn has_rows(&self) -> bool {
        matches!(self.command, ConfigCommand::Show(_))
    }
}

/// Does what the command says.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    match &args.command {
        ConfigCommand::Init(args) => init(args, output),
        ConfigCommand::Show(args) => show(args, output),
    }
}

fn init(args: &InitArgs, output: Output) -> Result<(), ToldFailure> {
    let env = Environment::of_process();
    args.settings.no_secrets.refuse()?;
    if !somebody_is_there() {
        let next = "write provision.toml by hand: the README's section on settings shows one";
        return Err(Failure::configuration("it asks on a terminal, and there is none", next).into());
    }
    let named = args.settings.profile.config.clone().or_else(|| env.path("PROVISION_CONFIG"));
    let path = named.or_else(|| Directories::of(&env).config_file);
    let path = path
        .ok_or_else(|| Failure::configuration("there is no home directory", "name a file with --config"))?;
    let name = match &args.settings.profile.profile {
        Some(name) => name.clone(),
        None => env.text("PROVISION_PROFILE")?.unwrap_or_else(|| DEFAULT_PROFILE.into()),
    };
    let text = match fs::read_to_string(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|e| profiles::unreadable(&path, e))?,
    };
    let before = profiles::parse(&path, &text)?;
    until_interrupted(async || {
        if before.contains_key(&name) {
            let what = format!("This writes profile {} in {} anew", clean(&name), shown(&path));
            args.confirm.confirm(&what).await?;
        }
        let api_url = args.settings.api_url.clone();
        let asked = spawn_blocking(move || questions(api_url.as_deref()));
        let profile = asked.await.map_err(|e| not_typed("profile").because(e))??;
        let rest = without_profile(&text, &name);
        let rest = rest.trim_end();
        let text = format!("{rest}{}{}", if rest.is_empty() { "" } else { "\n\n" }, table(&name, &profile));
        // The old one may have been written in a way that was not found.
        profiles::parse(&path, &text)
            .map_err(|wrong| Failure { detail: format!("as it would be, {}", wrong.detail), ..wrong })?;
        write(&path, &text).map_err(|e| {
            Failure::configuration(format!("cannot write {}", shown(&path)), ANOTHER).because(e)
        })?;
        let words = format!("wrote profile {} to {}", clean(&name), shown(&path));
        Ok(show_result(output, &words, &json!({"profile": name, "file": path}))?)
    })
}

/// A key, what it is for people, and the check of its value.
type Question = (&'static str, &'static str, fn(&str) -> Result<(), Invalid>);

/// Keys and values. An empty answer leaves a key out.
fn questions(api_url: Option<&str>) -> Result<Vec<(&'static str, SecretString)>, Failure> {
    let mut profile: Vec<(&'static str, SecretString)> = Vec::new();
    if let Some(api_url) = api_url {
        let url = ApiUrl::parse(api_url)
            .map_err(|e| Failure::configuration(format!("--api-url: {e}"), "mend --api-url"))?;
        profile.push(("api_url", url.to_string().into()));
    }
    let asked: [Question; 3] = [
        ("product", "product, by number or slug (empty for none)", |text| ProductRef::parse(text).map(drop)),
        ("customer", "customer, perhaps with {device_id} in it (empty for none)", |text| {
            CustomerTemplate::parse(text).map(drop)
        }),
        ("client_id", "id of the product's OAuth client (empty for none)", |text| plain_text(text).map(drop)),
    ];
    for (key, what, check) in asked {
        let answer = ask(what, "", |text| {
            if text.is_empty() { Ok(String::new()) } else { check(text).map(|()| text.to_owned()) }
        })?;
        if !answer.is_empty() {
            profile.push((key, answer.into()));
        }
    }
    if profile.iter().any(|(key, _)| *key == "client_id") {
        let mut secrets = SecretReader::of_process();
        profile.push(("client_secret", secrets.ask("client secret", "")?));
    }
    Ok(profile)
}

fn table(name: &str, profile: &[(&'static str, SecretString)]) -> String {
    // What JSON escapes, TOML escapes alike; neither holds control characters here.
    let quoted = |text: &str| json!(text).to_string();
    let mut text = format!("[profiles.{}]\n", quoted(name));
    for (key, value) in profile {
        text.push_str(&format!("{key} = {}\n", quoted(value.expose_secret())));
    }
    text
}

/// The file's text without the lines of this profile; comments and the other profiles stay.
fn without_profile(text: &str, name: &str) -> String {
    let is_its_head = |line: &str| {
        let head = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next());
        let parsed = head.and_then(|_| line.parse::<toml::Table>().ok());
        parsed.is_some_and(|table| {
            table
                .get("profiles")
                .and_then(Value::as_table)
                .is_some_and(|profiles| profiles.contains_key(name))
        })
    };
    let mut inside = false;
    let mut rest = String::new();
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            inside = is_its_head(line);
        }
        if !inside {
            rest.push_str(line);
        }
    }
    if !rest.is_empty() && !rest.ends_with('\n') {
        rest.push('\n');
    }
    rest
}

/// Whole or not at all, and readable by nobody else at any time.
fn write(path: &Path, text: &str) -> io::Result<()> {
    // Behind a link, the file that it leads to.
    let path: PathBuf = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

struct Row {
    setting: &'static str,
    value: String,
    source: String,
}

const COLUMNS: &[Column<Row>] = &[
    Column { name: "setting", usual: true, cell: |row| row.setting.into() },
    Column { name: "value", usual: true, cell: |row| row.value.clone() },
    Column { name: "from", usual: true, cell: |row| row.source.clone() },
];

fn show(args: &ListArgs, output: Output) -> Result<(), ToldFailure> {
    let env = Environment::of_process();
    let mut secrets = SecretReader::of_process();
    let settings = args.settings.resolve(&env, &mut secrets)?;
    show_warnings(&mut secrets);
    let rows = [
        row("api_url", Some(&settings.api_url), ToString::to_string),
        row("product", settings.product.as_ref(), ToString::to_string),
        row("customer", settings.customer.as_ref(), ToString::to_string),
        row("client_id", settings.client_id.as_ref(), ToString::to_string),
        row("client_secret", settings.client_secret.as_ref(), |_| HIDDEN.into()),
        row("access_token", settings.access_token.as_ref(), |_| HIDDEN.into()),
        row("ca_file", settings.roots.as_ref(), |_| "given".into()),
        row("usb", settings.usb.as_ref(), ToString::to_string),
        row("timeout", settings.timeout.as_ref(), |time| format!("{}s", time.as_secs())),
    ];
    let rows = rows.into_iter().flatten().map(|record| {
        let json =
            json!({"setting": record.setting, "value": record.value, "from": record.source}).to_string();
        Ok(Listed { record, json })
    });
    let listing = Listing::new(output, &args.listing, COLUMNS)?;
    interruptible(async |signals| listing.show(stream::iter(rows), signals.first()).await)
}

const HIDDEN: &str = "(hidden)";

fn row<T>(setting: &'static str, given: Option<&Setting<T>>, shown: impl Fn(&T) -> String) -> Option<Row> {
    let given = given?;
    Some(Row { setting, value: shown(&given.value), source: given.source.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_taken_out_with_its_lines_and_nothing_else_is() {
        let text = "# mine\n[profiles.a]\nproduct = 1\n\n[ profiles . \"b\" ] # lab\nproduct = 2\n# end of b\n[profiles.c]\n";
        assert_eq!(without_profile(text, "b"), "# mine\n[profiles.a]\nproduct = 1\n\n[profiles.c]\n");
        assert_eq!(without_profile(text, "d"), text);
        assert_eq!(without_profile("[profiles.a]", "a"), "");
    }

    #[test]
    fn every_value_comes_back_from_its_table() {
        let profile = [("client_id", "a\"b\\c".into()), ("client_secret", "x'y#z".into())];
        let text = table("my lab.1", &profile);
        let read = profiles::parse(Path::new(""), &text).unwrap();
        assert_eq!(read["my lab.1"]["client_id"], "a\"b\\c");
        assert_eq!(read["my lab.1"]["client_secret"], "x'y#z");
        assert_eq!(without_profile(&text, "my lab.1"), "");
    }
}
