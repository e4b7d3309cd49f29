//! `provision config`.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    accounts::Desk,
    program::{Ended, Home},
    typing::Typist,
};

const FILE: &str = "config/provision/provision.toml";

#[test]
fn init_asks_and_writes_a_private_profile_that_works() {
    let desk = Desk::new();
    let init = ["config", "init", "--api-url", &desk.info.api_url];
    let mut typist = Typist::at(desk.home.command().args(init));
    typist.answer("product, by number or slug (empty for none): ", "not a product");
    typist.answer("product, by number or slug (empty for none): ", "1319");
    typist.answer("(empty for none): ", "");
    typist.answer("OAuth client (empty for none): ", &desk.info.client_id);
    typist.answer_unseen("client secret: ", &desk.info.client_secret);
    let (shown, code) = typist.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("wrote profile default to ") && !shown.contains(&desk.info.client_secret),
        "{shown}"
    );
    let path = desk.home.path().join(FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    desk.home.provision(&["api", "GET", "/v1/products/1319"]).with_code(0);
    // Another profile goes beside it.
    let mut typist = Typist::at(desk.home.command().args(["config", "init", "--profile", "lab"]));
    for answer in ["7", "", ""] {
        typist.answer("(empty for none): ", answer);
    }
    assert_eq!(typist.end().1, Some(0));
    // The same one is asked about.
    let before = fs::read_to_string(&path).unwrap();
    let mut typist = Typist::at(desk.home.command().args(["config", "init", "--profile", "lab"]));
    typist.answer("Go on? [y/N] ", "");
    assert_eq!(typist.end().1, Some(130));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    let mut typist = Typist::at(desk.home.command().args(["config", "init", "--profile", "lab", "--yes"]));
    for answer in ["8", "", ""] {
        typist.answer("(empty for none): ", answer);
    }
    assert_eq!(typist.end().1, Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), before.replace("\"7\"", "\"8\""));
}

#[test]
fn init_wants_a_terminal() {
    let home = Home::new();
    home.provision(&["config", "init"]).with_code(2).saying("there is none");
    assert!(!home.path().join(FILE).exists());
}

#[test]
fn show_tells_where_each_value_comes_from_and_hides_secrets() {
    let home = Home::new();
    home.config(
        "[profiles.default]\nproduct = 1319\nclient_id = \"bench-1\"\nclient_secret = \"the-secret-1\"\n",
    );
    let mut command = home.command();
    command.env("PROVISION_CUSTOMER", "{device_id}@x.example").env("PARTICLE_ACCESS_TOKEN", "the-token-1");
    let shown = Ended::of(command.args(["config", "show", "--api-url", "http://127.0.0.1:9"])).with_code(0);
    let text = shown.stdout.replace(&home.path().display().to_string(), "HOME");
    let expected = "\
SETTING        VALUE                  FROM
api_url        http://127.0.0.1:9     --api-url
product        1319                   product of profile default in HOME/config/provision/provision.toml
customer       {device_id}@x.example  PROVISION_CUSTOMER
client_id      bench-1                client_id of profile default in HOME/config/provision/provision.toml
client_secret  (hidden)               client_secret of profile default in HOME/config/provision/provision.toml
access_token   (hidden)               PARTICLE_ACCESS_TOKEN
";
    assert_eq!(text, expected);
    let csv = Ended::of(home.command().args(["config", "show", "--output", "csv"])).with_code(0);
    assert!(
        csv.stdout.starts_with("setting,value,from\r\napi_url,https://api.particle.io,the default\r\n"),
        "{csv:?}"
    );
}
