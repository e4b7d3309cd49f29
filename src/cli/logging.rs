//! Logs go to standard error, redacted; `RUST_LOG` is honoured.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

use tracing::{
    Level,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::{
    cloud::TRACE_TARGET,
    model::{Failure, redact},
};

/// Starts logging. `verbosity` counts the `-v`s; requests are traced to the file, if there is one.
pub fn start(verbosity: u8, trace: Option<HttpTrace>) {
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| {
        let ours = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE][usize::from(verbosity.min(3))];
        let others = if verbosity > 2 { Level::DEBUG } else { Level::ERROR };
        Targets::new().with_target("provision", ours).with_default(others)
    });
    let filter = filter.with_target(TRACE_TARGET, LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(RedactedStderr).with_ansi(false);
    let of_requests = Targets::new().with_target(TRACE_TARGET, Level::TRACE);
    let registry = tracing_subscriber::registry().with(trace.map(|trace| trace.with_filter(of_requests)));
    // Who asked for nothing gets warnings only, and wants to know neither when nor from where. Starting
    // fails only if a subscriber is set already, which then stays.
    let _ = match verbosity > 0 || std::env::var_os("RUST_LOG").is_some() {
        true => registry.with(lines.with_filter(filter)).try_init(),
        false => registry.with(lines.without_time().with_target(false).with_filter(filter)).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| tell_panic(panic, &mut RedactedStderr)));
}

/// Redacted as a whole, and not as it is written, bit by bit.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>, to: &mut impl Write) {
    let _ = writeln!(to, "{}", redact(&panic.to_string()));
}

/// A file for [`TRACE_TARGET`]'s lines.
pub struct HttpTrace(Mutex<File>);

impl HttpTrace {
    /// Opens it for more lines, readable by nobody else.
    ///
    /// # Errors
    ///
    /// `Configuration` if it cannot be written.
    pub fn to(path: &Path) -> Result<Self, Failure> {
        let mut options = File::options();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path).and_then(|file| {
            #[cfg(unix)]
            if file.metadata()?.is_file() {
                file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            }
            Ok(file)
        });
        opened.map(|file| Self(Mutex::new(file))).map_err(|error| {
            let detail = format!("--trace-http: {} cannot be written", path.display());
            Failure::configuration(detail, "name a file that you can write, or leave it out").because(error)
        })
    }
}

impl<S: tracing::Subscriber> Layer<S> for HttpTrace {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        /// The event's one field.
        struct Line<'a>(&'a Mutex<File>);
        impl Visit for Line<'_> {
            fn record_str(&mut self, _: &Field, line: &str) {
                let mut file = self.0.lock().unwrap_or_else(|e| e.into_inner());
                // A full disk stops no run.
                let _ = file.write_all(format!("{line}\n").as_bytes());
            }
            fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
        }
        event.record(&mut Line(&self.0));
    }
}

/// Lines that wait for the live display to end, which they would tear apart.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Holds log lines back until it is dropped; then each is written once.
pub struct Hold;

impl Hold {
    /// From now on. There is one live display, so there is one of these at a time.
    pub fn new() -> Self {
        HELD.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_default();
        Self
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let held = HELD.lock().unwrap_or_else(|e| e.into_inner()).take();
        for line in held.unwrap_or_default() {
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

#[derive(Clone, Copy)]
struct RedactedStderr;

impl Write for RedactedStderr {
    // Each log line arrives in one write, so a secret cannot straddle two.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let line = redact(&text);
        match HELD.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            // Several tasks come upon the same obstacle.
            Some(held) if held.iter().any(|known| *known == line) => {}
            Some(held) => held.push(line.into_owned()),
            None => io::stderr().lock().write_all(line.as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write_fmt(&mut self, args: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.write_all(args.to_string().as_bytes())
    }
}

impl<'a> MakeWriter<'a> for RedactedStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::guard;

    #[test]
    fn a_panic_is_told_without_the_secrets_in_it() {
        guard("told-in-a-panic");
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = std::panic::take_hook();
        let heard = told.clone();
        // Other tests may panic meanwhile.
        std::panic::set_hook(Box::new(move |panic| tell_panic(panic, &mut *heard.lock().unwrap())));
        let ended = std::panic::catch_unwind(|| panic!("here is {}", "told-in-a-panic"));
        std::panic::set_hook(hook);
        assert!(ended.is_err());
        let told = String::from_utf8(told.lock().unwrap().clone()).unwrap();
        assert!(told.contains("logging.rs") && told.contains("here is [redacted]"), "{told}");
        assert!(!told.contains("told-in-a-panic"), "{told}");
    }
}
