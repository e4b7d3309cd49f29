//! A developer's own account.

use std::{fs, os::unix::fs::PermissionsExt};

use provision::sim::cloud::CloudConfig;

use crate::{
    accounts::{ANN, Desk},
    program::Ended,
    typing::Typist,
};

const CODE: &str = "314159";

fn with_authenticator() -> Desk {
    Desk::with(CloudConfig { one_time_code: Some(CODE.into()), ..CloudConfig::default() })
}

impl Desk {
    fn log_in(&self, password: &str, more: &[&str]) -> Ended {
        self.home.write("password", password);
        let login = [&["login", &self.info.user, "--password-file", "password"], more].concat();
        Ended::of(&mut self.bare(&login))
    }

    /// The files of logins that are kept.
    fn logins(&self) -> Vec<std::path::PathBuf> {
        let dir = self.home.path().join("cache/provision/logins");
        fs::read_dir(dir).into_iter().flatten().map(|file| file.unwrap().path()).collect()
    }
}

#[test]
fn a_login_is_kept_privately_used_by_later_commands_and_ended_by_logout() {
    let desk = Desk::new();
    let login = desk.log_in(&desk.info.user_password, &[]).with_code(0);
    assert!(login.stdout.starts_with("logged in as developer@simulated.example, until 20"), "{login:?}");
    let [file] = &desk.logins()[..] else { panic!("one login") };
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let me = Ended::of(&mut desk.bare(&["whoami"])).with_code(0);
    let lines: Vec<_> = me.stdout.lines().collect();
    assert_eq!(lines[..2], ["user     developer@simulated.example", "client   particle"], "{me:?}");
    assert!(lines.contains(&"from     the login"), "{me:?}");
    Ended::of(&mut desk.bare(&["claim-code", "--owner", "developer"])).with_code(0);
    let out = Ended::of(&mut desk.bare(&["logout"])).with_code(0);
    assert_eq!(out.stdout, "logged out developer@simulated.example: its token is revoked\n");
    assert_eq!(desk.count("DELETE", "/v1/access_tokens/current"), 1);
    assert!(desk.logins().is_empty());
    assert_eq!(Ended::of(&mut desk.bare(&["logout"])).with_code(0).stdout, "nobody is logged in\n");
    Ended::of(&mut desk.bare(&["whoami"])).with_code(2).saying("nobody is logged in");
    Ended::of(&mut desk.bare(&["claim-code", "--owner", "developer"]))
        .with_code(2)
        .saying("`provision login`");
}

#[test]
fn what_is_given_goes_before_the_login() {
    let desk = Desk::new();
    desk.log_in(&desk.info.user_password, &[]).with_code(0);
    let mut command = desk.bare(&["whoami", "--output", "json"]);
    let me = Ended::of(command.env("PARTICLE_ACCESS_TOKEN", &desk.info.user_token)).with_code(0);
    assert_eq!(me.lines()[0]["source"], "PARTICLE_ACCESS_TOKEN");
    assert_eq!(me.lines()[0]["client"], "provision-sim-console");
    // A client of the environment makes the product's calls, and the login the user's.
    desk.run(&["api", "GET", "/v1/user", "--as", "product"]).with_code(21);
    desk.run(&["api", "GET", "/v1/user", "--as", "user"]).with_code(0);
    // The next login revokes the one before.
    desk.log_in(&desk.info.user_password, &[]).with_code(0);
    assert_eq!(desk.count("DELETE", "/v1/access_tokens/current"), 1);
}

#[test]
fn a_wrong_password_is_refused_and_held_back_before_it_locks_the_site_out() {
    let desk = Desk::new();
    for _ in 0..5 {
        desk.log_in("wrong-password", &[])
            .with_code(20)
            .saying("invalid_grant")
            .saying("ten refusals in a row");
    }
    let held =
        desk.log_in("wrong-password", &[]).with_code(20).saying("not sent: 5 sign-ins in a row were refused");
    assert!(!held.stderr.contains("wrong-password"), "{held:?}");
    assert_eq!(desk.count("POST", "/oauth/token"), 5);
    // Not the same, so it is let through; and right, so all is forgotten.
    desk.log_in(&desk.info.user_password, &[]).with_code(0);
    desk.log_in("wrong-password", &[]).with_code(20).saying("invalid_grant");
    // The client's secret counts along with it.
    let mut command = desk.command(&["token", "create"]);
    Ended::of(command.env("PARTICLE_CLIENT_SECRET", "wrong-secret")).with_code(20).saying("invalid_client");
}

#[test]
fn a_one_time_code_can_come_from_a_file() {
    let desk = with_authenticator();
    desk.home.write("code", "000000");
    desk.log_in(&desk.info.user_password, &["--code-file", "code"])
        .with_code(20)
        .saying("one-time code is invalid");
    desk.log_in(&desk.info.user_password, &[])
        .with_code(2)
        .saying("the one-time code is missing\n  next: give --code-file");
    assert!(desk.logins().is_empty());
    desk.home.write("code", CODE);
    desk.log_in(&desk.info.user_password, &["--code-file", "code"]).with_code(0);
}

#[test]
fn on_a_terminal_all_is_asked_for_and_no_secret_is_seen() {
    let desk = with_authenticator();
    let mut typist = Typist::at(&mut desk.bare(&["login"]));
    typist.answer("user name: ", &desk.info.user);
    typist.answer_unseen("password: ", &desk.info.user_password);
    typist.answer_unseen("one-time code: ", "271828");
    typist.wait_for("that code was refused");
    typist.answer_unseen("one-time code: ", CODE);
    typist.wait_for("logged in as developer@simulated.example");
    let (shown, code) = typist.end();
    assert_eq!(code, Some(0), "{shown}");
    for secret in desk.cloud.secrets().iter().map(String::as_str).chain(["271828"]) {
        assert!(!shown.contains(secret), "{shown}");
    }
    Ended::of(&mut desk.bare(&["login"])).with_code(2).saying("the user name is missing\n  next: name it");
}

#[test]
fn the_login_of_particles_cli_is_used_when_asked_and_not_revoked() {
    let desk = Desk::new();
    let config = |token: &str, url: &str| {
        format!(r#"{{"access_token":"{token}","username":"dev@example.com","apiUrl":"{url}","other":1}}"#)
    };
    let (token, url) = (&desk.info.user_token, &desk.info.api_url);
    let login = ["login", "--from-particle-cli"];
    Ended::of(&mut desk.bare(&login)).with_code(2).saying("cannot read the login of Particle's CLI from");
    desk.home.write(".particle/particle.config.json", "{}");
    Ended::of(&mut desk.bare(&login))
        .with_code(2)
        .saying("is for https://api.particle.io, not for http://127");
    desk.home.write(".particle/particle.config.json", &config("", url).replace("\"\"", "null"));
    Ended::of(&mut desk.bare(&login)).with_code(2).saying("nobody is logged in with Particle's CLI");
    desk.home.write(".particle/particle.config.json", &config("0000-expired", url));
    Ended::of(&mut desk.bare(&login)).with_code(20).saying("invalid_token");
    desk.home.write(".particle/profile.json", r#"{"name":"work"}"#);
    desk.home.write(".particle/work.config.json", &config(token, url));
    let used = Ended::of(&mut desk.bare(&login)).with_code(0);
    assert_eq!(used.stdout, "logged in as dev@example.com, until logged out\n");
    Ended::of(&mut desk.bare(&["claim-code", "--owner", "developer"])).with_code(0);
    let out = Ended::of(&mut desk.bare(&["logout"])).with_code(0);
    assert_eq!(out.stdout, "forgot the login of dev@example.com, which Particle's CLI goes on using\n");
    assert_eq!(desk.count("DELETE", "/v1/access_tokens/current"), 0);
    Ended::of(&mut desk.bare(&["login", "--from-particle-cli=work"])).with_code(0);
    Ended::of(&mut desk.bare(&["login", "--from-particle-cli=../x"]))
        .with_code(2)
        .saying("no name of a profile");
}

#[test]
fn logout_of_all_revokes_the_tokens_of_clients_and_customers_too() {
    let desk = Desk::new();
    desk.run(&["api", "GET", "/v1/products/1319"]).with_code(0);
    desk.run(&["claim-code", "--customer", ANN]).with_code(0);
    let before = desk.cloud.snapshot()["valid_tokens"].as_u64().unwrap();
    let out = Ended::of(&mut desk.bare(&["logout", "--all"])).with_code(0);
    assert_eq!(out.stdout, "nobody is logged in; tokens of clients and customers revoked: 2\n");
    assert_eq!(desk.cloud.snapshot()["valid_tokens"], before - 2);
}

#[test]
fn the_loudest_log_of_these_commands_shows_no_secret() {
    let desk = with_authenticator();
    let (password, code) = ("the-customers-password", "000000");
    desk.home.write("customers", password);
    desk.home.write("code", CODE);
    desk.home.write("wrong-code", code);
    desk.home.write("password", &desk.info.user_password);
    desk.home.write("wrong", "a-wrong-password");
    let user = &*desk.info.user;
    let login = ["login", user, "--password-file", "password"];
    let loud = |args: &[&str]| {
        let mut command = desk.command(args);
        command.args(["-vvv", "--trace-http", &format!("{}.trace", args.join("-").replace('/', "_"))]);
        Ended::of(command.env("RUST_LOG", "trace"))
    };
    let mut said = String::new();
    let mut all = |ended: Ended, shows: bool| {
        said.push_str(&ended.stderr);
        if !shows {
            said.push_str(&ended.stdout);
        }
    };
    all(loud(&["login", user, "--password-file", "wrong"]), false);
    all(loud(&[&login[..], &["--code-file", "wrong-code"]].concat()), false);
    all(loud(&[&login[..], &["--code-file", "code"]].concat()), false);
    all(loud(&["whoami"]), false);
    all(loud(&["customers", "create", ANN, "--password-file", "customers"]), false);
    all(loud(&["customers", "token", ANN]), true);
    all(loud(&["claim-code", "--customer", ANN]), true);
    all(loud(&["clients", "create", "x"]), true);
    all(loud(&["clients", "create", "y", "--secret-file", "secret"]), false);
    all(loud(&["clients", "list"]), false);
    all(loud(&["token", "create"]), true);
    all(loud(&["token", "show"]), false);
    all(loud(&["api", "GET", "/v1/user", "--as", "user", "--style", "query"]), false);
    all(loud(&["api", "GET", "/v1/devices", "--as", &format!("customer:{ANN}")]), false);
    all(loud(&["config", "show"]), false);
    all(loud(&["customers", "delete", ANN, "--yes"]), false);
    all(loud(&["token", "revoke", "--yes"]), false);
    all(loud(&["logout"]), false);
    assert!(said.contains("TRACE"), "{said}");
    let mut traces = 0;
    for file in fs::read_dir(desk.home.path()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "trace") {
            said.push_str(&fs::read_to_string(path).unwrap());
            traces += 1;
        }
    }
    assert!(traces > 10, "{traces} traces");
    let typed = [password, code, "a-wrong-password"].map(str::to_owned);
    let secrets = desk.cloud.secrets().into_iter().chain(typed);
    for secret in secrets {
        // One-time codes are short, and stand by chance in times and numbers.
        let found = said.match_indices(&*secret).find(|(at, _)| {
            let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            !digit(said[..*at].chars().next_back()) && !digit(said[at + secret.len()..].chars().next())
        });
        assert_eq!(found.map(|(at, _)| &said[at.saturating_sub(200)..at]), None, "before {secret}");
    }
}
