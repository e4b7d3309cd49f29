use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    HookKind, Lease, Ledger, Outcome, RunId, leases,
    ledger::{Transaction, Trouble, stamp, stored},
    runs::{lacks_its_hook, settle_boardless},
};
use crate::{
    device::{Note, Tell},
    model::{
        Deadline, DeviceId, Event, EventKind, Failure, FailureCode, FirmwareVersion, Identity,
        Outcome as StepOutcome, Part, Platform, Step, Summary,
    },
    workflow::{Job, Journal, Owner},
};

/// The record of one run, written while it goes. It is the run's journal, and has to hear its events.
/// Clones are of the same run.
#[derive(Clone)]
pub struct Recording {
    inner: Arc<Inner>,
}

struct Inner {
    ledger: Ledger,
    slot: Option<String>,
    id: RunId,
    started: Timestamp,
    state: Mutex<State>,
}

/// What has been heard, and how much of it is written.
#[derive(Default)]
struct State {
    /// What the run is about, once it has begun.
    about: Option<About>,
    /// The board that it has taken.
    device_id: Option<DeviceId>,
    /// Its kind and its firmware.
    board: (Option<String>, Option<String>),
    board_is_written: bool,
    steps: BTreeMap<Step, Heard>,
    retries: Vec<Again>,
    retries_written: usize,
    /// Not written yet.
    end: Option<End>,
    /// The hook that is due since the end was written.
    hook: Option<HookKind>,
    /// How it ended: when, and why it failed. Not written yet.
    hook_end: Option<(Timestamp, Option<String>)>,
}

/// What a run is about, as far as it is known.
#[derive(Clone)]
struct About {
    part: &'static str,
    owner: Option<Owner>,
    /// The board that is meant, until it is known which one it is: so that a run which is killed before that
    /// is settled, too.
    meant: Option<String>,
    product: Option<String>,
    customer: Option<String>,
}

/// How a run ended.
#[derive(Clone)]
struct End {
    at: Timestamp,
    outcome: Outcome,
    failure_code: Option<String>,
    failure_step: Option<String>,
    detail: Option<String>,
    device_id: Option<String>,
    /// The hook that such an end has, unless its board had one before.
    hook: Option<HookKind>,
}

impl End {
    fn of(
        result: &Result<Summary, Failure>,
        hook: Option<HookKind>,
        at: Timestamp,
        device_id: Option<&DeviceId>,
    ) -> Self {
        let failure = result.as_ref().err();
        Self {
            at,
            outcome: match result {
                Ok(summary) if summary.already => Outcome::Already,
                Ok(_) => Outcome::Passed,
                Err(Failure { code: FailureCode::Interrupted | FailureCode::PulledOut, .. }) => {
                    Outcome::Interrupted
                }
                Err(_) => Outcome::Failed,
            },
            failure_code: failure.map(|failure| failure.code.as_str()),
            failure_step: failure.and_then(|failure| failure.step).map(Step::as_str),
            detail: failure.map(|failure| stored(&failure.to_string())),
            device_id: device_id.map(ToString::to_string),
            hook,
        }
    }
}

/// In which step, when, and why.
type Again = (Step, Timestamp, String);

#[derive(Clone, PartialEq)]
struct Heard {
    started: Timestamp,
    ended: Option<Timestamp>,
    tries: i64,
    outcome: Option<&'static str>,
    failure_code: Option<String>,
    is_written: bool,
}

/// What is not written yet.
struct News {
    board: Option<(Option<String>, Option<String>)>,
    steps: Vec<(Step, Heard)>,
    /// With the number of the first.
    retries: (usize, Vec<Again>),
}

impl State {
    fn ends(&mut self, step: Step, at: Timestamp, outcome: &'static str, failure: Option<FailureCode>) {
        if let Some(heard) = self.steps.get_mut(&step) {
            heard.ended = Some(at);
            heard.outcome = Some(outcome);
            heard.failure_code = failure.map(FailureCode::as_str);
            heard.is_written = false;
        }
    }

    /// Steps that were still open when the run ended, and the one that failed.
    fn ends_with(&mut self, result: &Result<Summary, Failure>, at: Timestamp) {
        let open: Vec<_> =
            self.steps.iter().filter(|(_, heard)| heard.ended.is_none()).map(|(step, _)| *step).collect();
        for step in open {
            // A run that ends well with its check of the device still open has found all done.
            let all_so = result.is_ok() && step == Step::CheckDevice;
            self.ends(step, at, if all_so { outcome_word(StepOutcome::AlreadySo) } else { "stopped" }, None);
        }
        if let Err(Failure { step: Some(step), code, .. }) = result {
            self.ends(*step, at, "failed", Some(*code));
        }
    }

    fn learn(&mut self, platform: Option<Platform>, firmware: Option<&FirmwareVersion>) {
        let (kind, version) = &mut self.board;
        for (known, told) in
            [(kind, platform.map(|p| p.to_string())), (version, firmware.map(|v| v.to_string()))]
        {
            if told.is_some() && *known != told {
                *known = told;
                self.board_is_written = false;
            }
        }
    }

    fn news(&self) -> News {
        let steps = self.steps.iter().filter(|(_, heard)| !heard.is_written);
        News {
            board: (!self.board_is_written).then(|| self.board.clone()),
            steps: steps.map(|(step, heard)| (*step, heard.clone())).collect(),
            retries: (self.retries_written, self.retries[self.retries_written..].to_vec()),
        }
    }

    /// What changed while it was being written is still news.
    fn is_written(&mut self, news: &News) {
        self.board_is_written |= news.board.as_ref().is_some_and(|board| *board == self.board);
        for (step, written) in &news.steps {
            if let Some(heard) = self.steps.get_mut(step)
                && heard == written
            {
                heard.is_written = true;
            }
        }
        let (first, retries) = &news.retries;
        self.retries_written = self.retries_written.max(first + retries.len());
    }
}

fn outcome_word(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Done => "done",
        StepOutcome::AlreadySo => "already-so",
        StepOutcome::WouldDo => "would-do",
    }
}

fn part_word(part: Part) -> &'static str {
    match part {
        Part::Whole => "whole",
        Part::Prepared => "prepared",
        Part::Delivered => "delivered",
        Part::Wifi => "wifi",
    }
}

/// Whose the device shall be: the product, and the customer as far as it can be told.
fn owner_words(owner: Option<&Owner>, device_id: Option<&DeviceId>) -> (Option<String>, Option<String>) {
    let Some(Owner::Customer { product, customer }) = owner else { return (None, None) };
    let customer = match device_id {
        Some(id) => Some(customer.for_device(id)),
        None => customer.fixed().cloned(),
    };
    (Some(product.to_string()), customer.map(|customer| customer.to_string()))
}

impl Recording {
    /// How long another run on the same device is waited for.
    const OTHERS: Duration = Duration::from_secs(15 * 60);
    const LOOK_AGAIN: Duration = Duration::from_millis(250);

    /// A run that is about to begin, in this slot of the bench.
    pub fn new(ledger: &Ledger, slot: Option<String>) -> Self {
        let started = Timestamp::now();
        let id = RunId::new(started);
        let inner = Inner { ledger: ledger.clone(), slot, id, started, state: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.inner.id
    }

    /// Takes in an event of this run. Written with the next thing that is waited for.
    pub fn hear(&self, event: &Event) {
        let mut state = self.state();
        match &event.kind {
            EventKind::StepStarted { step } => {
                state.steps.entry(*step).or_insert(Heard {
                    started: event.at,
                    ended: None,
                    tries: 1,
                    outcome: None,
                    failure_code: None,
                    is_written: false,
                });
            }
            EventKind::StepRetried { step, note } => {
                state.retries.push((*step, event.at, note.clone()));
                if let Some(heard) = state.steps.get_mut(step) {
                    heard.tries += 1;
                    heard.is_written = false;
                }
            }
            EventKind::StepEnded { step, outcome, .. } => {
                state.ends(*step, event.at, outcome_word(*outcome), None);
            }
            EventKind::StepNote { .. }
            | EventKind::ActionNeeded { .. }
            | EventKind::DeviceKnown { .. }
            | EventKind::RunEnded { .. } => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    fn name(&self) -> String {
        self.inner.id.as_str().to_owned()
    }

    /// Commits, along with what was heard and is not written yet.
    async fn keep(&self, mut work: Transaction<'_>) -> Result<(), Trouble> {
        let news = self.state().news();
        self.put(&mut work, &news).await?;
        work.commit().await?;
        self.state().is_written(&news);
        Ok(())
    }

    /// The run's row, which is there as soon as anything of it is.
    async fn insert(&self, work: &mut Transaction<'_>) -> Result<(), Trouble> {
        let Some(about) = self.state().about.clone() else { return Ok(()) };
        let who = self.ledger().who();
        let sql = "INSERT INTO runs \
             (id, process, place, bench, slot, operator, part, started, device_id, product, customer, outcome, \
             version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT (id) DO NOTHING";
        sqlx::query(sql)
            .bind(self.name())
            .bind(self.ledger().inner.process.clone())
            .bind(leases::place())
            .bind(stored(&who.bench))
            .bind(self.inner.slot.clone())
            .bind(stored(&who.operator))
            .bind(about.part)
            .bind(stamp(self.inner.started))
            .bind(about.meant)
            .bind(about.product)
            .bind(about.customer)
            .bind(Outcome::Incomplete.as_str())
            .bind(env!("CARGO_PKG_VERSION"))
            .execute(work.on())
            .await?;
        Ok(())
    }

    async fn put(&self, work: &mut Transaction<'_>, news: &News) -> Result<(), Trouble> {
        if let Some((platform, firmware)) = &news.board {
            let sql = "UPDATE runs SET platform = $1, firmware = $2 WHERE id = $3";
            let update = sqlx::query(sql).bind(platform.clone()).bind(firmware.clone()).bind(self.name());
            update.execute(work.on()).await?;
        }
        for (step, heard) in &news.steps {
            let sql = "INSERT INTO steps (run_id, step, started, ended, tries, outcome, failure_code) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run_id, step) DO UPDATE SET \
                 ended = excluded.ended, tries = excluded.tries, outcome = excluded.outcome, \
                 failure_code = excluded.failure_code";
            sqlx::query(sql)
                .bind(self.name())
                .bind(step.as_str())
                .bind(stamp(heard.started))
                .bind(heard.ended.map(stamp))
                .bind(heard.tries)
                .bind(heard.outcome)
                .bind(heard.failure_code.clone())
                .execute(work.on())
                .await?;
        }
        let (first, retries) = &news.retries;
        for (number, (step, at, why)) in (*first..).zip(retries) {
            let sql = "INSERT INTO retries (run_id, number, step, at, why) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (run_id, number) DO NOTHING";
            sqlx::query(sql)
                .bind(self.name())
                .bind(i64::try_from(number).unwrap_or(i64::MAX))
                .bind(step.as_str())
                .bind(stamp(*at))
                .bind(stored(why))
                .execute(work.on())
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Journal for Recording {
    async fn begin(&self, job: &Job, part: Part) -> Result<(), Failure> {
        // A part that gives Wi-Fi only claims nothing, whoever the job says the owner is.
        let owner = (part != Part::Wifi).then(|| job.owner.clone());
        let (product, customer) = owner_words(owner.as_ref(), job.device_id.as_ref());
        let meant = job.device_id.as_ref().map(ToString::to_string);
        self.state().about = Some(About { part: part_word(part), owner, meant, product, customer });
        let begun = self
            .ledger()
            .working("written", || async {
                let mut work = self.ledger().transaction().await?;
                self.insert(&mut work).await?;
                settle_boardless(&mut work, &stored(&self.ledger().who().bench), self.id()).await?;
                self.keep(work).await
            })
            .await;
        if begun.is_err() {
            self.state().about = None;
        }
        begun
    }

    async fn take(&self, device_id: &DeviceId, tell: Tell<'_>) -> Result<(), Failure> {
        let deadline = Deadline::after(Self::OTHERS, "the other run on the device");
        let owner = self.state().about.as_ref().and_then(|about| about.owner.clone());
        let (_, customer) = owner_words(owner.as_ref(), Some(device_id));
        let mut is_told = false;
        loop {
            let lease = self
                .ledger()
                .working("written", || async {
                    let mut work = self.ledger().transaction().await?;
                    let lease =
                        leases::take(&mut work, &self.ledger().inner, device_id, self.id().as_str()).await?;
                    if lease == Lease::Ours {
                        // Whoever had it until now took this run for one that never ends.
                        let sql = "UPDATE runs SET device_id = $1, customer = $2, outcome = $3, \
                             settled_by = NULL WHERE id = $4";
                        let update = sqlx::query(sql).bind(device_id.to_string()).bind(customer.clone());
                        let update = update.bind(Outcome::Incomplete.as_str()).bind(self.name());
                        update.execute(work.on()).await?;
                    }
                    self.keep(work).await?;
                    Ok(lease)
                })
                .await?;
            let Lease::Theirs { bench } = lease else { break };
            if deadline.left().is_zero() {
                let detail = format!("another run, at {bench}, still works on device {device_id}");
                return Err(Failure::new(FailureCode::DeviceTaken, detail));
            }
            if !is_told {
                tell(Note::Text(format!(
                    "another run, at {bench}, works on this device; waiting for it to end"
                )));
                is_told = true;
            }
            sleep(Self::LOOK_AGAIN).await;
        }
        self.ledger().keep_renewing();
        let mut state = self.state();
        if let Some(about) = &mut state.about {
            about.customer = customer;
        }
        state.device_id = Some(device_id.clone());
        Ok(())
    }

    fn met(&self, identity: &Identity) {
        self.state().learn(identity.platform, identity.firmware.as_ref());
    }

    async fn intend(&self, step: Step) -> Result<(), Failure> {
        let at = Timestamp::now();
        self.ledger()
            .working("written", || async {
                let device_id = self.state().device_id.clone();
                let mut work = self.ledger().transaction().await?;
                if let Some(device_id) = device_id
                    && !leases::still_has(&mut work, self.id().as_str()).await?
                {
                    let detail = format!(
                        "another run has taken device {device_id} over, as the ledger was out of reach for long"
                    );
                    return Err(Failure::new(FailureCode::DeviceTaken, detail).into());
                }
                let sql = "INSERT INTO intents (run_id, step, at) VALUES ($1, $2, $3) \
                     ON CONFLICT (run_id, step) DO NOTHING";
                let insert = sqlx::query(sql).bind(self.name()).bind(step.as_str()).bind(stamp(at));
                insert.execute(work.on()).await?;
                self.keep(work).await
            })
            .await
    }

    async fn end(&self, result: Result<Summary, Failure>) -> Result<Summary, Failure> {
        self.end_with(result, None).await
    }
}

impl Recording {
    /// The run's end, which has this hook: it is due in the same moment, see [`Recording::hook`].
    ///
    /// # Errors
    ///
    /// The run's own failure; `LedgerUnusable` instead of a success that cannot be kept.
    pub async fn end_with(
        &self,
        result: Result<Summary, Failure>,
        hook: Option<HookKind>,
    ) -> Result<Summary, Failure> {
        {
            let at = Timestamp::now();
            let mut state = self.state();
            if state.about.is_none() {
                return result;
            }
            if let Ok(summary) = &result {
                state.learn(summary.platform, summary.firmware.as_ref());
            }
            state.ends_with(&result, at);
            state.end = Some(End::of(&result, hook, at, state.device_id.as_ref()));
        }
        if let Err(unkept) = self.write_end(false).await {
            if result.is_ok() {
                return Err(unkept);
            }
            // The record is left incomplete, as this run's first failure already is told.
            tracing::warn!(error = %unkept, "the end of the run is not in the ledger");
        }
        result
    }

    /// A run that ends before it begins, as its board or its order cannot be what is wanted: so the customer is
    /// not known. It has this hook.
    ///
    /// # Errors
    ///
    /// The failure, always.
    pub async fn refuse(
        &self,
        job: &Job,
        failure: Failure,
        hook: Option<HookKind>,
    ) -> Result<Summary, Failure> {
        let (product, _) = owner_words(Some(&job.owner), None);
        let meant = job.device_id.as_ref().map(ToString::to_string);
        let about = About { part: part_word(Part::Whole), owner: None, meant, product, customer: None };
        self.state().about = Some(about);
        self.end_with(Err(failure), hook).await
    }

    /// The product and the customer, as far as they are known.
    pub fn owner(&self) -> (Option<String>, Option<String>) {
        let state = self.state();
        let about = state.about.as_ref();
        (about.and_then(|about| about.product.clone()), about.and_then(|about| about.customer.clone()))
    }

    /// The hook that is due now that the run has ended. The device is kept until [`Recording::hook_ended`].
    pub fn hook(&self) -> Option<HookKind> {
        self.state().hook
    }

    /// What became of the hook: why it failed, if it did.
    ///
    /// # Errors
    ///
    /// `LedgerUnusable`; then see [`Recording::end_late`].
    pub async fn hook_ended(&self, error: Option<&str>) -> Result<(), Failure> {
        self.state().hook_end = Some((Timestamp::now(), error.map(stored)));
        self.write_hook_end().await
    }

    /// Whether something of the end is still to be written.
    pub fn is_unended(&self) -> bool {
        let state = self.state();
        state.end.is_some() || state.hook_end.is_some()
    }

    /// Writes what the ledger did not take of the end when it came, and gives the board back. Nothing for a
    /// run that never began, or is written to its end.
    ///
    /// # Errors
    ///
    /// `LedgerUnusable` as long as it still cannot be written.
    pub async fn end_late(&self) -> Result<(), Failure> {
        self.write_end(true).await?;
        self.write_hook_end().await
    }

    async fn write_end(&self, is_late: bool) -> Result<(), Failure> {
        let Some(end) = self.state().end.clone() else { return Ok(()) };
        let hook = self
            .ledger()
            .working("written", || async {
                let mut work = self.ledger().transaction().await?;
                // One that was stopped while it began may not have got so far.
                self.insert(&mut work).await?;
                let hook = match (end.outcome, &end.device_id) {
                    (Outcome::Already, Some(id)) if !lacks_its_hook(&mut work, id, self.id()).await? => None,
                    _ => end.hook,
                };
                let sql = "UPDATE runs SET ended = $1, outcome = $2, failure_code = $3, failure_step = $4, \
                     detail = $5, settled_by = NULL, hook = $6 WHERE id = $7 AND ended IS NULL";
                let ended = sqlx::query(sql)
                    .bind(stamp(end.at))
                    .bind(end.outcome.as_str())
                    .bind(end.failure_code.clone())
                    .bind(end.failure_step.clone())
                    .bind(end.detail.clone())
                    .bind(hook.map(HookKind::as_str))
                    .bind(self.name())
                    .execute(work.on())
                    .await?;
                // Else it was written before, though the answer was lost: another run may have the device since.
                if let Some(device_id) = end.device_id.as_ref().filter(|_| ended.rows_affected() > 0) {
                    let sql = "UPDATE runs SET outcome = $1, settled_by = $2 \
                         WHERE device_id = $3 AND outcome = $4 AND id <> $2";
                    sqlx::query(sql)
                        .bind(Outcome::Abandoned.as_str())
                        .bind(self.name())
                        .bind(device_id.clone())
                        .bind(Outcome::Incomplete.as_str())
                        .execute(work.on())
                        .await?;
                }
                // Nobody runs the hook of a run that ends late, until its board comes back.
                if is_late || hook.is_none() {
                    leases::give_back(&mut work, self.id().as_str()).await?;
                }
                self.keep(work).await?;
                Ok(hook)
            })
            .await?;
        let mut state = self.state();
        (state.end, state.hook) = (None, hook);
        Ok(())
    }

    async fn write_hook_end(&self) -> Result<(), Failure> {
        let Some((at, error)) = self.state().hook_end.clone() else { return Ok(()) };
        self.ledger()
            .working("written", || async {
                let mut work = self.ledger().transaction().await?;
                let sql = "UPDATE runs SET hook_ended = $1, hook_error = $2 WHERE id = $3";
                let update = sqlx::query(sql).bind(stamp(at)).bind(error.clone()).bind(self.name());
                update.execute(work.on()).await?;
                leases::give_back(&mut work, self.id().as_str()).await?;
                work.commit().await
            })
            .await?;
        self.state().hook_end = None;
        Ok(())
    }
}
