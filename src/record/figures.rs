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

/// Reckons up these runs. Their order does not matter.
pub fn figures(stories: &[Story]) -> Figures {
    let mut runs = BTreeMap::new();
    let mut causes: HashMap<(String, Option<String>), usize> = HashMap::new();
    let mut boards: HashMap<&str, Vec<(Timestamp, bool)>> = HashMap::new();
    let mut steps: BTreeMap<usize, (&str, Vec<Duration>, usize)> = BTreeMap::new();
    for Story { run, steps: taken, .. } in stories {
        *runs.entry(run.outcome).or_default() += 1;
        if let Some(code) = &run.failure_code
            && run.outcome == Outcome::Failed
        {
            *causes.entry((code.clone(), run.failure_step.clone())).or_default() += 1;
        }
        if let Some(id) = &run.device_id {
            let good = matches!(run.outcome, Outcome::Passed | Outcome::Already);
            boards.entry(id).or_default().push((run.started, good));
        }
        for step in taken {
            let (_, times, retries) =
                steps.entry(place(&step.step)).or_insert_with(|| (&step.step, Vec::new(), 0));
            *retries += usize::try_from(step.tries.saturating_sub(1)).unwrap_or_default();
            if let (Some(ended), Some("done" | "already-so")) = (step.ended, step.outcome.as_deref()) {
                times.push(Duration::try_from(ended.duration_since(step.started)).unwrap_or_default());
            }
        }
    }
    let passed = boards.values().filter(|runs| runs.iter().any(|(_, good)| *good)).count();
    let first = |runs: &Vec<(Timestamp, bool)>| runs.iter().min().is_some_and(|(_, good)| *good);
    let passed_at_first = boards.values().filter(|runs| first(runs)).count();
    let mut causes: Vec<_> =
        causes.into_iter().map(|((code, step), runs)| Cause { code, step, runs }).collect();
    causes.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| (&a.code, &a.step).cmp(&(&b.code, &b.step))));
    let steps = steps.into_values().map(|(step, mut times, retries)| {
        times.sort_unstable();
        let (median, p95) = (seconds(&times, 50), seconds(&times, 95));
        StepTime { step: step.to_owned(), count: times.len(), median, p95, retries }
    });
    Figures { runs, boards: boards.len(), passed, passed_at_first, causes, steps: steps.collect() }
}

/// The smallest of these sorted times that so many of 100 do not exceed.
fn seconds(times: &[Duration], percent: usize) -> f64 {
    let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(rank).copied().unwrap_or_default().as_secs_f64()
}

/// Where a step stands in the job; one of another version stands last.
pub(super) fn place(step: &str) -> usize {
    use crate::model::Step;

    Step::ALL.iter().position(|known| known.as_str() == step).unwrap_or(Step::ALL.len())
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
        assert_eq!((figures.boards, figures.passed, figures.passed_at_first), (3, 2, 1));
        assert_eq!(figures.runs[&Outcome::Failed], 2);
        let cause = Cause { code: "code-refused".into(), step: Some("deliver".into()), runs: 2 };
        assert_eq!(figures.causes, [cause]);
        let [deliver] = &figures.steps[..] else { panic!("{:?}", figures.steps) };
        assert_eq!((deliver.count, deliver.median, deliver.p95, deliver.retries), (2, 1.0, 3.0, 5));
    }

    #[test]
    fn ranks_are_those_of_the_times_that_there_are() {
        let times: Vec<_> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!((seconds(&times, 50), seconds(&times, 95)), (50.0, 95.0));
        assert_eq!((seconds(&times[..1], 50), seconds(&times[..1], 95)), (1.0, 1.0));
        assert_eq!(seconds(&[], 95), 0.0);
        assert_eq!(figures(&[]).boards, 0);
    }
}
