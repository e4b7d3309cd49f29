//! Flags go before the environment, and that before the profile; seen in a dry run, which changes nothing.

use std::process::Command;

use provision::sim::{
    cloud::{CloudInfo, SimCloud},
    photon::SimPhoton,
};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power, listening, signed_in},
};

/// A board, a cloud, and a home to call them from.
struct Bench {
    home: Home,
    photon: SimPhoton,
    cloud: SimCloud,
    info: CloudInfo,
    // Dropped last: it drives the others.
    _power: Power,
}

impl Bench {
    fn new() -> Self {
        let power = Power::on();
        let cloud = power.cloud();
        Self {
            home: Home::new(),
            photon: power.photon(listening()),
            info: cloud.info(),
            cloud,
            _power: power,
        }
    }

    /// A dry run of the board, with no settings.
    fn command(&self) -> Command {
        let mut command = self.home.command();
        command.args(["--dry-run", "--output", "json", "--usb"]).arg(self.photon.usb());
        command
    }

    /// A profile of the config file, with what it takes to sign in, and more.
    fn profile(&self, name: &str, more: &str) -> String {
        let CloudInfo { api_url, client_id, client_secret, .. } = &self.info;
        format!(
            "[profiles.{name}]\napi_url = \"{api_url}\"\nclient_id = \"{client_id}\"\nclient_secret = \
             \"{client_secret}\"\n{more}\n"
        )
    }
}

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_profile() {
    let bench = Bench::new();
    bench.home.config(&bench.profile("default", "product = 1319\ncustomer = \"profile@example.com\""));
    let customer = |command: &mut Command| Ended::of(command).with_code(0).result()["customer"].clone();
    assert_eq!(customer(&mut bench.command()), "profile@example.com");
    let variable = ("PROVISION_CUSTOMER", "variable@example.com");
    assert_eq!(customer(bench.command().env(variable.0, variable.1)), "variable@example.com");
    let flag = ["--customer", "flag@example.com"];
    assert_eq!(customer(bench.command().env(variable.0, variable.1).args(flag)), "flag@example.com");
    // An empty variable is none.
    assert_eq!(customer(bench.command().env(variable.0, "")), "profile@example.com");
}

#[test]
fn every_setting_can_come_from_the_environment_alone() {
    let bench = Bench::new();
    let mut command = bench.command();
    signed_in(&mut command, &bench.info);
    command.env("PARTICLE_PRODUCT", &bench.info.product_slug);
    command.env("PROVISION_CUSTOMER", "{device_id}@shadow.example");
    let result = Ended::of(&mut command).with_code(0).result();
    assert_eq!(result["ok"], true);
    assert_eq!(result["dry_run"], true);
    assert_eq!(result["device_id"], ID);
    assert_eq!(result["customer"], format!("{ID}@shadow.example"));
    assert_eq!(result["product"], bench.info.product_slug);
    let changed = |method: &str| method != "GET";
    let requests = bench.cloud.requests();
    let changes =
        requests.iter().filter(|request| changed(&request.method) && request.path != "/oauth/token");
    assert_eq!(changes.count(), 0, "{requests:?}");
    assert_eq!(bench.photon.effects(), []);
}

#[test]
fn a_profile_is_chosen_by_flag_or_variable_and_may_name_the_board() {
    let bench = Bench::new();
    let usb =
        format!("product = 1319\ncustomer = \"lab@example.com\"\nusb = \"{}\"", bench.photon.usb().display());
    let lab = bench.profile("lab", &usb);
    bench.home.config(&format!("[profiles.default]\nproduct = 1\n\n{lab}"));
    let dry_run = ["run", "--dry-run", "--output", "json"];
    let by_flag = bench.home.provision(&[&dry_run[..], &["--profile", "lab"]].concat());
    assert_eq!(by_flag.with_code(0).result()["customer"], "lab@example.com");
    let by_variable = Ended::of(bench.home.command().args(dry_run).env("PROVISION_PROFILE", "lab"));
    assert_eq!(by_variable.with_code(0).result()["customer"], "lab@example.com");
    // The file itself can be another one.
    let other = bench.home.write("other.toml", &lab.replace("lab@", "other@"));
    let by_path = Ended::of(
        bench.home.command().args(dry_run).args(["--profile", "lab"]).env("PROVISION_CONFIG", other),
    );
    assert_eq!(by_path.with_code(0).result()["customer"], "other@example.com");
}

#[test]
fn a_mistake_in_the_config_file_is_told_with_its_place_and_without_values() {
    let home = Home::new();
    for (text, said) in [
        ("[profiles.default]\ncolour = \"xyzzy\"", "profile default: unknown key colour"),
        ("product = \"xyzzy\"", "product is outside of a profile"),
        ("[profiles.default]\nproduct = \"xyzzy", "line 2 is not valid TOML"),
        ("[profiles.default]\ncustomer = 7", "customer has to be a text in quotes"),
    ] {
        home.config(text);
        let ended = home.provision(&["--usb", "auto"]).with_code(2).saying(said).saying("provision.toml");
        assert!(!ended.stderr.contains("xyzzy"), "{ended:?}");
    }
    home.config("[profiles.lab]\nproduct = 1");
    home.provision(&["--usb", "auto", "--profile", "attic"])
        .with_code(2)
        .saying("has no profile attic\n  next: --profile (or PROVISION_PROFILE) takes one of: lab");
    home.provision(&["--usb", "auto", "--config", "gone.toml"]).with_code(2).saying("gone.toml");
}

#[test]
fn what_is_missing_is_told_with_every_way_to_give_it() {
    let home = Home::new();
    let run = ["--usb", "auto"];
    home.provision(&run)
        .with_code(2)
        .saying("the product is missing\n  next: give --product, set PARTICLE_PRODUCT");
    let product = [&run[..], &["--product", "1319"]].concat();
    home.provision(&product).with_code(2).saying("give --customer, set PROVISION_CUSTOMER");
    let customer = [&product[..], &["--customer", "a@example.com"]].concat();
    home.provision(&customer).with_code(2).saying("give --client-id, set PARTICLE_CLIENT_ID");
    // Nobody is there to be asked.
    let client = [&customer[..], &["--client-id", "bench-1"]].concat();
    home.provision(&client).with_code(2).saying("set PARTICLE_CLIENT_SECRET");
    home.provision(&["--usb", "auto", "--owner", "developer"])
        .with_code(2)
        .saying("set PARTICLE_ACCESS_TOKEN");
    let as_json = home.provision(&[&run[..], &["--output", "json"]].concat()).with_code(2);
    assert_eq!(as_json.result()["error"]["code"], "configuration");
    assert_eq!(as_json.stderr, "");
}

#[test]
fn plain_http_is_for_this_computer_only() {
    let home = Home::new();
    let args = ["--usb", "auto", "--api-url", "http://cloud.example"];
    home.provision(&args).with_code(2).saying("--api-url");
}
