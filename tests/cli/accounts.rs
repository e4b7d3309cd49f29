//! Customers, claim codes, tokens and OAuth clients.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use provision::{
    model::ClaimCode,
    sim::cloud::{CloudConfig, CloudInfo, DeviceSeed, SimCloud},
};

use crate::{
    program::{Ended, Home},
    simulators::{ID, Power, signed_in},
    typing::Typist,
};

pub const ANN: &str = "ann+1@example.com";

/// A support desk: a home, and a cloud to call.
pub struct Desk {
    pub home: Home,
    pub cloud: SimCloud,
    pub info: CloudInfo,
    // Dropped last: it drives the cloud.
    _power: Power,
}

impl Desk {
    pub fn new() -> Self {
        Self::with(CloudConfig::default())
    }

    pub fn with(config: CloudConfig) -> Self {
        let power = Power::on();
        let cloud = power.cloud_with(config);
        Self { home: Home::new(), info: cloud.info(), cloud, _power: power }
    }

    /// A command that knows where the cloud is, and nothing else.
    pub fn bare(&self, args: &[&str]) -> Command {
        let mut command = self.home.command();
        command.env("PARTICLE_API_URL", &self.info.api_url).args(args);
        command
    }

    /// With the product and its OAuth client.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        signed_in(&mut command, &self.info);
        command.env("PARTICLE_PRODUCT", "1319");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.command(args))
    }

    /// With the product, and the developer's own token.
    pub fn as_user(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.env("PARTICLE_PRODUCT", "1319").env("PARTICLE_ACCESS_TOKEN", &self.info.user_token);
        command
    }

    pub fn run_as_user(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.as_user(args))
    }

    /// With a text on standard input.
    pub fn fed(&self, mut command: Command, text: &str) -> Ended {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        Ended::from(child.wait_with_output().unwrap())
    }

    pub fn count(&self, method: &str, path: &str) -> usize {
        self.cloud.requests().iter().filter(|r| r.method == method && r.path == path).count()
    }
}

const CUSTOMERS: &str = "/v1/products/1319/customers";

#[test]
fn a_customer_is_made_once_and_the_second_time_is_no_failure() {
    let desk = Desk::new();
    let made = desk.run(&["customers", "create", ANN]).with_code(0);
    assert_eq!((&*made.stdout, &*made.stderr), ("made ann+1@example.com\n", ""));
    let again = desk.run(&["customers", "create", &ANN.to_uppercase()]).with_code(0);
    assert_eq!(again.stdout, "ANN+1@EXAMPLE.COM exists already\n");
    let json = desk.run(&["customers", "create", ANN, "--output", "json"]).with_code(0);
    assert_eq!(json.lines()[0], serde_json::json!({"customer": ANN, "created": false, "simple_auth": false}));
    assert_eq!(desk.cloud.snapshot()["customers"][0]["shadow"], true);
}

#[test]
fn a_customer_with_a_password_takes_it_from_a_file_and_keeps_its_first_one() {
    let desk = Desk::new();
    desk.home.write("password", "first-password-1\n");
    let create = ["customers", "create", ANN, "--password-file", "password"];
    assert_eq!(
        desk.run(&create).with_code(0).stdout,
        "made ann+1@example.com, who signs in with the password\n"
    );
    desk.home.write("password", "second-password-2\n");
    let again = desk.run(&create).with_code(0);
    assert_eq!(again.stdout, "ann+1@example.com exists already; its password was not changed\n");
    assert_eq!(desk.cloud.snapshot()["customers"][0]["shadow"], false);
    assert!(desk.cloud.secrets().contains(&"first-password-1".to_owned()));
    desk.run(&["customers", "create", "x", "--simple-auth"]).with_code(2).saying("give --password-file PATH");
    desk.run(&["customers", "create", "x", "--password", "hunter2"])
        .with_code(2)
        .saying("cannot be an argument");
}

#[test]
fn a_new_password_is_typed_twice_unseen() {
    let desk = Desk::new();
    let create = ["customers", "create", ANN, "--simple-auth"];
    let mut typist = Typist::at(&mut desk.command(&create));
    typist.answer_unseen("customer's password: ", "typed-password-1");
    typist.answer_unseen("the same customer's password again: ", "typed-password-2");
    let (shown, code) = typist.end();
    assert!(code == Some(2) && shown.contains("differs from the first time"), "{shown}");
    assert_eq!(desk.count("POST", CUSTOMERS), 0);
    let mut typist = Typist::at(&mut desk.command(&create));
    typist.answer_unseen("customer's password: ", "typed-password-1");
    typist.answer_unseen("again: ", "typed-password-1");
    let (shown, code) = typist.end();
    assert!(code == Some(0) && !shown.contains("typed-password"), "{shown}");
    assert!(desk.cloud.secrets().contains(&"typed-password-1".to_owned()));
}

#[test]
fn deleting_a_customer_asks_first_and_ends_what_it_had() {
    let desk = Desk::new();
    desk.run(&["claim-code", "--customer", ANN]).with_code(0);
    let delete = ["customers", "delete", ANN];
    desk.run(&delete).with_code(2).saying("give --yes to do it").saying("pending claim codes end");
    let mut typist = Typist::at(&mut desk.command(&delete));
    typist.answer("Go on? [y/N] ", "n");
    let (shown, code) = typist.end();
    assert!(code == Some(130) && shown.contains("nothing was done"), "{shown}");
    assert_eq!(desk.cloud.snapshot()["unused_claim_codes"][ANN], 1);
    let mut typist = Typist::at(&mut desk.command(&delete));
    typist.answer("Go on? [y/N] ", "y");
    assert!(typist.end().0.contains("deleted ann+1@example.com"));
    assert_eq!(desk.cloud.snapshot()["unused_claim_codes"], serde_json::json!({}));
    assert_eq!(desk.cloud.snapshot()["customers"], serde_json::json!([]));
    desk.run(&["customers", "delete", ANN, "--yes"]).with_code(21).saying("The product has no such customer");
}

#[test]
fn a_customers_token_is_printed_alone_and_one_that_does_not_exist_is_a_refusal() {
    let desk = Desk::new();
    desk.run(&["customers", "create", ANN]).with_code(0);
    let token = desk.run(&["customers", "token", ANN]).with_code(0).saying("the token lives until 20");
    assert!(desk.cloud.secrets().contains(&token.stdout.trim_end().to_owned()));
    assert!(!token.stderr.contains(token.stdout.trim_end()));
    desk.run(&["customers", "token", "nobody"]).with_code(21).saying("The product has no such customer");
}

#[test]
fn a_claim_code_is_printed_alone_for_a_customer_or_the_developer() {
    let desk = Desk::new();
    let code = desk.run(&["claim-code", "--customer", ANN]).with_code(0);
    assert_eq!(code.stderr, "");
    assert!(ClaimCode::parse(code.stdout.strip_suffix('\n').unwrap()).is_ok());
    let json = desk.run(&["claim-code", "--customer", ANN, "--output", "json"]).with_code(0);
    assert_eq!(json.lines()[0]["customer"], ANN);
    assert!(ClaimCode::parse(json.lines()[0]["claim_code"].as_str().unwrap()).is_ok());
    let own = desk.run_as_user(&["claim-code", "--owner", "developer"]).with_code(0);
    assert!(ClaimCode::parse(own.stdout.trim_end()).is_ok());
    assert_eq!(desk.cloud.snapshot()["unused_claim_codes"][ANN], 2);
    desk.run(&["claim-code"]).with_code(2).saying("the customer is missing\n  next: give --customer");
    desk.run(&["claim-code", "--customer", "{device_id}@x"])
        .with_code(2)
        .saying("name one customer with --customer");
}

#[test]
fn a_token_is_made_shown_and_revoked() {
    let desk = Desk::new();
    let made = desk.run(&["token", "create", "--expires-in", "1h"]).with_code(0);
    let token = made.stdout.trim_end();
    assert_eq!(token.len(), 40);
    assert!(!made.stderr.contains(token));
    let file = desk.home.write("token", token);
    let show = ["token", "show", "--token-file", "token"];
    let shown = Ended::of(&mut desk.bare(&show)).with_code(0);
    assert!(shown.stdout.starts_with(&format!("client   {}\nexpires  20", desk.info.client_id)), "{shown:?}");
    assert!(!shown.stdout.contains(token));
    let csv = Ended::of(desk.bare(&show).args(["--output", "csv"])).with_code(0);
    assert!(csv.stdout.starts_with("client,expires,scopes\r\n"), "{csv:?}");
    let revoke = ["token", "revoke", "--token-file", "-"];
    desk.fed(desk.bare(&revoke), token).with_code(2).saying("give --yes to do it");
    let revoked = desk.fed(desk.bare(&[&revoke[..], &["--yes"]].concat()), token).with_code(0);
    assert_eq!(revoked.stdout, "revoked\n");
    let again = desk.fed(desk.bare(&[&revoke[..], &["--yes"]].concat()), token).with_code(0);
    assert_eq!(again.stdout, "it had expired or was revoked before\n");
    Ended::of(&mut desk.bare(&show)).with_code(20).saying("invalid_token");
    // It was never in a URL.
    assert!(desk.cloud.requests().iter().all(|request| !request.path.contains("[token]")));
    assert_eq!(fs::read_to_string(file).unwrap(), token);
}

#[test]
fn a_customers_token_wants_the_customer_named_by_the_command_itself() {
    let desk = Desk::new();
    desk.run(&["customers", "create", ANN]).with_code(0);
    let json = desk.run(&["token", "create", "--customer", ANN, "--expires-in", "never", "--output", "json"]);
    let json = &json.with_code(0).lines()[0];
    assert_eq!((&json["customer"], &json["expires_at"]), (&ANN.into(), &serde_json::Value::Null));
    let mut command = desk.command(&["token", "create", "--output", "json"]);
    let json = Ended::of(command.env("PROVISION_CUSTOMER", ANN)).with_code(0);
    assert_eq!(json.lines()[0]["customer"], serde_json::Value::Null);
    desk.run(&["token", "create", "--expires-in", "soon"]).with_code(2);
}

#[test]
fn the_token_that_is_kept_is_revoked_and_forgotten() {
    let desk = Desk::new();
    desk.run(&["api", "GET", "/v1/products/1319"]).with_code(0);
    let shown = desk.run(&["token", "show", "--output", "json"]).with_code(0);
    assert_eq!(shown.lines()[0]["client"], desk.info.client_id);
    assert_eq!(desk.count("POST", "/oauth/token"), 1);
    // It is signed for with itself: the client's secret is not needed.
    let mut revoke = desk.bare(&["token", "revoke", "--yes"]);
    let revoked = Ended::of(revoke.env("PARTICLE_CLIENT_ID", &desk.info.client_id)).with_code(0);
    assert_eq!(revoked.stdout, "revoked\n");
    let again = desk.run(&["token", "revoke", "--yes"]).with_code(0);
    assert_eq!(again.stdout, "nothing to revoke: no token is kept\n");
    desk.run(&["api", "GET", "/v1/products/1319"]).with_code(0);
    assert_eq!(desk.count("POST", "/oauth/token"), 2);
}

#[test]
fn an_oauth_client_shows_its_secret_once_and_works() {
    let desk = Desk::new();
    let made = desk.run_as_user(&["clients", "create", "line 1"]).with_code(0).saying("shown this once");
    let field = |name: &str| {
        let line = made.stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let (id, secret) = (field("client id"), field("client secret"));
    let mut command = desk.bare(&["token", "create"]);
    command.env("PARTICLE_CLIENT_ID", &id).env("PARTICLE_CLIENT_SECRET", &secret);
    Ended::of(&mut command).with_code(0);
    let listed = desk.run_as_user(&["clients", "list"]).with_code(0);
    assert!(listed.stdout.starts_with("ID "), "{listed:?}");
    assert!(listed.stdout.contains(&format!("{id}  line 1     installed")), "{listed:?}");
    assert!(!listed.stdout.contains(&secret));
    desk.run_as_user(&["clients", "delete", &id]).with_code(2).saying("its tokens end");
    desk.run_as_user(&["clients", "delete", &id, "--yes"]).with_code(0);
    desk.run_as_user(&["clients", "delete", &id, "--yes"])
        .with_code(21)
        .saying("The product has no such client");
    Ended::of(&mut command).with_code(20).saying("invalid_client");
}

#[test]
fn a_clients_secret_goes_into_a_new_private_file_if_that_is_wanted() {
    let desk = Desk::new();
    let create = ["clients", "create", "line 1", "--secret-file", "secret"];
    let made = desk.run_as_user(&create).with_code(0);
    let path = desk.home.path().join("secret");
    let secret = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(desk.cloud.secrets().contains(&secret.trim_end().to_owned()));
    assert!(!format!("{made:?}").contains(secret.trim_end()));
    // Nothing is made whose secret could not be kept.
    let clients = desk.count("POST", "/v1/products/1319/clients");
    desk.run_as_user(&create).with_code(2).saying("cannot be written to secret");
    assert_eq!(desk.count("POST", "/v1/products/1319/clients"), clients);
    // A product's client may not.
    let mut command = desk.command(&["clients", "list"]);
    let token = desk.run(&["token", "create"]).stdout;
    Ended::of(command.env("PARTICLE_ACCESS_TOKEN", token.trim_end())).with_code(21).saying("a user's token");
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_could_not_be_told_is_named() {
    let desk = Desk::new();
    for args in [&[][..], &["--output", "json"], &["--secret-file", "secret"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = desk.as_user(&[&["clients", "create", "line 1"], args].concat());
        let ended = Ended::of(command.stdout(full));
        let listed =
            desk.run_as_user(&["clients", "list", "--columns", "id", "--output", "csv"]).with_code(0);
        let ended = ended.with_code(1).saying("standard output cannot be written");
        let named =
            |id: &str| ended.stderr.contains(&format!("`provision clients delete {id} --product 1319`"));
        assert!(listed.stdout.lines().any(named), "{ended:?} {listed:?}");
        assert!(desk.cloud.secrets().iter().all(|secret| !ended.stderr.contains(secret)), "{ended:?}");
    }
}

#[test]
fn customers_are_listed_through_all_pages_once_a_device_is_theirs() {
    let desk = Desk::new();
    desk.cloud.add_customer("without-a-device@example.com");
    for n in 0..230 {
        let name = format!("customer{n:03}@example.com");
        desk.cloud.add_customer(&name);
        let id = format!("{n:024x}");
        let seed = DeviceSeed { id, owner: Some(name), product_id: Some(1319), ..DeviceSeed::default() };
        assert!(desk.cloud.add_device(seed));
    }
    let list = desk.run(&["customers", "list", "--columns", "customer"]).with_code(0);
    let lines: Vec<_> = list.stdout.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[230]), (231, "CUSTOMER", "customer229@example.com"));
    assert_eq!(desk.count("GET", CUSTOMERS), 3);
    let json = desk.run(&["customers", "list", "--output", "json"]).with_code(0);
    let rows: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 230);
    assert_eq!(rows[0]["username"], "customer000@example.com");
    let csv = desk.run(&["customers", "list", "--output", "csv"]).with_code(0);
    assert!(csv.stdout.starts_with("customer,id,created\r\ncustomer000@example.com,"), "{}", csv.stdout);
    desk.run(&["customers", "list", "--product", "7"]).with_code(21).saying("made inside this product");
}

/// What people read when something is refused.
#[test]
fn refusals_read_well() {
    let desk = Desk::new();
    desk.home.write("wrong", "a-wrong-password");
    let login = ["login", "dev@example.com", "--password-file", "wrong"];
    let told = [
        desk.bare(&login),
        desk.bare(&["login", "dev@example.com"]),
        desk.bare(&["whoami"]),
        desk.bare(&["clients", "list", "--product", "1319"]),
        desk.bare(&["token", "create"]),
        desk.command(&["customers", "delete", ANN]),
        desk.command(&["customers", "delete", ANN, "--yes"]),
        desk.command(&["customers", "token", ANN]),
        desk.command(&["token", "revoke"]),
        desk.command(&["clients", "create", "x"]),
        desk.command(&["api", "GET", "/v1/orgs"]),
        desk.command(&["api", "GET", "/v1/devices", "-F", "x=@wrong"]),
        desk.command(&["api", "POST", "/v1/x", "-F", "password=xyzzy"]),
        desk.command(&["config", "init"]),
        desk.command(&["token", "create", "--output", "csv"]),
    ];
    let mut text = String::new();
    for mut command in told {
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let ended = Ended::of(&mut command);
        let code = ended.code.unwrap();
        text.push_str(&format!("$ provision {}\n{}[exit {code}]\n\n", args.join(" "), ended.stderr));
    }
    insta::assert_snapshot!(text);
}

/// With what differs each time put right, at the same length.
fn steady(desk: &Desk, text: &str) -> String {
    let word = |word: &str| {
        let is_moment = word.starts_with("20") && word.ends_with('Z');
        let is_hex = word.len() >= 24 && word.chars().all(|c| c.is_ascii_hexdigit()) && word != ID;
        let client = word.strip_prefix("provision-sim-");
        let is_client = client.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
        match is_client || is_moment || is_hex || word == desk.info.api_url {
            true => word.replace(|c: char| c.is_ascii_digit() || ('a'..='f').contains(&c), "0"),
            false => word.to_owned(),
        }
    };
    let words = text.split_inclusive([' ', '\n']).map(|text| {
        let bare = text.trim_end().trim_end_matches(';');
        word(bare) + &text[bare.len()..]
    });
    words.collect()
}

/// What people read when all goes well.
#[test]
fn tables_and_results_read_well() {
    let desk = Desk::new();
    let bob = "bob\u{1b}[2j@example.com";
    desk.cloud.add_customer(bob);
    let device = |owner| DeviceSeed { id: ID.into(), owner, product_id: Some(1319), ..DeviceSeed::default() };
    assert!(desk.cloud.add_device(device(Some(bob.into()))));
    let as_user = |args: &[&str]| desk.as_user(args);
    let told = [
        desk.command(&["customers", "list"]),
        desk.command(&["customers", "list", "--columns", "created,customer"]),
        desk.command(&["customers", "create", ANN]),
        desk.command(&["customers", "delete", ANN, "--yes"]),
        as_user(&["clients", "list"]),
        as_user(&["clients", "create", "line 1"]),
        as_user(&["clients", "create", "line 2", "--secret-file", "secret"]),
        as_user(&["clients", "delete", &desk.info.client_id, "--yes"]),
        as_user(&["products", "devices"]),
        as_user(&["organizations", "products", "provision-sim"]),
        as_user(&["whoami"]),
        as_user(&["token", "show"]),
        as_user(&["token", "revoke", "--yes"]),
        as_user(&["config", "show"]),
    ];
    let mut text = String::new();
    for mut command in told {
        let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let Ended { code, stdout, stderr } = Ended::of(&mut command);
        assert_eq!(code, Some(0), "{args:?}: {stderr}");
        text.push_str(&format!("$ provision {}\n{stdout}{stderr}\n", args.join(" ")));
    }
    insta::assert_snapshot!(steady(&desk, &text));
}
