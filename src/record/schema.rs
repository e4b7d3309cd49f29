use sqlx::{AnyConnection, Row};

use super::{Location, ledger::Trouble};
use crate::model::{Failure, FailureCode};

/// In order; what was released is never changed. Read by both databases, so they keep to what both know.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_place_of_runs.sql"),
    include_str!("migrations/0003_place_of_benches.sql"),
    include_str!("migrations/0004_hooks.sql"),
];

/// Only one may migrate at a time; whatever number, as long as every version takes the same.
pub(super) const LOCK: &str = "SELECT pg_advisory_xact_lock(7077888219)";

/// Whether nothing is missing, which is found out without a right to change anything.
pub(super) async fn is_current(connection: &mut AnyConnection) -> bool {
    let asked = sqlx::query("SELECT MAX(version) AS version FROM ledger_schema").fetch_one(connection).await;
    let has = asked.ok().and_then(|row| row.try_get::<Option<i64>, _>("version").ok().flatten());
    has.is_some_and(|has| usize::try_from(has) == Ok(MIGRATIONS.len()))
}

/// Applies what is missing, all or nothing. A schema from the future is refused.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    begin: &'static str,
    lock: Option<&'static str>,
    location: &Location,
) -> Result<(), Trouble> {
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    if let Some(lock) = lock {
        sqlx::raw_sql(lock).execute(&mut *connection).await?;
    }
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS ledger_schema (version BIGINT NOT NULL)")
        .execute(&mut *connection)
        .await?;
    let row =
        sqlx::query("SELECT MAX(version) AS version FROM ledger_schema").fetch_one(&mut *connection).await?;
    let has: i64 = row.try_get::<Option<i64>, _>("version")?.unwrap_or(0);
    let known = MIGRATIONS.len();
    let Some(missing) = usize::try_from(has).ok().and_then(|has| MIGRATIONS.get(has..)) else {
        let detail = format!("the ledger {location} has schema {has}, and this program knows {known}");
        return Err(Failure::new(FailureCode::LedgerNewer, detail).into());
    };
    for migration in missing {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
    }
    if !missing.is_empty() {
        let version = i64::try_from(known).unwrap_or(i64::MAX);
        sqlx::query("INSERT INTO ledger_schema (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
