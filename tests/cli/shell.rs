//! Completions and manual pages.

use std::fs;

use crate::program::Home;

#[test]
fn completions_are_printed_for_every_shell_and_offer_no_flag_that_is_refused() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = home.provision(&["completions", shell]).with_code(0);
        assert!(ended.stdout.contains("claim-code"), "{shell}");
        assert!(ended.stdout.contains("client-secret-file"), "{shell}");
        let refused = ["--client-secret ", "--client-secret'", "--client-secret=", "-l client-secret "];
        assert!(refused.iter().all(|flag| !ended.stdout.contains(flag)), "{shell}: {}", ended.stdout);
    }
    home.provision(&["completions", "tcsh"]).with_code(2);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let home = Home::new();
    let page = home.provision(&["man"]).with_code(0).stdout;
    assert!(page.contains(".TH provision 1"), "{page}");
    // Also of what -h does not show.
    assert!(
        page.contains("The config file\\(aqs profile to use") || page.contains("profile to use"),
        "{page}"
    );
    home.provision(&["man", "--dir", "man/man1"]).with_code(0);
    for page in [
        "provision",
        "provision-customers",
        "provision-customers-create",
        "provision-token-revoke",
        "provision-login",
    ] {
        let text = fs::read_to_string(home.path().join(format!("man/man1/{page}.1"))).unwrap();
        assert!(!text.contains("\\-\\-client\\-secret\\fR"), "{page}");
    }
}
