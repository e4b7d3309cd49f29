use std::fs;

use crate::program::Home;

const RULE: &str = include_str!("../../udev/70-photon.rules");

#[test]
fn print_writes_the_rule_and_nothing_else() {
    let ended = Home::new().provision(&["udev", "print"]).with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), (RULE, ""));
}

#[test]
fn install_writes_the_rule_once_and_then_leaves_it() {
    let home = Home::new();
    let rules = home.path().join("etc/udev/rules.d");
    fs::create_dir_all(&rules).unwrap();
    let install = || home.provision(&["udev", "install", "--root", "."]).with_code(0);
    assert!(install().stdout.starts_with("./etc/udev/rules.d/70-photon.rules is installed\n"));
    assert_eq!(fs::read_to_string(rules.join("70-photon.rules")).unwrap(), RULE);
    assert_eq!(install().stdout, "./etc/udev/rules.d/70-photon.rules is already installed\n");
    assert_eq!(fs::read_dir(rules).unwrap().count(), 1);
}

#[test]
fn a_system_without_udev_is_told_so() {
    let ended = Home::new().provision(&["udev", "install", "--root", "."]).with_code(2);
    assert_eq!(ended.saying("neither is udev").stdout, "");
}
