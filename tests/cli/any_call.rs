//! `provision api`.

use provision::sim::cloud::CloudConfig;
use serde_json::Value;

use crate::{
    accounts::{ANN, Desk},
    program::Ended,
};

#[test]
fn it_prints_what_the_api_answers() {
    let desk = Desk::new();
    let answer = desk.run(&["api", "get", "/v1/products/1319"]).with_code(0);
    assert_eq!((&answer.lines()[0]["product"]["id"], &*answer.stderr), (&Value::from(1319), ""));
    desk.run(&["customers", "create", ANN]).with_code(0);
    let own = desk.run(&["api", "GET", "/v1/devices", "--as", &format!("customer:{ANN}")]).with_code(0);
    assert_eq!(own.stdout, "[]\n");
    // 204 has nothing to print.
    let path = format!("/v1/products/1319/customers/{ANN}");
    assert_eq!(desk.run(&["api", "DELETE", &path]).with_code(0).stdout, "");
    desk.run_as_user(&["api", "GET", "/v1/orgs"]).with_code(0);
}

#[test]
fn fields_go_into_the_query_of_a_get_and_the_form_of_a_post() {
    let desk = Desk::new();
    let import = ["api", "POST", "/v1/products/1319/devices", "-F", "id=3b0021001747353236343033"];
    assert_eq!(desk.run(&import).with_code(0).lines()[0]["updated"], 1);
    let page = ["api", "GET", "/v1/products/1319/devices", "-F", "perPage=1", "-F", "page=2"];
    assert_eq!(desk.run(&page).with_code(0).lines()[0]["devices"], serde_json::json!([]));
    let json = ["api", "POST", "/v1/products/1319/devices", "--json", "-"];
    let again = desk.fed(desk.command(&json), r#"{"id":"3b0021001747353236343033"}"#).with_code(0);
    assert_eq!(again.lines()[0]["existingDeviceIds"][0], "3b0021001747353236343033");
    desk.fed(desk.command(&json), r#"{"id":"secret-cut-o"#).with_code(2).saying("line 1, column");
}

#[test]
fn a_refusal_is_printed_and_has_its_exit_code() {
    let desk = Desk::new();
    let refused =
        desk.run(&["api", "GET", "/v1/orgs"]).with_code(21).saying("/v1/orgs was answered with 403");
    assert_eq!(refused.lines()[0]["error"], "This takes a user's token");
    let desk = Desk::with(CloudConfig {
        faults: vec!["GET /v1/orgs=503".parse().unwrap()],
        ..CloudConfig::default()
    });
    desk.run_as_user(&["api", "GET", "/v1/orgs"]).with_code(22).saying("was answered with 503");
    assert_eq!(desk.count("GET", "/v1/orgs"), 1);
}

#[test]
fn what_could_send_the_token_elsewhere_is_refused_and_nothing_is_sent() {
    let desk = Desk::new();
    for path in [
        "https://evil.example/v1",
        "//evil.example/",
        "@evil.example",
        "/v1/../x",
        "/\\evil.example",
        "/v1#x",
    ] {
        desk.run(&["api", "GET", path]).with_code(2);
    }
    desk.run(&["api", "GET", "/v1/devices?access_token=xyzzy"]).with_code(2).saying("holds no secret");
    desk.run(&["api", "TRACE", "/v1/devices"]).with_code(2);
    desk.run(&["api", "GET", "/v1/devices", "--as", "root"]).with_code(2);
    assert_eq!(desk.cloud.requests(), []);
}

#[test]
fn secrets_in_fields_come_from_files_and_never_go_into_a_url() {
    let desk = Desk::new();
    desk.home.write("password", "the-customers-password\n");
    let create = ["api", "POST", "/v1/products/1319/customers", "-F", "email=a@b.example"];
    for field in ["password=xyzzy-xyzzy", "access_token=xyzzy-xyzzy", "=x", "nothing"] {
        let refused = desk.run(&[&create[..], &["-F", field]].concat()).with_code(2);
        assert!(!refused.stderr.contains("xyzzy"), "{refused:?}");
    }
    desk.run(&["api", "GET", "/v1/devices", "-F", "x=@password"])
        .with_code(2)
        .saying("-F: a secret from a file cannot be in a URL");
    // The endpoint wants HTTP Basic, which is not sent; but the field arrives.
    let sent = desk.run(&[&create[..], &["-F", "password=@password"]].concat()).with_code(20);
    assert!(!format!("{sent:?}").contains("the-customers-password"), "{sent:?}");
}

#[test]
fn a_token_travels_in_each_of_the_three_ways_and_a_query_is_warned_of() {
    let desk = Desk::new();
    let get = ["api", "GET", "/v1/user", "--as", "user"];
    assert_eq!(desk.run_as_user(&get).with_code(0).stderr, "");
    let query = desk.run_as_user(&[&get[..], &["--style", "query"]].concat()).with_code(0);
    assert_eq!(
        query.stderr,
        "warning: a token in a URL is deprecated, and gets logged on the way: revoke it when you are done\n"
    );
    let post = ["api", "POST", "/v1/device_claims", "--as", "user", "--style", "form"];
    assert_eq!(desk.run_as_user(&post).with_code(0).lines()[0]["claim_code"].as_str().unwrap().len(), 63);
    desk.run_as_user(&[&get[..], &["--style", "form"]].concat())
        .with_code(2)
        .saying("form of a POST or PUT only");
    let delete = ["api", "DELETE", "/v1/access_tokens/current", "--as", "user", "--style", "query"];
    desk.run_as_user(&delete).with_code(2).saying("query of a GET only");
}

#[test]
fn what_the_call_made_is_shown_and_what_was_held_before_is_not() {
    let desk = Desk::new();
    let create =
        ["api", "POST", "/v1/products/1319/clients", "-F", "name=x", "-F", "type=installed", "--as", "user"];
    let made = desk.run_as_user(&create).with_code(0);
    assert!(desk.cloud.secrets().contains(&made.lines()[0]["client"]["secret"].as_str().unwrap().to_owned()));
    // The cloud says back a path that holds the token.
    let path = format!("/v1/access_tokens/{}", desk.info.user_token);
    let mut command = desk.bare(&["api", "DELETE", &path, "--as", "user"]);
    let ended = Ended::of(command.env("PARTICLE_ACCESS_TOKEN", &desk.info.user_token)).with_code(0);
    assert!(!format!("{ended:?}").contains(&desk.info.user_token), "{ended:?}");
}
