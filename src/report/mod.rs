//! Listeners to a run's events. The engine knows none of them, and none can fail or delay it: each
//! draws on a thread of its own.

mod bench;
mod json;
mod live;
mod plain;
mod text;
mod view;

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use console::Term;

use crate::model::{Event, Failure, FailureCode, redact};

pub use bench::BenchReporter;
pub use json::result_line;
use text::wrap;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A line a step (or, with many lanes, a line a lane) that is redrawn in place.
    Live {
        /// With colours.
        colour: bool,
    },
    /// A line an event, for logs.
    Plain,
    /// One JSON object a line on standard output, and nothing else there.
    Json,
}

impl Style {
    /// For people: live on a terminal, plain elsewhere; colours unless `NO_COLOR` is set.
    pub fn for_people() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        if io::stderr().is_terminal() && !dumb {
            Self::Live { colour: !set("NO_COLOR") }
        } else {
            Self::Plain
        }
    }
}

/// The wording of failures, which belongs to the command line.
#[derive(Clone, Copy)]
pub struct Wording {
    /// What to do next.
    pub hint: fn(&Failure) -> String,
    /// The process's exit code.
    pub exit_code: fn(FailureCode) -> u8,
}

/// Draws events, on its own thread, until every sender is gone.
pub struct Reporter {
    events: mpsc::Sender<Event>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// Starts the thread. `lanes` is how many runs there will be.
    pub fn start(style: Style, lanes: usize, wording: Wording) -> io::Result<Self> {
        let (events, inbox) = mpsc::channel();
        let draw = move || match style {
            Style::Json => json::draw(&inbox, wording, lanes > 1),
            Style::Plain => plain::draw(&inbox, wording, lanes > 1),
            Style::Live { colour } => live::draw(&inbox, wording, lanes, colour),
        };
        let thread = std::thread::Builder::new().name("report".into()).spawn(draw)?;
        Ok(Self { events, thread })
    }

    /// A listener for a lane's events.
    pub fn listener(&self) -> impl Fn(Event) + Send + Sync + 'static {
        let events = self.events.clone();
        // A reporter that is gone (its output was closed) is no reason to end a run.
        move |event| drop(events.send(event))
    }

    /// Waits until all has been drawn. Every listener must be gone by then.
    pub fn finish(self) {
        drop(self.events);
        let _ = self.thread.join();
    }
}

/// What failed, why, and what to do next; redacted, and on a terminal broken between words. Each line
/// begins with `lane`.
pub fn explain(failure: &Failure, wording: Wording, lane: &str) -> String {
    let step = failure.step.map(|step| format!("{step}: ")).unwrap_or_default();
    let lines =
        [format!("{lane}error: {step}{failure}"), format!("{lane}  next: {}", (wording.hint)(failure))];
    let text = lines.map(|line| for_stderr(&line, lane.len() + 8)).join("\n");
    redact(&text).into_owned()
}

/// A text for standard error: broken between words if that is a terminal.
pub fn for_stderr(text: &str, indent: usize) -> String {
    wrapped(&Term::stderr(), text, indent)
}

/// A text for standard output: broken between words if that is a terminal.
pub fn for_stdout(text: &str, indent: usize) -> String {
    wrapped(&Term::stdout(), text, indent)
}

fn wrapped(term: &Term, text: &str, indent: usize) -> String {
    match term.size_checked() {
        Some((_, columns)) if term.is_term() => wrap(text, usize::from(columns).saturating_sub(1), indent),
        _ => text.to_owned(),
    }
}

/// Seconds with a precision that a person reads.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Writes a line; an output that is closed or full cannot be told of that.
fn put(mut out: impl Write, line: &str) {
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
