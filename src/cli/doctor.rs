//! `provision doctor`: what is wrong with a board, why, and what to do next.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    environment::{Directories, Environment},
    explain,
    root::print,
    run::{ToldFailure, show_warnings},
    secrets::SecretReader,
    settings::{SettingsArgs, parse_duration},
    sign_in::{self, As},
    signals::Signals,
    wire::{WireArgs, part_from},
};
use crate::{
    cloud::Cloud,
    device::SetupDevice,
    link::{
        discovery::{Lister, UsbTarget},
        host::{Host, Process},
    },
    model::{Failure, FailureCode, clean, redact},
    report,
    workflow::{
        diagnosis::{Facts, Finding, Wanted, Weight, Wire, diagnose, verdict},
        examine::{Board, Means, examine},
    },
};

/// Find out what is wrong with a board, why, and what to do next
///
/// Looks at the board and at the cloud's record of it side by side, and changes neither; whatever cannot be
/// looked at leaves the rest. With no board named, the only one attached is looked at; with --device-id
/// alone, no port is opened. The exit code is that of the most likely cause; 0 if all is well; 2 if no fault
/// was found but something could not be looked at, because a setting is missing.
///
/// The console is asked with bytes that answer no prompt. One thing cannot be avoided: where somebody has
/// typed a line to its full length and not ended it, any byte ends it; then it is said.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// How long the cloud may take for each answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, hide_short_help = true)]
    timeout: Duration,
}

/// All that it needs, checked.
pub struct Ready {
    wanted: Wanted,
    asked: Asked,
    lister: Arc<dyn Lister>,
    cloud: Result<Cloud, Failure>,
    has_user_token: bool,
    within: Duration,
    commands: Commands,
}

enum Asked {
    Usb(UsbTarget, Box<dyn SetupDevice>),
    SoftAp(Box<dyn SetupDevice>),
    Nobody,
}

impl Ready {
    /// Reads the settings; may ask for a secret.
    pub fn new(args: &Args) -> Result<Self, Failure> {
        let env = Environment::of_process();
        let mut secrets = SecretReader::of_process();
        let settings = args.settings.resolve(&env, &mut secrets)?;
        let wanted = Wanted {
            device_id: args.wire.device_id.clone(),
            product: settings.product.as_ref().map(|setting| setting.value.clone()),
            customer: settings.customer.as_ref().map(|setting| setting.value.clone()),
        };
        let profile = settings.usb.as_ref().map_or(&UsbTarget::Auto, |setting| &setting.value);
        let device = args.wire.device(Some(profile), &env, None)?;
        let (asked, board) = match (args.wire.softap(), args.wire.usb(), &wanted.device_id) {
            (Some(target), ..) => (Asked::SoftAp(device), format!("--softap {target}")),
            (None, None, Some(id)) => (Asked::Nobody, format!("--usb {id}")),
            (None, usb, _) => {
                let target = usb.unwrap_or(profile).clone();
                let board = format!("--usb {}", shell_words::quote(&target.to_string()));
                (Asked::Usb(target, device), board)
            }
        };
        // What is missing for the cloud leaves the board to be looked at.
        let cloud = sign_in::cloud(As::Product, &settings, &mut secrets, Directories::of(&env));
        show_warnings(&mut secrets);
        Ok(Self {
            commands: Commands { board },
            wanted,
            asked,
            lister: Arc::from(args.wire.lister(&env)),
            cloud,
            has_user_token: settings.access_token.is_some(),
            within: args.timeout,
        })
    }

    /// Looks, and says what is wrong. Has been shown, whatever the result.
    pub async fn run(mut self, as_json: bool, signals: &Signals) -> Result<(), ToldFailure> {
        let board = match &mut self.asked {
            Asked::Usb(target, device) => Board::Usb { target: target.clone(), device: &mut **device },
            Asked::SoftAp(device) => Board::SoftAp(&mut **device),
            Asked::Nobody => Board::NotAsked,
        };
        let means = Means {
            board,
            lister: self.lister,
            host: Host::default(),
            cloud: self.cloud.as_ref().map_err(|failure| Failure {
                next: failure.next.clone(),
                ..Failure::new(failure.code, failure.to_string())
            }),
            has_user_token: self.has_user_token,
            cloud_within: self.within,
        };
        let facts = tokio::select! {
            facts = examine(self.wanted, means) => Some(facts),
            () = signals.first() => None,
        };
        let Some(facts) = facts else {
            if let Asked::Usb(_, device) | Asked::SoftAp(device) = &mut self.asked {
                part_from(&mut **device).await;
            }
            return Err(Failure::new(FailureCode::Interrupted, "interrupted").into());
        };
        let findings = diagnose(&facts);
        let verdict = verdict(&findings);
        let said: Vec<_> = findings.iter().map(|finding| self.commands.say(finding, &facts)).collect();
        print(&if as_json { document(&facts, &said, verdict) } else { page(&facts, &said) })?;
        match verdict {
            Some(code) => Err(ToldFailure { code, untold: None }),
            None => Ok(()),
        }
    }
}

/// A finding in words.
struct Said {
    code: &'static str,
    weight: Weight,
    /// What is so, and why that matters, in a sentence without its full stop.
    what: String,
    /// A command, or what to do with one's hands.
    next: String,
}

/// The commands that are advised, with what is known filled in.
struct Commands {
    /// The flag that names the board.
    board: String,
}

impl Commands {
    fn product(facts: &Facts) -> String {
        facts.wanted.product.as_ref().map(|product| format!(" --product {product}")).unwrap_or_default()
    }

    fn device(facts: &Facts) -> String {
        facts.device_id().map_or("DEVICE_ID".into(), ToString::to_string)
    }

    fn customer(facts: &Facts) -> String {
        let customer = facts.customer().map(|customer| customer.to_string());
        shell_words::quote(customer.as_deref().unwrap_or("CUSTOMER")).into_owned()
    }

    fn run(&self, facts: &Facts) -> String {
        let customer = Self::customer(facts);
        format!("`provision {}{} --customer {customer}`", self.board, Self::product(facts))
    }

    fn release(facts: &Facts) -> String {
        format!("`provision release {}{}`", Self::device(facts), Self::product(facts))
    }

    fn say(&self, finding: &Finding, facts: &Facts) -> Said {
        let (what, next) = self.words(finding, facts);
        Said { code: finding.code(), weight: finding.weight(), what, next }
    }

    /// What is so, and what to do next.
    fn words(&self, finding: &Finding, facts: &Facts) -> (String, String) {
        use Finding as F;
        let product = facts.wanted.product.as_ref().map_or("the product".into(), |p| format!("product {p}"));
        let (device, run, release) = (Self::device(facts), self.run(facts), Self::release(facts));
        match finding {
            F::OwnedByOther { owner } => (
                format!(
                    "the cloud's record shows {owner} as its owner, not {}",
                    facts.customer().map_or_else(String::new, |customer| clean(customer.as_str()))
                ),
                format!(
                    "if {owner} shall lose it: `provision transfer {device} --to {}{}`",
                    Self::customer(facts),
                    Self::product(facts)
                ),
            ),
            F::InOtherProduct { product: other } => (
                format!("it is in product {other}, not in {product}"),
                format!(
                    "with a client of product {other}: `provision release {device} --product {other}`; then {run}"
                ),
            ),
            F::OwnedOutside => (
                format!(
                    "it is not in {product}, but its own claimed bit is set: likely somebody outside the product owns it, whose devices this client may not see (a board that was released keeps the bit, too)"
                ),
                format!(
                    "its owner releases it, signed in as the owner: `provision release {device} --owner developer`; if it has no owner any more: {run}, which the cloud refuses otherwise"
                ),
            ),
            F::InOwnAccount => (
                format!("it is in the developer's own account, and not in {product}"),
                format!("with the developer's token: `provision release {device} --owner developer`; then {run}"),
            ),
            F::Denied => (
                format!("{product} has denied it, so no customer can own it"),
                format!("take it out: {release}; then {run}"),
            ),
            F::Quarantined => (
                format!("it says that it is of {product}, was never imported, and waits in quarantine"),
                format!("approve it: `provision devices import {device}{}`", Self::product(facts)),
            ),
            F::WrongPlatform { board, product: wanted } => (
                format!("{product} is for the {wanted}, and this board is a {board}: it cannot be a member"),
                format!("name a product for the {board}: `provision products list` shows them"),
            ),
            F::SignInRefused(error)
            | F::SignInHeldBack(error)
            | F::ClientNotOfProduct(error)
            | F::CloudUnreachable(error)
            | F::LimitsHit(error)
            | F::CloudTrouble(error) => {
                let failure = Failure::from(error.clone());
                (failure.to_string(), explain::hint(&failure))
            }
            F::CertificateRefused(error) => (
                format!("{error} (this computer's clock says {})", facts.now.strftime("%Y-%m-%d %H:%M UTC")),
                "set the clock if it is wrong; behind a proxy that opens TLS, give its root certificate with --ca-file"
                    .into(),
            ),
            F::BoardInDfu { platform } => (
                format!("a {platform} is attached in DFU mode (its status LED blinks yellow), where it has no port"),
                "press RESET".into(),
            ),
            F::NoBoard { said } => (said.clone(), hint(FailureCode::NoDevice)),
            F::SeveralBoards { said } => (said.clone(), hint(FailureCode::SeveralDevices)),
            F::PortUnusable { said } => (said.clone(), "`provision list` shows the boards' ports".into()),
            F::PortForbidden { port, permissions, rule_installed } => {
                let port = clean(&port.to_string_lossy());
                let rule = if *rule_installed { "although a udev rule opens such ports" } else { "and no udev rule opens it" };
                let next = match permissions.useful_group() {
                    _ if !rule_installed => "`sudo provision udev install`, then plug the board in again".into(),
                    Some(group) => format!(
                        "`sudo usermod --append --groups {group} $USER`, then log in again; or plug the board in again, if it was there before the rule"
                    ),
                    None => "plug the board in again, so that the rule is applied; `sudo udevadm control --reload` before".into(),
                };
                (format!("{port} is there, but not for this user ({permissions}), {rule}"), next)
            }
            F::PortBusy { port, holders } => {
                let port = clean(&port.to_string_lossy());
                let names: Vec<_> = holders.iter().map(named).collect();
                let next = match holders.first() {
                    None => format!("`sudo fuser -v {port}` tells which; close it"),
                    Some(holder) if holder.name == "ModemManager" => {
                        "`sudo provision udev install`, then plug the board in again".into()
                    }
                    Some(_) => "close it, then look again".into(),
                };
                let who = if names.is_empty() { "another program, which this user may not see".into() } else { names.join(", ") };
                (format!("{port} is in use by {who}"), next)
            }
            F::WrongBoard { said } => (said.clone(), hint(FailureCode::WrongDevice)),
            F::LeftInDialogue { said } => (
                said.clone(),
                format!("`provision identify {}` leads it out and saves nothing; or press RESET", self.board),
            ),
            F::NotListening { wire: Wire::SoftAp, .. } => (
                "no Photon answers there: this computer is not on its network, or the board is not in listening mode".into(),
                "hold SETUP for 3 seconds until the status LED blinks dark blue, join its network (Photon-XXXX), and look again"
                    .into(),
            ),
            F::NotListening { can_be_woken: true, .. } => (
                "it is not in listening mode, which no board at work is, so it could not be asked".into(),
                format!("nothing: {run} brings it there by itself; or hold SETUP for 3 seconds, and look again"),
            ),
            F::NotListening { .. } => (
                "it does not answer in listening mode".into(),
                "hold SETUP for 3 seconds until the status LED blinks dark blue, and look again".into(),
            ),
            F::NoAnswer { said } => (said.clone(), hint(FailureCode::NoAnswer)),
            F::FirmwareTooOld { said } => (
                said.clone(),
                format!(
                    "claim it over its own network: `provision --softap --device-id {device}{} --customer {}`; or update its Device OS",
                    Self::product(facts),
                    Self::customer(facts)
                ),
            ),
            F::NotInProduct => (
                format!("{product} does not have it, or does not show it to this client"),
                format!("{run} imports it and claims it to its customer"),
            ),
            F::NotInAccount => (
                "it is not in the developer's account".into(),
                format!("`provision {} --owner developer`; for a customer's board, name the --product", self.board),
            ),
            F::CodeNotShown => (
                "it is online and has no owner yet; a board shows its claim code some seconds after it has come online".into(),
                format!(
                    "look again in a minute: `provision doctor --device-id {device}{}{}`",
                    Self::product(facts),
                    facts.customer().map(|_| format!(" --customer {}", Self::customer(facts))).unwrap_or_default()
                ),
            ),
            F::NeverHeard => (
                "the cloud has never heard from it: it has not joined Wi-Fi, or not with what it was given".into(),
                "look at the status LED. Blinking dark blue: it listens, and knows no Wi-Fi or cannot join (`provision wifi` gives it one). Blinking green: it cannot join (password, 5 GHz, hidden network). Breathing cyan: online; look again"
                    .into(),
            ),
            F::NotClaimed { last_heard } => {
                let heard = last_heard.as_ref().map_or("never heard from".into(), |at| format!("last heard from {at}"));
                (format!("it is in {product} and has no owner ({heard})"), format!("{run} claims it to its customer"))
            }
            F::ModemManagerUnruled { process } => (
                format!("{} runs, and no udev rule keeps it from typing into the boards' consoles", named(process)),
                "`sudo provision udev install`, then plug the board in again".into(),
            ),
            F::NearLockOut(refused) => (
                format!(
                    "{} sign-ins in a row were refused to this computer; at {} this program stops sending the same credentials, and at {} the cloud locks the whole site's address out for 30 minutes",
                    refused.in_a_row, refused.stops_at, refused.locked_out_at
                ),
                "make sure of PARTICLE_CLIENT_ID and PARTICLE_CLIENT_SECRET before the next try; one that is accepted wipes the count"
                    .into(),
            ),
            F::ClaimedBitWithoutOwner => (
                "its own claimed bit is set, and the cloud knows no owner; that is harmless: the bit stays from an earlier owner, and only the record counts".into(),
                "nothing".into(),
            ),
            F::StillListening => (
                "it is in listening mode, where it stays offline: that mode has no end of its own".into(),
                "press RESET to let it out".into(),
            ),
            F::Offline { last_heard } => (
                format!("it is not online now; the cloud last heard from it {last_heard}"),
                "look at its power and its Wi-Fi, if it should be online".into(),
            ),
            F::NoCredentials { said, next } => (
                format!("the cloud was not asked: {said}"),
                format!("{}, and look again", next.as_deref().unwrap_or("set that")),
            ),
            F::NoProduct => (
                "no product was named, so whether it is in the right one was not looked at".into(),
                "`provision doctor --product PRODUCT`".into(),
            ),
            F::NoDeviceId => (
                "neither the board nor anybody told which device it is, so the cloud was not asked about it".into(),
                "`provision doctor --device-id ID`; `provision list` shows those of attached boards"
                    .into(),
            ),
            F::AllWell { owner: Some(owner), as_wanted: true } => {
                (format!("it is in {product} and already {owner}'s"), "nothing to do".into())
            }
            F::AllWell { owner: Some(owner), as_wanted: false } => (
                format!("it is in {product} and owned by {owner}; no customer was named to compare that with"),
                "nothing to do, if that is right".into(),
            ),
            F::AllWell { owner: None, .. } => ("it is in the developer's own account".into(), "nothing to do".into()),
        }
    }
}

fn named(process: &Process) -> String {
    format!("{} (process {})", process.name, process.pid)
}

fn hint(code: FailureCode) -> String {
    explain::hint(&Failure::new(code, ""))
}

/// What both sides say, a line a fact; what neither tells is left out.
fn sides(facts: &Facts) -> Vec<[String; 3]> {
    let (identity, record) = (facts.identity(), facts.record());
    let product = facts.wanted.product.as_ref();
    let not_there = match (&facts.cloud.record, &facts.cloud.own_record, product) {
        (Some(Ok(None)), _, Some(product)) => format!("not in product {product}"),
        (None, Some(Ok(None)), None) => "not in the account".into(),
        _ => "not known".into(),
    };
    let claimed = identity.and_then(|identity| identity.claimed);
    let state = record.map(|record| {
        let online = match record.online {
            Some(true) => "online",
            Some(false) => "offline",
            None => "not known",
        };
        let marks = [(record.quarantined, ", in quarantine"), (record.denied, ", denied")];
        marks.iter().filter(|(is_so, _)| *is_so).fold(online.to_owned(), |text, (_, mark)| text + mark)
    });
    let text = |text: Option<String>| text.unwrap_or_default();
    let rows = [
        ["port".into(), text(facts.found().map(|found| clean(&found.port.to_string_lossy()))), String::new()],
        [
            "device id".into(),
            text(
                facts
                    .identity()
                    .map(|i| &i.id)
                    .or(facts.found().and_then(|f| f.device_id.as_ref()))
                    .map(ToString::to_string),
            ),
            record.map_or(not_there, |record| record.id.to_string()),
        ],
        [
            "kind".into(),
            text(facts.platform().map(|platform| platform.to_string())),
            text(record.and_then(|record| record.platform).map(|platform| platform.to_string())),
        ],
        [
            "firmware".into(),
            text(identity.and_then(|identity| identity.firmware.as_ref()).map(ToString::to_string)),
            String::new(),
        ],
        [
            "product".into(),
            String::new(),
            text(record.and_then(|record| record.product_id).map(|id| match facts.product() {
                Some(product) if product.id == id && !product.name.is_empty() => {
                    format!("{id}, {}", clean(&product.name))
                }
                _ => id.to_string(),
            })),
        ],
        [
            "owner".into(),
            text(claimed.map(|claimed| if claimed { "claimed" } else { "not claimed" }.into())),
            text(record.map(|record| record.owner.as_deref().map_or("nobody".into(), clean))),
        ],
        ["state".into(), device_state(facts).into(), text(state)],
        [
            "last heard".into(),
            String::new(),
            text(record.map(|record| record.last_heard.as_deref().map_or("never".into(), clean))),
        ],
    ];
    rows.into_iter().filter(|[_, device, cloud]| !device.is_empty() || !cloud.is_empty()).collect()
}

fn device_state(facts: &Facts) -> &'static str {
    match &facts.device.answer {
        _ if facts.device.wire.is_none() => "not asked",
        None => "",
        Some(Ok(_)) => "listening",
        Some(Err(failure)) => match failure.code {
            FailureCode::NotListening => "not listening",
            FailureCode::InDialogue => "left in a dialogue",
            FailureCode::PortBusy => "port in use",
            FailureCode::WrongDevice => "another board",
            _ => "no answer",
        },
    }
}

/// For people: the two sides, then the findings.
fn page(facts: &Facts, findings: &[Said]) -> String {
    let mut rows = vec![["".into(), "DEVICE SAYS".into(), "CLOUD SAYS".into()]];
    rows.extend(sides(facts));
    let width = |column: usize| {
        rows.iter().map(|row: &[String; 3]| console::measure_text_width(&row[column])).max().unwrap_or(0)
    };
    let [first, second] = [0, 1].map(width);
    let mut text = String::new();
    for [name, device, cloud] in &rows {
        let gap = " ".repeat(second - console::measure_text_width(device));
        let _ = writeln!(text, "{}", format!("{name:first$}  {device}{gap}  {cloud}").trim_end());
    }
    for Said { code, weight, what, next } in findings {
        let head = match weight {
            Weight::Well => format!("{code}: {what}"),
            weight => format!("{code} ({}): {what}", weight.as_str()),
        };
        let _ = write!(
            text,
            "\n{}\n{}\n",
            report::for_stdout(&head, 2),
            report::for_stdout(&format!("  next: {next}"), 8)
        );
    }
    redact(text.trim_end()).into_owned()
}

/// For programs: one document.
fn document(facts: &Facts, findings: &[Said], verdict: Option<FailureCode>) -> String {
    let identity = facts.identity();
    let findings: Vec<_> = findings
        .iter()
        .map(|Said { code, weight, what, next }| {
            let mut fields = json!({"code": code, "weight": weight.as_str(), "what": what, "next": next});
            if let Weight::Fault(failure) = weight {
                fields["failure"] = json!(failure);
                fields["exit_code"] = super::exit::code(*failure).into();
            }
            fields
        })
        .collect();
    let document = json!({
        "schema": 1,
        "at": facts.now.to_string(),
        "ok": verdict.is_none(),
        "exit_code": verdict.map_or(super::exit::OK, super::exit::code),
        "wanted": told(json!({
            "device_id": facts.wanted.device_id,
            "product": facts.wanted.product,
            "customer": facts.customer(),
        })),
        "device": told(json!({
            "wire": facts.device.wire.map(|wire| match wire { Wire::Usb => "usb", Wire::SoftAp => "softap" }),
            "state": Some(device_state(facts)).filter(|state| !state.is_empty()),
            "port": facts.found().map(|found| found.port.to_string_lossy()),
            "device_id": identity.map(|i| &i.id).or(facts.found().and_then(|found| found.device_id.as_ref())),
            "platform": facts.platform().map(|platform| platform.to_string()),
            "firmware": identity.and_then(|identity| identity.firmware.as_ref()),
            "claimed": identity.and_then(|identity| identity.claimed),
            "mac": identity.and_then(|identity| identity.mac.as_ref()),
            "serial_number": identity.and_then(|identity| identity.serial_number.as_ref()),
        })),
        "cloud": told(json!({
            "asked": facts.cloud.no_credentials.is_none(),
            "product": facts.product().map(|product| told(json!({
                "id": product.id,
                "slug": clean(&product.slug),
                "name": clean(&product.name),
                "platform": product.platform.map(|platform| platform.to_string()),
            }))),
            "device": facts.record().map(|record| told(json!({
                "device_id": record.id,
                "name": record.name.as_deref().map(clean),
                "owner": record.owner.as_deref().map(clean),
                "product_id": record.product_id,
                "platform": record.platform.map(|platform| platform.to_string()),
                "online": record.online,
                "last_heard": record.last_heard.as_deref().map(clean),
                "quarantined": record.quarantined,
                "denied": record.denied,
            }))),
            "refused_sign_ins": facts.cloud.refused,
        })),
        "computer": told(json!({
            "modem_manager": facts.host.modem_manager,
            "udev": facts.device.wire.filter(|wire| *wire == Wire::Usb).map(|_| facts.host.rules),
            "holders": Some(&facts.device.holders).filter(|holders| !holders.is_empty()),
        })),
        "findings": findings,
    });
    redact(&document.to_string()).into_owned()
}

/// Leaves out what is not known.
fn told(fields: Value) -> Value {
    match fields {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cloud::{DeviceRecord, RefusedSignIns},
        link::{
            discovery::{FindError, Permissions},
            host::Rules,
        },
        model::{CustomerTemplate, Platform},
        workflow::diagnosis::tests::{error, fresh, record, shown},
    };

    fn commands() -> Commands {
        Commands { board: "--usb auto".into() }
    }

    fn screen() -> Process {
        Process { pid: 812, name: "screen".into() }
    }

    /// One of each, in the order of their declaration.
    fn every() -> Vec<Finding> {
        use FailureCode as C;
        use Finding as F;
        let permissions = |mode| Permissions { owner: "root".into(), group: "dialout".into(), mode };
        let forbidden = |mode, rule_installed| F::PortForbidden {
            port: "/dev/ttyACM0".into(),
            permissions: permissions(mode),
            rule_installed,
        };
        let busy = |holders| F::PortBusy { port: "/dev/ttyACM0".into(), holders };
        let said = || "so it was seen".to_owned();
        let modem_manager = || Process { pid: 6, name: "ModemManager".into() };
        let heard = || "2026-11-24T18:00:00Z".to_owned();
        vec![
            F::OwnedByOther { owner: "bob@x.example".into() },
            F::InOtherProduct { product: 7 },
            F::OwnedOutside,
            F::InOwnAccount,
            F::Denied,
            F::Quarantined,
            F::WrongPlatform { board: Platform::Photon, product: Platform::P1 },
            F::SignInRefused(error(C::SignInRefused, "invalid_client")),
            F::SignInHeldBack(error(C::SignInHeldBack, "not sent: 5 sign-ins in a row were refused")),
            F::ClientNotOfProduct(error(C::ProductNotVisible, "Forbidden")),
            F::CertificateRefused(error(C::CloudUnreachable, "invalid peer certificate: Expired")),
            F::CloudUnreachable(error(C::CloudUnreachable, "no connection")),
            F::LimitsHit(error(C::LimitsHit, "slow down")),
            F::CloudTrouble(error(C::CloudGarbled, "not JSON, but an HTML page")),
            F::BoardInDfu { platform: Platform::Photon },
            F::NoBoard { said: "no Photon or P1 is attached over USB".into() },
            F::SeveralBoards { said: "2 boards are attached and none of them was named".into() },
            F::PortUnusable { said: "/dev/null is not a serial port".into() },
            forbidden(0o660, false),
            forbidden(0o660, true),
            forbidden(0o600, true),
            busy(vec![screen()]),
            busy(vec![modem_manager()]),
            busy(vec![]),
            F::WrongBoard { said: said() },
            F::LeftInDialogue { said: "the console of /dev/ttyACM0 was left inside a dialogue".into() },
            F::NotListening { wire: Wire::Usb, can_be_woken: false },
            F::NotListening { wire: Wire::Usb, can_be_woken: true },
            F::NotListening { wire: Wire::SoftAp, can_be_woken: false },
            F::NoAnswer { said: said() },
            F::FirmwareTooOld { said: "the board runs Device OS 0.5.3".into() },
            F::NotInProduct,
            F::NotInAccount,
            F::CodeNotShown,
            F::NeverHeard,
            F::NotClaimed { last_heard: None },
            F::NotClaimed { last_heard: Some(heard()) },
            F::ModemManagerUnruled { process: modem_manager() },
            F::NearLockOut(RefusedSignIns { in_a_row: 4, stops_at: 5, locked_out_at: 10 }),
            F::ClaimedBitWithoutOwner,
            F::StillListening,
            F::Offline { last_heard: heard() },
            F::NoCredentials {
                said: "the client id is missing".into(),
                next: Some("give --client-id".into()),
            },
            F::NoProduct,
            F::NoDeviceId,
            F::AllWell { owner: Some("ann@x.example".into()), as_wanted: true },
            F::AllWell { owner: Some("ann@x.example".into()), as_wanted: false },
            F::AllWell { owner: None, as_wanted: true },
        ]
    }

    #[test]
    fn every_finding_in_words() {
        let facts = fresh();
        let mut text = String::new();
        for finding in every() {
            let Said { code, weight, what, next } = commands().say(&finding, &facts);
            let exit = match weight {
                Weight::Fault(failure) => format!(", exit code {}", crate::cli::exit::code(failure)),
                _ => String::new(),
            };
            let _ = writeln!(text, "{code} ({}{exit})\n  {what}\n  next: {next}\n", weight.as_str());
        }
        insta::assert_snapshot!(text);
    }

    /// A board that nearly everything is wrong with.
    fn wrecked() -> Facts {
        let owner = Some("bob\u{1b}[2J@x.example".to_owned());
        let mut facts = shown(DeviceRecord { owner, quarantined: true, ..record() });
        facts.wanted.customer = CustomerTemplate::parse("Ann's lamp").ok();
        facts.device.answer = Some(Err(Failure::new(FailureCode::PortBusy, "")));
        facts.device.holders = vec![screen()];
        facts.host.modem_manager = Some(Process { pid: 6, name: "ModemManager".into() });
        facts.host.rules = Rules::default();
        facts.cloud.refused = Some(RefusedSignIns { in_a_row: 4, stops_at: 5, locked_out_at: 10 });
        facts
    }

    fn said(facts: &Facts) -> Vec<Said> {
        diagnose(facts).iter().map(|finding| commands().say(finding, facts)).collect()
    }

    #[test]
    fn the_whole_report_for_people() {
        let facts = wrecked();
        insta::assert_snapshot!(page(&facts, &said(&facts)));
    }

    #[test]
    fn the_whole_report_for_programs() {
        let facts = wrecked();
        let verdict = verdict(&diagnose(&facts));
        let document: Value = serde_json::from_str(&document(&facts, &said(&facts), verdict)).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }

    #[test]
    fn what_was_not_looked_at_is_said_to_be_so() {
        let mut facts = fresh();
        facts.device.found = Some(Err(FindError::NothingAttached));
        facts.device.answer = None;
        facts.cloud.record = None;
        assert_eq!(sides(&facts), [["device id".to_owned(), String::new(), "not known".to_owned()]]);
        facts.device.wire = None;
        assert_eq!(sides(&facts)[1][1], "not asked");
    }
}
