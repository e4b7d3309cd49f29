//! Lines that are redrawn in place: one a step, or one a lane when there are many; then the result.

use std::{
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use console::Term;

use super::{
    Wording, explain,
    plain::{board, fail_line, in_own_account, pass_line, verdict},
    put, seconds,
    view::{LaneLines, Paint, Size, StepLines, View},
};
use crate::model::{DeviceId, Event, EventKind, Failure, Summary, redact};

/// From one picture to the next while nothing happens: what turns has to turn.
const TICK: Duration = Duration::from_millis(100);
/// The same when something has happened: events come in bursts.
const SOON: Duration = Duration::from_millis(30);

pub(super) fn draw(inbox: &mpsc::Receiver<Event>, wording: Wording, lanes: usize, colour: bool) {
    let paint = Paint(colour);
    let mut ends = Vec::new();
    let keep = |event: Event| {
        if matches!(event.kind, EventKind::RunEnded { .. }) {
            ends.push(event);
        }
    };
    if lanes > 1 {
        let mut view = LaneLines::new(paint);
        follow(inbox, &mut view, keep);
        if io::stdout().is_terminal() {
            // Each lane's line is there to be read; what is missing is the sum.
            put(io::stdout().lock(), &view.count());
        }
        tell(&ends, wording, colour, true);
    } else {
        follow(inbox, &mut StepLines::new(paint), keep);
        tell(&ends, wording, colour, false);
    }
}

/// Draws until every sender is gone. Each event is given on when the view has taken it.
pub(super) fn follow<V: View>(
    inbox: &mpsc::Receiver<V::Event>,
    view: &mut V,
    mut keep: impl FnMut(V::Event),
) {
    let mut screen = Screen { term: Term::buffered_stderr(), lines: 0, size: None };
    let mut drawn: Option<Instant> = None;
    let mut news = false;
    loop {
        let pause = if news { SOON } else { TICK };
        let due = drawn.map_or(Duration::ZERO, |at| (at + pause).saturating_duration_since(Instant::now()));
        match inbox.recv_timeout(due) {
            Ok(event) => {
                view.take(&event, Instant::now());
                news = true;
                keep(event);
            }
            Err(RecvTimeoutError::Timeout) => {
                screen.show(view, false);
                drawn = Some(Instant::now());
                news = false;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    screen.show(view, true);
}

/// The part of the terminal that is drawn over.
struct Screen {
    term: Term,
    lines: usize,
    size: Option<(u16, u16)>,
}

impl Screen {
    /// Draws the next picture in place of the last one. A terminal that is gone cannot be told.
    fn show(&mut self, view: &impl View, last: bool) {
        let (rows, columns) = self.term.size();
        // In a terminal of another width the last picture's lines are broken elsewhere.
        let resized = self.size.replace((rows, columns)).is_some_and(|size| size != (rows, columns));
        // The last column stays free: what some terminals do after it differs.
        let size = Size { rows: rows.into(), columns: usize::from(columns).saturating_sub(1) };
        let frame = view.frame(size, Instant::now(), last);
        let draw = || -> io::Result<()> {
            if resized {
                self.term.clear_screen()?;
            } else {
                // On the cursor's own line may stand what was typed meanwhile, such as ^C.
                self.term.clear_line()?;
                self.term.clear_last_lines(self.lines.min(size.rows.saturating_sub(1)))?;
            }
            for line in &frame {
                writeln!(&self.term, "{}", redact(line))?;
            }
            self.term.flush()
        };
        let _ = draw();
        self.lines = frame.len();
    }
}

/// The results, after the last picture. Where standard output goes elsewhere, it gets plain lines.
fn tell(ends: &[Event], wording: Wording, colour: bool, lanes: bool) {
    let on_screen = io::stdout().is_terminal();
    for end in ends {
        let EventKind::RunEnded { result, device_id, took } = &end.kind else { continue };
        let lane = if lanes { format!("[{}] ", end.lane + 1) } else { String::new() };
        let line = match result {
            _ if on_screen && lanes => None,
            Ok(summary) if on_screen => Some(pass_block(summary, *took, Paint(colour))),
            Ok(summary) => Some(format!("{lane}{}", pass_line(summary, *took))),
            Err(failure) if on_screen => Some(fail_block(device_id.as_ref(), failure, *took, Paint(colour))),
            Err(failure) => Some(format!("{lane}{}", fail_line(device_id.as_ref(), failure, *took))),
        };
        if let Some(line) = line {
            put(io::stdout().lock(), &redact(&line));
        }
        if let Err(failure) = result {
            put(io::stderr().lock(), &explain(failure, wording, &lane));
        }
    }
}

/// What an operator reads in one glance, in lines that are short enough for any terminal.
fn pass_block(summary: &Summary, took: Duration, paint: Paint) -> String {
    let word = paint.verdict(verdict(summary), true);
    let mut lines = vec![format!("{word}  {}  {}", board(summary), seconds(took))];
    match &summary.customer {
        Some(customer) => lines.push(format!("      customer {customer}")),
        None if in_own_account(summary) => lines.push("      in the developer's account".into()),
        None => {}
    }
    lines.extend(summary.product.as_ref().map(|product| format!("      product {product}")));
    if summary.already {
        lines.push("      it was so already, and the board was left alone".into());
    }
    if summary.may_be_updating() {
        lines.push("      do not unplug it while its status LED is magenta".into());
    }
    lines.join("\n")
}

fn fail_block(device_id: Option<&DeviceId>, failure: &Failure, took: Duration, paint: Paint) -> String {
    let id = device_id.map_or("unknown device", DeviceId::as_str);
    format!("{}  {id}  {}  {}", paint.verdict("FAIL", false), failure.code.as_str(), seconds(took))
}
