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
fn place(step: &str) -> usize {
    use crate::model::Step;

    Step::ALL.iter().position(|known| known.as_str() == step).unwrap_or(Step::ALL.len())
}
