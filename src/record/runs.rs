use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use sqlx::{Row, any::AnyRow};

use super::{
    Ledger,
    ledger::{Transaction, Trouble, random},
};
use crate::model::{DeviceId, Failure};

/// A run's name: its start in UTC, to the millisecond, which makes it sort by time, and eight letters and
/// digits, by which people call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    const SHORT: usize = 8;

    pub(super) fn new(started: Timestamp) -> Self {
        Self(format!("{}-{}", Self::begin(started), random(Self::SHORT)))
    }

    /// What sorts before the names of all runs that began then or later, and behind those of all others.
    fn begin(started: Timestamp) -> String {
        let to_second = started.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S");
        let millisecond = started.as_millisecond().rem_euclid(1000);
        format!("{to_second}{millisecond:03}")
    }

    /// `20261124T184512031-7k3f9qzp`
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `7k3f9qzp`
    pub fn short(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a run ended, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not ended: it is under way, or was killed.
    Incomplete,
    /// It did what it was to do.
    Passed,
    /// There was nothing to do.
    Already,
    /// It failed.
    Failed,
    /// It was stopped.
    Interrupted,
    /// It never ended; a later run of the same device has settled what became of it.
    Abandoned,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Incomplete, Self::Passed, Self::Already, Self::Failed, Self::Interrupted, Self::Abandoned];

    /// As it is stored, and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Passed => "passed",
            Self::Already => "already",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }

    /// A word of a later version is not known to have ended.
    fn stored(text: &str) -> Self {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text).unwrap_or(Self::Incomplete)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which hook of a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookKind {
    /// About a board that has passed.
    OnPass,
    /// About one that has failed.
    OnFail,
}

impl HookKind {
    /// As it is stored, and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnPass => "on-pass",
            Self::OnFail => "on-fail",
        }
    }

    fn stored(text: &str) -> Option<Self> {
        [Self::OnPass, Self::OnFail].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hook that was due when a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunHook {
    /// Which.
    pub kind: HookKind,
    /// What became of it.
    pub state: HookState,
    /// When it ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// It is not known to have ended: it is under way, or was killed, or never began.
    Due,
    /// It did its work.
    Done,
    /// It did not.
    Failed,
}

impl fmt::Display for HookState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Due => "due",
            Self::Done => "done",
            Self::Failed => "failed",
        })
    }
}

/// A run, as it is stored. What nobody knew is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// The bench it was at.
    pub bench: String,
    /// The bench's slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Who worked there.
    pub operator: String,
    /// How much of the job it was to do: `whole`, `prepared`, `delivered` or `wifi`.
    pub part: String,
    /// When it began, UTC.
    pub started: Timestamp,
    /// When it ended, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its Device OS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// The product; absent for a developer's own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The customer; absent for a developer's own account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// The step that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_step: Option<String>,
    /// What was seen of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The later run that found out what became of one that never ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled_by: Option<RunId>,
    /// The hook that was due when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<RunHook>,
    /// The program's version.
    pub version: String,
}

/// One of a run's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepTimes {
    /// Its name: `claim-code`.
    pub step: String,
    /// When it began, UTC.
    pub started: Timestamp,
    /// When it ended, UTC; absent for one that was under way when the run was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// One, and one more for each time that something in it was tried again.
    pub tries: u32,
    /// `done`, `already-so`, `failed` or `stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The code of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
}

/// Something that was tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// In this step.
    pub step: String,
    /// When, UTC.
    pub at: Timestamp,
    /// What, and why.
    pub why: String,
}

/// That something which cannot be taken back was about to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Intent {
    /// In this step.
    pub step: String,
    /// When, UTC.
    pub at: Timestamp,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its steps, in the order of their starts.
    pub steps: Vec<StepTimes>,
    /// What was tried again, in order.
    pub retries: Vec<Retry>,
    /// What was about to be done, in order.
    pub intents: Vec<Intent>,
}

/// Which runs.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// That began then or later.
    pub since: Option<Timestamp>,
    /// That began before.
    pub until: Option<Timestamp>,
    /// Of this device.
    pub device_id: Option<DeviceId>,
    /// Of this bench.
    pub bench: Option<String>,
    /// Only those that did not end well: failed, interrupted, incomplete or abandoned.
    pub failed: bool,
    /// Only those that come after this one, the order being the newest first: for the next page.
    pub before: Option<RunId>,
    /// At most so many; 0 is all.
    pub limit: u32,
}

impl Ledger {
    /// The runs, the newest first.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<Run>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let runs = select(&mut work, query).await?;
            work.commit().await?;
            Ok(runs)
        })
        .await
    }

    /// The runs whose names end in, or are, this text, with all that is known of them.
    pub async fn stories(&self, name: &str) -> Result<Vec<Story>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let sql = "SELECT * FROM runs WHERE id = $1 OR substr(id, 20) = $1 ORDER BY id DESC";
            let rows = sqlx::query(sql).bind(name.to_owned()).fetch_all(work.on()).await?;
            let runs = rows.iter().map(run).collect::<Result<_, _>>()?;
            let stories = stories(&mut work, runs, None).await?;
            work.commit().await?;
            Ok(stories)
        })
        .await
    }

    /// These runs with all that is known of them, the newest first.
    pub async fn stories_of(&self, query: &RunQuery) -> Result<Vec<Story>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let runs = select(&mut work, query).await?;
            let stories = stories(&mut work, runs, query.bench.as_deref()).await?;
            work.commit().await?;
            Ok(stories)
        })
        .await
    }

    /// The names of the runs that are under way, as far as that can be seen: they hold a device, or do not
    /// know it yet and their process runs on this computer. Other incomplete ones were killed.
    pub async fn under_way(&self) -> Result<HashSet<String>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let now = work.now().await?;
            let mut under_way = super::leases::holders(&mut work, now).await?;
            let sql = "SELECT id, place FROM runs WHERE outcome = 'incomplete' AND device_id IS NULL";
            for row in sqlx::query(sql).fetch_all(work.on()).await? {
                let place: Option<String> = row.try_get("place")?;
                if super::leases::lives(place.as_deref()) == Some(true) {
                    under_way.insert(row.try_get("id")?);
                }
            }
            work.commit().await?;
            Ok(under_way)
        })
        .await
    }

    /// The runs of this bench that were killed, and not settled yet: they have not ended, and their
    /// processes are gone, or, on other computers, hold no device any more.
    pub async fn incomplete_runs(&self, bench: &str) -> Result<Vec<Run>, Failure> {
        let sql =
            "SELECT * FROM runs WHERE outcome = 'incomplete' AND bench = $1 AND process <> $2 ORDER BY id";
        self.left(bench, sql).await
    }

    /// The runs of this bench whose hooks were due, and were not begun, killed or did not do their work; but
    /// for those whose boards had another since, or, of failed ones, another run.
    pub async fn open_hooks(&self, bench: &str) -> Result<Vec<Run>, Failure> {
        let sql = "SELECT * FROM runs WHERE hook IS NOT NULL AND (hook_ended IS NULL OR hook_error IS NOT NULL) \
             AND bench = $1 AND process <> $2 AND NOT EXISTS (SELECT 1 FROM runs AS later \
             WHERE later.device_id = runs.device_id AND later.id > runs.id \
             AND (later.hook = 'on-pass' OR (runs.hook = 'on-fail' AND later.ended IS NOT NULL))) ORDER BY id";
        self.left(bench, sql).await
    }

    /// Those of these runs of a bench whose processes are gone, or, on other computers, hold no device any
    /// more.
    async fn left(&self, bench: &str, sql: &'static str) -> Result<Vec<Run>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let now = work.now().await?;
            let query = sqlx::query(sql).bind(bench.to_owned()).bind(self.inner.process.clone());
            let rows = query.fetch_all(work.on()).await?;
            let held = super::leases::holders(&mut work, now).await?;
            work.commit().await?;
            let mut left = Vec::new();
            for row in &rows {
                let place: Option<String> = row.try_get("place")?;
                let run = run(row)?;
                let holds = || held.contains(run.id.as_str());
                if !super::leases::lives(place.as_deref()).unwrap_or_else(holds) {
                    left.push(run);
                }
            }
            Ok(left)
        })
        .await
    }
}

/// A run that was killed before it knew its board has done nothing to any, and no board that comes back
/// can settle it; so the bench's next run does.
pub(super) async fn settle_boardless(
    work: &mut Transaction<'_>,
    bench: &str,
    by: &RunId,
) -> Result<(), Trouble> {
    let sql = "SELECT id, place FROM runs WHERE device_id IS NULL AND outcome = 'incomplete' AND bench = $1";
    for row in sqlx::query(sql).bind(bench.to_owned()).fetch_all(work.on()).await? {
        if super::leases::has_died(row.try_get::<Option<String>, _>("place")?.as_deref()) {
            let sql =
                "UPDATE runs SET outcome = $1, settled_by = $2 WHERE id = $3 AND outcome = 'incomplete'";
            let update = sqlx::query(sql).bind(Outcome::Abandoned.as_str()).bind(by.0.clone());
            update.bind(row.try_get::<String, _>("id")?).execute(work.on()).await?;
        }
    }
    Ok(())
}

/// Whether a board that this run finds done has its on-pass hook still to come. What counts is the last
/// run that did something to it, or that had such a hook due: whether that did not end well, or its hook
/// did not. A board that passed without a hook gets none later.
pub(super) async fn lacks_its_hook(
    work: &mut Transaction<'_>,
    device_id: &str,
    run: &RunId,
) -> Result<bool, Trouble> {
    let sql = "SELECT * FROM runs WHERE device_id = $1 AND id < $2 AND (hook = 'on-pass' OR (part <> 'wifi' \
         AND EXISTS (SELECT 1 FROM intents WHERE run_id = runs.id))) ORDER BY id DESC LIMIT 1";
    let query = sqlx::query(sql).bind(device_id.to_owned()).bind(run.0.clone());
    let Some(row) = query.fetch_optional(work.on()).await? else { return Ok(false) };
    let last = self::run(&row)?;
    Ok(match last.outcome {
        Outcome::Passed | Outcome::Already => last.hook.is_some_and(|hook| hook.state != HookState::Done),
        _ => true,
    })
}

async fn select(work: &mut Transaction<'_>, query: &RunQuery) -> Result<Vec<Run>, Trouble> {
    // Every condition is always there, so that there is one text to prepare, and none to put together. The
    // names tell when runs began, and are found by an index: a page does not read those before it.
    let sql = "SELECT * FROM runs WHERE id >= $1 AND id < $2 AND ($3 = '' OR device_id = $3) \
         AND ($4 = '' OR bench = $4) AND ($5 = 0 OR outcome NOT IN ('passed', 'already')) \
         ORDER BY id DESC LIMIT $6";
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let until = query.until.map_or_else(|| "9".into(), RunId::begin);
    let before = query.before.as_ref().map(|run| run.0.clone());
    let rows = sqlx::query(sql)
        .bind(query.since.map(RunId::begin).unwrap_or_default())
        .bind(before.map_or(until.clone(), |before| before.min(until)))
        .bind(text(query.device_id.as_ref().map(DeviceId::as_str)))
        .bind(text(query.bench.as_deref()))
        .bind(i64::from(query.failed))
        .bind(if query.limit == 0 { i64::MAX } else { i64::from(query.limit) })
        .fetch_all(work.on())
        .await?;
    Ok(rows.iter().map(run).collect::<Result<_, _>>()?)
}

/// Adds what is known of each. All lie between the first and the last, so that three questions do; those of
/// other benches that lie there, too, are left out.
async fn stories(
    work: &mut Transaction<'_>,
    runs: Vec<Run>,
    bench: Option<&str>,
) -> Result<Vec<Story>, Trouble> {
    let (Some(last), Some(first)) = (runs.first(), runs.last()) else { return Ok(Vec::new()) };
    let of = |sql: &'static str| {
        let between = sqlx::query(sql).bind(first.id.0.clone()).bind(last.id.0.clone());
        between.bind(bench.unwrap_or_default().to_owned())
    };
    let sql = "SELECT * FROM steps WHERE run_id BETWEEN $1 AND $2 \
         AND ($3 = '' OR run_id IN (SELECT id FROM runs WHERE id BETWEEN $1 AND $2 AND bench = $3))";
    let mut steps = of_runs(&of(sql).fetch_all(work.on()).await?, step)?;
    for steps in steps.values_mut() {
        steps.sort_by_key(|step| (step.started, super::figures::place(&step.step)));
    }
    let sql = "SELECT * FROM retries WHERE run_id BETWEEN $1 AND $2 \
         AND ($3 = '' OR run_id IN (SELECT id FROM runs WHERE id BETWEEN $1 AND $2 AND bench = $3)) ORDER BY number";
    let mut retries = of_runs(&of(sql).fetch_all(work.on()).await?, retry)?;
    let sql = "SELECT * FROM intents WHERE run_id BETWEEN $1 AND $2 \
         AND ($3 = '' OR run_id IN (SELECT id FROM runs WHERE id BETWEEN $1 AND $2 AND bench = $3)) ORDER BY at, step";
    let mut intents = of_runs(&of(sql).fetch_all(work.on()).await?, intent)?;
    let story = |run: Run| Story {
        steps: steps.remove(&run.id.0).unwrap_or_default(),
        retries: retries.remove(&run.id.0).unwrap_or_default(),
        intents: intents.remove(&run.id.0).unwrap_or_default(),
        run,
    };
    Ok(runs.into_iter().map(story).collect())
}

/// What these rows hold, by the names of their runs.
fn of_runs<T>(
    rows: &[AnyRow],
    read: fn(&AnyRow) -> Result<T, sqlx::Error>,
) -> Result<HashMap<String, Vec<T>>, sqlx::Error> {
    let mut by_run: HashMap<String, Vec<T>> = HashMap::new();
    for row in rows {
        by_run.entry(row.try_get("run_id")?).or_default().push(read(row)?);
    }
    Ok(by_run)
}

fn run(row: &AnyRow) -> Result<Run, sqlx::Error> {
    Ok(Run {
        id: RunId(row.try_get("id")?),
        bench: row.try_get("bench")?,
        slot: row.try_get("slot")?,
        operator: row.try_get("operator")?,
        part: row.try_get("part")?,
        started: at(row, "started")?.unwrap_or_default(),
        ended: at(row, "ended")?,
        device_id: row.try_get("device_id")?,
        platform: row.try_get("platform")?,
        firmware: row.try_get("firmware")?,
        product: row.try_get("product")?,
        customer: row.try_get("customer")?,
        outcome: Outcome::stored(row.try_get("outcome")?),
        failure_code: row.try_get("failure_code")?,
        failure_step: row.try_get("failure_step")?,
        detail: row.try_get("detail")?,
        settled_by: row.try_get::<Option<String>, _>("settled_by")?.map(RunId),
        hook: hook(row)?,
        version: row.try_get("version")?,
    })
}

fn hook(row: &AnyRow) -> Result<Option<RunHook>, sqlx::Error> {
    let kind: Option<String> = row.try_get("hook")?;
    let Some(kind) = kind.as_deref().and_then(HookKind::stored) else { return Ok(None) };
    let (ended, error) = (at(row, "hook_ended")?, row.try_get::<Option<String>, _>("hook_error")?);
    let state = match (&ended, &error) {
        (None, _) => HookState::Due,
        (Some(_), None) => HookState::Done,
        (Some(_), Some(_)) => HookState::Failed,
    };
    Ok(Some(RunHook { kind, state, ended, error }))
}

fn step(row: &AnyRow) -> Result<StepTimes, sqlx::Error> {
    Ok(StepTimes {
        step: row.try_get("step")?,
        started: at(row, "started")?.unwrap_or_default(),
        ended: at(row, "ended")?,
        tries: u32::try_from(row.try_get::<i64, _>("tries")?).unwrap_or(u32::MAX),
        outcome: row.try_get("outcome")?,
        failure_code: row.try_get("failure_code")?,
    })
}

fn retry(row: &AnyRow) -> Result<Retry, sqlx::Error> {
    let at = at(row, "at")?.unwrap_or_default();
    Ok(Retry { step: row.try_get("step")?, at, why: row.try_get("why")? })
}

fn intent(row: &AnyRow) -> Result<Intent, sqlx::Error> {
    Ok(Intent { step: row.try_get("step")?, at: at(row, "at")?.unwrap_or_default() })
}

fn at(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|e: jiff::Error| sqlx::Error::ColumnDecode { index: column.into(), source: e.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_are_called_by_their_ends() {
        let early = RunId::new("2026-11-24T18:45:12.0319Z".parse().unwrap());
        let late = RunId::new("2026-11-24T18:45:12.032Z".parse().unwrap());
        assert!(early < late);
        assert!(early.as_str().starts_with("20261124T184512031-"));
        assert_eq!(early.as_str().len(), 19 + RunId::SHORT);
        assert_eq!(early.short(), &early.as_str()[19..]);
        let since = RunId::begin("2026-11-24T18:45:12.032Z".parse().unwrap());
        assert!(*early.as_str() < *since && *since < *late.as_str());
    }

    #[test]
    fn outcomes_read_as_they_are_written() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::stored(outcome.as_str()), outcome);
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
