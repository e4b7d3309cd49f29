//! A person at a terminal, who reads and types. A pty stands in for it, as the program's own terminal:
//! passwords are asked for there.

use std::{
    fs::File,
    io::{Read, Write},
    process::Stdio,
};

use provision::sim::photon::PhotonConfig;
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

use crate::bench::{Bench, Run, guarded};

/// A terminal with a program on it.
pub struct Terminal {
    master: File,
    said: mpsc::UnboundedReceiver<Vec<u8>>,
    seen: String,
    child: Child,
}

impl Terminal {
    pub fn run(run: Run) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let program = run.into_command();
        let program = program.as_std();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TERM", "xterm").env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(slave()).stdout(slave()).stderr(slave()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, said) = mpsc::unbounded_channel();
        let mut reader = File::from(master.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // Linux ends a terminal that nobody holds any more with an error.
            while let Ok(count @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { master: master.into(), said, seen: String::new(), child }
    }

    /// Waits until this stands there.
    pub async fn says(&mut self, words: &str) {
        let seen = &mut self.seen;
        let said = guarded(async {
            while !seen.contains(words) {
                let Some(chunk) = self.said.recv().await else { return false };
                seen.push_str(&String::from_utf8_lossy(&chunk));
            }
            true
        });
        assert!(said.await, "{words:?} never came: {}", self.seen);
    }

    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, and all that was to be seen.
    pub async fn ended(mut self) -> (i32, String) {
        while let Some(chunk) = guarded(self.said.recv()).await {
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        let status = guarded(self.child.wait()).await.unwrap();
        // Whom a signal has ended has no code.
        (status.code().unwrap_or(130), self.seen)
    }
}

/// A board among networks, and `provision wifi` before a list of them.
async fn before_the_list() -> (Bench, provision::sim::photon::SimPhoton, Terminal) {
    let bench = Bench::new().await;
    let networks = ["Café:NONE:1:-70", "Office:WPA2_AES:6:-52:correct horse", "a%1b[2Jb:WPA2_AES:1:-80"];
    let photon = bench.plug(PhotonConfig {
        softap_http: Some(([127, 0, 0, 1], 0).into()),
        networks: networks.map(|network| network.parse().unwrap()).into(),
        wifi_known: false,
        ..bench.board()
    });
    let address = photon.softap_http().unwrap().to_string();
    let mut terminal =
        Terminal::run(bench.provision().with(&["wifi", "--softap", &address, "--watch", "1s", "--wifi"]));
    terminal.says("Which network? [1-3] ").await;
    (bench, photon, terminal)
}

#[tokio::test]
async fn a_person_picks_a_network_and_types_its_password_unseen() {
    let (_bench, photon, mut terminal) = before_the_list().await;
    terminal.types("1\n");
    terminal.says("Wi-Fi password").await;
    terminal.types("correct horse\n");
    let (code, seen) = terminal.ended().await;
    assert_eq!(code, 0, "{seen}");
    let row = |words: &str| seen.find(words).unwrap_or_else(|| panic!("{words}: {seen}"));
    // The strongest first, with bars and a lock, and nothing that moves the cursor.
    assert!(row("1  ▂▄▆█ 🔒 Office  WPA2_AES, -52 dBm") < row("2  ▂▄      Café  open, -70 dBm"));
    row("3  ▂    🔒 a\\u{1b}[2Jb");
    assert!(!seen.contains("correct horse"), "{seen}");
    assert_eq!(photon.state().saved.len(), 1);
}

#[tokio::test]
async fn an_open_network_needs_no_password() {
    let (_bench, photon, mut terminal) = before_the_list().await;
    terminal.types("2\n");
    let (code, seen) = terminal.ended().await;
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("Café saved") && !seen.contains("password"), "{seen}");
    assert_eq!(photon.state().saved.len(), 1);
}

#[tokio::test]
async fn a_number_that_is_not_in_the_list_is_asked_for_again() {
    let (_bench, photon, mut terminal) = before_the_list().await;
    ["0\n", "4\n", "Office\n", "\n", "2\n"].iter().for_each(|typed| terminal.types(typed));
    let (code, seen) = terminal.ended().await;
    assert!(code == 0 && seen.contains("Café saved"), "{seen}");
    assert_eq!(seen.matches("no such number").count(), 4, "{seen}");
    assert_eq!(photon.state().saved.len(), 1);
}

#[tokio::test]
async fn who_ends_the_list_chooses_nothing() {
    for (typed, ends_with) in [("\u{4}", 2), ("9\n\u{4}", 2), ("\u{3}", 130)] {
        let (_bench, photon, mut terminal) = before_the_list().await;
        terminal.types(typed);
        let (code, seen) = terminal.ended().await;
        assert_eq!((code, seen.contains("nothing was chosen")), (ends_with, ends_with == 2), "{seen}");
        assert!(photon.effects().is_empty());
    }
}

#[cfg(all(target_os = "linux", feature = "join"))]
mod join {
    use super::Terminal;
    use crate::{
        bench::Bench,
        network_manager::{NetworkManager, Setup},
    };

    /// `provision identify --join`, before a list of networks.
    async fn before_the_list(air: &[(&[u8], bool)]) -> Option<(NetworkManager, Terminal)> {
        let air = air.iter().map(|(name, secured)| (name.to_vec(), *secured)).collect();
        let nm = NetworkManager::start(Setup { air, ..Setup::default() }).await?;
        let bench = Bench::new().await;
        let run = bench.provision().env("DBUS_SYSTEM_BUS_ADDRESS", &nm.bus.address);
        let terminal =
            Terminal::run(run.with(&["identify", "--softap", "127.0.0.1:9", "--wait", "1s", "--join"]));
        Some((nm, terminal))
    }

    #[tokio::test]
    async fn a_person_confirms_the_network_even_if_there_is_only_one() {
        let air: &[(&[u8], bool)] = &[(b"Office", true), (b"Photon-\x1b[2J", false)];
        let Some((nm, mut terminal)) = before_the_list(air).await else { return };
        terminal.says("Which one is the Photon's? [1-1] ").await;
        assert_eq!(nm.said(), ["scan"]);
        terminal.types("1\n");
        let (code, seen) = terminal.ended().await;
        // It is joined, and nobody is at this address.
        assert!(code == 11 && seen.contains("no Photon answers"), "{seen}");
        assert!(seen.contains("1  ▂▄▆  Photon-\\u{1b}[2J") && !seen.contains("Office"), "{seen}");
        assert_eq!(nm.did(), ["join Photon-\u{1b}[2J", "activate Office"]);
        nm.is_as_before();
    }

    #[tokio::test]
    async fn who_does_not_choose_joins_nothing() {
        let air: &[(&[u8], bool)] = &[(b"Office", true), (b"Cafe", false), (b"Photon-ABCD", false)];
        for typed in ["3\n\u{4}", "\n\u{4}", "\u{4}", "\u{3}"] {
            let Some((nm, mut terminal)) = before_the_list(air).await else { return };
            terminal.says("1  ▂▄▆  Photon-ABCD").await;
            terminal.says("[1-2] ").await;
            terminal.types(typed);
            let (code, seen) = terminal.ended().await;
            assert_ne!(code, 0, "{seen}");
            assert_eq!(nm.said(), ["scan"]);
        }
    }

    #[tokio::test]
    async fn where_there_is_nothing_to_join_that_is_said() {
        let Some((nm, terminal)) = before_the_list(&[(b"Office", true)]).await else { return };
        let (code, seen) = terminal.ended().await;
        assert!(code == 11 && seen.contains("no network without a password"), "{seen}");
        nm.is_as_before();
    }
}
