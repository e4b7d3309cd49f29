use std::{
    io::Write,
    process::{Command, Stdio},
};

use provision::sim::cloud::{CloudInfo, SimCloud};

use crate::{
    program::{Ended, Home},
    simulators::{Power, listening},
};

/// Runs a dry run that has everything but the client's secret.
fn dry_run(home: &Home, port: &std::path::Path, cloud: &CloudInfo) -> Command {
    let mut command = home.command();
    command.args(["--dry-run", "--customer", "a@example.com", "--usb"]).arg(port);
    command.args(["--api-url", &cloud.api_url, "--client-id", &cloud.client_id]);
    command.args(["--product", &cloud.product.to_string()]);
    command
}

#[test]
fn a_secrets_file_is_taken_if_private_with_a_warning_if_readable_and_not_at_all_if_writable() {
    let (home, power) = (Home::new(), Power::on());
    let cloud: SimCloud = power.cloud();
    let info = cloud.info();
    home.write("secret", &format!("{}\n", info.client_secret));
    for (mode, code, said) in [
        (0o600, 0, None),
        (0o400, 0, None),
        (0o644, 0, Some("warning: the client secret in secret can be read by others: chmod 600 secret")),
        (0o640, 0, Some("can be read by others")),
        (0o620, 2, Some("could have been put there by others")),
        (0o666, 2, Some("could have been put there by others")),
    ] {
        // A board each: an untouched one answers the same every time.
        let photon = power.photon(listening());
        home.mode("secret", mode);
        let mut command = dry_run(&home, &photon.usb(), &info);
        let ended = Ended::of(command.args(["--client-secret-file", "secret"])).with_code(code);
        assert_eq!(ended.stderr.contains("secret in secret"), said.is_some(), "{mode:o}: {ended:?}");
        assert!(ended.stderr.contains(said.unwrap_or_default()), "{mode:o}: {ended:?}");
        assert!(!format!("{ended:?}").contains(&info.client_secret), "{mode:o}: {ended:?}");
    }
}

#[test]
fn a_secret_can_come_from_standard_input() {
    let (home, power) = (Home::new(), Power::on());
    let cloud = power.cloud();
    let info = cloud.info();
    let photon = power.photon(listening());
    let mut command = dry_run(&home, &photon.usb(), &info);
    let mut child = command.args(["--client-secret-file", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(info.client_secret.as_bytes()).unwrap();
    Ended::from(child.wait_with_output().unwrap()).with_code(0);
}

#[test]
fn a_secret_as_an_argument_is_refused_without_being_shown() {
    let home = Home::new();
    for (flag, instead) in [
        ("--client-secret", "PARTICLE_CLIENT_SECRET"),
        ("--access-token", "PARTICLE_ACCESS_TOKEN"),
        ("--password", "it is asked for"),
    ] {
        for args in [&[flag, "xyzzy"][..], &[&format!("{flag}=xyzzy")], &[flag, "-xyzzy"], &[flag]] {
            let ended = home.provision(&[&["--usb", "auto"], args].concat()).with_code(2).saying(instead);
            assert!(!format!("{ended:?}").contains("xyzzy"), "{ended:?}");
        }
    }
}

#[test]
fn a_secret_in_the_config_file_wants_the_file_private() {
    let home = Home::new();
    home.config("[profiles.default]\nclient_secret = \"xyzzy-xyzzy\"");
    home.mode("config/provision/provision.toml", 0o644);
    let ended =
        home.provision(&["--usb", "auto"]).with_code(2).saying("can be read by others\n  next: chmod 600 /");
    assert!(!ended.stderr.contains("xyzzy"), "{ended:?}");
}

#[test]
fn the_most_verbose_log_shows_no_secret() {
    let (home, power) = (Home::new(), Power::on());
    let cloud = power.cloud();
    let info = cloud.info();
    let photon = power.photon(listening());
    let mut command = dry_run(&home, &photon.usb(), &info);
    command.env("PARTICLE_CLIENT_SECRET", &info.client_secret).env("RUST_LOG", "trace").arg("-vvv");
    let ended = Ended::of(&mut command).with_code(0);
    assert!(ended.stderr.contains("TRACE"), "{ended:?}");
    assert!(!ended.stderr.contains(&info.client_secret), "{}", ended.stderr);
}
