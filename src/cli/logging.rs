//! Logs go to standard error, redacted; `RUST_LOG` is honoured.

use std::io::{self, Write};

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
    // Fails only if a subscriber is set already, which then stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(RedactedStderr, "{panic}");
    }));
}

#[derive(Clone, Copy)]
struct RedactedStderr;

impl Write for RedactedStderr {
    // Each log line arrives in one write, so a secret cannot straddle two.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(redact(&String::from_utf8_lossy(bytes)).as_bytes())?;
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
