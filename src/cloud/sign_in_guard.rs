//! Stops signing in before the cloud locks the whole site out.
//!
//! Ten refused sign-ins in a row lock the *address* out for 30 minutes: every bench and every
//! colleague behind the same router. So refusals are counted across processes, in one small file for
//! each API URL, and this program stops at five.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout_at,
};

use super::{
    ApiUrl, CloudError, OAuthClient,
    token_store::{private_dir, sha256, unix_now},
};
use crate::model::{Deadline, FailureCode};

/// Half of what the cloud takes, as other programs at this address fail, too.
const STOP_AT: u32 = 5;
/// New credentials are likely the cure, so they may be tried a little longer.
const STOP_NEW_CREDENTIALS_AT: u32 = 8;
/// The length of the cloud's lock-out.
const LOCK_OUT: Duration = Duration::from_secs(30 * 60);
/// How many sign-ins may be under way at once, so that a bench of many boards that starts with a
/// wrong secret stays under [`STOP_AT`] by itself.
const AT_ONCE: u32 = 4;

/// The refusals in a row, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    in_a_row: u32,
    /// Unix seconds.
    last_at: u64,
    /// A fingerprint of the credentials that were refused last.
    credentials: String,
}

/// What an answer says about the credentials.
pub(super) enum Verdict {
    Accepted,
    /// They are wrong, which will not change: nobody tries them again in this process.
    Refused(CloudError),
    /// Not wrong in themselves, but the cloud may have counted it.
    Counted,
    /// It never got that far.
    Unknown,
}

/// Leave to send one request that is signed with the client's secret.
pub(super) struct Permit {
    /// Held while refusals are on record: keeps other processes out until this one is answered.
    file: Option<File>,
    record: Record,
    _seats: OwnedSemaphorePermit,
}

pub(super) struct SignInGuard {
    inner: Arc<Inner>,
    seats: Arc<Semaphore>,
    refused: OnceLock<CloudError>,
}

struct Inner {
    file: Option<PathBuf>,
    /// Stands in for the file where there is none.
    memory: Mutex<Record>,
    credentials: String,
}

impl SignInGuard {
    pub(super) fn new(api_url: &ApiUrl, client: Option<&OAuthClient>, cache_dir: Option<PathBuf>) -> Self {
        let credentials =
            client.map(|client| sha256(&[&client.id, client.expose_secret()])).unwrap_or_default();
        let file = cache_dir
            .map(|dir| dir.join("sign-ins").join(format!("{}.json", sha256(&[&api_url.to_string()]))));
        Self {
            inner: Arc::new(Inner { file, memory: Mutex::default(), credentials }),
            seats: Arc::new(Semaphore::new(AT_ONCE as usize)),
            refused: OnceLock::new(),
        }
    }

    /// Waits for leave to sign in. On a clean record several may at once; as soon as there is a
    /// refusal on record they go one at a time, here and in other processes, until one is accepted:
    /// so a run with a wrong secret adds one refusal, not one for each of its boards.
    pub(super) async fn enter(&self, call: &str, deadline: Deadline) -> Result<Permit, CloudError> {
        let out_of_time = |_| {
            let said =
                format!("not sent: others were signing in until the time for {} was up", deadline.name);
            CloudError::new(FailureCode::CloudUnreachable, call, None, said)
        };
        let waiting = async {
            let seat = self.seat(1).await?;
            let (_, record) = self.load(Lock::Shared).await;
            if record == Record::default() {
                return Ok(Permit { file: None, record, _seats: seat });
            }
            drop(seat);
            let seats = self.seat(AT_ONCE).await?;
            let (file, record) = self.load(Lock::Exclusive).await;
            if let Some(why) = self.inner.objection(&record) {
                return Err(CloudError::new(FailureCode::SignInHeldBack, call, None, why));
            }
            Ok(Permit { file, record, _seats: seats })
        };
        timeout_at(deadline.at, waiting).await.map_err(out_of_time)?
    }

    /// Records what became of it.
    pub(super) async fn settle(&self, permit: Permit, verdict: Verdict) {
        let count = match verdict {
            Verdict::Unknown => return,
            Verdict::Accepted => false,
            Verdict::Counted => true,
            Verdict::Refused(error) => {
                // A second refusal of the same credentials tells nothing new.
                let _ = self.refused.set(error);
                true
            }
        };
        if !count && permit.record == Record::default() {
            return;
        }
        let inner = self.inner.clone();
        let recorded = spawn_blocking(move || {
            let (file, record) = match permit.file {
                Some(file) => (Some(file), permit.record),
                None => inner.load(Lock::Exclusive),
            };
            let record = if count { inner.refused_once_more(record) } else { Record::default() };
            inner.save(file, record);
        });
        if recorded.await.is_err() {
            tracing::warn!("the count of refused sign-ins could not be kept");
        }
    }

    async fn seat(&self, seats: u32) -> Result<OwnedSemaphorePermit, CloudError> {
        // Never closed.
        let permit = self.seats.clone().acquire_many_owned(seats).await.expect("the semaphore stays open");
        match self.refused.get() {
            Some(error) => Err(error.clone()),
            None => Ok(permit),
        }
    }

    async fn load(&self, lock: Lock) -> (Option<File>, Record) {
        let inner = self.inner.clone();
        // Fails only while the runtime shuts down.
        spawn_blocking(move || inner.load(lock)).await.unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
enum Lock {
    Shared,
    Exclusive,
}

impl Inner {
    /// The record, and the file that holds it, locked until it is dropped.
    fn load(&self, lock: Lock) -> (Option<File>, Record) {
        match self.file.as_deref().map(|path| open(path, lock)) {
            Some(Ok((file, record))) => return (Some(file), record),
            Some(Err(error)) => {
                tracing::warn!(%error, "refused sign-ins can only be counted within this process");
            }
            None => {}
        }
        (None, self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn save(&self, file: Option<File>, record: Record) {
        if let Some(mut file) = file {
            let text = serde_json::to_string(&record).unwrap_or_default();
            let written =
                file.rewind().and_then(|()| file.set_len(0)).and_then(|()| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                tracing::warn!(%error, "the count of refused sign-ins could not be kept");
            }
        }
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = record;
    }

    fn refused_once_more(&self, record: Record) -> Record {
        Record {
            in_a_row: record.in_a_row.saturating_add(1),
            last_at: unix_now(),
            credentials: self.credentials.clone(),
        }
    }

    /// Why it would be unwise to try now.
    fn objection(&self, record: &Record) -> Option<String> {
        // A clock that was set back counts as time gone by: it must not lock us out for years.
        let ago = Duration::from_secs(unix_now().abs_diff(record.last_at));
        let same = record.credentials == self.credentials;
        let stop_at = if same { STOP_AT } else { STOP_NEW_CREDENTIALS_AT };
        if record.in_a_row < stop_at || ago >= LOCK_OUT {
            return None;
        }
        let left = (LOCK_OUT - ago).as_secs().div_ceil(60);
        let others = if same { "; other credentials may be tried at once" } else { "" };
        Some(format!(
            "not sent: {} sign-ins in a row were refused, and ten lock this whole site out of the cloud for \
             30 minutes; the next try is allowed in {left} min{others}",
            record.in_a_row
        ))
    }
}

fn open(path: &Path, lock: Lock) -> io::Result<(File, Record)> {
    if let Some(dir) = path.parent() {
        private_dir(dir)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    match lock {
        Lock::Shared => file.lock_shared()?,
        Lock::Exclusive => file.lock()?,
    }
    let mut text = Vec::new();
    (&mut file).take(4096).read_to_end(&mut text)?;
    // An empty file is a clean record; a damaged one tells nothing.
    Ok((file, serde_json::from_slice(&text).unwrap_or_default()))
}
