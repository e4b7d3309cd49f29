//! What on this computer stands between a user and a board's port: programs that hold it, ModemManager,
//! udev's rules. Everything is read from files, so it is synchronous and quick; nothing is opened that is
//! not a plain file.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::model::clean;

/// Where udev looks for rules, the strongest first: a file in one of them hides those of its name in
/// the others (udev(7)).
const RULES: [&str; 5] = [
    "etc/udev/rules.d",
    "run/udev/rules.d",
    "usr/local/lib/udev/rules.d",
    "usr/lib/udev/rules.d",
    "lib/udev/rules.d",
];
/// How a rule names Particle's devices.
const VENDOR: &str = "2b04";
/// What keeps ModemManager off a device, or off one of its ports.
const IGNORED_BY_MODEM_MANAGER: [&str; 2] = ["ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE"];
/// What opens a port to others than root.
const OPENS: [&str; 3] = ["uaccess", "MODE", "GROUP"];

/// A process of this computer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the system keeps it: at most 15 characters. Cleaned.
    pub name: String,
}

/// What udev's rules do for Particle's boards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rules {
    /// One of them opens their ports.
    pub opens_ports: bool,
    /// One of them keeps ModemManager from typing into their consoles.
    pub keeps_modem_manager_off: bool,
}

/// This computer, as far as Linux shows it in files; elsewhere there is nothing to be seen.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self::rooted("/".into())
    }
}

impl Host {
    /// Another tree than `/`, with its own `proc`, `etc` and `usr`.
    pub fn rooted(root: PathBuf) -> Self {
        Self { root }
    }

    /// The processes that have the port open, as far as this user may see: those of others are hidden
    /// from all but root.
    pub fn holders(&self, port: &Path) -> Vec<Process> {
        let port = fs::canonicalize(port).unwrap_or_else(|_| port.to_owned());
        let own = std::process::id();
        let holds = |process: &Process| {
            let open = fs::read_dir(self.of_process(process.pid).join("fd")).into_iter().flatten().flatten();
            open.into_iter().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == port))
        };
        self.processes().filter(|process| process.pid != own && holds(process)).collect()
    }

    /// ModemManager, if it runs: it opens new serial ports and types into them.
    pub fn modem_manager(&self) -> Option<Process> {
        self.processes().find(|process| process.name == "ModemManager")
    }

    /// What the rules do that udev would read; told by what is in them, whatever their names.
    pub fn rules(&self) -> Rules {
        let mut by_name = BTreeMap::<OsString, PathBuf>::new();
        for directory in RULES {
            for file in fs::read_dir(self.root.join(directory)).into_iter().flatten().flatten() {
                if file.path().extension().is_some_and(|ending| ending == "rules") {
                    by_name.entry(file.file_name()).or_insert_with(|| file.path());
                }
            }
        }
        let mut rules = Rules::default();
        for path in by_name.values() {
            let bytes = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).replace("\\\n", " ");
            let about_us = |line: &&str| !line.trim_start().starts_with('#') && line.contains(VENDOR);
            for line in text.lines().filter(about_us) {
                rules.opens_ports |= OPENS.iter().any(|word| line.contains(word));
                rules.keeps_modem_manager_off |=
                    IGNORED_BY_MODEM_MANAGER.iter().any(|word| line.contains(word));
            }
        }
        rules
    }

    fn processes(&self) -> impl Iterator<Item = Process> {
        let entries = fs::read_dir(self.root.join("proc")).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process that has just ended has no name any more.
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            Some(Process { pid, name: clean(name.trim_end()) })
        })
    }

    fn of_process(&self, pid: u32) -> PathBuf {
        self.root.join("proc").join(pid.to_string())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const OURS: &str = include_str!("../../udev/70-photon.rules");

    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }

        fn write(&self, below: &str, text: &str) -> &Self {
            let path = self.path(below);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        /// A process that has these paths open.
        fn process(&self, pid: u32, name: &str, open: &[PathBuf]) -> &Self {
            self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"));
            let fds = self.path(&format!("proc/{pid}/fd"));
            fs::create_dir_all(&fds).unwrap();
            for (n, target) in open.iter().enumerate() {
                symlink(target, fds.join(n.to_string())).unwrap();
            }
            self
        }

        fn host(&self) -> Host {
            Host::rooted(self.0.path().into())
        }
    }

    #[test]
    fn who_holds_a_port_is_told_by_number_and_name_also_behind_a_link() {
        let machine = Machine::new();
        machine.write("dev/ttyACM0", "").write("proc/uptime", "1").write("proc/7/status", "");
        let port = fs::canonicalize(machine.path("dev/ttyACM0")).unwrap();
        symlink(&port, machine.path("dev/photon")).unwrap();
        machine
            .process(12, "screen", &["/dev/null".into(), port.clone()])
            .process(13, "cat", &["/dev/null".into()])
            .process(std::process::id(), "provision", std::slice::from_ref(&port));
        let screen = [Process { pid: 12, name: "screen".into() }];
        for name in ["dev/ttyACM0", "dev/photon"] {
            assert_eq!(machine.host().holders(&machine.path(name)), screen);
        }
        assert_eq!(machine.host().holders(&machine.path("dev/ttyACM1")), []);
    }

    #[test]
    fn a_holder_of_a_real_port_is_found_in_the_real_proc() {
        let pty = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).unwrap();
        rustix::pty::grantpt(&pty).unwrap();
        rustix::pty::unlockpt(&pty).unwrap();
        let name = rustix::pty::ptsname(&pty, Vec::new()).unwrap().into_string().unwrap();
        let port = fs::File::options().read(true).write(true).open(&name).unwrap();
        let mut held = std::process::Command::new("sleep").arg("60").stdin(port).spawn().unwrap();
        let holders = Host::default().holders(Path::new(&name));
        held.kill().unwrap();
        held.wait().unwrap();
        assert!(holders.iter().any(|holder| holder.pid == held.id()), "{holders:?}");
    }

    #[test]
    fn modem_manager_is_known_by_its_name() {
        let machine = Machine::new();
        assert_eq!(machine.host().modem_manager(), None);
        machine.process(5, "NetworkManager", &[]).process(6, "ModemManager", &[]);
        assert_eq!(machine.host().modem_manager().unwrap().pid, 6);
    }

    #[test]
    fn a_name_from_outside_cannot_write_on_the_terminal() {
        let machine = Machine::new();
        machine.write("dev/ttyACM0", "");
        let port = fs::canonicalize(machine.path("dev/ttyACM0")).unwrap();
        machine.process(9, "a\u{1b}[2J", std::slice::from_ref(&port));
        assert_eq!(machine.host().holders(&port)[0].name, "a\\u{1b}[2J");
    }

    #[test]
    fn rules_are_told_by_what_is_in_them() {
        let both = Rules { opens_ports: true, keeps_modem_manager_off: true };
        for directory in RULES {
            let machine = Machine::new();
            machine.write(&format!("{directory}/99-any-name.rules"), OURS);
            assert_eq!(machine.host().rules(), both, "{directory}");
        }
        for (text, expected) in [
            ("SUBSYSTEM==\"tty\", ATTRS{idVendor}==\"2b04\", MODE=\"0666\"", (true, false)),
            (
                "ATTRS{idVendor}==\"2b04\", \\\n  ATTRS{idProduct}==\"c006\", ENV{ID_MM_PORT_IGNORE}=\"1\"",
                (false, true),
            ),
            ("# ATTRS{idVendor}==\"2b04\", MODE=\"0666\"", (false, false)),
            ("ATTRS{idVendor}==\"2341\", MODE=\"0666\", ENV{ID_MM_DEVICE_IGNORE}=\"1\"", (false, false)),
        ] {
            let machine = Machine::new();
            machine.write("etc/udev/rules.d/50-particle.rules", text).write("etc/udev/rules.d/notes", OURS);
            let rules = machine.host().rules();
            assert_eq!((rules.opens_ports, rules.keeps_modem_manager_off), expected, "{text}");
        }
    }

    #[test]
    fn a_file_in_etc_hides_one_of_its_name_in_usr() {
        let machine = Machine::new();
        machine.write("usr/lib/udev/rules.d/70-photon.rules", OURS);
        machine.write("etc/udev/rules.d/70-photon.rules", "# switched off\n");
        assert_eq!(machine.host().rules(), Rules::default());
    }

    #[test]
    fn a_computer_that_shows_nothing_holds_nothing() {
        let host = Host::rooted("/no/such/root".into());
        assert_eq!((host.modem_manager(), host.rules()), (None, Rules::default()));
        assert_eq!(host.holders(Path::new("/no/such/port")), []);
    }
}
