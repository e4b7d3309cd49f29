use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{Row, any::AnyRow};

use super::{
    Ledger,
    leases::{has_died, place},
    ledger::Trouble,
};
use crate::model::Failure;

/// What a bench tells of itself from time to time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beat {
    /// How many boards it can work on at once.
    pub slots: u32,
    /// How many it works on.
    pub under_way: u32,
    /// How many passed since it started.
    pub passed: u32,
    /// How many failed since it started.
    pub failed: u32,
}

/// A bench, as it told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bench {
    /// Its name.
    pub name: String,
    /// The computer.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// When it started, UTC.
    pub started: Timestamp,
    /// When it told last, UTC.
    pub seen: Timestamp,
    /// Whether it has told within the time that a bench is believed to be alive for, and has not ended, nor
    /// is seen from this computer to have died.
    pub alive: bool,
    /// How many boards it can work on at once.
    pub slots: u32,
    /// How many it works on.
    pub under_way: u32,
    /// How many passed since it started.
    pub passed: u32,
    /// How many failed since it started.
    pub failed: u32,
}

/// A bench that has not told for so long is not alive.
const FRESH: Duration = Duration::from_secs(45);
const FRESH_MS: i64 = 45_000;

impl Ledger {
    /// How often a bench should tell: three times before it counts as not alive.
    pub const BEAT: Duration = Duration::from_secs(FRESH.as_secs() / 3);

    /// Tells that this bench is alive, and how it goes. Gives how many are, this one included.
    pub async fn beat(&self, beat: &Beat) -> Result<u32, Failure> {
        self.tell(beat, false).await?;
        // Not within that transaction: of two benches that start at once, neither would see the other.
        self.alive().await
    }

    /// Tells that this bench has ended.
    pub async fn leave(&self, beat: &Beat) -> Result<(), Failure> {
        self.tell(beat, true).await
    }

    async fn tell(&self, beat: &Beat, ends: bool) -> Result<(), Failure> {
        let who = self.who();
        self.working("written", || async {
            let mut work = self.transaction().await?;
            let now = work.now().await?;
            let sql = "INSERT INTO benches \
                 (id, name, host, pid, started, seen, ended, slots, under_way, passed, failed, place) \
                 VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, $11) \
                 ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, ended = excluded.ended, \
                 slots = excluded.slots, under_way = excluded.under_way, passed = excluded.passed, \
                 failed = excluded.failed";
            sqlx::query(sql)
                .bind(self.inner.process.clone())
                .bind(who.bench.clone())
                .bind(who.host.clone())
                .bind(i64::from(std::process::id()))
                .bind(now)
                .bind(i64::from(ends))
                .bind(i64::from(beat.slots))
                .bind(i64::from(beat.under_way))
                .bind(i64::from(beat.passed))
                .bind(i64::from(beat.failed))
                .bind(place())
                .execute(work.on())
                .await?;
            work.commit().await
        })
        .await
    }

    /// How many benches are alive.
    pub async fn alive(&self) -> Result<u32, Failure> {
        let benches = self.benches(Duration::ZERO).await?;
        Ok(count(benches.iter().filter(|bench| bench.alive)))
    }

    /// The benches that are alive, and those that told within this time; the newest first.
    pub async fn benches(&self, within: Duration) -> Result<Vec<Bench>, Failure> {
        self.working("read", || async {
            let mut work = self.reading().await?;
            let now = work.now().await?;
            let fresh = now - FRESH_MS;
            let within = now - i64::try_from(within.as_millis()).unwrap_or(now);
            let sql = "SELECT * FROM benches WHERE (ended = 0 AND seen > $1) OR seen > $2 ORDER BY started DESC, id";
            let rows = sqlx::query(sql).bind(fresh).bind(within).fetch_all(work.on()).await?;
            work.commit().await?;
            rows.iter().map(|row| bench(row, fresh)).collect::<Result<_, _>>().map_err(Trouble::from)
        })
        .await
    }
}

fn count(benches: impl Iterator) -> u32 {
    u32::try_from(benches.count()).unwrap_or(u32::MAX)
}

fn is_alive(row: &AnyRow, fresh: i64) -> Result<bool, sqlx::Error> {
    let number = |column: &str| row.try_get::<i64, _>(column);
    let place: Option<String> = row.try_get("place")?;
    Ok(number("ended")? == 0 && number("seen")? > fresh && !has_died(place.as_deref()))
}

fn bench(row: &AnyRow, fresh: i64) -> Result<Bench, sqlx::Error> {
    let number = |column: &str| row.try_get::<i64, _>(column);
    let count = |column: &str| number(column).map(|n| u32::try_from(n).unwrap_or_default());
    let at = |column: &str| number(column).map(|n| Timestamp::from_millisecond(n).unwrap_or_default());
    Ok(Bench {
        name: row.try_get("name")?,
        host: row.try_get("host")?,
        pid: count("pid")?,
        started: at("started")?,
        seen: at("seen")?,
        alive: is_alive(row, fresh)?,
        slots: count("slots")?,
        under_way: count("under_way")?,
        passed: count("passed")?,
        failed: count("failed")?,
    })
}
