use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{AnyConnection, ConnectOptions, Connection, Row, any::AnyConnectOptions};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};
use url::Url;

use super::{Location, location::PostgresUrl, schema};
use crate::{
    cloud::not_secure,
    model::{Failure, FailureCode, clean, redact},
};

/// Who writes into a ledger.
#[derive(Debug, Clone)]
pub struct Who {
    /// The bench's name; a computer's, unless it was given one.
    pub bench: String,
    /// The person who works there.
    pub operator: String,
    /// The computer's name.
    pub host: String,
}

/// A ledger, which is opened at its first use. Clones share the connection.
#[derive(Clone)]
pub struct Ledger {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    location: Location,
    pub(super) who: Who,
    /// Tells this process from every other.
    pub(super) process: String,
    patience: Duration,
    /// Absent before the first use, and after every trouble: a connection that something went wrong on
    /// is not used again, and what was under way on it is undone.
    session: Mutex<Option<Session>>,
    is_current: AtomicBool,
    /// Since when it is out of reach.
    away: std::sync::Mutex<Option<(Instant, String)>>,
    pub(super) renewing: std::sync::Mutex<Option<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let renewing = self.renewing.get_mut().unwrap_or_else(|e| e.into_inner());
        if let Some(task) = renewing.take() {
            task.abort();
        }
    }
}

impl Ledger {
    /// How long a ledger that is out of reach, or busy, is waited for: a database server restarts
    /// in a few seconds. One that has been away for longer is asked once, and not waited for again.
    pub const PATIENCE: Duration = Duration::from_secs(20);
    /// For one try, so that a connection that died in silence is left for a new one.
    pub const ONE_TRY: Duration = Duration::from_secs(10);

    /// A ledger at this place. Nothing is opened before the first use.
    pub fn new(location: Location, who: Who) -> Self {
        Self::with_patience(location, who, Self::PATIENCE)
    }

    /// One that is waited for otherwise than [`Ledger::PATIENCE`].
    pub fn with_patience(location: Location, who: Who, patience: Duration) -> Self {
        Self {
            inner: Arc::new(Inner {
                location,
                who,
                process: random(16),
                patience,
                session: Mutex::new(None),
                is_current: AtomicBool::new(false),
                away: std::sync::Mutex::new(None),
                renewing: std::sync::Mutex::new(None),
            }),
        }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// Who writes into it.
    pub fn who(&self) -> &Who {
        &self.inner.who
    }

    /// Opens it now, and brings its schema up to date.
    pub async fn open(&self) -> Result<(), Failure> {
        self.working("opened", || async { self.transaction().await?.commit().await }).await
    }

    /// Closes it, so that SQLite leaves no other files beside its own. It may be opened again.
    pub async fn close(&self) {
        const AT_MOST: Duration = Duration::from_secs(2);
        let renewing = self.inner.renewing.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(task) = renewing {
            task.abort();
        }
        let closed = timeout(AT_MOST, async {
            match self.inner.session.lock().await.take() {
                Some(session) => session.connection.close().await,
                None => Ok(()),
            }
        });
        match closed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(error = %Said::of(&error), "the ledger was not closed"),
            Err(_) => tracing::debug!("the ledger was not closed in time"),
        }
    }

    /// Does the work, which is one transaction, again and again while the ledger is out of reach or busy.
    /// It must not matter whether the work is done twice.
    pub(super) async fn working<T, F>(&self, what: &str, mut work: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let tried = Instant::now();
            let trouble = match timeout(Self::ONE_TRY, work()).await {
                Ok(Ok(done)) => {
                    *self.last_away() = None;
                    return Ok(done);
                }
                Ok(Err(Trouble::Final(failure))) => return Err(failure),
                Ok(Err(Trouble::Database(error))) => error,
                Err(_) => sqlx::Error::Io(io::ErrorKind::TimedOut.into()),
            };
            let passes = passes(&trouble);
            // For all who ask: else each thing that is to be written waits as long again.
            let since = match passes {
                true => self.last_away().get_or_insert_with(|| (tried, Said::of(&trouble).to_string())).0,
                false => begun,
            };
            if !passes || Instant::now() + pause > since.min(begun) + self.inner.patience {
                let detail = format!("the ledger {} cannot be {what}", self.inner.location);
                return Err(
                    Failure::new(FailureCode::LedgerUnusable, redact(&detail)).because(Said::of(&trouble))
                );
            }
            tracing::debug!(error = %Said::of(&trouble), "the ledger is tried again");
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// How long it has been out of reach, or busy, and why; none as long as it does what it is asked.
    pub fn away(&self) -> Option<(Duration, String)> {
        let (since, why) = self.last_away().clone()?;
        Some((
            since.elapsed(),
            format!("the ledger {} does not answer: {why}", redact(&self.inner.location.to_string())),
        ))
    }

    fn last_away(&self) -> std::sync::MutexGuard<'_, Option<(Instant, String)>> {
        self.inner.away.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Begins a transaction that changes something, on the one connection.
    pub(super) async fn transaction(&self) -> Result<Transaction<'_>, Trouble> {
        self.begin(self.writing()).await
    }

    /// Begins one that reads only, and is in no writer's way.
    pub(super) async fn reading(&self) -> Result<Transaction<'_>, Trouble> {
        self.begin("BEGIN").await
    }

    async fn begin(&self, begin: &'static str) -> Result<Transaction<'_>, Trouble> {
        let mut slot = self.inner.session.lock().await;
        let Session { mut connection, open } = match slot.take() {
            Some(session) => session,
            None => Session { connection: self.connect().await?, open: None },
        };
        let (group, is_first) = match open {
            Some(group) => (group, false),
            None => {
                sqlx::raw_sql(begin).execute(&mut connection).await?;
                (Arc::new(Group::default()), true)
            }
        };
        let reads_alone = is_first && begin != self.writing();
        Ok(Transaction { ledger: self, slot: Some(slot), connection: Some(connection), group, reads_alone })
    }

    /// SQLite has one writer at a time. Who begins as a reader may find that another has written
    /// meanwhile, and could not go on.
    fn writing(&self) -> &'static str {
        match self.inner.location {
            Location::File(_) | Location::Missing(_) => "BEGIN IMMEDIATE",
            Location::Postgres(_) => "BEGIN",
        }
    }

    async fn connect(&self) -> Result<AnyConnection, Trouble> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let (url, settings) = match &self.inner.location {
            Location::File(path) => {
                let path = path.clone();
                let made = tokio::task::spawn_blocking(move || file_url(&path)).await;
                (made.unwrap_or_else(|e| Err(io::Error::other(e)))?, SQLITE)
            }
            Location::Missing(_) => (Url::parse("sqlite::memory:").map_err(io::Error::other)?, SQLITE),
            Location::Postgres(url) => {
                let files = url.files();
                let opened = tokio::task::spawn_blocking(move || can_be_read(&files)).await;
                opened.unwrap_or_else(|e| Err(io::Error::other(e)))?;
                (database_url(url)?, POSTGRES)
            }
        };
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        let mut connection = options.connect().await?;
        sqlx::raw_sql(settings).execute(&mut connection).await?;
        if !self.inner.is_current.load(Ordering::Relaxed) && !schema::is_current(&mut connection).await {
            let lock = match self.inner.location {
                Location::File(_) | Location::Missing(_) => None,
                Location::Postgres(_) => Some(schema::LOCK),
            };
            schema::migrate(&mut connection, self.writing(), lock, &self.inner.location).await?;
        }
        self.inner.is_current.store(true, Ordering::Relaxed);
        Ok(connection)
    }
}

/// WAL: readers are not held up by the writer. FULL: what was committed outlives a loss of power.
const SQLITE: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
/// Nobody waits for ever, on either side; and what a bench had locked when its cable was pulled is free
/// again before another one's patience ends.
const POSTGRES: &str = "SET statement_timeout = '8s'; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = 'warning'";

/// The ledger holds who works for whom: it is for this user only, and so are SQLite's files beside it,
/// which take over its mode.
fn file_url(path: &Path) -> io::Result<Url> {
    let path = std::path::absolute(path)?;
    if let Some(directory) = path.parent() {
        private_dir(directory)?;
    }
    let mut file = fs::OpenOptions::new();
    file.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(&path)?;
    let path = Url::from_file_path(&path).map_err(|()| io::Error::other("it has no absolute path"))?;
    let url = format!("sqlite://{}?mode=rw", path.path());
    Url::parse(&url).map_err(io::Error::other)
}

fn private_dir(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Of a file that is missing the driver would not say which one.
fn can_be_read(files: &[(&str, PathBuf)]) -> io::Result<()> {
    for (parameter, path) in files {
        let named = |e| io::Error::other(format!("{parameter} {}: {e}", path.display()));
        fs::File::open(path).map_err(named)?;
    }
    Ok(())
}

fn database_url(url: &PostgresUrl) -> Result<Url, Trouble> {
    Ok(Url::parse(url.expose()).map_err(io::Error::other)?)
}

/// The connection, and the transaction that is open on it.
struct Session {
    connection: AnyConnection,
    open: Option<Arc<Group>>,
}

/// The work of all who were waiting for the connection, in one transaction: to wait for the disk takes
/// far longer than the work, and with many boards at once it is waited for once for all of them.
#[derive(Default)]
struct Group {
    /// Whether it was committed, once it has ended.
    ended: OnceLock<bool>,
}

/// One's own part of a transaction. If it is dropped, the whole is undone, along with its connection;
/// the others do their parts again.
pub(super) struct Transaction<'a> {
    ledger: &'a Ledger,
    slot: Option<MutexGuard<'a, Option<Session>>>,
    /// Absent once it was handed on.
    connection: Option<AnyConnection>,
    group: Arc<Group>,
    reads_alone: bool,
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.connection.is_some() {
            let _ = self.group.ended.set(false);
        }
    }
}

impl Transaction<'_> {
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        // Handed on by `commit` alone, which consumes the transaction.
        self.connection.as_mut().unwrap_or_else(|| unreachable!("a transaction has its connection"))
    }

    /// Milliseconds since 1970, by the clock that all who share the ledger go by: the database's, or
    /// this computer's where it is the only one.
    pub(super) async fn now(&mut self) -> Result<i64, Trouble> {
        match self.ledger.inner.location {
            Location::File(_) | Location::Missing(_) => Ok(Timestamp::now().as_millisecond()),
            Location::Postgres(_) => {
                let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";
                Ok(sqlx::query(sql).fetch_one(self.on()).await?.try_get("now")?)
            }
        }
    }

    /// Ends well when all is durable.
    pub(super) async fn commit(mut self) -> Result<(), Trouble> {
        if self.reads_alone {
            sqlx::raw_sql("COMMIT").execute(self.on()).await?;
        }
        let open = (!self.reads_alone).then(|| self.group.clone());
        if let (Some(slot), Some(connection)) = (&mut self.slot, self.connection.take()) {
            **slot = Some(Session { connection, open });
        }
        self.slot = None;
        if self.reads_alone {
            return Ok(());
        }
        // Those who stand in line have their turns first; whoever of the group comes next commits for all.
        let mut slot = self.ledger.inner.session.lock().await;
        let undone = || Err(sqlx::Error::Io(io::ErrorKind::Interrupted.into()).into());
        match self.group.ended.get() {
            Some(true) => return Ok(()),
            Some(false) => return undone(),
            None => {}
        }
        let is_ours =
            |session: &Session| session.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, &self.group));
        let Some(Session { mut connection, .. }) = slot.take_if(|session| is_ours(session)) else {
            return undone();
        };
        let committed = sqlx::raw_sql("COMMIT").execute(&mut connection).await;
        let _ = self.group.ended.set(committed.is_ok());
        committed?;
        *slot = Some(Session { connection, open: None });
        Ok(())
    }
}

/// Why a transaction did not go through.
#[derive(Debug)]
pub(super) enum Trouble {
    Database(sqlx::Error),
    /// Nothing that another try could mend.
    Final(Failure),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Database(sqlx::Error::Configuration(error.into()))
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

/// Whether another try may go better: the way to the database broke, or others were quicker.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => not_secure(error).is_none(),
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default();
            match said.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                // The low byte is the primary code: 5 busy, 6 locked
                // (<https://www.sqlite.org/rescode.html>).
                Some(_) => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6)),
                // Class 08 connection, 40 rolled back, 53 out of resources, 55P03 lock not available, 57 the
                // server's operator (<https://www.postgresql.org/docs/current/errcodes-appendix.html>);
                // 53100 is a full disk, and 23505 a race that the next try sees the end of.
                None if code == "53100" => false,
                None => {
                    ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
                        || code == "55P03"
                        || said.is_unique_violation()
                }
            }
        }
        _ => false,
    }
}

/// What the database said, without what a driver may have put around it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

impl Said {
    fn of(error: &sqlx::Error) -> Self {
        let text = match error {
            sqlx::Error::Database(said) => match advice(&said.code().unwrap_or_default()) {
                Some(advice) => format!("{} ({advice})", said.message()),
                None => said.message().to_owned(),
            },
            sqlx::Error::Io(error) => match not_secure(error) {
                Some(why) => {
                    format!("no secure connection: {why} (sslrootcert=FILE in the URL names an authority)")
                }
                None => error.to_string(),
            },
            sqlx::Error::Configuration(error) | sqlx::Error::Tls(error) => error.to_string(),
            other => other.to_string(),
        };
        Self(clean(&text))
    }
}

/// What mends a refusal of PostgreSQL's.
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" => {
            "its password is taken from PGPASSWORD, a .pgpass file of mode 0600, or the URL in PROVISION_LEDGER \
             or a private config file"
        }
        "3D000" => "make it with createdb; the tables are made at the first use",
        "42501" => {
            "the first to use a ledger makes its tables: GRANT CREATE ON SCHEMA public; later ones need SELECT, \
             INSERT, UPDATE and DELETE, or SELECT to read"
        }
        _ => return None,
    })
}

/// So many letters and digits that nobody takes for others.
pub(super) fn random(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    (0..length).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect()
}

/// A text from outside, as it may be stored.
pub(super) fn stored(text: &str) -> String {
    redact(&clean(text)).into_owned()
}

/// A time as it is stored.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}
