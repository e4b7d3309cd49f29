use crate::program::Home;

#[test]
fn one_board_is_provisioned_with_no_hardware_and_no_settings() {
    let home = Home::new();
    let ended = home.provision(&["demo"]).with_code(0);
    assert!(ended.stdout.contains("\nPASS  "), "{ended:?}");
    assert!(ended.stdout.contains("The cloud has it online, and owned by "), "{ended:?}");
    // Lines for logs: nothing that moves a cursor, and no colour.
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains('\u{1b}'), "{ended:?}");
    // It works with what it made itself, and leaves nothing behind.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn many_boards_are_provisioned_at_once() {
    let ended = Home::new().provision(&["demo", "--devices", "5"]).with_code(0);
    assert_eq!(ended.stdout.matches("PASS  ").count(), 5, "{ended:?}");
    assert!(ended.stdout.contains("The cloud has 5 of 5 online, and owned by their customers."), "{ended:?}");
}

#[test]
fn json_is_all_that_stands_on_standard_output() {
    let ended = Home::new().provision(&["demo", "--devices", "3", "--output", "json"]).with_code(0);
    let lines = ended.lines();
    assert!(lines.iter().all(|line| line["schema"] == 1 && line["at"].is_string()), "{ended:?}");
    for lane in 0..3 {
        let of_lane: Vec<_> = lines.iter().filter(|line| line["lane"] == lane).collect();
        let last = of_lane.last().unwrap();
        assert_eq!((&last["event"], &last["ok"]), (&"result".into(), &true.into()), "{ended:?}");
    }
    assert_eq!(ended.stderr, "");
}
