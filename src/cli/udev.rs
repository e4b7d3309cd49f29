//! `provision udev`: the rule that gives access to boards on Linux.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::model::{Failure, FailureCode, clean};

const RULE: &str = include_str!("../../udev/70-photon.rules");
const DIRECTORY: &str = "etc/udev/rules.d";
const NAME: &str = "70-photon.rules";

/// What makes udev read the new rule and apply it to the boards that are attached.
const APPLY: [&[&str]; 3] = [
    &["control", "--reload"],
    &["trigger", "--subsystem-match=usb", "--attr-match=idVendor=2b04"],
    &["trigger", "--subsystem-match=tty"],
];

/// Show or install the rule that lets you open the boards' ports on Linux
///
/// It gives access to the user at the machine and to a group, keeps ModemManager off the boards' consoles,
/// and makes links /dev/photon/DEVICE_ID.
#[derive(Debug, clap::Args)]
pub struct UdevArgs {
    #[command(subcommand)]
    command: UdevCommand,
}

#[derive(Debug, clap::Subcommand)]
enum UdevCommand {
    /// Write the rule to standard output
    Print,
    /// Write the rule to /etc/udev/rules.d and apply it
    Install {
        /// Where the system's files are. Given, the rule is written and not applied
        #[arg(long, value_name = "DIR", hide = true)]
        root: Option<PathBuf>,
    },
}

/// Shows or installs the rule.
pub fn run(args: &UdevArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let said = match &args.command {
        UdevCommand::Print => RULE.to_owned(),
        UdevCommand::Install { root: Some(root) } => installed(root, &|_| false)?,
        UdevCommand::Install { root: None } if cfg!(target_os = "linux") => {
            installed(Path::new("/"), &udevadm)?
        }
        UdevCommand::Install { root: None } => {
            return Err(Failure::configuration("only Linux has udev", "nothing: it is not needed here"));
        }
    };
    out.write_all(said.as_bytes())
        .map_err(|e| Failure::new(FailureCode::Unexpected, "cannot write the output").because(e))
}

/// Installs and applies the rule, and says what came of it.
fn installed(root: &Path, udevadm: &dyn Fn(&[&str]) -> bool) -> Result<String, Failure> {
    let path = root.join(DIRECTORY).join(NAME);
    let shown = clean(&path.to_string_lossy());
    if fs::read(&path).is_ok_and(|there| there == RULE.as_bytes()) {
        return Ok(format!("{shown} is already installed\n"));
    }
    write(&path).map_err(|error| refused(&shown, error))?;
    let next = if APPLY.iter().all(|words| udevadm(words)) {
        "It is in force, also for boards that are attached now.\n".to_owned()
    } else {
        let commands: String =
            APPLY.iter().map(|words| format!("    sudo udevadm {}\n", words.join(" "))).collect();
        format!("To put it in force, plug the boards in again after\n\n{commands}\n")
    };
    Ok(format!(
        "{shown} is installed\n{next}Who does not sit at this machine (SSH, services) also has to be in the group \
         dialout.\n"
    ))
}

/// Writes the rule whole or not at all, into a directory that has to exist.
fn write(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    // udev does not look at names with another ending, should this be left behind.
    let mut file = tempfile::Builder::new().prefix(".photon-").suffix(".new").tempfile_in(directory)?;
    file.write_all(RULE.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Set on the open file: a mode given at its creation would lose what the umask takes away.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn refused(path: &str, error: io::Error) -> Failure {
    let (why, next) = match error.kind() {
        io::ErrorKind::PermissionDenied => (" without being root", "run `sudo provision udev install`"),
        io::ErrorKind::NotFound => (
            ": its directory is not there, so neither is udev",
            "install udev, or open the ports another way",
        ),
        _ => ("", "see that you can write there"),
    };
    Failure::configuration(format!("cannot write {path}{why}"), next).because(error)
}

fn udevadm(words: &[&str]) -> bool {
    let mut command = Command::new("udevadm");
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join(DIRECTORY)).unwrap();
        root
    }

    fn said_by(command: UdevCommand) -> String {
        let mut out = Vec::new();
        run(&UdevArgs { command }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn print_writes_the_rule_and_nothing_else() {
        assert_eq!(said_by(UdevCommand::Print), RULE);
    }

    #[test]
    fn the_rule_sorts_between_the_systems_own() {
        assert!("60-serial.rules" < NAME && NAME < "71-seat.rules");
    }

    #[test]
    fn the_link_wants_24_hexadecimal_digits() {
        let pattern = RULE.split("ATTRS{serial}==\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(pattern, "[0-9A-Fa-f]".repeat(24));
    }

    #[test]
    fn install_writes_one_file_and_a_second_time_none() {
        let root = root();
        let install = || said_by(UdevCommand::Install { root: Some(root.path().into()) });
        let said = install();
        assert!(said.contains("70-photon.rules is installed\n"), "{said}");
        assert!(said.contains("sudo udevadm control --reload\n"), "{said}");
        let directory = root.path().join(DIRECTORY);
        assert_eq!(fs::read_to_string(directory.join(NAME)).unwrap(), RULE);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(directory.join(NAME).metadata().unwrap().mode() & 0o777, 0o644);
        }
        assert!(install().ends_with("70-photon.rules is already installed\n"));
    }

    #[test]
    fn an_older_rule_is_replaced_and_put_in_force() {
        let root = root();
        let path = root.path().join(DIRECTORY).join(NAME);
        fs::write(&path, "# older\n").unwrap();
        let ran = RefCell::new(Vec::new());
        let said = installed(root.path(), &|words| {
            assert_eq!(fs::read_to_string(&path).unwrap(), RULE);
            ran.borrow_mut().push(words.join(" "));
            true
        })
        .unwrap();
        assert_eq!(ran.borrow()[0], "control --reload");
        assert_eq!(ran.borrow().len(), APPLY.len());
        assert!(said.contains("in force, also for boards that are attached now"), "{said}");
    }

    #[test]
    fn refusals_say_what_to_do() {
        let without_udev = tempfile::tempdir().unwrap();
        let failure = installed(without_udev.path(), &|_| true).unwrap_err();
        assert_eq!(failure.code, FailureCode::Configuration);
        assert!(failure.detail.contains("neither is udev"), "{failure}");
        let failure = refused("/etc/udev/rules.d/70-photon.rules", io::ErrorKind::PermissionDenied.into());
        assert_eq!(failure.next.as_deref(), Some("run `sudo provision udev install`"));
    }
}
