use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::model::{DeviceId, Event, EventKind, FailureCode, Step};

/// What a bench did, board by board: the last run of each counts.
#[derive(Debug, Clone)]
pub struct Shift {
    begun: Instant,
    boards: BTreeMap<String, Verdict>,
    steps: BTreeMap<Step, Times>,
    /// Boards whose last hook did not do its work.
    hooks_failed: BTreeSet<String>,
    /// Why the bench could not work, if it could not.
    pub stopped_by: Option<FailureCode>,
}

/// How a board's last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed { already: bool },
    Failed(FailureCode),
    Unfinished(FailureCode),
}

/// Whether a run that ended so says nothing about its board, which goes on as soon as it can.
pub fn is_unfinished(code: FailureCode) -> bool {
    use FailureCode as F;
    matches!(code, F::PulledOut | F::Interrupted | F::LedgerUnusable)
}

/// How long a step took.
#[derive(Debug, Clone)]
pub struct Times {
    count: u32,
    total: Duration,
    /// The longest.
    pub longest: Duration,
    /// The board that took longest.
    pub board: Option<DeviceId>,
}

impl Times {
    /// On average.
    pub fn mean(&self) -> Duration {
        self.total / self.count.max(1)
    }
}

impl Shift {
    /// Begins now.
    pub fn begin() -> Self {
        Self {
            begun: Instant::now(),
            boards: BTreeMap::new(),
            steps: BTreeMap::new(),
            hooks_failed: BTreeSet::new(),
            stopped_by: None,
        }
    }

    /// Takes in an event of the run of the board that goes by this key.
    pub fn take(&mut self, key: &str, device_id: Option<&DeviceId>, event: &Event) {
        match &event.kind {
            EventKind::StepEnded { step, took, .. } => {
                let none = Times { count: 0, total: Duration::ZERO, longest: Duration::ZERO, board: None };
                let times = self.steps.entry(*step).or_insert(none);
                times.count += 1;
                times.total += *took;
                if *took >= times.longest {
                    times.longest = *took;
                    times.board = device_id.cloned();
                }
            }
            EventKind::RunEnded { result, .. } => {
                let verdict = match result {
                    Ok(summary) => {
                        // One that was not finished was done here all the same.
                        let again = matches!(
                            self.boards.get(key),
                            Some(Verdict::Passed { already: false } | Verdict::Unfinished(_))
                        );
                        Verdict::Passed { already: summary.already && !again }
                    }
                    Err(failure) if is_unfinished(failure.code) => Verdict::Unfinished(failure.code),
                    Err(failure) => Verdict::Failed(failure.code),
                };
                self.boards.insert(key.to_owned(), verdict);
            }
            _ => {}
        }
    }

    /// Takes in how the hook of the board ended that goes by this key.
    pub(super) fn take_hook(&mut self, key: &str, is_done: bool) {
        match is_done {
            true => self.hooks_failed.remove(key),
            false => self.hooks_failed.insert(key.to_owned()),
        };
    }

    /// How many boards have a hook that did not do its work, and is run again when they are put back.
    pub fn hooks_failed(&self) -> usize {
        self.hooks_failed.len()
    }

    /// How many boards were taken up.
    pub fn boards(&self) -> usize {
        self.boards.len()
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.boards.values().filter(|verdict| matches!(verdict, Verdict::Passed { .. })).count()
    }

    /// How many of those that passed were done before.
    pub fn already(&self) -> usize {
        self.boards.values().filter(|verdict| matches!(verdict, Verdict::Passed { already: true })).count()
    }

    /// How many failed, by reason.
    pub fn failed(&self) -> BTreeMap<String, usize> {
        self.by_reason(|verdict| match verdict {
            Verdict::Failed(code) => Some(*code),
            _ => None,
        })
    }

    /// How many have neither passed nor failed, by what came between. They go on when they come back.
    pub fn unfinished(&self) -> BTreeMap<String, usize> {
        self.by_reason(|verdict| match verdict {
            Verdict::Unfinished(code) => Some(*code),
            _ => None,
        })
    }

    fn by_reason(&self, reason: impl Fn(&Verdict) -> Option<FailureCode>) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for code in self.boards.values().filter_map(reason) {
            *reasons.entry(code.as_str()).or_default() += 1;
        }
        reasons
    }

    /// What the bench's exit code tells: none if every board passed.
    pub fn outcome(&self) -> Option<FailureCode> {
        self.stopped_by.or_else(|| (self.passed() < self.boards()).then_some(FailureCode::PartlyFailed))
    }

    /// Since it began.
    pub fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Boards a minute that were provisioned.
    pub fn per_minute(&self) -> f64 {
        let provisioned = self.passed() - self.already();
        #[allow(clippy::cast_precision_loss)] // nobody has so many boards
        let provisioned = provisioned as f64;
        provisioned * 60.0 / self.took().as_secs_f64().max(1.0)
    }

    /// The step that took longest on average.
    pub fn slowest(&self) -> Option<(Step, &Times)> {
        self.steps.iter().max_by_key(|(_, times)| times.mean()).map(|(step, times)| (*step, times))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Failure, Outcome, Part, Summary};

    fn event(kind: EventKind) -> Event {
        Event { at: jiff::Timestamp::now(), lane: 0, kind }
    }

    fn ended(result: Result<bool, FailureCode>) -> Event {
        let result = result
            .map(|already| Summary {
                part: Part::Whole,
                device_id: None,
                platform: None,
                firmware: None,
                customer: None,
                product: None,
                already,
                settled: true,
                dry_run: false,
            })
            .map_err(|code| Arc::new(Failure::new(code, "no")));
        event(EventKind::RunEnded { result, device_id: None, took: Duration::ZERO })
    }

    #[test]
    fn the_last_run_of_each_board_counts() {
        let mut shift = Shift::begin();
        for (key, result) in [
            ("a", Err(FailureCode::NoAnswer)),
            ("a", Ok(false)),
            ("b", Ok(false)),
            ("b", Ok(true)),
            ("c", Ok(true)),
            ("d", Err(FailureCode::NoAnswer)),
            ("e", Err(FailureCode::NoAnswer)),
            ("f", Err(FailureCode::PulledOut)),
            ("g", Err(FailureCode::LedgerUnusable)),
            ("g", Ok(true)),
        ] {
            shift.take(key, None, &ended(result));
        }
        assert_eq!((shift.boards(), shift.passed(), shift.already()), (7, 4, 1));
        assert_eq!(shift.failed(), [("no-answer".to_owned(), 2)].into());
        assert_eq!(shift.unfinished(), [("pulled-out".to_owned(), 1)].into());
        assert_eq!(shift.outcome(), Some(FailureCode::PartlyFailed));
    }

    #[test]
    fn a_hook_that_did_its_work_at_last_has_not_failed() {
        let mut shift = Shift::begin();
        for (key, is_done) in [("a", false), ("b", false), ("c", true), ("a", true)] {
            shift.take_hook(key, is_done);
        }
        assert_eq!(shift.hooks_failed(), 1);
    }

    #[test]
    fn the_slowest_step_is_so_on_average() {
        let mut shift = Shift::begin();
        let id = DeviceId::parse("3b0021001747353236343033").unwrap();
        for (step, seconds) in [(Step::Deliver, 1), (Step::Deliver, 12), (Step::Verify, 7), (Step::Verify, 8)]
        {
            let took = Duration::from_secs(seconds);
            let kind = EventKind::StepEnded { step, outcome: Outcome::Done, note: String::new(), took };
            shift.take("a", Some(&id), &event(kind));
        }
        let (step, times) = shift.slowest().unwrap();
        assert_eq!(
            (step, times.mean(), times.longest),
            (Step::Verify, Duration::from_millis(7500), Duration::from_secs(8))
        );
        assert_eq!(times.board.as_ref(), Some(&id));
    }
}
