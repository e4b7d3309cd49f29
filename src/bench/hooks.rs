//! Programs that are run about a board, such as a label printer's.

use std::{collections::BTreeMap, path::Path, pin::pin, process::Stdio, time::Duration};

use futures_util::{FutureExt, future::FusedFuture};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};
use tracing::info;

use crate::model::{Invalid, clean, redact};

/// What a hook can be told, by the name of its placeholder.
pub const PLACEHOLDERS: [&str; 8] =
    ["device_id", "customer", "product", "slot", "run", "code", "name", "note"];

/// How much of what a hook says is kept, in bytes of each of its two outputs.
const KEPT: u64 = 16 * 1024;
/// How long a hook that has ended is still listened to.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A program and its arguments, split before anything is filled in: what is filled in cannot become
/// another argument, and no shell sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    program: String,
    arguments: Vec<String>,
}

/// How a hook that did not do its work ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// It is not there, or cannot be executed.
    #[error("it cannot be started: {0}")]
    Start(String),
    /// It did not end well.
    #[error("it ended with {0}")]
    Failed(String),
    /// It took too long and was killed.
    #[error("it was killed after {} s", .0.as_secs())]
    Late(Duration),
    /// It was ended with the bench, or not begun any more.
    #[error("the bench was stopped")]
    Stopped,
}

impl Hook {
    /// Splits as a shell does: blanks, quotes, backslashes.
    ///
    /// # Errors
    ///
    /// Nothing to run, quotes without their end, an unknown placeholder, one in the program's place.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid { what: "a hook", why };
        let words = shell_words::split(text).map_err(|_| invalid("has a quote without its end".into()))?;
        let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty())
        else {
            return Err(invalid("names a program".into()));
        };
        if let Some(name) = placeholders(program).next() {
            return Err(invalid(format!("cannot have its program named by {{{name}}}")));
        }
        for name in arguments.iter().flat_map(|word| placeholders(word)) {
            if !PLACEHOLDERS.contains(&name) {
                let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
                return Err(invalid(format!("knows no {{{name}}}, but {known}")));
            }
        }
        Ok(Self { program: program.clone(), arguments: arguments.to_vec() })
    }

    /// Whether its program is there, so that this is not found out with the first board.
    ///
    /// # Errors
    ///
    /// It is no file, or is in no directory of `PATH`.
    pub fn check(&self) -> Result<(), Invalid> {
        let missing = |why: String| Err(Invalid { what: "a hook", why });
        let program = Path::new(&self.program);
        // Without that variable the system has directories of its own.
        let path = std::env::var_os("PATH").filter(|_| cfg!(unix));
        if self.program.contains(std::path::MAIN_SEPARATOR) {
            if !program.is_file() {
                return missing(format!("cannot be run: there is no file {}", clean(&self.program)));
            }
        } else if path
            .is_some_and(|path| !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
        {
            return missing(format!("cannot be run: {} is in no directory of PATH", clean(&self.program)));
        }
        Ok(())
    }

    /// Runs it in a process group of its own, without this program's secrets. The whole group is killed
    /// when the deadline is over, or when this future is dropped. What it says goes to the log.
    ///
    /// # Errors
    ///
    /// It did not do its work.
    pub async fn run(
        &self,
        values: &BTreeMap<&'static str, String>,
        deadline: Duration,
    ) -> Result<(), HookError> {
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments.iter().map(|word| fill_in(word, values)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_private(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|e| HookError::Start(clean(&e.to_string())))?;
        let mut group = Group::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (mut out_said, mut err_said) = (Vec::new(), Vec::new());
        let status = {
            let listen =
                async { tokio::join!(first_words(out, &mut out_said), first_words(err, &mut err_said)) };
            let mut listen = pin!(listen.fuse());
            let ended = timeout(deadline, async {
                loop {
                    tokio::select! {
                        status = child.wait() => break status,
                        _ = &mut listen => {}
                    }
                }
            });
            let Ok(status) = ended.await else { return Err(HookError::Late(deadline)) };
            group.has_ended();
            // What it left behind, such as a spooler, may hold its outputs open for as long as it likes.
            if !listen.is_terminated() {
                let _ = timeout(LAST_WORDS, listen).await;
            }
            status
        };
        let (out, err) = (String::from_utf8_lossy(&out_said), String::from_utf8_lossy(&err_said));
        for line in out.lines().chain(err.lines()) {
            info!(hook = self.program, "{}", redact(&clean(line)));
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let last = err.lines().rev().find(|line| !line.trim().is_empty());
                let why = last.map(|line| format!(": {}", redact(&clean(line)))).unwrap_or_default();
                Err(HookError::Failed(format!(
                    "{}{why}",
                    status.to_string().replace("exit status: ", "exit code ")
                )))
            }
            Err(error) => Err(HookError::Failed(clean(&error.to_string()))),
        }
    }
}

/// Variables that hold this program's secrets, or may.
fn is_private(name: &str) -> bool {
    ["PARTICLE_", "PROVISION_", "PG"].iter().any(|prefix| name.to_ascii_uppercase().starts_with(prefix))
}

/// A hook's process and its children, which are killed unless they have ended by themselves.
#[cfg(unix)]
struct Group(Option<rustix::process::Pid>);
#[cfg(not(unix))]
struct Group;

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?)))
    }

    fn has_ended(&mut self) {
        self.0 = None;
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_child: &Child) -> Self {
        Self
    }

    fn has_ended(&mut self) {}
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Refused when nobody of it is left, which is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The first part of what is said; the rest is read and thrown away, so that nobody waits to be heard.
async fn first_words(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    // What cannot be read any more is as good as its end.
    let _ = (&mut from).take(KEPT).read_to_end(kept).await;
    let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}

/// The names that stand in braces.
fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    word.match_indices('{').filter_map(|(at, _)| {
        let name = word[at + 1..].split('}').next().filter(|name| at + 1 + name.len() < word.len())?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_name.then_some(name)
    })
}

/// In one pass, so that a value with braces in it stays as it is. What is not known is empty.
fn fill_in(word: &str, values: &BTreeMap<&'static str, String>) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        filled += &rest[..at];
        rest = &rest[at..];
        match placeholders(rest).next().filter(|name| rest[1..].starts_with(&format!("{name}}}"))) {
            Some(name) => {
                filled += values.get(name).map_or("", String::as_str);
                rest = &rest[name.len() + 2..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn values(customer: &str) -> BTreeMap<&'static str, String> {
        [("customer", customer.to_owned()), ("slot", "A1".to_owned())].into()
    }

    #[test]
    fn a_program_that_is_not_there_is_found_out_at_once() {
        let check = |text: &str| Hook::parse(text).unwrap().check().map_err(|error| error.to_string());
        assert_eq!(check("true"), Ok(()));
        assert!(check("/nowhere/label").unwrap_err().contains("there is no file /nowhere/label"));
        assert!(check("no-such-label-printer").unwrap_err().contains("is in no directory of PATH"));
    }

    #[test]
    fn a_command_is_split_before_anything_is_filled_in() {
        let hook = Hook::parse(r#"print 'for {customer}' {slot}{slot} "{}" {"a": {name}} \{run"#).unwrap();
        let filled: Vec<_> =
            hook.arguments.iter().map(|word| fill_in(word, &values("a b {slot} $(x)"))).collect();
        assert_eq!(filled, ["for a b {slot} $(x)", "A1A1", "{}", "{a:", "}", "{run"]);
    }

    #[test]
    fn commands_that_cannot_be_meant_are_refused() {
        for (text, why) in [
            ("", "names a program"),
            ("''", "names a program"),
            ("print 'x", "a quote without its end"),
            ("print {serial}", "knows no {serial}, but {device_id}, {customer}"),
            ("{name} x", "program named by {name}"),
        ] {
            let said = Hook::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_hook_gets_its_arguments_as_they_are() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("said");
        let script = format!("sh -c 'printf %s \"$1\" > \"$2\"' x {{customer}} {}", file.display());
        Hook::parse(&script).unwrap().run(&values("; rm -rf $HOME `x` \"'"), LONG).await.unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "; rm -rf $HOME `x` \"'");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_hook_that_fails_says_how() {
        let run = async |text: &str, deadline| Hook::parse(text).unwrap().run(&values(""), deadline).await;
        assert_eq!(
            run("sh -c 'echo no paper >&2; exit 3'", LONG).await,
            Err(HookError::Failed("exit code 3: no paper".into()))
        );
        assert!(matches!(run("/no/such/program", LONG).await, Err(HookError::Start(_))));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_hook_that_hangs_is_killed_with_its_children() {
        let hook = Hook::parse("sleep 600").unwrap();
        let deadline = Duration::from_millis(50);
        assert_eq!(hook.run(&values(""), deadline).await, Err(HookError::Late(deadline)));

        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // The child holds the pipe open until it dies, and says that it lives.
        let script = format!("sh -c '(echo up; sleep 600) > {} & wait'", fifo.display());
        let mut pipe = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
        let hook = Hook::parse(&script).unwrap();
        let mut word = [0; 3];
        let values = values("");
        tokio::select! {
            ended = hook.run(&values, LONG) => panic!("{ended:?}"),
            read = async {
                // Nobody has it open for writing yet: that looks like its end.
                while pipe.read_exact(&mut word).await.is_err() {
                    tokio::task::yield_now().await;
                }
            } => read,
        }
        assert_eq!(&word, b"up\n");
        let end = timeout(LONG, pipe.read(&mut word)).await.expect("the child lives on");
        assert_eq!(end.unwrap(), 0);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_hook_leaves_behind_says_nothing_about_it() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let leave = async |code: i32| {
            // The child holds both outputs open until somebody has the other end.
            let script = format!("sh -c '(read x < {}) & echo no paper >&2; exit {code}'", fifo.display());
            Hook::parse(&script).unwrap().run(&values(""), LONG).await
        };
        let ends = [leave(0).await, leave(3).await];
        // Lets both go: what opens it for reading and writing does not wait.
        let open = std::fs::File::options().read(true).write(true).open(&fifo);
        std::io::Write::write_all(&mut open.unwrap(), b"x\nx\n").unwrap();
        assert_eq!(ends, [Ok(()), Err(HookError::Failed("exit code 3: no paper".into()))]);
    }

    #[test]
    fn this_programs_secrets_stay_with_it() {
        for name in ["PARTICLE_CLIENT_SECRET", "PROVISION_LEDGER", "PGPASSWORD"] {
            assert!(is_private(name));
        }
        assert!(!is_private("PATH") && !is_private("CUPS_SERVER"));
    }
}
