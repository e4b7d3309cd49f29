use crate::program::Home;

const COMMANDS: [&[&str]; 38] = [
    &[],
    &["run"],
    &["identify"],
    &["list"],
    &["demo"],
    &["simulate"],
    &["simulate", "cloud"],
    &["simulate", "photon"],
    &["devices"],
    &["devices", "list"],
    &["devices", "import"],
    &["devices", "call"],
    &["products"],
    &["products", "devices"],
    &["organizations"],
    &["organizations", "products"],
    &["customers"],
    &["customers", "list"],
    &["customers", "create"],
    &["customers", "delete"],
    &["customers", "token"],
    &["claim-code"],
    &["token"],
    &["token", "create"],
    &["token", "show"],
    &["token", "revoke"],
    &["clients"],
    &["clients", "create"],
    &["clients", "delete"],
    &["login"],
    &["logout"],
    &["whoami"],
    &["api"],
    &["config", "init"],
    &["completions"],
    &["man"],
    &["udev"],
    &["udev", "install"],
];

#[test]
fn no_arguments_at_all_show_what_there_is_and_are_a_usage_error() {
    let ended = Home::new().provision(&[]).with_code(2);
    assert!(ended.stdout.contains("Usage: provision [OPTIONS]"), "{}", ended.stdout);
    assert!(ended.stdout.contains("\n  identify "), "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
}

#[test]
fn every_command_has_a_help_of_its_own_with_no_line_too_wide() {
    let home = Home::new();
    for command in COMMANDS {
        for flag in ["-h", "--help"] {
            let ended = home.provision(&[command, &[flag]].concat()).with_code(0);
            assert!(ended.stdout.contains("Usage: provision"), "{command:?}: {}", ended.stdout);
            assert_eq!(ended.stderr, "", "{command:?}");
            let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{command:?}: {}", ended.stdout);
        }
    }
}

#[test]
fn a_command_that_wants_another_shows_which_there_are() {
    for command in ["simulate", "udev"] {
        let ended = Home::new().provision(&[command]).with_code(2).saying("\nCommands:\n");
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn the_version_is_the_packages() {
    let expected = concat!("provision ", env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["--version", "-V"] {
        assert_eq!(Home::new().provision(&[flag]).with_code(0).stdout, expected);
    }
}

#[test]
fn what_is_not_known_is_a_usage_error_on_standard_error() {
    let home = Home::new();
    for args in [
        &["--nonsense"][..],
        &["run", "--nonsense"],
        &["nonsense"],
        &["list", "nonsense"],
        &["simulate", "nonsense"],
        &["udev", "nonsense"],
        &["--output", "xml", "list"],
        &["run", "--wait", "soon"],
        &["run", "--pace", "-1"],
        &["run", "--device-id", "3b00"],
        &["run", "--owner", "me"],
        &["demo", "--devices", "0"],
        &["identify", "--pace", "20"],
        // A flag of `run` and a command: which of the two?
        &["--dry-run", "list"],
    ] {
        let ended = home.provision(args).with_code(2).saying("error: ");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[test]
fn a_usage_error_is_a_result_too_where_json_is_asked_for() {
    for (args, said) in [
        (&["run", "--nonsense", "--output", "json"][..], "unexpected argument '--nonsense' found"),
        (&["devices", "show", "3b00", "--output=json"], "24 hexadecimal digits"),
        (&["simulate", "--output", "json"], "requires a subcommand"),
    ] {
        let result = Home::new().provision(args).with_code(2).result();
        let error = &result["error"];
        assert_eq!((&result["exit_code"], &error["code"]), (&2.into(), &"configuration".into()));
        assert!(error["message"].as_str().is_some_and(|message| message.contains(said)), "{error}");
    }
}
