//! What stands on a terminal, which a pty stands in for.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
};

use provision::{model::FirmwareVersion, sim::photon::PhotonConfig};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{
    program::Home,
    simulators::{Power, listening},
};

/// Runs a command on a terminal of this width to its end; gives everything that was sent to it.
fn on_a_terminal(command: &mut Command, columns: u16) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    command.stdin(Stdio::null()).stdout(slave()).stderr(slave());
    let mut child = command.spawn().unwrap();
    // Else this process would hold the terminal open, and the end would never come.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut sent = Vec::new();
    // Linux ends a terminal that nobody holds any more with an error.
    let _ = File::from(master).read_to_end(&mut sent);
    child.wait().unwrap();
    String::from_utf8(sent).unwrap()
}

/// What is left to be read: the text of each line after the last time it was cleared.
fn lines(sent: &str) -> Vec<String> {
    let mut screen: Vec<String> = vec![String::new()];
    let mut at = 0;
    let mut rest = sent;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                at += 1;
                if at == screen.len() {
                    screen.push(String::new());
                }
            }
            '\r' => {}
            '\u{1b}' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (code, what) = (&rest[1..end], rest.as_bytes()[end]);
                rest = &rest[end + 1..];
                match what {
                    b'K' => screen[at].clear(),
                    b'A' => at -= code.parse::<usize>().unwrap_or(1),
                    b'B' => at += code.parse::<usize>().unwrap_or(1),
                    b'm' => {}
                    other => panic!("what is {code:?} {}?", char::from(other)),
                }
            }
            c => screen[at].push(c),
        }
    }
    screen
}

#[test]
fn steps_stand_in_reading_order_and_the_verdict_below_them() {
    let home = Home::new();
    let sent = on_a_terminal(home.command().arg("demo"), 80);
    let lines = lines(&sent);
    let steps: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("✓ ")?.split("  ").next()).collect();
    assert_eq!(
        steps,
        [
            "know the device",
            "listening",
            "sign in",
            "check product",
            "check device",
            "import",
            "customer",
            "claim code",
            "deliver",
            "finish",
            "verify"
        ]
    );
    let verdict = lines.iter().position(|line| line.starts_with(" PASS   ")).unwrap();
    assert!(lines[verdict - 1].starts_with("✓ verify"), "{lines:#?}");
    let widest = lines.iter().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{lines:#?}");
}

#[test]
fn many_boards_have_a_line_each_however_narrow_the_terminal() {
    let home = Home::new();
    for columns in [60, 80, 120] {
        let sent = on_a_terminal(home.command().args(["demo", "--devices", "8"]), columns);
        let lines = lines(&sent);
        assert_eq!(lines.iter().filter(|line| line.ends_with("PASS")).count(), 8, "{lines:#?}");
        assert!(lines.iter().any(|line| line == "8 passed"), "{lines:#?}");
        let long = lines.iter().filter(|line| line.chars().count() > columns.into());
        assert_eq!(long.collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[test]
fn no_color_takes_the_colours_away_and_a_dumb_terminal_the_cursor_moves_too() {
    let home = Home::new();
    let colours = |sent: &str| sent.contains("\u{1b}[32");
    assert!(colours(&on_a_terminal(home.command().arg("demo"), 80)));
    assert!(!colours(&on_a_terminal(home.command().arg("demo").env("NO_COLOR", "1"), 80)));
    let dumb = on_a_terminal(home.command().arg("demo").env("TERM", "dumb"), 80);
    assert!(!dumb.contains('\u{1b}') && dumb.contains("PASS  "), "{dumb}");
}

#[test]
fn a_failure_is_broken_between_words_and_stands_last() {
    let (home, power) = (Home::new(), Power::on());
    let photon = power.photon(PhotonConfig { firmware: FirmwareVersion::new(0, 5, 3), ..listening() });
    let mut command = home.command();
    command.args(["--product", "1", "--customer", "a@example.com", "--client-id", "x"]);
    command.args(["--api-url", "http://127.0.0.1:9", "--usb"]).arg(photon.usb());
    command.env("PARTICLE_CLIENT_SECRET", "not-so-secret");
    let lines = lines(&on_a_terminal(&mut command, 60));
    let error =
        lines.iter().position(|line| line.starts_with("error: listening: the board runs Device OS")).unwrap();
    assert!(lines[error - 1].starts_with(" FAIL   "), "{lines:#?}");
    assert!(lines[error + 1].starts_with("        "), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("✗ listening")), "{lines:#?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 60), "{lines:#?}");
}
