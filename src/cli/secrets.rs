//! Reading secrets: from a file, from standard input, or typed unseen. Never from an argument, which
//! every process of the machine could read, and which shells keep.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::builder::{OsStringValueParser, TypedValueParser};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use super::echo::EchoOff;
use crate::model::{Failure, clean, guard};

/// The value of a flag that says where a secret is: a path, or `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, or a pipe such as a shell's process substitution.
    File(PathBuf),
    /// `-`. On a terminal it is asked for, unseen.
    StandardInput,
}

impl From<OsString> for SecretSource {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::StandardInput } else { Self::File(text.into()) }
    }
}

impl FromStr for SecretSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(OsString::from(text).into())
    }
}

/// Asks for a text that is not shown while it is typed.
pub type Prompt = Box<dyn FnMut(&str) -> io::Result<String> + Send>;

/// Reads the secrets of one command, and gathers warnings about how they are kept.
pub struct SecretReader {
    stdin: Box<dyn Read + Send>,
    /// What standard input was read for: it can be read once.
    stdin_held: Option<&'static str>,
    prompt: Option<Prompt>,
    warnings: Vec<String>,
}

impl SecretReader {
    /// More than any secret has; so that a wrong path does not fill the memory.
    const MOST: u64 = 64 * 1024;

    /// Reads from the process's standard input, and asks if somebody is there to answer.
    pub fn of_process() -> Self {
        let somebody = io::stdin().is_terminal() && io::stderr().is_terminal();
        let prompt: Prompt = Box::new(prompt_unseen);
        Self::new(Box::new(io::stdin()), somebody.then_some(prompt))
    }

    /// Reads from this standard input; with no prompt, nobody is there to be asked.
    pub fn new(stdin: Box<dyn Read + Send>, prompt: Option<Prompt>) -> Self {
        Self { stdin, stdin_held: None, prompt, warnings: Vec::new() }
    }

    /// Reads a secret; `what` names it in messages: "client secret".
    pub fn read(&mut self, source: &SecretSource, what: &'static str) -> Result<SecretString, Failure> {
        match source {
            SecretSource::File(path) => self.read_file(path.clone(), what),
            SecretSource::StandardInput => self.read_stdin(what),
        }
    }

    /// Asks for a secret that was not given. With nobody there, the failure says how to give it:
    /// "set X or name a file".
    pub fn ask(&mut self, what: &'static str, otherwise: &str) -> Result<SecretString, Failure> {
        let Some(prompt) = &mut self.prompt else {
            return Err(Failure::configuration(format!("the {what} is missing"), otherwise));
        };
        let text = prompt(&format!("{what}: ")).map_err(|e| not_typed(what).because(e))?;
        secret(&Zeroizing::new(text), what)
    }

    /// Whether somebody is there to be asked.
    pub fn can_ask(&self) -> bool {
        self.prompt.is_some()
    }

    /// Asks for a new secret, twice, as nobody sees what is typed.
    pub fn ask_twice(&mut self, what: &'static str, otherwise: &str) -> Result<SecretString, Failure> {
        let first = self.ask(what, otherwise)?;
        let again = self.prompt.as_mut().map(|prompt| prompt(&format!("the same {what} again: ")));
        match again.map(|again| again.map(Zeroizing::new)) {
            Some(Ok(again)) if *again == first.expose_secret() => Ok(first),
            _ => Err(Failure::configuration(
                format!("what was typed for the {what} differs from the first time"),
                "run this again, and type the same twice",
            )),
        }
    }

    /// What the user should know about the secrets that were read, each once.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn read_file(&mut self, path: PathBuf, what: &'static str) -> Result<SecretString, Failure> {
        let bytes = self.read_whole(&path, what)?;
        secret_of_bytes(&bytes, what)
    }

    /// The whole of a file that holds secrets, after a look at who else gets at it.
    pub(super) fn read_whole(
        &mut self,
        path: &Path,
        what: &'static str,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let shown = clean(&path.to_string_lossy());
        let unreadable = |e| {
            let next = "name a file that is there and that you can read";
            Failure::configuration(format!("cannot read the {what} from {shown}"), next).because(e)
        };
        let file = File::open(path).map_err(unreadable)?;
        // Of the open file, so that it cannot be another one by the time it is read.
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            let detail = format!("{shown} is a directory, not a file with the {what}");
            return Err(Failure::configuration(detail, "name the file in it"));
        }
        let exposure = exposure(&metadata);
        match exposure {
            Exposure::Private => {}
            Exposure::Readable => {
                let (danger, remedy) = (exposure.danger(), exposure.remedy(&shown));
                self.warnings.push(format!("the {what} in {shown} {danger}: {remedy}"));
            }
            Exposure::Writable | Exposure::Foreign => {
                let detail = format!("the {what} in {shown} {}", exposure.danger());
                return Err(Failure::configuration(detail, exposure.remedy(&shown)));
            }
        }
        let bytes = read_all(file).map_err(unreadable)?;
        if bytes.len() as u64 > Self::MOST {
            return Err(too_long(what));
        }
        Ok(bytes)
    }

    fn read_stdin(&mut self, what: &'static str) -> Result<SecretString, Failure> {
        if self.prompt.is_some() {
            return self.ask(what, "");
        }
        if let Some(other) = self.stdin_held.replace(what) {
            let detail = format!("standard input cannot hold both the {other} and the {what}");
            return Err(Failure::configuration(
                detail,
                "put one of them into a file, and name that in place of -",
            ));
        }
        let bytes = read_all(&mut self.stdin).map_err(|e| {
            let detail = format!("cannot read the {what} from standard input");
            Failure::configuration(detail, "put it into a file, and name that in place of -").because(e)
        })?;
        secret_of_bytes(&bytes, what)
    }
}

/// Asks on the terminal that standard input and standard error are.
fn prompt_unseen(text: &str) -> io::Result<String> {
    // Before the question stands there: whoever answers it at once is not shown either.
    let _echo_off = EchoOff::on_stdin();
    let config = rpassword::ConfigBuilder::new();
    #[cfg(unix)]
    let config = config.input_file_path("/dev/stdin").output_file_path("/dev/stderr");
    rpassword::prompt_password_with_config(text, config.build())
}

/// The whole of a short input; one byte more than is taken, where there is more.
fn read_all(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(SecretReader::MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn secret_of_bytes(bytes: &[u8], what: &'static str) -> Result<SecretString, Failure> {
    if bytes.len() as u64 > SecretReader::MOST {
        return Err(too_long(what));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => secret(text, what),
        Err(_) => Err(Failure::configuration(
            format!("the {what} is not UTF-8 text"),
            "see that it is the right file",
        )),
    }
}

fn too_long(what: &str) -> Failure {
    Failure::configuration(format!("the {what} is longer than 64 KiB"), "see that it is the right file")
}

/// Nobody answered a question.
pub(super) fn not_typed(what: &str) -> Failure {
    Failure::configuration(format!("no {what} was typed"), "run this again, and type it")
}

/// Takes one line of text for a secret, and guards it. Line ends after it are not part of it, nor is
/// the mark that Windows' editors put first; blanks around it are a slip, and refused.
pub fn secret(text: &str, what: &'static str) -> Result<SecretString, Failure> {
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    // Before anything can fail: what is no good as a secret may still be one.
    guard(text);
    let why = if text.is_empty() {
        "is empty"
    } else if text.contains(['\r', '\n']) {
        "has more than one line"
    } else if text.chars().any(char::is_control) {
        "holds control characters"
    } else if text.trim() != text {
        "begins or ends with a blank"
    } else {
        return Ok(text.into());
    };
    Err(Failure::configuration(
        format!("the {what} {why}"),
        "give it as one line, with no blank before or behind it",
    ))
}

/// Who besides its owner gets at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))] // there, nothing is found out
pub(super) enum Exposure {
    /// Nobody; or it is not a file, and nothing is kept in it.
    Private,
    /// The group or everybody can read it.
    Readable,
    /// The group or everybody can change it.
    Writable,
    /// Its owner is neither this user nor root.
    Foreign,
}

impl Exposure {
    /// What is wrong, after "the secret in FILE".
    pub(super) fn danger(self) -> &'static str {
        match self {
            Self::Private => "is private",
            Self::Readable => "can be read by others",
            Self::Writable => "could have been put there by others, who can write the file",
            Self::Foreign => "could have been put there by the file's owner, who is neither you nor root",
        }
    }

    /// What to do about it.
    pub(super) fn remedy(self, file: &str) -> String {
        match self {
            Self::Foreign => format!("put it into a file of your own in place of {file}"),
            _ => format!("chmod 600 {file}"),
        }
    }
}

#[cfg(unix)]
pub(super) fn exposure(metadata: &Metadata) -> Exposure {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    const OTHERS_READ: u32 = 0o044;
    const OTHERS_WRITE: u32 = 0o022;

    let kind = metadata.file_type();
    let mode = metadata.mode();
    if !kind.is_file() && !kind.is_fifo() {
        Exposure::Private
    } else if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        Exposure::Foreign
    } else if mode & OTHERS_WRITE != 0 {
        Exposure::Writable
    } else if mode & OTHERS_READ != 0 {
        Exposure::Readable
    } else {
        Exposure::Private
    }
}

/// Access lists of other systems are not looked at.
#[cfg(not(unix))]
pub(super) fn exposure(_metadata: &Metadata) -> Exposure {
    Exposure::Private
}

/// Flags that people try, to be told of the right ones. Clap would name an unknown flag, but not say
/// what to do.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct NoSecretFlags {
    #[arg(long, hide = true, num_args = 0..=1, allow_hyphen_values = true, default_missing_value = "", value_parser = withheld())]
    client_secret: Option<Withheld>,
    #[arg(long, hide = true, num_args = 0..=1, allow_hyphen_values = true, default_missing_value = "", value_parser = withheld())]
    access_token: Option<Withheld>,
    #[arg(long, hide = true, num_args = 0..=1, allow_hyphen_values = true, default_missing_value = "", value_parser = withheld())]
    password: Option<Withheld>,
}

impl NoSecretFlags {
    /// Fails if one of them was given.
    pub fn refuse(&self) -> Result<(), Failure> {
        let hints = [
            (
                &self.client_secret,
                "--client-secret: set PARTICLE_CLIENT_SECRET, or use --client-secret-file PATH (or - for \
                 standard input)",
            ),
            (
                &self.access_token,
                "--access-token: set PARTICLE_ACCESS_TOKEN, or use --access-token-file PATH (or - for standard \
                 input)",
            ),
            (&self.password, "--password: it is asked for, or comes from a file"),
        ];
        match hints.into_iter().find(|(given, _)| given.is_some()) {
            Some((_, hint)) => Err(Failure::configuration(
                "a secret cannot be an argument, which other users can see and shells remember",
                format!("instead of {hint}"),
            )),
            None => Ok(()),
        }
    }
}

/// A value that was dropped unread.
#[derive(Debug, Clone)]
struct Withheld;

fn withheld() -> impl TypedValueParser<Value = Withheld> {
    OsStringValueParser::new().map(|_| Withheld)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const WHAT: &str = "client secret";

    // Guarded or not, care keeps the secrets here out of messages.

    fn piped(text: &'static [u8]) -> SecretReader {
        SecretReader::new(Box::new(text), None)
    }

    fn typed(text: &'static str) -> SecretReader {
        let prompt: Prompt = Box::new(move |asked| {
            assert_eq!(asked, "client secret: ");
            Ok(text.to_owned())
        });
        SecretReader::new(Box::new(io::empty()), Some(prompt))
    }

    fn from_stdin(text: &'static [u8]) -> Result<SecretString, Failure> {
        piped(text).read(&SecretSource::StandardInput, WHAT)
    }

    #[test]
    fn line_ends_are_not_part_of_a_secret() {
        for text in [&b"abcde"[..], b"abcde\n", b"abcde\r\n", b"abcde\n\n", b"\xef\xbb\xbfabcde\r\n"] {
            assert_eq!(from_stdin(text).unwrap().expose_secret(), "abcde");
        }
    }

    #[test]
    fn slips_are_refused_without_showing_the_text() {
        for (text, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b" abcde\n", "blank"),
            (b"abcde \n", "blank"),
            (b"ab\ncde\n", "more than one line"),
            (b"ab\0cde", "control characters"),
            (b"abcde\xff", "UTF-8"),
        ] {
            let failure = from_stdin(text).unwrap_err();
            assert_eq!(failure.code, crate::model::FailureCode::Configuration);
            assert!(failure.to_string().contains(why), "{failure}");
            assert!(!failure.to_string().contains("cde"), "{failure}");
        }
    }

    #[test]
    fn endless_input_is_refused() {
        let mut endless = SecretReader::new(Box::new(io::repeat(b'x')), None);
        let failure = endless.read(&SecretSource::StandardInput, WHAT).unwrap_err();
        assert!(failure.detail.contains("64 KiB"), "{failure}");
    }

    #[test]
    fn a_secret_is_guarded_at_once() {
        from_stdin(b"guarded-at-once-7\n").unwrap();
        assert_eq!(crate::model::redact("x guarded-at-once-7"), "x [redacted]");
    }

    #[test]
    fn standard_input_holds_one_secret() {
        let mut reader = piped(b"abcde\n");
        reader.read(&SecretSource::StandardInput, WHAT).unwrap();
        let failure = reader.read(&SecretSource::StandardInput, "access token").unwrap_err();
        assert!(failure.detail.contains("both the client secret and the access token"), "{failure}");
    }

    #[test]
    fn somebody_at_the_terminal_is_asked_and_nobody_is_not() {
        assert_eq!(typed("abcde").ask(WHAT, "").unwrap().expose_secret(), "abcde");
        assert!(typed("abcde").read(&SecretSource::StandardInput, WHAT).is_ok());
        let failure = piped(b"").ask(WHAT, "set PARTICLE_CLIENT_SECRET").unwrap_err();
        assert_eq!(failure.detail, "the client secret is missing");
        assert_eq!(failure.next.as_deref(), Some("set PARTICLE_CLIENT_SECRET"));
    }

    #[test]
    fn a_dash_is_standard_input() {
        assert_eq!("-".parse(), Ok(SecretSource::StandardInput));
        assert_eq!("./-".parse(), Ok(SecretSource::File("./-".into())));
    }

    #[cfg(unix)]
    mod files {
        use std::{fs, os::unix::fs::PermissionsExt, path::Path};

        use super::*;

        fn with_mode(path: &Path, mode: u32) -> (Result<SecretString, Failure>, Vec<String>) {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let mut reader = piped(b"");
            let result = reader.read(&SecretSource::File(path.into()), WHAT);
            (result, reader.take_warnings())
        }

        #[test]
        fn files_that_others_can_read_are_warned_of_and_that_they_can_write_refused() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("secret");
            fs::write(&path, "abcde\n").unwrap();
            for mode in [0o600, 0o400] {
                let (result, warnings) = with_mode(&path, mode);
                assert_eq!(result.unwrap().expose_secret(), "abcde");
                assert!(warnings.is_empty(), "{mode:o}: {warnings:?}");
            }
            for mode in [0o644, 0o640, 0o604] {
                let (result, warnings) = with_mode(&path, mode);
                assert!(result.is_ok());
                assert_eq!(warnings.len(), 1, "{mode:o}");
                assert!(warnings[0].contains("can be read by others: chmod 600"), "{warnings:?}");
            }
            for mode in [0o620, 0o602, 0o666] {
                let (result, _) = with_mode(&path, mode);
                assert!(result.unwrap_err().next.unwrap().contains("chmod 600"), "{mode:o}");
            }
        }

        #[test]
        fn a_pipe_is_as_good_as_a_file() {
            let (reading, mut writing) = io::pipe().unwrap();
            io::Write::write_all(&mut writing, b"abcde\n").unwrap();
            drop(writing);
            let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reading));
            let mut reader = piped(b"");
            let read = reader.read(&SecretSource::File(path.into()), WHAT).unwrap();
            assert_eq!(read.expose_secret(), "abcde");
            assert!(reader.take_warnings().is_empty());
        }

        #[test]
        fn directories_and_absent_files_are_refused() {
            let dir = tempfile::tempdir().unwrap();
            let read = |path: PathBuf| piped(b"").read(&SecretSource::File(path), WHAT).unwrap_err();
            assert!(read(dir.path().into()).detail.contains("is a directory"));
            assert!(
                read(dir.path().join("absent")).detail.starts_with("cannot read the client secret from ")
            );
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Command {
        #[command(flatten)]
        no_secrets: NoSecretFlags,
    }

    #[test]
    fn secrets_as_arguments_are_refused_without_being_repeated() {
        for arguments in [
            &["x", "--client-secret", "xyzzy"][..],
            &["x", "--client-secret=xyzzy"],
            &["x", "--client-secret", "-xyzzy"],
            &["x", "--access-token", "xyzzy"],
            &["x", "--password", "xyzzy"],
            &["x", "--password"],
        ] {
            let parsed = Command::try_parse_from(arguments).unwrap();
            assert!(!format!("{parsed:?}").contains("xyzzy"));
            let failure = parsed.no_secrets.refuse().unwrap_err();
            assert!(failure.next.as_ref().unwrap().starts_with("instead of --"), "{failure}");
            assert!(!failure.to_string().contains("xyzzy"), "{failure}");
        }
        Command::try_parse_from(["x"]).unwrap().no_secrets.refuse().unwrap();
    }

    #[test]
    fn clap_repeats_no_secret_either_and_does_not_offer_such_flags() {
        let twice = ["x", "--client-secret", "xyzzy", "--client-secret", "xyzz3"];
        for arguments in [&twice[..], &["x", "--client-secrets=xyzzy"], &["x", "--token", "xyzzy"]] {
            let error = Command::try_parse_from(arguments).unwrap_err().to_string();
            assert!(!error.contains("xyzz"), "{error}");
        }
        let help = <Command as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(!help.contains("--client-secret"), "{help}");
    }
}
