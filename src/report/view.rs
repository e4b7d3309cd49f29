//! What the live display shows, as lines of text: no I/O, no clock.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{plain::action_text, seconds, text::fit, text::wrap};
use crate::model::{DeviceId, Event, EventKind, Outcome, Step, clean};

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub bool);

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31;1", text)
    }

    pub fn loud(self, text: &str) -> String {
        self.wrap("33;1", text)
    }

    pub fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// A word that is read from across the bench.
    pub fn verdict(self, word: &str, good: bool) -> String {
        match self.0 {
            true => self.wrap(if good { "32;1;7" } else { "31;1;7" }, &format!(" {word} ")),
            false => word.to_owned(),
        }
    }
}

/// The room there is.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// What is shown of runs that are under way.
pub(super) trait View {
    /// What happens there.
    type Event;

    /// Takes in what happened.
    fn take(&mut self, event: &Self::Event, now: Instant);

    /// The lines to show now. What is shown last may be longer than the terminal is high.
    fn frame(&self, size: Size, now: Instant, last: bool) -> Vec<String>;
}

/// What turns while something is under way.
pub(super) fn spinner(time: Duration) -> &'static str {
    const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
    SPINNER[usize::try_from(time.as_millis() / 100).unwrap_or_default() % SPINNER.len()]
}

enum State {
    Running { since: Instant },
    Ended { mark: Mark, took: Duration },
}

#[derive(Clone, Copy)]
enum Mark {
    Good,
    Would,
    Bad,
    Stopped,
}

impl State {
    fn mark(&self, paint: Paint, now: Instant) -> String {
        match self {
            Self::Running { since } => spinner(now.duration_since(*since)).into(),
            Self::Ended { mark: Mark::Good, .. } => paint.good("✓"),
            Self::Ended { mark: Mark::Would, .. } => paint.loud("~"),
            Self::Ended { mark: Mark::Bad, .. } => paint.bad("✗"),
            Self::Ended { mark: Mark::Stopped, .. } => paint.faint("-"),
        }
    }

    fn time(&self, now: Instant) -> Duration {
        match self {
            Self::Running { since } => now.duration_since(*since),
            Self::Ended { took, .. } => *took,
        }
    }

    /// `✓ label   0.3 s  text`, in one line.
    fn line(&self, label: &str, text: &str, columns: usize, paint: Paint, now: Instant) -> String {
        // Mark, blank, time and two gaps.
        let room = columns.saturating_sub(label.len() + 13);
        let time = paint.faint(&format!("{:>8}", seconds(self.time(now))));
        let line = format!("{} {label} {time}  {}", self.mark(paint, now), fit(text, room));
        line.trim_end().to_owned()
    }
}

/// One run: a line a step, in the order in which people read them, however they overlap.
pub(super) struct StepLines {
    paint: Paint,
    steps: BTreeMap<Step, (State, String)>,
    action: Option<(Step, &'static str)>,
    /// What was said of steps that have not begun.
    remarks: Vec<String>,
}

impl StepLines {
    pub fn new(paint: Paint) -> Self {
        Self { paint, steps: BTreeMap::new(), action: None, remarks: Vec::new() }
    }

    fn ends(&mut self, step: Step, mark: Mark, took: Duration, text: String) {
        self.steps.insert(step, (State::Ended { mark, took }, text));
        self.action = self.action.filter(|(of, _)| *of != step);
    }
}

impl View for StepLines {
    type Event = Event;

    fn take(&mut self, event: &Event, now: Instant) {
        match &event.kind {
            EventKind::StepStarted { step } => {
                self.steps.insert(*step, (State::Running { since: now }, String::new()));
            }
            EventKind::StepNote { step, note } | EventKind::StepRetried { step, note } => {
                match self.steps.get_mut(step) {
                    Some((_, text)) => *text = clean(note),
                    None => self.remarks.push(format!("{step}: {}", clean(note))),
                }
            }
            EventKind::ActionNeeded { step, action } => self.action = Some((*step, action_text(action))),
            EventKind::StepEnded { step, outcome, note, took } => {
                let (mark, text) = match outcome {
                    Outcome::Done | Outcome::AlreadySo => (Mark::Good, clean(note)),
                    Outcome::WouldDo if note.is_empty() => (Mark::Would, "would be done".into()),
                    Outcome::WouldDo => (Mark::Would, format!("would be done: {}", clean(note))),
                };
                self.ends(*step, mark, *took, text);
            }
            EventKind::DeviceKnown { .. } => {}
            EventKind::RunEnded { result, .. } => {
                let (already, failed) = match result {
                    Ok(_) => (Some(Step::CheckDevice), None),
                    Err(failure) => (None, failure.step),
                };
                for (step, (state, text)) in &mut self.steps {
                    let took = state.time(now);
                    // A run that ends well with its check of the device still open has found all done.
                    // One that fails may do so in a step that seemed to be over.
                    let (mark, said) = match (Some(*step), &state) {
                        // What it says then, the person has to know.
                        (Some(Step::GoBack), State::Running { .. }) => (Mark::Bad, std::mem::take(text)),
                        (step, _) if step == failed => (Mark::Bad, "failed".into()),
                        (_, State::Ended { .. }) => continue,
                        (step, _) if step == already => (Mark::Good, "all is so already".into()),
                        _ => (Mark::Stopped, "stopped".into()),
                    };
                    *state = State::Ended { mark, took };
                    *text = said;
                }
                self.action = None;
            }
        }
    }

    fn frame(&self, size: Size, now: Instant, _last: bool) -> Vec<String> {
        let steps = self.steps.iter().map(|(step, (state, text))| {
            state.line(&format!("{:<16}", step.to_string()), text, size.columns, self.paint, now)
        });
        // Below all steps and never cut: it is what the person has to do.
        let action = self.action.iter().flat_map(|(_, text)| {
            let text = wrap(&format!(">>> {text}"), size.columns, 4);
            text.lines().map(|line| self.paint.loud(line)).collect::<Vec<_>>()
        });
        let remarks = self
            .remarks
            .iter()
            .flat_map(|text| wrap(text, size.columns, 4).lines().map(str::to_owned).collect::<Vec<_>>());
        steps.chain(remarks).chain(action).collect()
    }
}

struct Lane {
    device_id: Option<DeviceId>,
    state: State,
    text: String,
    loud: bool,
}

/// Many runs: a line each, with the step it is in, and a count when not all of them fit.
pub(super) struct LaneLines {
    paint: Paint,
    lanes: BTreeMap<usize, Lane>,
}

impl LaneLines {
    pub fn new(paint: Paint) -> Self {
        Self { paint, lanes: BTreeMap::new() }
    }

    /// `7 passed, 1 failed, 2 under way`
    pub fn count(&self) -> String {
        let count = |is: fn(&State) -> bool| self.lanes.values().filter(|lane| is(&lane.state)).count();
        let passed = count(|s| matches!(s, State::Ended { mark: Mark::Good, .. }));
        let failed = count(|s| matches!(s, State::Ended { mark: Mark::Bad, .. }));
        let running = count(|s| matches!(s, State::Running { .. }));
        let parts = [(passed, "passed"), (failed, "failed"), (running, "under way")];
        let parts = parts.iter().filter(|(count, what)| *count > 0 || *what == "passed");
        parts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }

    fn line(&self, number: usize, lane: &Lane, columns: usize, now: Instant) -> String {
        let id = lane.device_id.as_ref().map_or("", DeviceId::as_str);
        let label = format!("{:>3}  {id:<24}", number + 1);
        let line = lane.state.line(&label, &lane.text, columns, self.paint, now);
        if lane.loud { self.paint.loud(&line) } else { line }
    }
}

impl View for LaneLines {
    type Event = Event;

    fn take(&mut self, event: &Event, now: Instant) {
        let lane = self.lanes.entry(event.lane).or_insert_with(|| Lane {
            device_id: None,
            state: State::Running { since: now },
            text: String::new(),
            loud: false,
        });
        let (text, loud) = match &event.kind {
            EventKind::DeviceKnown { device_id } => {
                lane.device_id = Some(device_id.clone());
                return;
            }
            EventKind::StepEnded { .. } => return,
            EventKind::StepStarted { step } => (step.to_string(), false),
            EventKind::StepNote { note, .. } | EventKind::StepRetried { note, .. } => (clean(note), false),
            EventKind::ActionNeeded { action, .. } => (action_text(action).into(), true),
            EventKind::RunEnded { result, took, .. } => {
                let (mark, text) = match result {
                    Ok(_) => (Mark::Good, "PASS".into()),
                    Err(failure) => (Mark::Bad, format!("FAIL  {}", failure.code.as_str())),
                };
                lane.state = State::Ended { mark, took: *took };
                (text, false)
            }
        };
        (lane.text, lane.loud) = (text, loud);
    }

    fn frame(&self, size: Size, now: Instant, last: bool) -> Vec<String> {
        let line = |(number, lane): (&usize, &Lane)| self.line(*number, lane, size.columns, now);
        // The cursor stands below the last line.
        if last || self.lanes.len() < size.rows {
            return self.lanes.iter().map(line).collect();
        }
        let passed = |lane: &Lane| matches!(lane.state, State::Ended { mark: Mark::Good, .. });
        let room = size.rows.saturating_sub(2);
        let shown = self.lanes.iter().filter(|(_, lane)| !passed(lane)).take(room).map(line);
        shown.chain([self.count()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Action, Events, Failure, FailureCode, Summary};

    const SIZE: Size = Size { rows: 24, columns: 80 };

    fn shown(view: &mut impl View<Event = Event>, size: Size, events: Vec<(usize, EventKind)>) -> String {
        let now = Instant::now();
        for (lane, kind) in events {
            let (sender, inbox) = std::sync::mpsc::channel();
            Events::new(lane, move |event| drop(sender.send(event))).send(kind);
            view.take(&inbox.recv().unwrap(), now);
        }
        view.frame(size, now, false).join("\n")
    }

    fn started(step: Step) -> (usize, EventKind) {
        (0, EventKind::StepStarted { step })
    }

    fn ended(step: Step, outcome: Outcome, note: &str) -> (usize, EventKind) {
        (0, EventKind::StepEnded { step, outcome, note: note.into(), took: Duration::from_millis(1234) })
    }

    fn failed(lane: usize, step: Option<Step>) -> (usize, EventKind) {
        let failure = Failure { step, ..Failure::new(FailureCode::CloudRefused, "no") };
        let took = Duration::from_secs(2);
        (lane, EventKind::RunEnded { result: Err(Arc::new(failure)), device_id: None, took })
    }

    #[test]
    fn steps_are_shown_in_the_order_in_which_people_read_them() {
        let text = shown(
            &mut StepLines::new(Paint(false)),
            SIZE,
            vec![
                started(Step::SignIn),
                started(Step::KnowDevice),
                ended(Step::SignIn, Outcome::Done, ""),
                ended(Step::KnowDevice, Outcome::AlreadySo, "3b0021001747353236343033, from USB"),
                started(Step::Verify),
                ended(Step::Import, Outcome::WouldDo, ""),
            ],
        );
        assert_eq!(
            text,
            "✓ know the device     1.2 s  3b0021001747353236343033, from USB\n\
             ✓ sign in             1.2 s\n\
             ~ import              1.2 s  would be done\n\
             ⠋ verify              0.0 s"
        );
    }

    #[test]
    fn what_a_person_has_to_do_is_shown_whole_until_it_is_done() {
        let mut view = StepLines::new(Paint(false));
        let needed = EventKind::ActionNeeded { step: Step::Listening, action: Action::HoldSetupButton };
        let text = shown(&mut view, SIZE, vec![started(Step::Listening), (0, needed)]);
        assert_eq!(
            text,
            "⠋ listening           0.0 s\n\
             >>> Hold the SETUP button for 3 seconds, until the status LED blinks dark blue.\n    Waiting."
        );
        let text = shown(&mut view, SIZE, vec![ended(Step::Listening, Outcome::Done, "")]);
        assert_eq!(text, "✓ listening           1.2 s");
    }

    #[test]
    fn what_is_said_of_a_step_before_it_begins_stands_below_the_steps() {
        let note = EventKind::StepNote { step: Step::Import, note: "its id is not known yet".into() };
        let text = shown(&mut StepLines::new(Paint(false)), SIZE, vec![started(Step::SignIn), (0, note)]);
        assert_eq!(text, "⠋ sign in             0.0 s\nimport: its id is not known yet");
    }

    #[test]
    fn a_way_back_that_was_not_found_is_told_to_the_end() {
        let note = EventKind::StepNote { step: Step::GoBack, note: "could not go back".into() };
        let events = vec![started(Step::GoBack), (0, note), failed(0, Some(Step::Deliver))];
        let text = shown(&mut StepLines::new(Paint(false)), SIZE, events);
        assert_eq!(text, "✗ go back             0.0 s  could not go back");
    }

    #[test]
    fn a_failed_run_shows_where_it_failed_and_what_it_stopped() {
        let text = shown(
            &mut StepLines::new(Paint(false)),
            SIZE,
            vec![started(Step::Listening), started(Step::SignIn), failed(0, Some(Step::SignIn))],
        );
        assert_eq!(text, "- listening           0.0 s  stopped\n✗ sign in             0.0 s  failed");
    }

    #[test]
    fn a_step_that_turns_out_to_have_failed_after_all_is_marked() {
        let text = shown(
            &mut StepLines::new(Paint(false)),
            SIZE,
            vec![
                ended(Step::Finish, Outcome::Done, "let out of listening mode"),
                started(Step::Verify),
                failed(0, Some(Step::Finish)),
            ],
        );
        assert_eq!(text, "✗ finish              1.2 s  failed\n- verify              0.0 s  stopped");
    }

    #[test]
    fn a_run_that_finds_all_done_does_not_look_broken_off() {
        let summary = Summary {
            part: crate::model::Part::Whole,
            device_id: DeviceId::parse("3b0021001747353236343033").ok(),
            platform: None,
            firmware: None,
            customer: None,
            product: None,
            settled: false,
            already: true,
            dry_run: false,
        };
        let end = EventKind::RunEnded { result: Ok(summary), device_id: None, took: Duration::ZERO };
        let text = shown(&mut StepLines::new(Paint(false)), SIZE, vec![started(Step::CheckDevice), (0, end)]);
        assert_eq!(text, "✓ check device        0.0 s  all is so already");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let note = "x".repeat(200);
        for columns in [20, 40, 79, 119] {
            let mut view = StepLines::new(Paint(false));
            let size = Size { rows: 24, columns };
            let text = shown(&mut view, size, vec![ended(Step::Verify, Outcome::Done, &note)]);
            assert!(console::measure_text_width(&text) <= columns.max(31), "{columns}: {text}");
        }
    }

    #[test]
    fn notes_from_outside_cannot_move_the_cursor() {
        let mut view = StepLines::new(Paint(false));
        let text = shown(&mut view, SIZE, vec![ended(Step::Verify, Outcome::Done, "a\u{1b}[2Jb\nc")]);
        assert!(text.ends_with(r"a\u{1b}[2Jb\nc"), "{text}");
    }

    #[test]
    fn lanes_that_do_not_fit_give_way_to_those_that_need_looking_after() {
        let mut view = LaneLines::new(Paint(false));
        let size = Size { rows: 4, columns: 80 };
        let step = |lane| (lane, EventKind::StepStarted { step: Step::Verify });
        let text = shown(&mut view, size, vec![step(0), step(1), step(2), failed(1, None), step(3), step(4)]);
        assert_eq!(
            text,
            "⠋   1                              0.0 s  verify\n\
             ✗   2                              2.0 s  FAIL  cloud-refused\n\
             0 passed, 1 failed, 4 under way"
        );
    }
}
