//! The bench at work: who is there, whose turn it is, and when it is over.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{LocalBoxFuture, join_all},
    stream::FuturesUnordered,
};
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep},
};

use super::{
    Allowed, BenchEvent, Fate, Hooks, LeftAlone, Orders, Scan, Shift, SlotMap, Stopping, Waiting, Watch,
    board::{self, Leash, Task, Verdict, key_of},
    heart::{Health, LEDGER, Pulse, TROUBLE, beat, heart},
};
use crate::{
    cloud::Cloud,
    device::Patience,
    link::{
        discovery::{Access, AttachedBoard, Lister},
        serial::OpenPort,
    },
    model::{DeviceId, Failure, FailureCode},
    record::{Ledger, Recording, Run},
    workflow::Job,
};

/// Who is told what happens.
pub type Tell = Arc<dyn Fn(BenchEvent) + Send + Sync>;

/// What a bench works with.
pub struct Bench {
    /// What shall be so with every board; its device is ignored.
    pub job: Job,
    /// The cloud.
    pub cloud: Cloud,
    /// Where every run is recorded, and every order bound.
    pub ledger: Ledger,
    /// What opens ports.
    pub ports: Arc<dyn OpenPort>,
    /// How long boards are waited for.
    pub patience: Patience,
    /// Type claim codes slowly.
    pub pace: Option<Duration>,
    /// How many boards are worked on at once.
    pub lanes: usize,
    /// Which boards are meant.
    pub allowed: Allowed,
    /// What their places are called.
    pub slots: SlotMap,
    /// Whose they shall be, one by one.
    pub orders: Option<Orders>,
    /// What is run about them.
    pub hooks: Hooks,
    /// Take up no more than so many.
    pub count: Option<usize>,
    /// Take up none after this time.
    pub time: Option<Duration>,
    /// Whether the cloud has limits, of which every bench takes its share.
    pub has_limits: bool,
    /// A board that is away for no longer than this was not pulled out: it has only started anew.
    pub blip: Duration,
}

/// From one look at what has become due to the next.
const TICK: Duration = Duration::from_millis(100);
/// A port that may not be opened yet: the system sets its rights a moment after it appears.
const RIGHTS: Duration = Duration::from_secs(2);
/// A board that has gone is missed within this time.
const MISSED: Duration = Duration::from_secs(2);

/// Works until it is told to finish, or its count or time is over. `abort` ends the boards under way, too.
///
/// # Errors
/// None but what makes it impossible to go on: see [`Shift::stopped_by`].
pub async fn run(
    bench: &Bench,
    mut watch: Watch,
    mut scans: mpsc::UnboundedReceiver<String>,
    tell: Tell,
    finish: impl Future<Output = ()>,
    abort: impl Future<Output = ()>,
) -> Shift {
    if !bench.has_limits {
        bench.cloud.ignore_limits();
    }
    let shift = Arc::new(Mutex::new(Shift::begin()));
    let mut floor = Floor {
        bench,
        lister: watch.lister(),
        tell: tell.clone(),
        shift: shift.clone(),
        boards: BTreeMap::new(),
        lanes: 0,
        under_way: FuturesUnordered::new(),
        scanned: VecDeque::new(),
        taken: BTreeSet::new(),
        settled: BTreeSet::new(),
        stopping: None,
        is_blind: false,
        pulse: Arc::new(Pulse::default()),
    };
    floor.tell_left_over().await;
    let pulse = floor.pulse.clone();
    let (heart_tell, heart_shift) = (tell.clone(), shift.clone());
    let mut heart = Box::pin(heart(bench, pulse.clone(), heart_tell, heart_shift));
    let (mut finish, mut abort) = (pin!(finish.fuse()), pin!(abort.fuse()));
    let over = async {
        match bench.time {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let mut over = pin!(over.fuse());
    let mut tick = interval(TICK);
    let mut scanning = true;
    loop {
        tokio::select! {
            seen = watch.next() => floor.see(seen),
            Some((key, verdict)) = floor.under_way.next() => floor.ended(&key, verdict),
            text = scans.recv(), if scanning => match text {
                Some(text) => floor.scan(text),
                None => scanning = false,
            },
            () = &mut finish => floor.stop(Stopping::Asked),
            () = &mut abort => floor.abort(),
            () = &mut over => floor.stop(Stopping::Time),
            _ = tick.tick() => {}
            () = &mut heart => {}
        }
        floor.go_on();
        if floor.is_over() {
            break;
        }
    }
    let unended = floor.unended();
    drop(floor);
    // In the middle of its beat it would hold the ledger's connection, and never go on.
    drop(heart);
    let beat = beat(bench, &pulse, &shift);
    // At once, as each is waited for while the ledger is out of reach.
    let (left, _) =
        tokio::join!(bench.ledger.leave(&beat), join_all(unended.iter().map(Recording::end_late)));
    if let Err(error) = left {
        tracing::warn!(%error, "the ledger does not know that this bench has ended");
    }
    let shift = shift.lock().unwrap_or_else(PoisonError::into_inner).clone();
    tell(BenchEvent::Ended(shift.clone()));
    shift
}

/// A ledger that does not answer for longer is told.
const AWAY: Duration = Duration::from_secs(2);
const NO_BOARDS: &str = "BOARDS CANNOT BE SEEN";

/// A board that is known here, and its lane.
struct Known {
    lane: usize,
    board: AttachedBoard,
    slot: String,
    state: State,
    /// Since when it has been there.
    plugged: Instant,
    /// Since when it has not been seen.
    away_since: Option<Instant>,
    /// Whether it has a line.
    is_shown: bool,
    /// It was plugged in and has not been worked on since: what is scanned now is for it.
    is_new: bool,
    /// It was put back while its hook was under way, and is taken up again after that.
    is_back: bool,
    /// It has an order from before.
    has_order: bool,
    scanned: Arc<Mutex<Option<String>>>,
    pulled_out: usize,
    unended: Arc<Mutex<Vec<Recording>>>,
}

impl Known {
    /// Whether something was scanned for it that is not its order yet.
    fn has_scan(&self) -> bool {
        self.scanned.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

enum State {
    /// To be taken up, not before this time.
    Ready {
        seen: Instant,
        not_before: Instant,
        told: Option<Waiting>,
    },
    /// The ledger is asked whether it has an order.
    Asking,
    Working(Arc<Leash>),
    Passed,
    /// Until it is unplugged.
    Failed,
    /// Since then. Until it comes back; it may not have been missed yet.
    PulledOut(Instant),
    NoScan,
    /// Until an order is given back.
    NoOrder,
    LeftAlone,
}

impl State {
    /// Whether a board that is away now has no line.
    fn ends_when_unplugged(&self) -> bool {
        match self {
            Self::Working(leash) => matches!(leash.told.get(), Some(Verdict::Failed(_))),
            // It may only start anew; see `due`.
            Self::Asking | Self::Passed | Self::PulledOut(_) => false,
            Self::Ready { .. } | Self::Failed | Self::NoScan | Self::NoOrder | Self::LeftAlone => true,
        }
    }

    fn ready(delay: Duration) -> Self {
        let now = Instant::now();
        Self::Ready { seen: now, not_before: now + delay, told: None }
    }
}

struct Floor<'a> {
    bench: &'a Bench,
    lister: Arc<dyn Lister>,
    tell: Tell,
    shift: Arc<Mutex<Shift>>,
    boards: BTreeMap<String, Known>,
    lanes: usize,
    under_way: FuturesUnordered<LocalBoxFuture<'a, (String, Verdict)>>,
    /// Barcodes that no board has yet.
    scanned: VecDeque<String>,
    taken: BTreeSet<String>,
    /// Those of the taken that have their verdict.
    settled: BTreeSet<String>,
    stopping: Option<Stopping>,
    /// The place that tells of boards cannot be read.
    is_blind: bool,
    pulse: Arc<Pulse>,
}

impl Floor<'_> {
    fn tell(&self, event: BenchEvent) {
        (self.tell)(event);
    }

    /// Says which boards were under way when an earlier process was killed, and whose hooks are still to come.
    async fn tell_left_over(&self) {
        let (ledger, hooks) = (&self.bench.ledger, &self.bench.hooks);
        let bench = &ledger.who().bench;
        let (runs, open) = match tokio::try_join!(ledger.incomplete_runs(bench), ledger.open_hooks(bench)) {
            Ok(left) => left,
            // The heart will find that, too, and say so.
            Err(error) => {
                return tracing::warn!(%error, "the ledger does not tell what was left incomplete");
            }
        };
        let boards = |runs: &mut dyn Iterator<Item = &Run>| {
            let ids = runs.filter_map(|run| DeviceId::parse(run.device_id.as_deref()?).ok());
            ids.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let device_ids = boards(&mut runs.iter());
        let has_it = |run: &&Run| run.hook.as_ref().is_some_and(|hook| hooks.of(hook.kind).is_some());
        let hooks = boards(&mut open.iter().filter(has_it));
        if !(device_ids.is_empty() && hooks.is_empty()) {
            self.tell(BenchEvent::LeftOver { device_ids, hooks });
        }
    }

    /// Takes in which boards are attached.
    fn see(&mut self, seen: Result<Vec<AttachedBoard>, Failure>) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(failure) => {
                if !std::mem::replace(&mut self.is_blind, true) {
                    self.tell(BenchEvent::Trouble { with: NO_BOARDS, why: Some(failure.to_string()) });
                }
                return;
            }
        };
        if std::mem::take(&mut self.is_blind) {
            self.tell(BenchEvent::Trouble { with: NO_BOARDS, why: None });
        }
        let now = Instant::now();
        let seen: BTreeMap<_, _> = seen.into_iter().map(|board| (key_of(&board), board)).collect();
        let gone: Vec<_> = self.boards.keys().filter(|key| !seen.contains_key(*key)).cloned().collect();
        for key in gone {
            self.goes(&key, now);
        }
        for (key, board) in seen {
            self.comes(key, board);
        }
    }

    fn comes(&mut self, key: String, board: AttachedBoard) {
        let slot = self.bench.slots.slot(&board);
        let Some(known) = self.boards.get_mut(&key) else {
            let lane = self.lanes;
            self.lanes += 1;
            self.tell(BenchEvent::Plugged { lane, slot: slot.clone(), device_id: board.device_id.clone() });
            let state = State::ready(Duration::ZERO);
            let known = Known {
                lane,
                board,
                slot,
                state,
                plugged: Instant::now(),
                away_since: None,
                is_shown: true,
                is_new: true,
                is_back: false,
                has_order: false,
                scanned: Arc::default(),
                pulled_out: 0,
                unended: Arc::default(),
            };
            self.boards.insert(key, known);
            return;
        };
        let was_away = known.away_since.take().is_some();
        let is_news = !known.is_shown || known.slot != slot;
        let has_moved = known.board.port != board.port;
        known.board = board;
        known.slot = slot;
        // One that was pulled out goes on where it was.
        let goes_on = matches!(known.state, State::PulledOut(_)) && (was_away || has_moved);
        let comes_back = goes_on || (was_away && !known.is_shown);
        known.is_new |= comes_back && !goes_on;
        known.is_back = comes_back && matches!(known.state, State::Working(_));
        if comes_back {
            known.plugged = Instant::now();
            known.has_order = false;
            if !known.is_back {
                known.state = State::ready(Duration::ZERO);
            }
        }
        known.is_shown = true;
        let (lane, slot, device_id) = (known.lane, known.slot.clone(), known.board.device_id.clone());
        let waits = known.is_back;
        if is_news || comes_back {
            self.tell(BenchEvent::Plugged { lane, slot, device_id });
        }
        if waits {
            self.tell(BenchEvent::Waiting { lane, why: Waiting::Hook });
        }
    }

    fn goes(&mut self, key: &str, now: Instant) {
        let Some(known) = self.boards.get_mut(key) else { return };
        if known.away_since.is_none() {
            known.away_since = Some(now);
        }
        if let State::Working(leash) = &known.state {
            leash.was_away.store(true, Ordering::Relaxed);
        }
        if known.state.ends_when_unplugged() {
            self.hide(key);
        }
    }

    fn hide(&mut self, key: &str) {
        let Some(known) = self.boards.get_mut(key).filter(|known| known.is_shown) else { return };
        known.is_shown = false;
        known.pulled_out = 0;
        let lane = known.lane;
        // Not for whichever board comes next, nor for this one at any later time.
        let lost = known.scanned.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tell(BenchEvent::Unplugged { lane });
        if let Some(text) = lost {
            self.tell(BenchEvent::Scanned { text, fate: Fate::Lost });
        }
    }

    /// What time alone brings about.
    fn due(&mut self) {
        let now = Instant::now();
        let blip = self.bench.blip;
        let away = |known: &Known| known.away_since.is_some_and(|since| now.duration_since(since) > blip);
        let keys: Vec<_> =
            self.boards.iter().filter(|(_, known)| away(known)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            match self.boards.get(&key).map(|known| &known.state) {
                Some(State::Working(leash)) if leash.told.get().is_none() => {
                    let _ = leash.end.set(FailureCode::PulledOut);
                }
                Some(State::Working(_) | State::Passed) => self.hide(&key),
                _ => {}
            }
        }
        // Back before anybody missed it.
        for known in self.boards.values_mut().filter(|known| known.away_since.is_none()) {
            if matches!(known.state, State::PulledOut(since) if now.duration_since(since) > MISSED) {
                known.state = State::ready(Duration::ZERO);
            }
        }
        if let Some((_, why)) = self.bench.ledger.away().filter(|(time, _)| *time > AWAY)
            && self.pulse.set(Health::Failing) != Health::Failing
        {
            self.tell(BenchEvent::Trouble { with: TROUBLE, why: Some(why) });
            // It tells when that is over.
            self.pulse.now.notify_one();
        }
        self.pulse.lacks_order.store(self.boards.values().any(lacks_order), Ordering::Relaxed);
        if self.pulse.order_is_open.swap(false, Ordering::Relaxed) {
            self.look_again();
        }
    }

    /// A barcode was read.
    fn scan(&mut self, text: String) {
        let text = text.trim().to_owned();
        if text.is_empty() {
            return;
        }
        let scan = self.bench.orders.as_ref().and_then(|orders| orders.scan.as_ref());
        let fate = if scan.is_some_and(|scan| scan.takes(&text)) { Fate::Next } else { Fate::Nothing };
        if fate == Fate::Next {
            self.scanned.push_back(text.clone());
        }
        self.tell(BenchEvent::Scanned { text, fate });
    }

    /// Gives what was scanned to those who wait for it, first come, first served. What is scanned for a new
    /// board counts more than the customer that it was scanned for before; an order from a file that it has is
    /// its own for good, so that it is asked for that before.
    fn hand_out_scans(&mut self) {
        let Some(scan) = self.bench.orders.as_ref().and_then(|orders| orders.scan.as_ref()) else { return };
        let is_rebound = matches!(scan, Scan::Customers { .. });
        while !self.scanned.is_empty() {
            let waits = |(key, known): &(&String, &Known)| {
                let waits = match known.state {
                    State::NoScan => true,
                    State::Ready { .. } => is_rebound && known.is_new && !known.has_scan(),
                    _ => false,
                };
                waits && known.away_since.is_none() && self.is_left_alone(key, &known.board).is_none()
            };
            let first = self.boards.iter().filter(waits).min_by_key(|(_, known)| known.plugged);
            let Some((key, plugged)) = first.map(|(key, known)| (key.clone(), known.plugged)) else { return };
            // What was scanned may be for one that came before and is asked about.
            let is_asked = |known: &Known| matches!(known.state, State::Asking) && known.plugged <= plugged;
            if self.boards.values().any(is_asked) {
                return;
            }
            let (Some(known), Some(text)) = (self.boards.get_mut(&key), self.scanned.pop_front()) else {
                return;
            };
            known.scanned = Arc::new(Mutex::new(Some(text.clone())));
            if matches!(known.state, State::NoScan) {
                known.state = State::ready(Duration::ZERO);
            }
            let lane = known.lane;
            self.tell(BenchEvent::ScanGiven { lane, text });
        }
    }

    fn stop(&mut self, why: Stopping) {
        if self.stopping.is_none() || self.stopping == Some(Stopping::Count) {
            self.stopping = Some(why);
            self.tell(BenchEvent::Stopping { why });
        }
    }

    fn abort(&mut self) {
        self.stop(Stopping::Asked);
        for known in self.boards.values() {
            if let State::Working(leash) = &known.state {
                let _ = leash.end.set(FailureCode::Interrupted);
                let _ = leash.aborted.set(());
            }
        }
    }

    /// Takes up whom it can.
    fn go_on(&mut self) {
        self.due();
        self.count_taken();
        self.hand_out_scans();
        let now = Instant::now();
        let mut ready: Vec<_> = self
            .boards
            .iter()
            .filter(|(_, known)| known.away_since.is_none())
            .filter_map(|(key, known)| match &known.state {
                State::Ready { seen, .. } => Some((*seen, known.lane, key.clone())),
                _ => None,
            })
            .collect();
        ready.sort();
        for (_, _, key) in ready {
            self.consider(&key, now);
        }
    }

    fn consider(&mut self, key: &str, now: Instant) {
        let Some(known) = self.boards.get(key) else { return };
        let State::Ready { seen, not_before, told } = known.state else { return };
        let lane = known.lane;
        if let Some(why) = self.is_left_alone(key, &known.board) {
            self.put(key, State::LeftAlone);
            self.tell(BenchEvent::LeftAlone { lane, why });
            return;
        }
        let has_rights = known.board.access == Access::Granted || now.duration_since(seen) > RIGHTS;
        let why = if !self.pulse.is_well() {
            Some(Waiting::Ledger)
        } else if now < not_before {
            Some(Waiting::Again)
        } else if self.lanes_in_use() >= self.bench.lanes || !self.has_a_place(key) {
            Some(Waiting::FreeLane)
        } else if !has_rights {
            Some(Waiting::Again)
        } else {
            None
        };
        match why {
            Some(why) if told == Some(why) => {}
            Some(why) => {
                self.put(key, State::Ready { seen, not_before, told: Some(why) });
                self.tell(BenchEvent::Waiting { lane, why });
            }
            None => self.take_up(key),
        }
    }

    fn is_left_alone(&self, key: &str, board: &AttachedBoard) -> Option<LeftAlone> {
        let id = board.device_id.as_ref();
        let needs_id = self.bench.orders.is_some() || self.bench.allowed != Allowed::Any;
        if id.is_none() && needs_id {
            return Some(LeftAlone::Unknown);
        }
        if !self.bench.allowed.allows(id) {
            return Some(LeftAlone::NotMeant);
        }
        match self.stopping {
            // Those that were taken up before belong to the count.
            Some(Stopping::Count) if self.taken.contains(key) => None,
            Some(_) => Some(LeftAlone::Stopping),
            None => None,
        }
    }

    fn put(&mut self, key: &str, state: State) {
        if let Some(known) = self.boards.get_mut(key) {
            known.state = state;
        }
    }

    fn take_up(&mut self, key: &str) {
        let Some(known) = self.boards.get_mut(key) else { return };
        let scans = self.bench.orders.as_ref().is_some_and(|orders| orders.scan.is_some());
        if scans && !known.has_order && !known.has_scan() {
            known.state = State::Asking;
            let (bench, name, board) = (self.bench, key.to_owned(), known.board.clone());
            let ask = async move { (name, board::ask(bench, board).await) };
            self.under_way.push(ask.boxed_local());
            return;
        }
        known.is_new = false;
        self.settled.remove(key);
        let leash = Arc::new(Leash::default());
        known.state = State::Working(leash.clone());
        let task = Task {
            lane: known.lane,
            slot: known.slot.clone(),
            board: known.board.clone(),
            scanned: known.scanned.clone(),
            pulled_out: known.pulled_out,
            leash,
            unended: known.unended.clone(),
        };
        let (lister, tell, shift) = (self.lister.clone(), self.tell.clone(), self.shift.clone());
        let (bench, name) = (self.bench, key.to_owned());
        let work = async move { (name, board::work(bench, task, lister, tell, shift).await) };
        self.under_way.push(work.boxed_local());
        self.count_under_way();
    }

    /// Takes in which boards have got what they need: those alone count.
    fn count_taken(&mut self) {
        let goes_ahead = |known: &Known| match &known.state {
            State::Working(leash) => leash.goes_ahead.load(Ordering::Relaxed),
            _ => false,
        };
        let taken = self.boards.iter().filter(|(_, known)| goes_ahead(known)).map(|(key, _)| key.clone());
        self.taken.extend(taken);
        if self.bench.count.is_some_and(|count| self.taken.len() >= count) && self.stopping.is_none() {
            self.stop(Stopping::Count);
        }
    }

    /// A board that only waits for another bench to have done with it takes none.
    fn lanes_in_use(&self) -> usize {
        let waits = |known: &&Known| match &known.state {
            State::Working(leash) => leash.waits.load(Ordering::Relaxed),
            _ => false,
        };
        self.under_way.len() - self.boards.values().filter(waits).count()
    }

    /// Whether this board is among those that were asked for, even if all do that are looked at now.
    fn has_a_place(&self, key: &str) -> bool {
        let Some(count) = self.bench.count else { return true };
        let may = self
            .boards
            .iter()
            .filter(|(key, known)| matches!(known.state, State::Working(_)) && !self.taken.contains(*key));
        self.taken.contains(key) || self.taken.len() + may.count() < count
    }

    fn count_under_way(&self) {
        let count = u32::try_from(self.under_way.len()).unwrap_or(u32::MAX);
        self.pulse.under_way.store(count, Ordering::Relaxed);
    }

    /// Takes in what became of a board.
    fn ended(&mut self, key: &str, verdict: Verdict) {
        self.count_under_way();
        self.count_taken();
        let Some(known) = self.boards.get_mut(key) else { return };
        let lane = known.lane;
        let is_here = known.away_since.is_none();
        let leash_was_away =
            matches!(&known.state, State::Working(leash) if leash.was_away.load(Ordering::Relaxed));
        let gave_back =
            matches!(&known.state, State::Working(leash) if leash.gave_back.load(Ordering::Relaxed));
        let (state, is_settled) = match verdict {
            Verdict::Passed => {
                known.pulled_out = 0;
                (State::Passed, true)
            }
            Verdict::NoScan => (State::NoScan, false),
            Verdict::HasOrder => {
                known.has_order = true;
                (State::ready(Duration::ZERO), false)
            }
            Verdict::NoOrder => (State::NoOrder, false),
            Verdict::Failed(FailureCode::PulledOut) => {
                known.pulled_out += 1;
                let is_back = is_here && leash_was_away;
                (if is_back { State::ready(Duration::ZERO) } else { State::PulledOut(Instant::now()) }, false)
            }
            Verdict::Failed(FailureCode::LedgerUnusable) => (State::ready(LEDGER), false),
            Verdict::Failed(_) => (State::Failed, true),
        };
        let is_back = std::mem::take(&mut known.is_back) && is_here;
        let (state, is_settled) =
            if is_back { (State::ready(Duration::ZERO), false) } else { (state, is_settled) };
        known.state = state;
        let is_gone = !is_here && known.state.ends_when_unplugged();
        if is_settled {
            self.taken.insert(key.to_owned());
            self.settled.insert(key.to_owned());
        }
        match verdict {
            Verdict::NoScan => self.tell(BenchEvent::Waiting { lane, why: Waiting::Scan }),
            Verdict::NoOrder => {
                self.tell(BenchEvent::LeftAlone { lane, why: LeftAlone::NoOrder });
                self.pulse.now.notify_one();
            }
            Verdict::Failed(FailureCode::LedgerUnusable) => self.pulse.doubt(),
            Verdict::Failed(code) if ends_all(code) => {
                self.stop(Stopping::Failure);
                self.shift.lock().unwrap_or_else(PoisonError::into_inner).stopped_by.get_or_insert(code);
            }
            _ => {}
        }
        if is_gone {
            self.hide(key);
        }
        if gave_back {
            self.look_again();
        }
    }

    /// An order is free again for those that found none.
    fn look_again(&mut self) {
        for known in self.boards.values_mut() {
            if lacks_order(known) {
                known.state = State::ready(Duration::ZERO);
            }
        }
    }

    /// Runs whose end the ledger did not take, of boards that are not taken up again.
    fn unended(&self) -> Vec<Recording> {
        let of = |known: &Known| known.unended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.boards.values().flat_map(of).collect()
    }

    fn is_over(&self) -> bool {
        let all_are_settled = || self.taken.iter().all(|key| self.settled.contains(key));
        match self.stopping {
            None => false,
            Some(Stopping::Count) => self.under_way.is_empty() && all_are_settled(),
            Some(_) => self.under_way.is_empty(),
        }
    }
}

/// Whether it would take an order that is given back.
fn lacks_order(known: &Known) -> bool {
    matches!(known.state, State::NoOrder) && known.away_since.is_none()
}

/// Whether every other board would fail for the same reason.
fn ends_all(code: FailureCode) -> bool {
    use FailureCode as F;
    matches!(code, F::SignInRefused | F::SignInHeldBack | F::ProductNotVisible | F::Configuration)
}
