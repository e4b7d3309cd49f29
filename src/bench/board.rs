//! One board at a bench, from being taken up to its verdict.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::SetOnce;

use super::{Bench, BenchEvent, Fate, Hook, HookError, Orders, Scan, Shift, SlotMap, Tell};
use crate::{
    device::{self, UsbPhoton},
    link::discovery::{Access, AttachedBoard, Lister, UsbTarget},
    model::{
        CustomerTemplate, DeviceId, Event, EventKind, Events, Failure, FailureCode, Identity, Invalid, Part,
        Step, Summary,
    },
    record::{HookKind, NewOrder, Order, OrderState, Recording},
    workflow::{self, Job, Journal, Naming, Owner},
};

/// A board that is taken up.
pub(super) struct Task {
    pub lane: usize,
    pub slot: String,
    pub board: AttachedBoard,
    /// What was scanned for it, until that is its order.
    pub scanned: Arc<Mutex<Option<String>>>,
    /// How often it was pulled out in the middle of a run, in a row. One that always is fails.
    pub pulled_out: usize,
    pub leash: Arc<Leash>,
    /// Runs of this board whose end the ledger did not take.
    pub unended: Arc<Mutex<Vec<Recording>>>,
}

/// What the bench tells a run that is under way.
#[derive(Default)]
pub(super) struct Leash {
    /// Why it has to end.
    pub end: SetOnce<FailureCode>,
    /// The bench is told to end at once: its hook, too.
    pub aborted: SetOnce<()>,
    /// The board was away for a moment.
    pub was_away: AtomicBool,
    /// The run's word to the bench: another board can have its order.
    pub gave_back: AtomicBool,
    /// It has its order, if it needs one.
    pub goes_ahead: AtomicBool,
    /// Another bench works on the board.
    pub waits: AtomicBool,
    /// The verdict, once people have seen it; a hook may still be under way then.
    pub told: OnceLock<Verdict>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed(FailureCode),
    /// No order is left for it.
    NoOrder,
    /// It waits for a barcode.
    NoScan,
    /// Nothing was done yet, but it has an order.
    HasOrder,
}

/// How often in a row a board may be pulled out before it counts as failed.
const PULLS: usize = 3;

/// Whose a board shall be, and what it shall be called.
struct Wanted {
    order: Option<Order>,
    /// The order was anybody's until now.
    is_new: bool,
    customer: Option<CustomerTemplate>,
}

enum Found {
    Wanted(Box<Wanted>),
    NoOrder,
    NoScan,
    /// Every order that this barcode is for has its board.
    Used(String),
}

/// Asks whether a board that nothing was scanned for has its order from before.
pub(super) async fn ask(bench: &Bench, board: AttachedBoard) -> Verdict {
    let (Some(orders), Some(id)) = (&bench.orders, &board.device_id) else { return Verdict::NoScan };
    match bench.ledger.order_of(&orders.source, id).await {
        Ok(Some(_)) => Verdict::HasOrder,
        Ok(None) => Verdict::NoScan,
        Err(failure) => Verdict::Failed(failure.code),
    }
}

/// Works on a board to its end.
pub(super) async fn work(
    bench: &Bench,
    task: Task,
    lister: Arc<dyn Lister>,
    tell: Tell,
    shift: Arc<Mutex<Shift>>,
) -> Verdict {
    let begun = Instant::now();
    let key = key_of(&task.board);
    let end = |result: Result<Summary, Arc<Failure>>, device_id: Option<DeviceId>| {
        let verdict =
            result.as_ref().map_or_else(|failure| Verdict::Failed(failure.code), |_| Verdict::Passed);
        let kind = EventKind::RunEnded { result, device_id, took: begun.elapsed() };
        let event = Event { at: jiff::Timestamp::now(), lane: task.lane, kind };
        shift.lock().unwrap_or_else(PoisonError::into_inner).take(&key, None, &event);
        tell(BenchEvent::Run(event));
        let _ = task.leash.told.set(verdict);
    };
    let wanted = async {
        // Else the board would be taken for one that another run is at.
        let unended = || task.unended.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = unended().clone();
        for run in runs {
            run.end_late().await?;
            unended().retain(|other| other.id() != run.id());
        }
        bench.wanted(&task).await
    };
    let wanted = match wanted.await {
        Ok(Found::Wanted(wanted)) => {
            task.leash.goes_ahead.store(true, Ordering::Relaxed);
            Ok(*wanted)
        }
        Ok(Found::NoOrder) => return Verdict::NoOrder,
        Ok(Found::NoScan) => return Verdict::NoScan,
        Ok(Found::Used(text)) => {
            tell(BenchEvent::Scanned { text, fate: Fate::Used });
            return Verdict::NoScan;
        }
        Err(failure) => Err(failure),
    };
    let mut job = Job { device_id: task.board.device_id.clone(), ..bench.job.clone() };
    let recording = Recording::new(&bench.ledger, slot_of(&task));
    let events = {
        let (recording, tell, shift) = (recording.clone(), tell.clone(), shift.clone());
        let (key, id) = (key.clone(), task.board.device_id.clone());
        Events::new(task.lane, move |event| {
            recording.hear(&event);
            // How it ended is told below, by somebody who knows why it was ended.
            if !matches!(event.kind, EventKind::RunEnded { .. }) {
                shift.lock().unwrap_or_else(PoisonError::into_inner).take(&key, id.as_ref(), &event);
                tell(BenchEvent::Run(event));
            }
        })
    };
    let journal = AtBench { bench, recording: &recording, task: &task, lister: &*lister };
    let (mut order, is_new, result) = match wanted {
        Ok(Wanted { order, is_new, customer: ordered }) => {
            if let (Owner::Customer { customer, .. }, Some(ordered)) = (&mut job.owner, ordered) {
                *customer = ordered;
            }
            if let Some(order) = order.as_ref().filter(|order| order.state != OrderState::Done) {
                // One that is done already does not keep an order that was anybody's.
                let (name, note) = (order.name.clone(), order.note.clone());
                job.naming = Naming { name, note, also_if_done: !is_new };
            }
            let target = match &task.board.device_id {
                Some(id) => UsbTarget::Device(id.clone()),
                None => UsbTarget::Port(task.board.port.clone()),
            };
            let (lister, ports) = (lister.clone(), bench.ports.clone());
            let mut device = UsbPhoton::new(target, lister, ports, bench.patience.clone(), bench.pace);
            let stop = async {
                task.leash.end.wait().await;
            };
            let result = workflow::run(&job, &bench.cloud, &mut device, &events, &journal, stop).await;
            (order, is_new, result)
        }
        Err(failure) => (None, false, journal.refuse(&job, failure).await.map_err(Arc::new)),
    };
    let device_id = result.as_ref().ok().and_then(|summary| summary.device_id.clone());
    let device_id = device_id.or(task.board.device_id.clone());
    let code = result.as_ref().err().map(|failure| failure.code);
    let gives_back = match &result {
        // It was another order's, and stays that.
        Ok(summary) => summary.already && is_new,
        Err(failure) => is_untouched(failure),
    };
    if let Some(order) = order.take_if(|_| gives_back) {
        match bench.ledger.give_back_order(&order).await {
            Ok(()) => task.leash.gave_back.store(true, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the order is not given back in the ledger"),
        }
    }
    if let Some(order) = &order {
        let state = if result.is_ok() { OrderState::Done } else { OrderState::Failed };
        if let Err(error) = bench.ledger.settle_order(&order.id, state).await {
            // The board has its order all the same; only what became of it is not noted.
            tracing::warn!(%error, "the order's end is not in the ledger");
        }
    }
    end(result.clone(), device_id.clone());
    if let Some((kind, hook)) = recording.hook().and_then(|kind| Some((kind, bench.hooks.of(kind)?))) {
        let about = about(&task, &recording, order.as_ref(), device_id.as_ref(), code);
        let error = tokio::select! {
            biased;
            _ = task.leash.aborted.wait() => Some(HookError::Stopped),
            ended = hook.run(&about, bench.hooks.deadline) => ended.err(),
        };
        let said = error.as_ref().map(ToString::to_string);
        if let Err(error) = recording.hook_ended(said.as_deref()).await {
            tracing::warn!(%error, "what became of the hook is not in the ledger");
        }
        shift.lock().unwrap_or_else(PoisonError::into_inner).take_hook(&key, error.is_none());
        tell(BenchEvent::Hook { lane: task.lane, hook: kind, error });
    }
    if recording.is_unended() {
        task.unended.lock().unwrap_or_else(PoisonError::into_inner).push(recording);
    }
    code.map_or(Verdict::Passed, Verdict::Failed)
}

/// What a board goes by: its id, or the place of one that USB does not name.
pub(super) fn key_of(board: &AttachedBoard) -> String {
    match (&board.device_id, &board.hub_path) {
        (Some(id), _) => id.to_string(),
        (None, Some(socket)) => socket.clone(),
        (None, None) => board.port.to_string_lossy().into_owned(),
    }
}

/// The board's place, if that has a name.
fn slot_of(task: &Task) -> Option<String> {
    Some(task.slot.clone()).filter(|slot| slot != SlotMap::UNKNOWN)
}

/// The record of a run at a bench, which knows why a run was ended, and what is to be done then.
struct AtBench<'a> {
    bench: &'a Bench,
    recording: &'a Recording,
    task: &'a Task,
    lister: &'a dyn Lister,
}

#[async_trait]
impl Journal for AtBench<'_> {
    async fn begin(&self, job: &Job, part: Part) -> Result<(), Failure> {
        self.recording.begin(job, part).await
    }

    async fn take(&self, device_id: &DeviceId, tell: device::Tell<'_>) -> Result<(), Failure> {
        let waits = |is_so| self.task.leash.waits.store(is_so, Ordering::Relaxed);
        // It says something when it has to wait, and only then.
        let told = |note| {
            waits(true);
            tell(note);
        };
        let taken = self.recording.take(device_id, &told).await;
        waits(false);
        taken
    }

    fn met(&self, identity: &Identity) {
        self.recording.met(identity);
    }

    async fn intend(&self, step: Step) -> Result<(), Failure> {
        self.recording.intend(step).await
    }

    async fn end(&self, result: Result<Summary, Failure>) -> Result<Summary, Failure> {
        let result = result.map_err(|failure| explained(failure, self.task, self.lister));
        let hook = self.bench.hooks.after(result.as_ref().err().map(|failure| failure.code));
        self.recording.end_with(result, hook).await
    }
}

impl AtBench<'_> {
    /// A board that is not worked on at all has failed, too.
    async fn refuse(&self, job: &Job, failure: Failure) -> Result<Summary, Failure> {
        if matches!(failure.code, FailureCode::LedgerUnusable | FailureCode::LedgerNewer) {
            return Err(failure);
        }
        let hook = self.bench.hooks.after(Some(failure.code));
        self.recording.refuse(job, failure, hook).await
    }
}

/// The same failure, or that the board was pulled out.
fn explained(failure: Failure, task: &Task, lister: &dyn Lister) -> Failure {
    use FailureCode as F;
    let step = failure.step;
    let pulled_out = match (task.leash.end.get(), failure.code) {
        (Some(F::PulledOut), F::Interrupted) => true,
        (
            None,
            F::NoDevice
            | F::NoAnswer
            | F::NotListening
            | F::ConsoleStuck
            | F::CodeRefused
            | F::WifiRefused
            | F::BackToListening
            | F::NotVerified,
        ) => {
            let is_away = || lister.access(&task.board.port) == Access::Missing;
            task.pulled_out < PULLS && (task.leash.was_away.load(Ordering::Relaxed) || is_away())
        }
        _ => false,
    };
    if !pulled_out {
        return failure;
    }
    Failure { step, ..Failure::new(F::PulledOut, "the board was pulled out in the middle of it") }
}

/// Whether nothing was done to the board or for it, so that its order can be another's.
fn is_untouched(failure: &Failure) -> bool {
    use FailureCode as F;
    let refused = matches!(
        failure.code,
        F::OwnedByOther | F::InOtherProduct | F::WrongPlatform | F::FirmwareTooOld | F::WrongDevice
    );
    refused && matches!(failure.step, Some(Step::KnowDevice | Step::CheckDevice | Step::Listening))
}

/// Whether a failure says something about the board, and not about the bench.
fn is_the_boards(code: FailureCode) -> bool {
    use FailureCode as F;
    !matches!(code, F::PulledOut | F::Interrupted | F::LedgerUnusable | F::PortBusy)
}

impl Bench {
    /// Whose this board shall be.
    async fn wanted(&self, task: &Task) -> Result<Found, Failure> {
        let (Some(orders), Some(id)) = (&self.orders, &task.board.device_id) else {
            return Ok(Found::Wanted(Box::new(Wanted { order: None, is_new: false, customer: None })));
        };
        let scanned = || task.scanned.lock().unwrap_or_else(PoisonError::into_inner);
        let text = scanned().clone();
        let mut is_new = false;
        let order = if let (Some(scan), Some(text)) = (&orders.scan, text) {
            let found = self.scanned(orders, scan, id, &text).await;
            // While the ledger is out of reach it waits.
            if !matches!(&found, Err(failure) if failure.code == FailureCode::LedgerUnusable) {
                *scanned() = None;
            }
            match found? {
                None => return Ok(Found::Used(text)),
                order => order,
            }
        } else if let Some(order) = self.ledger.order_of(&orders.source, id).await? {
            Some(order)
        } else {
            let order = self.ledger.claim_order(&orders.source, id).await?;
            is_new = order.as_ref().is_some_and(|order| order.device_id.is_none());
            order
        };
        if order.is_none() && orders.scan.is_some() {
            return Ok(Found::NoScan);
        }
        if order.is_none() && !orders.are_optional {
            return Ok(Found::NoOrder);
        }
        let wrong = |invalid: Invalid| Failure::new(FailureCode::Configuration, invalid.to_string());
        let customer = order.as_ref().and_then(|order| order.customer.as_deref());
        let customer = customer.map(CustomerTemplate::parse).transpose().map_err(wrong)?;
        Ok(Found::Wanted(Box::new(Wanted { order, is_new, customer })))
    }

    /// The order that this barcode says the board shall have.
    async fn scanned(
        &self,
        orders: &Orders,
        scan: &Scan,
        id: &DeviceId,
        text: &str,
    ) -> Result<Option<Order>, Failure> {
        let wrong = |detail| Err(Failure::new(FailureCode::WrongDevice, detail).in_step(Step::KnowDevice));
        let named = DeviceId::parse(text).ok();
        if let Some(meant) = named.as_ref().filter(|meant| *meant != id) {
            return wrong(format!("the board is {id}, and the barcode said {meant}"));
        }
        let source = &orders.source;
        let customer = match scan {
            Scan::Customers { template: Some(template), .. } => Some(template.replace(Scan::HOLE, text)),
            Scan::Customers { template: None, has_default } => (!has_default).then(|| text.to_owned()),
            Scan::Orders(_) if named.is_some() => return self.ledger.claim_order(source, id).await,
            Scan::Orders(all) => {
                let mut others = all.iter().filter(|order| order.says(text)).map(|order| &order.device_id);
                if others.all(|other| other.as_ref().is_some_and(|other| other != id)) {
                    return wrong(format!(
                        "the board is {id}, and the orders that say {text} are for others"
                    ));
                }
                let has = self.ledger.order_of(source, id).await?;
                return match has.filter(|order| order.state == OrderState::Done) {
                    Some(done) if done.says(text) => Ok(Some(done)),
                    Some(_) => wrong(format!("the board is done by another order than {text}")),
                    None => self.ledger.claim_order_that_says(source, id, text).await,
                };
            }
        };
        let new = NewOrder { device_id: Some(id.clone()), customer, name: None, note: None };
        self.ledger.add_order(source, &new).await.map(Some)
    }
}

/// What hooks can be told.
fn about(
    task: &Task,
    recording: &Recording,
    order: Option<&Order>,
    device_id: Option<&DeviceId>,
    code: Option<FailureCode>,
) -> BTreeMap<&'static str, String> {
    let (product, customer) = recording.owner();
    let of = |text: Option<&String>| text.cloned().unwrap_or_default();
    [
        ("device_id", device_id.map(ToString::to_string).unwrap_or_default()),
        ("customer", customer.unwrap_or_default()),
        ("product", product.unwrap_or_default()),
        ("slot", slot_of(task).unwrap_or_default()),
        ("run", recording.id().to_string()),
        ("code", code.map(FailureCode::as_str).unwrap_or_default()),
        ("name", of(order.and_then(|order| order.name.as_ref()))),
        ("note", of(order.and_then(|order| order.note.as_ref()))),
    ]
    .into()
}

/// The programs that are run about boards.
///
/// Each is run at least once: it is due in the ledger with the run's end, and one that was killed, or has
/// failed, is run again when its board comes back. One that was killed at its very end may have done its
/// work twice then.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// About one that has passed, and had none since it was last worked on.
    pub on_pass: Option<Hook>,
    /// About one that has failed for a reason of its own.
    pub on_fail: Option<Hook>,
    /// How long either may take.
    pub deadline: Duration,
}

impl Hooks {
    pub(super) fn of(&self, kind: HookKind) -> Option<&Hook> {
        match kind {
            HookKind::OnPass => self.on_pass.as_ref(),
            HookKind::OnFail => self.on_fail.as_ref(),
        }
    }

    /// The hook that such an end has; the ledger knows whether one that found all done still lacks it.
    fn after(&self, failure: Option<FailureCode>) -> Option<HookKind> {
        let kind = match failure {
            None => HookKind::OnPass,
            Some(code) if is_the_boards(code) => HookKind::OnFail,
            Some(_) => return None,
        };
        self.of(kind).map(|_| kind)
    }
}
