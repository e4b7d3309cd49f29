use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::{
    CloudConfig, clock::Clock, events::Said, faults::Faults, gates::Gates, limits::Limits, lock::unpoisoned,
    storage, world::World,
};

/// A request that came in, for tests to count. Never holds a query or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// In capitals.
    pub method: String,
    /// Still percent-encoded.
    pub path: String,
    /// Absent while there is no answer, and for good if the connection was dropped instead.
    pub status: Option<u16>,
    /// The version of HTTP: `1.1` or `2`.
    pub http: &'static str,
    /// By which connection it came: those that brought requests are counted from 1.
    pub connection: u32,
}

/// Requests that the log keeps; older ones are forgotten.
const LOG_LENGTH: usize = 50_000;

/// What all requests share.
pub(super) struct Office {
    pub(super) api_url: String,
    pub(super) latency: Duration,
    pub(super) claim_code_lifetime: Duration,
    pub(super) clock: Clock,
    pub(super) limits: Arc<Limits>,
    pub(super) faults: Faults,
    pub(super) gates: Gates,
    pub(super) events: broadcast::Sender<Arc<Said>>,
    pub(super) keep_alive: Duration,
    pub(super) cuts: watch::Sender<u32>,
    pub(super) log: Log,
    connections: AtomicU32,
    state_file: Option<PathBuf>,
    world: Mutex<World>,
}

impl Office {
    /// From the state file if there is one, else anew.
    pub(super) fn open(config: CloudConfig, address: SocketAddr) -> io::Result<Self> {
        let stored = config.state_file.as_deref().map(storage::load).transpose()?.flatten();
        let world = stored.unwrap_or_else(|| World::fresh(&config));
        Ok(Self {
            api_url: format!("{}://{address}", if config.tls.is_some() { "https" } else { "http" }),
            latency: config.latency,
            claim_code_lifetime: config.claim_code_lifetime,
            clock: Clock::ahead(world.clock_ahead_ms),
            limits: Arc::new(Limits::new(config.limits)),
            faults: Faults::new(config.faults),
            gates: Gates::default(),
            events: broadcast::Sender::new(4096),
            keep_alive: config.keep_alive,
            cuts: watch::Sender::new(0),
            log: Log::default(),
            connections: AtomicU32::new(0),
            state_file: config.state_file,
            world: Mutex::new(world),
        })
    }

    /// A number for a connection that brings its first request.
    pub(super) fn next_connection(&self) -> u32 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many connections have brought requests.
    pub(super) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        unpoisoned(&self.world)
    }

    /// Stores the world if it has changed and is to be stored, so that what was answered is also kept.
    pub(super) fn settle(&self) -> io::Result<()> {
        let mut world = self.world();
        if let Some(path) = &self.state_file
            && world.dirty
        {
            storage::save(path, &world.store(self.clock.ahead_ms())?)?;
        }
        world.dirty = false;
        Ok(())
    }

    /// Tells the open event streams.
    pub(super) fn publish(&self, said: Said) {
        // Nobody listening is no failure.
        let _ = self.events.send(Arc::new(said));
    }
}

/// The requests that came in, in order of arrival.
#[derive(Default)]
pub(super) struct Log(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    forgotten: usize,
    kept: VecDeque<RequestRecord>,
}

impl Log {
    /// Notes a request and gives its number.
    pub(super) fn arrived(&self, method: &str, path: &str, http: &'static str, connection: u32) -> usize {
        let path = match path.strip_prefix("/v1/access_tokens/") {
            Some(token) if token != "current" => "/v1/access_tokens/[token]",
            _ => path,
        };
        let mut entries = unpoisoned(&self.0);
        if entries.kept.len() == LOG_LENGTH {
            entries.kept.pop_front();
            entries.forgotten += 1;
        }
        let (method, path) = (method.into(), path.into());
        entries.kept.push_back(RequestRecord { method, path, status: None, http, connection });
        entries.forgotten + entries.kept.len() - 1
    }

    /// Notes what the request of this number was answered.
    pub(super) fn answered(&self, number: usize, status: u16) {
        let mut entries = unpoisoned(&self.0);
        let at = number.checked_sub(entries.forgotten);
        if let Some(record) = at.and_then(|at| entries.kept.get_mut(at)) {
            record.status = Some(status);
        }
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        unpoisoned(&self.0).kept.iter().cloned().collect()
    }
}
