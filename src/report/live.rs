//! Lines that are redrawn in place: one a step, or one a lane when there are many.

use std::{collections::HashMap, io, sync::mpsc, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{
    Wording,
    plain::{action_text, explanation, fail_line, outcome_text, pass_line},
    put, seconds,
};
use crate::model::{Event, EventKind, Step, redact};

pub(super) fn draw(inbox: &mpsc::Receiver<Event>, wording: Wording, lanes: usize, colour: bool) {
    let screen = MultiProgress::new();
    let paint = Paint(colour);
    let mut ends = Vec::new();
    if lanes > 1 {
        by_lane(inbox, &screen, paint, &mut ends)
    } else {
        by_step(inbox, &screen, paint, &mut ends)
    }
    for end in ends {
        let EventKind::RunEnded { result, device_id, took } = &end.kind else { continue };
        match result {
            Ok(summary) => put(io::stdout().lock(), &redact(&paint.good(&pass_line(summary, *took)))),
            Err(failure) => {
                put(io::stdout().lock(), &paint.bad(&fail_line(device_id.as_ref(), failure, *took)));
                put(io::stderr().lock(), &redact(&explanation(failure, wording)));
            }
        }
    }
}

/// A line a step, in the order in which the steps begin.
fn by_step(inbox: &mpsc::Receiver<Event>, screen: &MultiProgress, paint: Paint, ends: &mut Vec<Event>) {
    let mut bars: HashMap<Step, ProgressBar> = HashMap::new();
    for event in inbox {
        match &event.kind {
            EventKind::StepStarted { step } => {
                let bar = screen.add(spinner());
                bar.set_prefix(format!("{:<16}", step.to_string()));
                bars.insert(*step, bar);
            }
            EventKind::StepNote { step, note } => {
                if let Some(bar) = bars.get(step) {
                    bar.set_message(redact(note).into_owned());
                }
            }
            EventKind::ActionNeeded { step, action } => {
                if let Some(bar) = bars.get(step) {
                    bar.set_message(paint.loud(action_text(action)));
                }
            }
            EventKind::StepEnded { step, outcome, note, took } => {
                if let Some(bar) = bars.remove(step) {
                    let text = format!("{} {}", outcome_text(*outcome, note), paint.faint(&seconds(*took)));
                    finish(&bar, &paint.good("✓"), &text);
                }
            }
            EventKind::DeviceKnown { .. } => {}
            EventKind::RunEnded { result, .. } => {
                let failed = result.as_ref().err().and_then(|f| f.step);
                for (step, bar) in bars.drain() {
                    if Some(step) == failed {
                        finish(&bar, &paint.bad("✗"), "failed")
                    } else {
                        bar.finish_and_clear()
                    }
                }
                ends.push(event);
            }
        }
    }
}

/// A line a lane, with the step it is in.
fn by_lane(inbox: &mpsc::Receiver<Event>, screen: &MultiProgress, paint: Paint, ends: &mut Vec<Event>) {
    let mut bars: HashMap<usize, ProgressBar> = HashMap::new();
    for event in inbox {
        let bar = bars.entry(event.lane).or_insert_with(|| {
            let bar = screen.add(spinner());
            bar.set_prefix(format!("{:>3}  {:<24}", event.lane + 1, ""));
            bar
        });
        match &event.kind {
            EventKind::DeviceKnown { device_id } => {
                bar.set_prefix(format!("{:>3}  {device_id}", event.lane + 1))
            }
            EventKind::StepStarted { step } => bar.set_message(step.to_string()),
            EventKind::StepNote { note, .. } => bar.set_message(redact(note).into_owned()),
            EventKind::ActionNeeded { action, .. } => bar.set_message(paint.loud(action_text(action))),
            EventKind::StepEnded { .. } => {}
            EventKind::RunEnded { result, took, .. } => {
                match result {
                    Ok(_) => finish(bar, &paint.good("✓"), &format!("PASS {}", paint.faint(&seconds(*took)))),
                    Err(failure) => finish(bar, &paint.bad("✗"), &format!("FAIL {}", failure.code.as_str())),
                }
                ends.push(event);
            }
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style("{spinner} {prefix} {wide_msg} {elapsed}"));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn finish(bar: &ProgressBar, mark: &str, text: &str) {
    bar.set_style(style(&format!("{mark} {{prefix}} {{wide_msg}}")));
    bar.finish_with_message(text.to_owned());
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file but for a coloured mark, and hold no braces of their own.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.wrap("31;1", text)
    }

    fn loud(self, text: &str) -> String {
        self.wrap("33;1", text)
    }

    fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }
}
