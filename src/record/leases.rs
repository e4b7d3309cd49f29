use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::Row;
use tokio::time::sleep;

use super::{
    Ledger,
    ledger::{Inner, Transaction, Trouble},
};
use crate::model::{DeviceId, Failure};

/// Whose a device is for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// Whoever asked has it.
    Ours,
    /// Somebody else has it.
    Theirs {
        /// The bench that it is at.
        bench: String,
    },
}

impl Ledger {
    /// How long a lease lives that is not renewed any more, because its process died or lost the ledger.
    pub const LEASE: Duration = Duration::from_secs(30);

    /// Takes or renews the lease on this device for this holder, which is a name that nobody else has,
    /// such as a run's. All leases of this process are renewed while it, and the runtime, live.
    pub async fn lease(&self, device_id: &DeviceId, holder: &str) -> Result<Lease, Failure> {
        let lease = self
            .working("written", || async {
                let mut work = self.transaction().await?;
                let lease = take(&mut work, &self.inner, device_id, holder).await?;
                work.commit().await?;
                Ok(lease)
            })
            .await?;
        if lease == Lease::Ours {
            self.keep_renewing();
        }
        Ok(lease)
    }

    /// Gives back whatever this holder has.
    pub async fn release(&self, holder: &str) -> Result<(), Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            give_back(&mut work, holder).await?;
            work.commit().await
        })
        .await
    }

    /// Must be called on the runtime, on which it goes on until the last clone of the ledger is gone.
    pub(super) fn keep_renewing(&self) {
        let mut renewing = self.inner.renewing.lock().unwrap_or_else(|e| e.into_inner());
        if renewing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let ledger = Arc::downgrade(&self.inner);
        let task = tokio::spawn(async move {
            loop {
                sleep(Self::LEASE / 3).await;
                let Some(inner) = ledger.upgrade() else { break };
                if let Err(error) = (Self { inner }).renew().await {
                    tracing::warn!(%error, "the leases on devices were not renewed");
                }
            }
        });
        *renewing = Some(task.abort_handle());
    }

    async fn renew(&self) -> Result<(), Failure> {
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let until = work.now().await? + length();
            let sql = "UPDATE leases SET until = $1 WHERE process = $2";
            sqlx::query(sql).bind(until).bind(self.inner.process.clone()).execute(work.on()).await?;
            work.commit().await
        })
        .await
    }
}

fn length() -> i64 {
    i64::try_from(Ledger::LEASE.as_millis()).unwrap_or(i64::MAX)
}

pub(super) async fn take(
    work: &mut Transaction<'_>,
    by: &Inner,
    device_id: &DeviceId,
    holder: &str,
) -> Result<Lease, Trouble> {
    let now = work.now().await?;
    let here = place();
    let sql = "INSERT INTO leases (device_id, holder, process, place, bench, until) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (device_id) DO NOTHING";
    let inserted = sqlx::query(sql)
        .bind(device_id.as_str().to_owned())
        .bind(holder.to_owned())
        .bind(by.process.clone())
        .bind(here.clone())
        .bind(by.who.bench.clone())
        .bind(now + length())
        .execute(work.on())
        .await?;
    if inserted.rows_affected() > 0 {
        return Ok(Lease::Ours);
    }
    let sql = "SELECT holder, bench, place, until FROM leases WHERE device_id = $1";
    let Some(row) = sqlx::query(sql).bind(device_id.as_str().to_owned()).fetch_optional(work.on()).await?
    else {
        // Given back between the two questions; the next time it is there to take.
        return Ok(Lease::Theirs { bench: by.who.bench.clone() });
    };
    let (whose, until): (String, i64) = (row.try_get("holder")?, row.try_get("until")?);
    let theirs = Lease::Theirs { bench: row.try_get("bench")? };
    if whose != holder && until > now && !has_died(row.try_get::<Option<String>, _>("place")?.as_deref()) {
        return Ok(theirs);
    }
    let sql = "UPDATE leases SET holder = $2, process = $3, place = $4, bench = $5, until = $6 \
         WHERE device_id = $1 AND holder = $7 AND until = $8";
    let updated = sqlx::query(sql)
        .bind(device_id.as_str().to_owned())
        .bind(holder.to_owned())
        .bind(by.process.clone())
        .bind(here)
        .bind(by.who.bench.clone())
        .bind(now + length())
        .bind(whose)
        .bind(until)
        .execute(work.on())
        .await?;
    Ok(if updated.rows_affected() > 0 { Lease::Ours } else { theirs })
}

/// Whether this holder still has what it took; renews it.
pub(super) async fn still_has(work: &mut Transaction<'_>, holder: &str) -> Result<bool, Trouble> {
    let until = work.now().await? + length();
    let sql = "UPDATE leases SET until = $1 WHERE holder = $2";
    let updated = sqlx::query(sql).bind(until).bind(holder.to_owned()).execute(work.on()).await?;
    Ok(updated.rows_affected() > 0)
}

pub(super) async fn give_back(work: &mut Transaction<'_>, holder: &str) -> Result<(), Trouble> {
    sqlx::query("DELETE FROM leases WHERE holder = $1").bind(holder.to_owned()).execute(work.on()).await?;
    Ok(())
}

/// Those who hold a device right now.
pub(super) async fn holders(work: &mut Transaction<'_>, now: i64) -> Result<HashSet<String>, Trouble> {
    let rows = sqlx::query("SELECT holder, place FROM leases WHERE until > $1")
        .bind(now)
        .fetch_all(work.on())
        .await?;
    let mut holders = HashSet::new();
    for row in rows {
        if !has_died(row.try_get::<Option<String>, _>("place")?.as_deref()) {
            holders.insert(row.try_get("holder")?);
        }
    }
    Ok(holders)
}

/// Where this process's number means something, and the number: the boot of this computer, and the
/// space of process numbers in it. A host's name would not do, as two may have the same.
pub(super) fn place() -> Option<String> {
    Some(format!("{}/{}", numbers()?, std::process::id()))
}

#[cfg(target_os = "linux")]
fn numbers() -> Option<String> {
    use std::sync::OnceLock;

    static NUMBERS: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(format!("{}/{}", boot.trim(), space.display()))
    };
    NUMBERS.get_or_init(read).clone()
}

#[cfg(not(target_os = "linux"))]
fn numbers() -> Option<String> {
    None
}

/// Whether the process at this place is seen not to run any more: its leases need not be waited for.
pub(super) fn has_died(place: Option<&str>) -> bool {
    lives(place) == Some(false)
}

/// Whether the process at this place runs, if that can be seen from here.
pub(super) fn lives(place: Option<&str>) -> Option<bool> {
    let (numbers_there, pid) = place?.rsplit_once('/')?;
    (numbers()? == numbers_there).then(|| !is_gone(pid))
}

#[cfg(unix)]
fn is_gone(pid: &str) -> bool {
    use rustix::process::{Pid, test_kill_process};

    let pid = pid.parse().ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn is_gone(_: &str) -> bool {
    false
}
