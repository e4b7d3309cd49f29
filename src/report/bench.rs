//! What a bench shows: its boards by their places, and the shift's end.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, IsTerminal},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use console::{Alignment, measure_text_width, pad_str};

use super::{
    Style, Wording, json, live, plain,
    plain::action_text,
    put, seconds,
    text::{fit, wrap},
    view::{Paint, Size, View, spinner},
};
use crate::{
    bench::{BenchEvent, Fate, LeftAlone, Shift, Stopping, Waiting, is_unfinished},
    model::{Action, DeviceId, Event, EventKind, FailureCode, Outcome, Step, Summary, clean, redact},
    record::HookKind,
};

/// Draws a bench's events, on its own thread, until every sender is gone.
pub struct BenchReporter {
    events: mpsc::Sender<BenchEvent>,
    thread: JoinHandle<()>,
}

impl BenchReporter {
    /// Starts the thread. The title says which bench it is.
    pub fn start(style: Style, title: String, wording: Wording) -> io::Result<Self> {
        let (events, inbox) = mpsc::channel();
        let draw = move || match style {
            Style::Json => {
                let mut places = Places::default();
                for event in inbox {
                    places.take(&event);
                    put(io::stdout().lock(), &json::bench_line(&event, &places, wording));
                }
            }
            Style::Plain => {
                let mut places = Places::default();
                for event in inbox {
                    places.take(&event);
                    plain_line(&event, &places, wording);
                }
            }
            Style::Live { colour } => {
                let mut view = BenchLines::new(Paint(colour), title, wording, Instant::now());
                let mut end = None;
                live::follow(&inbox, &mut view, |event| {
                    if let BenchEvent::Ended(shift) = event {
                        end = Some(shift);
                    }
                });
                tell_end(end.as_ref(), io::stdout().is_terminal());
            }
        };
        let thread = std::thread::Builder::new().name("report".into()).spawn(draw)?;
        Ok(Self { events, thread })
    }

    /// A listener for the bench's events.
    pub fn listener(&self) -> impl Fn(BenchEvent) + Clone + Send + Sync + 'static {
        let events = self.events.clone();
        // A reporter that is gone (its output was closed) is no reason to end a shift.
        move |event| drop(events.send(event))
    }

    /// Waits until all has been drawn. Every listener must be gone by then.
    pub fn finish(self) {
        drop(self.events);
        let _ = self.thread.join();
    }
}

fn tell_end(shift: Option<&Shift>, blank: bool) {
    if let Some(shift) = shift {
        let lines = shift_lines(shift).join("\n");
        put(io::stdout().lock(), &if blank { format!("\n{lines}") } else { lines });
    }
}

/// Which board each lane has, and where it is.
#[derive(Default)]
pub(super) struct Places(BTreeMap<usize, (String, Option<DeviceId>)>);

impl Places {
    fn take(&mut self, event: &BenchEvent) {
        match event {
            BenchEvent::Plugged { lane, slot, device_id } => {
                self.0.insert(*lane, (clean(slot), device_id.clone()));
            }
            BenchEvent::Run(Event { lane, kind: EventKind::DeviceKnown { device_id }, .. }) => {
                self.0.entry(*lane).or_default().1 = Some(device_id.clone());
            }
            _ => {}
        }
    }

    pub fn slot(&self, lane: usize) -> Option<&str> {
        self.0.get(&lane).map(|(slot, _)| slot.as_str()).filter(|slot| *slot != "-")
    }

    pub fn device_id(&self, lane: usize) -> Option<&DeviceId> {
        self.0.get(&lane)?.1.as_ref()
    }

    /// `[A1 343033] `
    fn label(&self, lane: usize) -> String {
        let end = self.device_id(lane).map(|id| id.as_str()[18..].to_owned());
        let parts: Vec<_> = self.slot(lane).map(str::to_owned).into_iter().chain(end).collect();
        if parts.is_empty() { format!("[{}] ", lane + 1) } else { format!("[{}] ", parts.join(" ")) }
    }
}

fn plain_line(event: &BenchEvent, places: &Places, wording: Wording) {
    let say = |text: &str| put(io::stderr().lock(), &redact(text));
    let at = |lane: &usize| places.label(*lane);
    match event {
        BenchEvent::Run(event) => match no_verdict(&event.kind) {
            Some(text) => say(&format!("{}{text}", at(&event.lane))),
            None => plain::tell(event, &places.label(event.lane), wording),
        },
        BenchEvent::Plugged { lane, .. } => say(&format!("{}plugged in", at(lane))),
        BenchEvent::Unplugged { lane } => say(&format!("{}unplugged", at(lane))),
        BenchEvent::Waiting { lane, why } => say(&format!("{}{}", at(lane), waiting_text(*why))),
        BenchEvent::LeftAlone { lane, why } => say(&format!("{}{}", at(lane), left_alone_text(*why))),
        BenchEvent::Hook { lane, hook, error: None } => say(&format!("{}{hook}: done", at(lane))),
        BenchEvent::Hook { lane, hook, error: Some(error) } => {
            say(&format!("{}{hook}: failed: {error}{}", at(lane), again(*hook)));
        }
        BenchEvent::ScanGiven { lane, text } => say(&format!("{}is for {}", at(lane), clean(text))),
        BenchEvent::Scanned { .. }
        | BenchEvent::LeftOver { .. }
        | BenchEvent::Benches { .. }
        | BenchEvent::Trouble { .. }
        | BenchEvent::Stopping { .. } => say(&news(event)),
        BenchEvent::Ended(shift) => tell_end(Some(shift), false),
    }
}

/// What to do about a hook that failed.
fn again(hook: HookKind) -> &'static str {
    match hook {
        HookKind::OnPass => "; put the board back to run it again",
        HookKind::OnFail => "",
    }
}

const PULLED_OUT: &str = "pulled out: put it back";

fn waiting_text(why: Waiting) -> &'static str {
    match why {
        Waiting::FreeLane => "waits for a free lane",
        Waiting::Scan => "scan the barcode for this board",
        Waiting::Ledger => "waits for the ledger",
        Waiting::Again => "is tried again in a moment",
        Waiting::Hook => "waits for its hook to end",
    }
}

/// What a board waits for whose run has ended without a verdict.
fn no_verdict(kind: &EventKind) -> Option<&'static str> {
    let EventKind::RunEnded { result: Err(failure), .. } = kind else { return None };
    is_unfinished(failure.code).then_some(match failure.code {
        FailureCode::PulledOut => PULLED_OUT,
        FailureCode::LedgerUnusable => waiting_text(Waiting::Ledger),
        _ => "stopped: it goes on when it is plugged in again",
    })
}

fn left_alone_text(why: LeftAlone) -> &'static str {
    match why {
        LeftAlone::NotMeant => "not meant: it is in no list",
        LeftAlone::Unknown => "not meant: its id is not known",
        LeftAlone::NoOrder => "no order is left for it",
        LeftAlone::Stopping => "nothing new is begun",
    }
}

fn stopping_text(why: Stopping) -> &'static str {
    match why {
        Stopping::Asked => "Finishing the boards under way; Ctrl-C again stops them.",
        Stopping::Count => "All the boards that were asked for are taken up; finishing them.",
        Stopping::Time => "The shift is over; finishing the boards under way.",
        Stopping::Failure => "Stopped: every other board would fail for the same reason.",
    }
}

/// What is said about no board in particular.
fn news(event: &BenchEvent) -> String {
    match event {
        BenchEvent::Scanned { text, fate } => {
            let fate = match fate {
                Fate::Next => "for the next board",
                Fate::Nothing => "it does not say whose a board is",
                Fate::Lost => "its board was unplugged; scan it again for another",
                Fate::Used => "every order that says so has its board",
            };
            format!("scanned {}: {fate}", clean(text))
        }
        BenchEvent::LeftOver { device_ids, hooks } => {
            let told = [(LEFT_INCOMPLETE, device_ids), (HOOK_TO_COME, hooks)];
            let told = told.into_iter().filter(|(_, ids)| !ids.is_empty());
            let line = |(what, ids): (&str, &Vec<DeviceId>)| {
                format!("{what}: {}", ids.iter().map(DeviceId::as_str).collect::<Vec<_>>().join(" "))
            };
            told.map(line).collect::<Vec<_>>().join("; ")
        }
        BenchEvent::Benches { alive: 1 } => "no other bench shares the limits".into(),
        BenchEvent::Benches { alive } => format!("{alive} benches share the limits"),
        BenchEvent::Trouble { with, why: Some(why) } => format!("{with}: {}", clean(why)),
        BenchEvent::Trouble { with, why: None } => format!("{with}: works again"),
        BenchEvent::Stopping { why } => stopping_text(*why).into(),
        _ => String::new(),
    }
}

const LEFT_INCOMPLETE: &str = "left incomplete, settled when back";
const HOOK_TO_COME: &str = "with a hook to come, run when back";

/// How many there are, and as many of them as there is room for.
fn left_over_line(what: &str, ids: &BTreeSet<DeviceId>, columns: usize) -> String {
    let boards = if ids.len() == 1 { "board" } else { "boards" };
    let mut line = format!("{} {boards} {what}:", ids.len());
    for (number, id) in ids.iter().enumerate() {
        let ellipsis = if number + 1 < ids.len() { 2 } else { 0 };
        if line.len() + 1 + id.as_str().len() + ellipsis > columns {
            line += " …";
            break;
        }
        line = format!("{line} {id}");
    }
    fit(&line, columns).into_owned()
}

/// `1:02:11`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The shift's summary.
fn shift_lines(shift: &Shift) -> Vec<String> {
    let boards = match shift.boards() {
        1 => "1 board".into(),
        many => format!("{many} boards"),
    };
    let mut lines =
        vec![format!("Shift: {boards} in {}, {:.1} a minute", clock(shift.took()), shift.per_minute())];
    let already = match shift.already() {
        0 => String::new(),
        some => format!("  ({some} done before)"),
    };
    lines.push(format!("  passed  {:>4}{already}", shift.passed()));
    let mut by_reason = |what: &str, reasons: BTreeMap<String, usize>| {
        lines.push(format!("  {what}  {:>4}", reasons.values().sum::<usize>()));
        lines.extend(reasons.iter().map(|(reason, count)| format!("    {count:>4}  {reason}")));
    };
    by_reason("failed", shift.failed());
    let unfinished = shift.unfinished();
    if !unfinished.is_empty() {
        by_reason("not finished", unfinished);
    }
    if shift.hooks_failed() > 0 {
        lines.push(format!("  hooks failed {:>5}  (put the boards back)", shift.hooks_failed()));
    }
    if let Some((step, times)) = shift.slowest() {
        let board = times.board.as_ref().map(|id| format!("\n           ({id})")).unwrap_or_default();
        let (mean, longest) = (seconds(times.mean()), seconds(times.longest));
        lines.push(format!("  slowest  {step}: {mean} on average, {longest} at most{board}"));
    }
    lines
}

struct Lane {
    slot: String,
    device_id: Option<DeviceId>,
    state: State,
    since: Instant,
    /// What became of its firmware update.
    update: String,
}

enum State {
    /// Not taken up, or not yet.
    Waiting {
        text: &'static str,
        loud: bool,
    },
    LeftAlone(&'static str),
    /// Steps that are under way, the one that was heard of last behind the others.
    Running(Vec<Doing>),
    Passed {
        took: Duration,
        text: String,
        warned: bool,
        may_be_updating: bool,
    },
    Failed {
        took: Duration,
        what: String,
        next: String,
    },
}

struct Doing {
    step: Step,
    text: String,
    loud: bool,
    /// Since when it has been tried again and again.
    held_since: Option<Instant>,
}

/// A step that is tried again for longer than this is told above the boards, too.
const HELD: Duration = Duration::from_secs(5);

impl State {
    /// What a board is at that is under way: what a person has to do comes first.
    fn doing(&self) -> Option<&Doing> {
        let Self::Running(steps) = self else { return None };
        steps.iter().rev().find(|doing| doing.loud).or(steps.last())
    }

    fn is_loud(&self) -> bool {
        matches!(self, Self::Waiting { loud: true, .. }) || self.doing().is_some_and(|doing| doing.loud)
    }
}

impl Lane {
    fn set(&mut self, state: State, now: Instant) {
        (self.state, self.since) = (state, now);
    }

    fn does(&mut self, doing: Doing, now: Instant) {
        if !matches!(self.state, State::Running(_)) {
            self.set(State::Running(Vec::new()), now);
        }
        if let State::Running(steps) = &mut self.state {
            let before = steps.iter().position(|other| other.step == doing.step).map(|at| steps.remove(at));
            let held_before = before.and_then(|before| before.held_since);
            steps.push(Doing { held_since: doing.held_since.map(|now| held_before.unwrap_or(now)), ..doing });
        }
    }

    /// The last one stands there until the next begins.
    fn has_done(&mut self, step: Step) {
        if let State::Running(steps) = &mut self.state
            && steps.len() > 1
        {
            steps.retain(|doing| doing.step != step);
        }
    }
}

/// A bench's boards, in as many lines as there are: failed ones stay visible longest, then those under
/// way; those that passed are counted where there is no room for them.
pub(super) struct BenchLines {
    paint: Paint,
    title: String,
    wording: Wording,
    begun: Instant,
    lanes: BTreeMap<usize, Lane>,
    verdicts: BTreeMap<usize, bool>,
    troubles: BTreeMap<&'static str, String>,
    stopping: Option<Stopping>,
    /// Boards that an earlier process left incomplete, and that have no verdict since.
    left_over: BTreeSet<DeviceId>,
    /// The same, whose hooks it did not bring to a good end.
    hooks: BTreeSet<DeviceId>,
    /// Where boards are, or were.
    places: Places,
    news: String,
    /// Barcodes that no board has yet.
    scanned: VecDeque<String>,
}

impl BenchLines {
    pub fn new(paint: Paint, title: String, wording: Wording, begun: Instant) -> Self {
        Self {
            paint,
            title,
            wording,
            begun,
            lanes: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            troubles: BTreeMap::new(),
            stopping: None,
            left_over: BTreeSet::new(),
            hooks: BTreeSet::new(),
            places: Places::default(),
            news: String::new(),
            scanned: VecDeque::new(),
        }
    }

    fn set(&mut self, lane: usize, state: State, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.set(state, now);
        }
    }

    fn take_run(&mut self, event: &Event, now: Instant) {
        if let Some(text) = no_verdict(&event.kind) {
            self.set(event.lane, State::Waiting { text, loud: text == PULLED_OUT }, now);
            return;
        }
        if matches!(event.kind, EventKind::RunEnded { .. })
            && let Some(id) = self.places.device_id(event.lane)
        {
            self.left_over.remove(id);
            self.hooks.remove(id);
        }
        match &event.kind {
            EventKind::RunEnded { result, took, .. } => {
                self.verdicts.insert(event.lane, result.is_ok());
                let update = self.lanes.get_mut(&event.lane).map(|lane| std::mem::take(&mut lane.update));
                let state = match result {
                    Ok(summary) => State::Passed {
                        took: *took,
                        text: passed_text(summary, &update.unwrap_or_default()),
                        warned: false,
                        may_be_updating: summary.may_be_updating(),
                    },
                    Err(failure) => State::Failed {
                        took: *took,
                        what: failure.code.as_str(),
                        next: (self.wording.hint)(failure),
                    },
                };
                self.set(event.lane, state, now);
            }
            kind => {
                let Some(lane) = self.lanes.get_mut(&event.lane) else { return };
                let mut does = |step: &Step, text: String, loud, held_since| {
                    lane.does(Doing { step: *step, text, loud, held_since }, now);
                };
                match kind {
                    EventKind::DeviceKnown { device_id } => lane.device_id = Some(device_id.clone()),
                    EventKind::StepStarted { step } => does(step, step.to_string(), false, None),
                    EventKind::StepNote { step, note } => does(step, clean(note), false, None),
                    EventKind::StepRetried { step, note } => does(step, clean(note), false, Some(now)),
                    EventKind::ActionNeeded { step, action } => {
                        let text = match action {
                            Action::HoldSetupButton => "hold SETUP 3 s, until dark blue",
                            other => action_text(other),
                        };
                        does(step, text.into(), true, None);
                    }
                    EventKind::StepEnded { step, outcome, note, .. } => {
                        lane.has_done(*step);
                        if (*step, *outcome) == (Step::Settle, Outcome::Done) {
                            lane.update = clean(note);
                        }
                    }
                    EventKind::RunEnded { .. } => {}
                }
            }
        }
    }

    /// The lines above the boards.
    fn head(&self, columns: usize, now: Instant) -> Vec<String> {
        let count = |is: fn(&State) -> bool| self.lanes.values().filter(|lane| is(&lane.state)).count();
        let passed = self.verdicts.values().filter(|passed| **passed).count();
        let failed = self.verdicts.len() - passed;
        let running = count(|state| matches!(state, State::Running(_)));
        let counts = format!("{passed} passed, {failed} failed, {running} under way");
        let time = clock(now.duration_since(self.begun));
        let room = columns.saturating_sub(counts.len() + time.len() + 4);
        let title = fit(&self.title, room);
        let mut lines = vec![fit(&format!("{title}  {counts}  {time}"), columns).into_owned()];
        for (with, why) in &self.troubles {
            // An address may be long, and the reason stands behind it.
            let text = wrap(&format!("{with}: {why}"), columns, 2);
            lines.extend(text.lines().take(3).map(|line| self.paint.bad(&fit(line, columns))));
        }
        if let Some(why) = self.stopping {
            lines.push(self.paint.loud(&fit(stopping_text(why), columns)));
        }
        if count(|state| matches!(state, State::Passed { may_be_updating: true, .. })) > 0 {
            let text = "PASS, but do not unplug a board while it is magenta";
            lines.push(self.paint.loud(&fit(text, columns)));
        }
        let is_held = |doing: &&Doing| doing.held_since.is_some_and(|since| now.duration_since(since) > HELD);
        let held: Vec<_> =
            self.lanes.values().filter_map(|lane| lane.state.doing()).filter(is_held).collect();
        if let Some(last) = held.last() {
            let boards = if held.len() == 1 { "board is" } else { "boards are" };
            let text = format!("{} {boards} held up: {}", held.len(), last.text);
            lines.push(self.paint.loud(&fit(&text, columns)));
        }
        for (what, ids) in [(LEFT_INCOMPLETE, &self.left_over), (HOOK_TO_COME, &self.hooks)] {
            if !ids.is_empty() {
                lines.push(self.paint.loud(&left_over_line(what, ids, columns)));
            }
        }
        if let Some(first) = self.scanned.front() {
            let later: Vec<_> = self.scanned.iter().skip(1).map(String::as_str).collect();
            let then = if later.is_empty() { "" } else { "; then " };
            let text = format!("for the next board: {first}{then}{}", later.join(", "));
            lines.push(self.paint.loud(&fit(&text, columns)));
        }
        if !self.news.is_empty() {
            lines.push(self.paint.faint(&fit(&self.news, columns)));
        }
        lines
    }

    /// `✓ A1    3b0021001747353236343033   12.3 s  PASS  a@b.example`
    fn line(&self, lane: &Lane, width: usize, columns: usize, now: Instant) -> String {
        let id = lane.device_id.as_ref().map_or("", DeviceId::as_str);
        let room = columns.saturating_sub(width + 41);
        let paint = self.paint;
        let waited = now.duration_since(lane.since);
        let (mark, time, text) = match &lane.state {
            State::Waiting { text, loud } => {
                let text = fit(text, room);
                (" ".into(), None, if *loud { paint.loud(&text) } else { text.into_owned() })
            }
            State::LeftAlone(text) => (paint.faint("-"), None, paint.faint(&fit(text, room))),
            State::Running(_) => {
                let text = lane.state.doing().map(|doing| fit(&doing.text, room)).unwrap_or_default();
                let text = if lane.state.is_loud() { paint.loud(&text) } else { text.into_owned() };
                (spinner(waited).into(), Some(waited), text)
            }
            State::Passed { took, text, warned, .. } => {
                let text = fit(text, room.saturating_sub(6));
                let text = if *warned { paint.loud(&text) } else { text.into_owned() };
                (paint.good("✓"), Some(*took), format!("{}  {text}", paint.good("PASS")))
            }
            State::Failed { took, what, .. } => {
                let text = fit(what, room.saturating_sub(6));
                (paint.bad("✗"), Some(*took), format!("{}  {text}", paint.bad("FAIL")))
            }
        };
        let time = time.map(seconds).unwrap_or_default();
        let slot = padded(&lane.slot, width);
        let line = format!("{mark} {slot}  {id:<24}  {}  {text}", paint.faint(&format!("{time:>8}")));
        line.trim_end().to_owned()
    }

    /// The two lines of a failed board, or the two in one.
    fn failed(&self, lane: &Lane, width: usize, columns: usize, short: bool, now: Instant) -> Vec<String> {
        let State::Failed { next, .. } = &lane.state else { return Vec::new() };
        if !short {
            let next = format!(
                "  {:<width$}  {}",
                "",
                self.paint.bad(&fit(next, columns.saturating_sub(width + 4)))
            );
            return vec![self.line(lane, width, columns, now), next];
        }
        let id = lane.device_id.as_ref().map_or("", |id| &id.as_str()[18..]);
        let room = columns.saturating_sub(width + 18);
        let slot = padded(&lane.slot, width);
        let (mark, word) = (self.paint.bad("✗"), self.paint.bad("FAIL"));
        vec![format!("{mark} {slot}  {id:<6}  {word}  {}", fit(next, room))]
    }

    /// How many boards under way fit into a line.
    fn cells_a_line(width: usize, columns: usize) -> usize {
        (columns / (width + Self::CELL)).max(1)
    }

    /// A cell but for its slot: mark, gaps and the longest step.
    const CELL: usize = 19;

    /// Boards under way, several in a line. Without a slot a board goes by the end of its id.
    fn cells(&self, lanes: &[&Lane], width: usize, columns: usize, now: Instant) -> Vec<String> {
        let cell = |lane: &&Lane| {
            let Some(Doing { text, .. }) = lane.state.doing() else { return String::new() };
            let slot = match &lane.device_id {
                Some(id) if lane.slot == "-" => &id.as_str()[18..],
                _ => &lane.slot,
            };
            let mark = spinner(now.duration_since(lane.since));
            format!("{mark} {} {} ", padded(slot, width), padded(text, 15))
        };
        let lines = lanes.chunks(Self::cells_a_line(width, columns));
        lines.map(|lanes| lanes.iter().map(cell).collect::<String>().trim_end().to_owned()).collect()
    }

    /// `12 passed: A1 A2 A3 …`, in no more than so many rows.
    fn folded(lanes: &[&Lane], what: &str, rows: usize, columns: usize) -> Vec<String> {
        if lanes.is_empty() {
            return Vec::new();
        }
        let slots: Vec<_> = lanes.iter().map(|lane| lane.slot.as_str()).filter(|slot| *slot != "-").collect();
        let colon = if slots.is_empty() { "" } else { ": " };
        let text = format!("{} {what}{colon}{}", lanes.len(), slots.join(" "));
        let wrapped = wrap(&text, columns, 2);
        let mut lines: Vec<_> = wrapped.splitn(rows.max(1), '\n').collect();
        let last = lines.pop().unwrap_or_default().replace("\n ", "");
        let last = fit(&last, columns);
        lines.push(&last);
        lines.into_iter().map(str::to_owned).collect()
    }

    /// The boards' lines, in this room.
    fn body(&self, rows: usize, columns: usize, now: Instant) -> Vec<String> {
        let mut lanes: Vec<_> = self.lanes.values().collect();
        lanes.sort_by_key(|lane| natural(&lane.slot));
        // No label is longer than 12; a socket's path may be.
        let width = lanes.iter().map(|lane| measure_text_width(&lane.slot)).max().unwrap_or(0).min(16);
        let whole = |lane: &&Lane| match lane.state {
            State::Failed { .. } => self.failed(lane, width, columns, false, now),
            _ => vec![self.line(lane, width, columns, now)],
        };
        let all: Vec<_> = lanes.iter().flat_map(whole).collect();
        if all.len() <= rows {
            return all;
        }
        let mut groups = [const { Vec::<&Lane>::new() }; 6];
        for lane in lanes {
            let group = match &lane.state {
                State::Failed { .. } => 0,
                state if state.is_loud() => 1,
                State::Running(_) => 2,
                State::Waiting { .. } => 3,
                State::Passed { .. } => 4,
                State::LeftAlone(_) => 5,
            };
            groups[group].push(lane);
        }
        let [failed, loud, running, waiting, passed, left] = groups;
        let folds = [(&waiting, "waiting"), (&passed, "passed"), (&left, "left alone")];
        let room = rows.saturating_sub(folds.iter().filter(|(lanes, _)| !lanes.is_empty()).count());
        let full = |lane: &&Lane| self.line(lane, width, columns, now);
        let short = |lane: &&Lane| self.failed(lane, width, columns, true, now);
        let mut lines: Vec<String> = if 2 * failed.len() + loud.len() + running.len() <= room {
            failed.iter().flat_map(whole).collect()
        } else {
            failed.iter().flat_map(short).collect()
        };
        lines.extend(loud.iter().map(full));
        let urgent = lines.len();
        let width = if width < 2 { 6 } else { width };
        if urgent + running.len() <= room {
            lines.extend(running.iter().map(full));
        } else {
            lines.extend(self.cells(&running, width, columns, now));
        }
        if lines.len() > room {
            // Not even so. What does not fit is counted, those that went wrong last of all.
            let shown = room.saturating_sub(1);
            let hidden =
                |shown: usize| running.len().saturating_sub(shown * Self::cells_a_line(width, columns));
            lines.truncate(shown);
            lines.push(match urgent.checked_sub(shown) {
                Some(more) if more > 0 => format!("and {more} more to look after, {} under way", hidden(0)),
                _ => format!("and {} more under way", hidden(shown - urgent)),
            });
        }
        let mut spare = room.saturating_sub(lines.len());
        for (lanes, what) in folds {
            let folded = Self::folded(lanes, what, 1 + spare, columns);
            spare -= folded.len().saturating_sub(1);
            lines.extend(folded.iter().map(|line| match what {
                "passed" => self.paint.good(line),
                "left alone" => self.paint.faint(line),
                _ => line.clone(),
            }));
        }
        lines.truncate(rows);
        lines
    }
}

/// With 1-1.2 before 1-1.10.
fn natural(slot: &str) -> Vec<(String, u64)> {
    let part = |part: &str| {
        let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
        (word.to_owned(), part[word.len()..].parse().unwrap_or(0))
    };
    slot.split(['-', '.', ' ']).map(part).collect()
}

/// In just so many columns.
fn padded(text: &str, columns: usize) -> String {
    pad_str(&fit(text, columns), columns, Alignment::Left, None).into_owned()
}

fn passed_text(summary: &Summary, update: &str) -> String {
    if summary.already {
        return "done before; left alone".into();
    }
    let customer = summary.customer.as_ref().map(ToString::to_string).unwrap_or_default();
    // One that is named after the board stands there already.
    let is_told = summary.device_id.as_ref().is_some_and(|id| customer.contains(id.as_str()));
    let parts = [customer.as_str(), update];
    parts
        .into_iter()
        .skip(usize::from(is_told))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

impl View for BenchLines {
    type Event = BenchEvent;

    fn take(&mut self, event: &BenchEvent, now: Instant) {
        self.places.take(event);
        match event {
            BenchEvent::Run(event) => self.take_run(event, now),
            BenchEvent::Plugged { lane, slot, device_id } => {
                let slot = clean(slot);
                match self.lanes.get_mut(lane) {
                    Some(lane) => lane.slot = slot,
                    None => {
                        let state = State::Waiting { text: "", loud: false };
                        let device_id = device_id.clone();
                        self.lanes.insert(
                            *lane,
                            Lane { slot, device_id, state, since: now, update: String::new() },
                        );
                    }
                }
            }
            BenchEvent::Unplugged { lane } => drop(self.lanes.remove(lane)),
            BenchEvent::Waiting { lane, why } => {
                self.set(
                    *lane,
                    State::Waiting { text: waiting_text(*why), loud: *why == Waiting::Scan },
                    now,
                );
            }
            BenchEvent::LeftAlone { lane, why } => {
                self.set(*lane, State::LeftAlone(left_alone_text(*why)), now);
            }
            BenchEvent::Hook { lane, hook, error: Some(error) } => {
                self.news = format!("{}{hook} failed: {error}", self.places.label(*lane));
                if let Some(Lane { state: State::Passed { text, warned, .. }, .. }) = self.lanes.get_mut(lane)
                {
                    (*text, *warned) = ("hook failed: put it back".into(), true);
                }
            }
            BenchEvent::Hook { .. } => {}
            BenchEvent::Scanned { text, fate: Fate::Next } => self.scanned.push_back(clean(text)),
            BenchEvent::ScanGiven { text, .. } => {
                let text = clean(text);
                let place = self.scanned.iter().position(|other| *other == text);
                place.map(|place| self.scanned.remove(place));
            }
            BenchEvent::Scanned { .. } | BenchEvent::Benches { .. } => self.news = news(event),
            BenchEvent::LeftOver { device_ids, hooks } => {
                self.left_over = device_ids.iter().cloned().collect();
                self.hooks = hooks.iter().cloned().collect();
            }
            BenchEvent::Trouble { with, why: Some(why) } => {
                self.troubles.insert(with, clean(why));
            }
            BenchEvent::Trouble { with, why: None } => drop(self.troubles.remove(with)),
            BenchEvent::Stopping { why } => self.stopping = Some(*why),
            BenchEvent::Ended(_) => {}
        }
    }

    fn frame(&self, size: Size, now: Instant, _last: bool) -> Vec<String> {
        let mut lines = self.head(size.columns, now);
        // The cursor stands below the last line.
        let room = size.rows.saturating_sub(lines.len() + 1);
        if self.lanes.is_empty() && self.stopping.is_none() {
            lines.push(self.paint.faint("plug in a board"));
        }
        lines.extend(self.body(room, size.columns, now));
        lines.truncate(size.rows.saturating_sub(1));
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Events, Failure, Part};

    const SIZE: Size = Size { rows: 24, columns: 79 };

    /// A bench, driven by what happens there.
    struct Desk {
        view: BenchLines,
        now: Instant,
    }

    impl Desk {
        fn new() -> Self {
            let begun = Instant::now();
            let wording = Wording {
                hint: |failure| format!("do something about {}", failure.code.as_str()),
                exit_code: |_| 1,
            };
            let view = BenchLines::new(Paint(false), "bench pi-7, product 1319".into(), wording, begun);
            Self { view, now: begun }
        }

        fn later(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        fn on(&mut self, event: BenchEvent) {
            self.view.take(&event, self.now);
        }

        fn plug(&mut self, lane: usize) {
            let device_id = DeviceId::parse(&format!("3b00210017473532363430{lane:02}")).ok();
            let slot = format!("1-1.{}.{}", lane / 8 + 1, lane % 8 + 1);
            self.on(BenchEvent::Plugged { lane, slot, device_id });
        }

        fn run(&mut self, lane: usize, kind: EventKind) {
            let (sender, inbox) = mpsc::channel();
            Events::new(lane, move |event| drop(sender.send(event))).send(kind);
            self.on(BenchEvent::Run(inbox.recv().unwrap()));
        }

        fn step(&mut self, lane: usize, step: Step) {
            self.run(lane, EventKind::StepStarted { step });
        }

        fn pass(&mut self, lane: usize, already: bool) {
            self.passes(lane, already, true);
        }

        fn passes(&mut self, lane: usize, already: bool, settled: bool) {
            let summary = Summary {
                part: Part::Whole,
                device_id: None,
                platform: None,
                firmware: None,
                customer: crate::model::Customer::parse("ann@example.com").ok(),
                product: None,
                already,
                settled,
                dry_run: false,
            };
            let took = Duration::from_millis(9600);
            self.run(lane, EventKind::RunEnded { result: Ok(summary), device_id: None, took });
        }

        fn fail(&mut self, lane: usize, code: FailureCode) {
            let result = Err(Arc::new(Failure::new(code, "no")));
            let took = Duration::from_millis(12_300);
            self.run(lane, EventKind::RunEnded { result, device_id: None, took });
        }

        #[track_caller]
        fn shown(&self, size: Size) -> String {
            let lines = self.view.frame(size, self.now, false);
            assert!(lines.len() < size.rows, "{lines:#?}");
            let widest = lines.iter().map(|line| console::measure_text_width(line)).max();
            assert!(widest <= Some(size.columns), "{lines:#?}");
            lines.join("\n")
        }
    }

    #[test]
    fn a_few_boards_have_all_that_there_is_to_say() {
        let mut desk = Desk::new();
        (0..8).for_each(|lane| desk.plug(lane));
        desk.on(BenchEvent::LeftAlone { lane: 6, why: LeftAlone::NotMeant });
        desk.on(BenchEvent::Waiting { lane: 7, why: Waiting::FreeLane });
        (0..6).for_each(|lane| desk.step(lane, Step::Listening));
        desk.later(725);
        desk.pass(0, false);
        desk.pass(1, true);
        desk.fail(2, FailureCode::NotVerified);
        desk.step(3, Step::Verify);
        let action = Action::HoldSetupButton;
        desk.run(4, EventKind::ActionNeeded { step: Step::Listening, action });
        desk.fail(5, FailureCode::PulledOut);
        insta::assert_snapshot!(desk.shown(SIZE));
    }

    #[test]
    fn a_board_shows_what_it_is_at_and_nothing_that_is_over() {
        let mut desk = Desk::new();
        desk.plug(0);
        for step in [Step::CheckDevice, Step::Listening, Step::Customer] {
            desk.step(0, step);
        }
        let ends = |step| EventKind::StepEnded {
            step,
            outcome: Outcome::Done,
            note: String::new(),
            took: Duration::ZERO,
        };
        desk.run(0, EventKind::StepNote { step: Step::Listening, note: "it starts anew".into() });
        assert!(desk.shown(SIZE).ends_with("it starts anew"), "{}", desk.shown(SIZE));
        // What a person has to do stands there whatever else goes on.
        desk.run(0, EventKind::ActionNeeded { step: Step::Listening, action: Action::HoldSetupButton });
        desk.run(0, EventKind::StepNote { step: Step::Customer, note: "503; trying again".into() });
        assert!(desk.shown(SIZE).ends_with("hold SETUP 3 s, until dark blue"), "{}", desk.shown(SIZE));
        desk.run(0, ends(Step::Listening));
        assert!(desk.shown(SIZE).ends_with("503; trying again"), "{}", desk.shown(SIZE));
        desk.run(0, ends(Step::Customer));
        assert!(desk.shown(SIZE).ends_with("check device"), "{}", desk.shown(SIZE));
        desk.run(0, ends(Step::CheckDevice));
        assert!(desk.shown(SIZE).ends_with("check device"), "{}", desk.shown(SIZE));
    }

    #[test]
    fn boards_that_are_held_up_for_long_are_told_above_all() {
        let mut desk = Desk::new();
        (0..2).for_each(|lane| desk.plug(lane));
        let again = |note: &str| EventKind::StepRetried { step: Step::Customer, note: note.into() };
        (0..2).for_each(|lane| desk.run(lane, again("503")));
        assert!(!desk.shown(SIZE).contains("held up"));
        desk.later(6);
        desk.run(1, again("the connection was refused; trying again in 12.0 s"));
        let shown = desk.shown(SIZE);
        let line = "2 boards are held up: the connection was refused; trying again in 12.0 s\n";
        assert!(shown.contains(line), "{shown}");
        (0..2).for_each(|lane| desk.step(lane, Step::Customer));
        assert!(!desk.shown(SIZE).contains("held up"));
    }

    #[test]
    fn labels_of_any_script_stay_in_their_column() {
        let mut desk = Desk::new();
        for (lane, slot) in ["一号槽位左上角", "A1"].into_iter().enumerate() {
            desk.on(BenchEvent::Plugged { lane, slot: slot.into(), device_id: None });
            desk.pass(lane, true);
        }
        let shown = desk.shown(SIZE);
        let at = |line: &str| measure_text_width(&line[..line.find("PASS").unwrap()]);
        let places: Vec<_> = shown.lines().skip(1).map(at).collect();
        assert_eq!(places[0], places[1], "{shown}");
    }

    #[test]
    fn what_became_of_an_update_is_told_beside_the_verdict() {
        let mut desk = Desk::new();
        desk.plug(0);
        desk.run(
            0,
            EventKind::StepEnded {
                step: Step::Settle,
                outcome: Outcome::Done,
                note: "a firmware update failed".into(),
                took: Duration::ZERO,
            },
        );
        desk.pass(0, false);
        assert!(desk.shown(SIZE).ends_with("PASS  ann@example.com; a firmw…"), "{}", desk.shown(SIZE));
    }

    #[test]
    fn barcodes_stand_there_in_their_order_until_boards_have_them() {
        let mut desk = Desk::new();
        for code in ["K1", "K2", "K2", "K3"] {
            desk.on(BenchEvent::Scanned { text: code.into(), fate: Fate::Next });
        }
        assert!(desk.shown(SIZE).contains("for the next board: K1; then K2, K2, K3\n"));
        desk.plug(0);
        for code in ["K1", "K2"] {
            desk.on(BenchEvent::ScanGiven { lane: 0, text: code.into() });
        }
        assert!(desk.shown(SIZE).contains("for the next board: K2; then K3\n"));
        for code in ["K2", "K3"] {
            desk.on(BenchEvent::ScanGiven { lane: 0, text: code.into() });
        }
        assert!(!desk.shown(SIZE).contains("next board"));
    }

    #[test]
    fn whose_a_board_is_and_that_it_may_need_its_power_are_both_told() {
        let mut desk = Desk::new();
        desk.plug(0);
        desk.passes(0, false, false);
        let shown = desk.shown(SIZE);
        assert!(shown.contains("PASS, but do not unplug a board while it is magenta\n"), "{shown}");
        assert!(shown.ends_with("PASS  ann@example.com"), "{shown}");
        desk.on(BenchEvent::Unplugged { lane: 0 });
        assert!(!desk.shown(SIZE).contains("magenta"));
    }

    #[test]
    fn what_was_left_incomplete_is_told_until_it_has_its_verdict() {
        let mut desk = Desk::new();
        let id = |lane| DeviceId::parse(&format!("3b00210017473532363430{lane:02}")).unwrap();
        desk.on(BenchEvent::LeftOver { device_ids: (0..3).map(id).collect(), hooks: vec![id(2)] });
        desk.on(BenchEvent::Benches { alive: 2 });
        let shown = desk.shown(SIZE);
        let line = format!("3 boards left incomplete, settled when back: {} …", id(0));
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
        let hook = format!("1 board with a hook to come, run when back: {}", id(2));
        assert!(shown.lines().any(|shown| shown == hook), "{shown}");
        assert!(shown.contains("2 benches share the limits"), "{shown}");
        (0..3).for_each(|lane| desk.plug(lane));
        desk.fail(0, FailureCode::PulledOut);
        (1..3).for_each(|lane| desk.pass(lane, false));
        let shown = desk.shown(SIZE);
        assert!(
            shown.contains(&format!("1 board left incomplete, settled when back: {}\n", id(0))),
            "{shown}"
        );
        assert!(!shown.contains("hook"), "{shown}");
        desk.pass(0, false);
        assert!(!desk.shown(SIZE).contains("left incomplete"));
    }

    #[test]
    fn a_hook_that_fails_says_for_whom_and_what_to_do() {
        let mut desk = Desk::new();
        (0..3).for_each(|lane| desk.plug(lane));
        desk.fail(0, FailureCode::NotVerified);
        let error = Some(crate::bench::HookError::Late(Duration::from_secs(3)));
        let failed = |lane| BenchEvent::Hook { lane, hook: HookKind::OnFail, error: error.clone() };
        desk.pass(2, false);
        desk.on(BenchEvent::Hook { lane: 2, hook: HookKind::OnPass, error: error.clone() });
        let shown = desk.shown(SIZE);
        assert!(shown.contains("[1-1.1.3 343002] on-pass failed: it was killed after 3 s"), "{shown}");
        assert!(shown.contains("PASS  hook failed: put it back"), "{shown}");
        desk.on(failed(0));
        let shown = desk.shown(SIZE);
        assert!(shown.contains("[1-1.1.1 343000] on-fail failed: it was killed after 3 s"), "{shown}");
        desk.on(BenchEvent::Unplugged { lane: 1 });
        desk.on(failed(1));
        assert!(desk.shown(SIZE).contains("[1-1.1.2 343001] on-fail failed"));
    }

    #[test]
    fn a_board_that_waits_for_the_ledger_has_no_verdict() {
        let mut desk = Desk::new();
        (0..2).for_each(|lane| desk.plug(lane));
        (0..2).for_each(|lane| desk.step(lane, Step::Verify));
        (0..2).for_each(|lane| desk.fail(lane, FailureCode::LedgerUnusable));
        let shown = desk.shown(SIZE);
        assert!(shown.contains("0 passed, 0 failed, 0 under way"), "{shown}");
        assert_eq!(shown.matches("waits for the ledger").count(), 2, "{shown}");
        assert!(!shown.contains("FAIL"), "{shown}");
        let ended = |code| EventKind::RunEnded {
            result: Err(Arc::new(Failure::new(code, "no"))),
            device_id: None,
            took: Duration::ZERO,
        };
        assert_eq!(no_verdict(&ended(FailureCode::LedgerUnusable)), Some("waits for the ledger"));
        assert_eq!(no_verdict(&ended(FailureCode::PulledOut)), Some(PULLED_OUT));
        assert_eq!(no_verdict(&ended(FailureCode::NotVerified)), None);
    }

    /// 64 boards, of which these failed and these passed; the others are under way.
    fn full(failed: std::ops::Range<usize>, passed: std::ops::Range<usize>) -> Desk {
        let mut desk = Desk::new();
        (0..64).for_each(|lane| desk.plug(lane));
        (0..64).for_each(|lane| desk.step(lane, if lane % 2 == 0 { Step::KnowDevice } else { Step::Verify }));
        desk.later(3661);
        failed.for_each(|lane| desk.fail(lane, FailureCode::NotListening));
        passed.for_each(|lane| desk.pass(lane, false));
        desk
    }

    #[test]
    fn of_64_lanes_all_that_are_under_way_are_seen() {
        insta::assert_snapshot!(full(0..0, 0..0).shown(SIZE));
    }

    #[test]
    fn of_64_lanes_those_that_passed_give_way_first() {
        insta::assert_snapshot!(full(0..3, 3..51).shown(SIZE));
    }

    #[test]
    fn of_64_lanes_those_that_failed_stay_longest() {
        insta::assert_snapshot!(full(0..16, 16..20).shown(SIZE));
        insta::assert_snapshot!(full(0..40, 40..50).shown(SIZE));
    }

    #[test]
    fn what_is_wrong_with_the_bench_itself_stands_above_the_boards() {
        let mut desk = full(0..1, 1..64);
        let why = Some("it cannot be written: the disk is full".into());
        desk.on(BenchEvent::Trouble { with: "LEDGER", why });
        desk.on(BenchEvent::Stopping { why: Stopping::Asked });
        desk.on(BenchEvent::Benches { alive: 2 });
        insta::assert_snapshot!(desk.shown(SIZE));
        desk.on(BenchEvent::Trouble { with: "LEDGER", why: None });
        assert!(!desk.shown(SIZE).contains("LEDGER"));
    }

    #[test]
    fn a_line_goes_with_its_board_and_its_verdict_stays_in_the_count() {
        let mut desk = full(0..2, 2..64);
        (0..64).for_each(|lane| desk.on(BenchEvent::Unplugged { lane }));
        let head = "bench pi-7, product 1319  62 passed, 2 failed, 0 under way  1:01:01";
        assert_eq!(desk.shown(SIZE), format!("{head}\nplug in a board"));
        desk.plug(0);
        desk.pass(0, false);
        assert!(desk.shown(SIZE).contains("63 passed, 1 failed"), "{}", desk.shown(SIZE));
    }

    #[test]
    fn no_terminal_is_too_small() {
        for rows in 3..30 {
            for columns in [40, 79, 120] {
                for desk in [full(0..0, 0..0), full(0..16, 16..20), full(0..64, 0..0), full(0..0, 0..64)] {
                    desk.shown(Size { rows, columns });
                }
            }
        }
    }

    #[test]
    fn texts_from_outside_cannot_move_the_cursor() {
        let mut desk = Desk::new();
        desk.on(BenchEvent::Plugged { lane: 0, slot: "a\u{1b}[2J".into(), device_id: None });
        desk.on(BenchEvent::Scanned { text: "b\u{1b}[2J".into(), fate: Fate::Next });
        assert!(!desk.shown(SIZE).contains('\u{1b}'));
    }

    #[test]
    fn sockets_are_sorted_as_people_count() {
        let mut slots = ["1-1.10", "B1", "1-1.2", "A10", "A2"];
        slots.sort_by_key(|slot| natural(slot));
        assert_eq!(slots, ["1-1.2", "1-1.10", "A2", "A10", "B1"]);
    }

    #[test]
    fn the_shift_says_what_it_came_to() {
        let mut shift = Shift::begin();
        let mut take = |key: &str, kind| {
            let (sender, inbox) = mpsc::channel();
            Events::new(0, move |event| drop(sender.send(event))).send(kind);
            shift.take(
                key,
                DeviceId::parse("3b0021001747353236343033").ok().as_ref(),
                &inbox.recv().unwrap(),
            );
        };
        use FailureCode as F;
        for code in [F::NotVerified, F::NotVerified, F::NoAnswer, F::PulledOut] {
            let result = Err(Arc::new(Failure::new(code, "no")));
            take(
                &fastrand::u64(..).to_string(),
                EventKind::RunEnded { result, device_id: None, took: Duration::ZERO },
            );
        }
        let took = Duration::from_millis(9600);
        take(
            "a",
            EventKind::StepEnded { step: Step::Verify, outcome: Outcome::Done, note: String::new(), took },
        );
        assert_eq!(
            shift_lines(&shift)[1..].join("\n"),
            "  passed     0\n  failed     3\n       1  no-answer\n       2  not-verified\n  \
             not finished     1\n       1  pulled-out\n  slowest  verify: 9.6 s on average, 9.6 s at most\n           (3b0021001747353236343033)"
        );
    }
}
