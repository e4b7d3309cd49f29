//! Logs go to standard error, redacted; `RUST_LOG` is honoured.

use std::{
    io::{self, Write},
    sync::Mutex,
};

use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::model::redact;

/// Starts logging. `verbosity` counts the `-v`s.
pub fn start(verbosity: u8) {
    let asked = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| {
        let ours = [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE][usize::from(verbosity.min(3))];
        let others = if verbosity > 2 { Level::DEBUG } else { Level::ERROR };
        Targets::new().with_target("provision", ours).with_default(others)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(RedactedStderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Who asked for nothing gets warnings only, and wants to know neither when nor from where. Starting
    // fails only if a subscriber is set already, which then stays.
    let _ = match verbosity > 0 || std::env::var_os("RUST_LOG").is_some() {
        true => registry.with(lines).try_init(),
        false => registry.with(lines.without_time().with_target(false)).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(RedactedStderr, "{panic}");
    }));
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
