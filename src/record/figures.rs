use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{Outcome, Story};

/// What the runs of a time come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How many runs, by how they ended.
    pub runs: BTreeMap<Outcome, usize>,
    /// How many boards were seen.
    pub boards: usize,
    /// How many of them passed, in whichever run, or had passed before.
    pub passed: usize,
    /// How many of them did so in their first run.
    pub passed_at_first: usize,
    /// Failures by cause, the most frequent first.
    pub causes: Vec<Cause>,
    /// The time that each step took, in the order of the job.
    pub steps: Vec<StepTime>,
}

/// Runs that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The failure's code.
    pub code: String,
    /// The step it was seen in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many.
    pub runs: usize,
}

/// How long a step took where it ended well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepTime {
    /// Its name.
    pub step: String,
    /// How often it ended well.
    pub count: usize,
    /// Seconds; half of them took no longer.
    pub median: f64,
    /// Seconds; 95 of 100 took no longer.
    pub p95: f64,
    /// How often something in it was tried again.
    pub retries: usize,
}

/// What is added up, run by run, in whichever order. It grows with the boards, not with the runs.
#[derive(Default)]
pub struct Reckoning {
    runs: BTreeMap<Outcome, usize>,
    causes: HashMap<(String, Option<String>), usize>,
    boards: HashMap<String, Board>,
    steps: BTreeMap<usize, Step>,
}

/// How a board's first run ended, and whether any ended well.
struct Board {
    first: (Timestamp, bool),
    passed: bool,
}

/// How often a step took how long; times are stored in milliseconds, so that many are the same.
struct Step {
    name: String,
    times: BTreeMap<Duration, usize>,
    retries: usize,
}

impl Reckoning {
    /// Adds this run.
    pub fn add(&mut self, Story { run, steps, .. }: &Story) {
        *self.runs.entry(run.outcome).or_default() += 1;
        if let Some(code) = &run.failure_code {
            *self.causes.entry((code.clone(), run.failure_step.clone())).or_default() += 1;
        }
        if let Some(id) = &run.device_id {
            let good = matches!(run.outcome, Outcome::Passed | Outcome::Already);
            let this = (run.started, good);
            let board = self.boards.entry(id.clone()).or_insert(Board { first: this, passed: good });
            board.first = board.first.min(this);
            board.passed |= good;
        }
        for taken in steps {
            let step = self.steps.entry(place(&taken.step)).or_insert_with(|| Step {
                name: taken.step.clone(),
                times: BTreeMap::new(),
                retries: 0,
            });
            step.retries += usize::try_from(taken.tries.saturating_sub(1)).unwrap_or_default();
            if let (Some(ended), Some("done" | "already-so")) = (taken.ended, taken.outcome.as_deref()) {
                let took = Duration::try_from(ended.duration_since(taken.started)).unwrap_or_default();
                *step.times.entry(took).or_default() += 1;
            }
        }
    }

    /// What it comes to.
    pub fn figures(self) -> Figures {
        let count = |is: fn(&Board) -> bool| self.boards.values().filter(|board| is(board)).count();
        let (passed, passed_at_first) = (count(|board| board.passed), count(|board| board.first.1));
        let mut causes: Vec<_> =
            self.causes.into_iter().map(|((code, step), runs)| Cause { code, step, runs }).collect();
        causes.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| (&a.code, &a.step).cmp(&(&b.code, &b.step))));
        let steps = self.steps.into_values().map(|Step { name, times, retries }| StepTime {
            count: times.values().sum(),
            median: seconds(&times, 50),
            p95: seconds(&times, 95),
            step: name,
            retries,
        });
        let steps = steps.collect();
        Figures { runs: self.runs, boards: self.boards.len(), passed, passed_at_first, causes, steps }
    }
}

/// The smallest of these times that so many of 100 do not exceed.
fn seconds(times: &BTreeMap<Duration, usize>, percent: usize) -> f64 {
    let rank = (times.values().sum::<usize>() * percent).div_ceil(100).max(1);
    let mut counted = 0;
    let reaches = |(_, count): &(&Duration, &usize)| {
        counted += **count;
        counted >= rank
    };
    times.iter().find(reaches).map(|(time, _)| *time).unwrap_or_default().as_secs_f64()
}

/// Where a step stands in the job; one of another version stands last.
pub(super) fn place(step: &str) -> usize {
    let all = crate::model::Step::ALL;
    all.iter().position(|known| known.as_str() == step).unwrap_or(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Run, RunId, StepTimes};

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    fn story(started: i64, device_id: &str, outcome: Outcome, took: i64, tries: u32) -> Story {
        let failed = outcome == Outcome::Failed;
        Story {
            run: Run {
                id: RunId::new(at(started)),
                bench: "left".into(),
                slot: None,
                operator: "ann".into(),
                part: "whole".into(),
                started: at(started),
                ended: None,
                device_id: Some(device_id.into()),
                platform: None,
                firmware: None,
                product: None,
                customer: None,
                outcome,
                failure_code: failed.then(|| "code-refused".into()),
                failure_step: failed.then(|| "deliver".into()),
                detail: None,
                settled_by: None,
                hook: None,
                version: String::new(),
            },
            steps: vec![StepTimes {
                step: "deliver".into(),
                started: at(started),
                ended: Some(at(started + took)),
                tries,
                outcome: Some(if failed { "failed" } else { "done" }.into()),
                failure_code: None,
            }],
            retries: Vec::new(),
            intents: Vec::new(),
        }
    }

    fn figures(stories: &[Story]) -> Figures {
        let mut reckoning = Reckoning::default();
        stories.iter().for_each(|story| reckoning.add(story));
        reckoning.figures()
    }

    #[test]
    fn a_board_that_passes_in_the_end_has_passed_but_not_at_first() {
        // The newest first, as they are read.
        let stories = [
            story(3, "b", Outcome::Failed, 9000, 3),
            story(2, "a", Outcome::Passed, 1000, 1),
            story(1, "a", Outcome::Failed, 9000, 3),
            story(0, "c", Outcome::Already, 3000, 2),
        ];
        let figures = figures(&stories);
        let backwards: Vec<_> = stories.iter().rev().cloned().collect();
        assert_eq!(self::figures(&backwards), figures);
        assert_eq!((figures.boards, figures.passed, figures.passed_at_first), (3, 2, 1));
        assert_eq!(figures.runs[&Outcome::Failed], 2);
        let cause = Cause { code: "code-refused".into(), step: Some("deliver".into()), runs: 2 };
        assert_eq!(figures.causes, [cause]);
        let [deliver] = &figures.steps[..] else { panic!("{:?}", figures.steps) };
        assert_eq!((deliver.count, deliver.median, deliver.p95, deliver.retries), (2, 1.0, 3.0, 5));
    }

    #[test]
    fn ranks_are_those_of_the_times_that_there_are() {
        let of = |times: &[u64]| {
            let mut counts = BTreeMap::new();
            times.iter().for_each(|time| *counts.entry(Duration::from_secs(*time)).or_default() += 1);
            (seconds(&counts, 50), seconds(&counts, 95))
        };
        assert_eq!(of(&(1..=100).collect::<Vec<_>>()), (50.0, 95.0));
        assert_eq!(of(&[1]), (1.0, 1.0));
        assert_eq!(of(&[3, 1, 1]), (1.0, 3.0));
        assert_eq!(of(&[1, 1, 2, 2]), (1.0, 2.0));
        assert_eq!(of(&[]), (0.0, 0.0));
        assert_eq!(figures(&[]).boards, 0);
    }
}
