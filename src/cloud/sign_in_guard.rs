//! Stops signing in before the cloud locks the whole site out.
//!
//! Ten refused sign-ins in a row lock the *address* out for 30 minutes: every bench and every
//! colleague behind the same router. So refusals are counted across processes, in one small file for
//! each API URL, and this program stops at five.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout_at,
};

use super::{
    ApiUrl, Cloud, CloudError, OAuthClient,
    token_store::{private_dir, sha256, unix_now},
};
use crate::model::{Deadline, FailureCode};

/// Half of what the cloud takes, as other programs at this address fail, too.
const STOP_AT: u32 = 5;
/// New credentials are likely the cure, so they may be tried a little longer.
const STOP_NEW_CREDENTIALS_AT: u32 = 8;
/// Where the cloud locks the address out.
const LOCKED_OUT_AT: u32 = 10;
/// The length of the cloud's lock-out.
const LOCK_OUT: Duration = Duration::from_secs(30 * 60);
/// How many sign-ins may be under way at once, so that a bench of many boards that starts with a
/// wrong secret stays under [`STOP_AT`] by itself.
const AT_ONCE: usize = 4;
/// The same once these credentials were accepted; still fewer than lock out, should they be revoked just
/// then.
const ACCEPTED_AT_ONCE: usize = 8;
/// The same where nobody is locked out: as many as want to.
const ALL_AT_ONCE: usize = 1 << 16;

/// A record's length in its file, filled up with blanks; it has some 160 bytes at most.
const RECORD_LENGTH: usize = 256;

/// The refusals in a row, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    in_a_row: u32,
    /// Unix seconds.
    last_at: u64,
    /// A fingerprint of the credentials that were refused last.
    credentials: String,
}

impl Record {
    /// How long ago the last one was. A clock that was set back counts as time gone by: it must not lock us
    /// out for years.
    fn age(&self) -> Duration {
        Duration::from_secs(unix_now().abs_diff(self.last_at))
    }
}

/// The sign-ins in a row that the cloud refused to this computer, whoever tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RefusedSignIns {
    /// How many; those of more than half an hour ago do not count any more.
    pub in_a_row: u32,
    /// At how many this program stops sending the same credentials.
    pub stops_at: u32,
    /// At how many the cloud locks the address out.
    pub locked_out_at: u32,
}

impl Cloud {
    /// The sign-ins in a row that were refused so far. Sends nothing.
    pub async fn refused_sign_ins(&self) -> RefusedSignIns {
        let inner = self.shared.sign_in_guard.inner.clone();
        // Fails only while the runtime shuts down.
        let record = spawn_blocking(move || inner.look()).await.unwrap_or_default();
        let in_a_row = if record.age() < LOCK_OUT { record.in_a_row } else { 0 };
        RefusedSignIns { in_a_row, stops_at: STOP_AT, locked_out_at: LOCKED_OUT_AT }
    }
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
    _turn: OwnedSemaphorePermit,
}

pub(super) struct SignInGuard {
    inner: Arc<Inner>,
    /// For a clean record.
    together: Arc<Semaphore>,
    /// For one with refusals.
    alone: Arc<Semaphore>,
    refused: OnceLock<CloudError>,
    accepted: Once,
    no_lock_out: AtomicBool,
}

struct Inner {
    file: Option<PathBuf>,
    /// Stands in for the file where there is none.
    memory: Arc<Mutex<Record>>,
    credentials: String,
}

impl SignInGuard {
    pub(super) fn new(api_url: &ApiUrl, client: Option<&OAuthClient>, cache_dir: Option<PathBuf>) -> Self {
        let credentials =
            client.map(|client| sha256(&[&client.id, client.expose_secret()])).unwrap_or_default();
        let file = cache_dir
            .map(|dir| dir.join("sign-ins").join(format!("{}.json", sha256(&[&api_url.to_string()]))));
        Self::of(Inner { file, memory: Arc::default(), credentials })
    }

    /// Counts with this one, for other credentials: those of a person.
    ///
    /// A password may be weak, so what is stored to tell it from the next one (eight bits) is far too
    /// little to find it by.
    pub(super) fn of_person(&self, user: &str, password: &SecretString) -> Self {
        let fingerprint = sha256(&["person", &user.to_lowercase(), password.expose_secret()]);
        let credentials = format!("{}{}", sha256(&["person", &user.to_lowercase()]), &fingerprint[..2]);
        let Inner { file, memory, .. } = &*self.inner;
        Self::of(Inner { file: file.clone(), memory: memory.clone(), credentials })
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            together: Arc::new(Semaphore::new(AT_ONCE)),
            alone: Arc::new(Semaphore::new(1)),
            refused: OnceLock::new(),
            accepted: Once::new(),
            no_lock_out: AtomicBool::new(false),
        }
    }

    /// The cloud locks nobody out, so that credentials once accepted are not held back. To be told before
    /// they are.
    pub(super) fn fear_no_lock_out(&self) {
        self.no_lock_out.store(true, Ordering::Relaxed);
    }

    /// The refusal that ended the sign-ins of this process.
    pub(super) fn refusal(&self) -> Option<&CloudError> {
        self.refused.get()
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
            let turn = self.turn(&self.together).await?;
            let (_, record) = self.load(Lock::Shared).await;
            if record == Record::default() {
                return Ok(Permit { file: None, record, _turn: turn });
            }
            drop(turn);
            let turn = self.turn(&self.alone).await?;
            let (file, record) = self.load(Lock::Exclusive).await;
            if record == Record::default() {
                // Somebody was accepted meanwhile, so there is no need to hold up the others.
                drop((file, turn));
                return Ok(Permit { file: None, record, _turn: self.turn(&self.together).await? });
            }
            match self.inner.objection(&record) {
                Some(why) => Err(CloudError::new(FailureCode::SignInHeldBack, call, None, why)),
                None => Ok(Permit { file, record, _turn: turn }),
            }
        };
        timeout_at(deadline.at, waiting).await.map_err(out_of_time)?
    }

    /// Records what became of it.
    pub(super) async fn settle(&self, permit: Permit, verdict: Verdict) {
        let count = match verdict {
            Verdict::Unknown => return,
            Verdict::Accepted => {
                let at_once =
                    if self.no_lock_out.load(Ordering::Relaxed) { ALL_AT_ONCE } else { ACCEPTED_AT_ONCE };
                self.accepted.call_once(|| self.together.add_permits(at_once - AT_ONCE));
                false
            }
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

    /// Waits for a turn, which those who share refused credentials do not get any more.
    async fn turn(&self, turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CloudError> {
        let turn = turns.clone().acquire_owned().await.expect("nobody closes the semaphores");
        self.refused.get().map_or(Ok(turn), |error| Err(error.clone()))
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
            // Always of one length and written in one piece: a process that ends half-way, as the one
            // does whose other sign-in was refused a moment ago, must not leave a clean record behind.
            let text = format!("{:<RECORD_LENGTH$}", serde_json::to_string(&record).unwrap_or_default());
            let written = file.rewind().and_then(|()| file.write_all(text.as_bytes()));
            // Only what was damaged is longer.
            if let Err(error) = written.and_then(|()| file.set_len(RECORD_LENGTH as u64)) {
                tracing::warn!(%error, "the count of refused sign-ins could not be kept");
            }
        }
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = record;
    }

    /// The record, without making a file for one that is not there.
    fn look(&self) -> Record {
        match &self.file {
            Some(path) if !path.exists() => Record::default(),
            _ => self.load(Lock::Shared).1,
        }
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
        let ago = record.age();
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

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::super::{
        CloudSettings,
        scripted::{SECRET, Scripted, settings, soon, token_answer},
    };
    use super::*;
    use crate::model::{Customer, ProductRef};

    const SIGN_IN: &str = "POST /oauth/token";
    const CREATE: &str = "POST /v1/products/1319/customers";
    const REFUSED: &str =
        r#"{"error":"invalid_client","error_description":"Client credentials are invalid"}"#;

    struct Site {
        server: Scripted,
        dir: TempDir,
    }

    impl Site {
        async fn new() -> Self {
            Self { server: Scripted::start().await, dir: tempfile::tempdir().unwrap() }
        }

        /// Another process at this site.
        fn process(&self, secret: &str) -> Cloud {
            let mut settings = settings(&self.server);
            settings.client.as_mut().unwrap().secret = secret.into();
            Cloud::new(CloudSettings { cache_dir: Some(self.dir.path().into()), ..settings }).unwrap()
        }

        async fn sign_in(&self, secret: &str) -> Result<(), CloudError> {
            self.process(secret).product_token(soon()).await.map(drop)
        }

        fn path(&self) -> PathBuf {
            let mut files = fs::read_dir(self.dir.path().join("sign-ins")).unwrap();
            files.next().unwrap().unwrap().path()
        }

        fn record(&self) -> Record {
            serde_json::from_slice(&fs::read(self.path()).unwrap()).unwrap_or_default()
        }

        fn age(&self, seconds: u64) {
            let record = self.record();
            let older = Record { last_at: record.last_at - seconds, ..record };
            fs::write(self.path(), serde_json::to_vec(&older).unwrap()).unwrap();
        }
    }

    async fn customer(cloud: &Cloud, name: &str) -> Result<(), CloudError> {
        let (product, name) = (ProductRef::parse("1319").unwrap(), Customer::parse(name).unwrap());
        cloud.customer_token(&product, &name, soon()).await.map(drop)
    }

    #[tokio::test]
    async fn a_refused_sign_in_is_not_tried_again_and_ends_all_who_share_the_client() {
        let site = Site::new().await;
        site.server.expect(SIGN_IN, 401, REFUSED);
        let cloud = site.process(SECRET);
        let error = cloud.product_token(soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::SignInRefused);
        assert_eq!(error.said, "invalid_client: Client credentials are invalid");
        assert_eq!(cloud.product_token(soon()).await.unwrap_err(), error);
        assert_eq!(customer(&cloud, "ann").await.unwrap_err(), error);
        assert_eq!(site.record().in_a_row, 1);
    }

    #[tokio::test]
    async fn a_refusal_whose_body_was_lost_is_one_even_so() {
        let site = Site::new().await;
        site.server.expect_raw(SIGN_IN, "HTTP/1.1 401 X\r\ncontent-length: 99\r\n\r\n{");
        assert_eq!(site.sign_in(SECRET).await.unwrap_err().code, FailureCode::SignInRefused);
        assert_eq!(site.record().in_a_row, 1);
    }

    #[tokio::test]
    async fn after_five_refusals_nothing_is_sent_until_the_lock_out_would_be_over() {
        let site = Site::new().await;
        for _ in 0..5 {
            site.server.expect(SIGN_IN, 400, REFUSED);
            assert_eq!(site.sign_in(SECRET).await.unwrap_err().code, FailureCode::SignInRefused);
        }
        let held_back = site.sign_in(SECRET).await.unwrap_err();
        assert_eq!((held_back.code, held_back.status), (FailureCode::SignInHeldBack, None));
        assert!(held_back.said.contains("5 sign-ins in a row were refused"), "{held_back}");
        assert_eq!(
            customer(&site.process(SECRET), "ann").await.unwrap_err().code,
            FailureCode::SignInHeldBack
        );
        site.age(30 * 60);
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        site.sign_in(SECRET).await.unwrap();
        assert_eq!(site.record(), Record::default());
    }

    #[tokio::test]
    async fn the_count_is_told_without_a_request_or_a_new_file_until_it_is_out_of_date() {
        let site = Site::new().await;
        assert_eq!(site.process(SECRET).refused_sign_ins().await.in_a_row, 0);
        assert!(!site.dir.path().join("sign-ins").exists());
        for _ in 0..3 {
            site.server.expect(SIGN_IN, 401, REFUSED);
            site.sign_in("wrong").await.unwrap_err();
        }
        let refused = site.process(SECRET).refused_sign_ins().await;
        assert_eq!(refused, RefusedSignIns { in_a_row: 3, stops_at: 5, locked_out_at: 10 });
        site.age(30 * 60);
        assert_eq!(site.process(SECRET).refused_sign_ins().await.in_a_row, 0);
    }

    #[tokio::test]
    async fn new_credentials_are_let_through_until_the_eighth_refusal() {
        let site = Site::new().await;
        for n in 0..8 {
            site.server.expect(SIGN_IN, 401, REFUSED);
            let error = site.sign_in(&format!("wrong-secret-{n}")).await.unwrap_err();
            assert_eq!(error.code, FailureCode::SignInRefused);
        }
        assert_eq!(site.sign_in(SECRET).await.unwrap_err().code, FailureCode::SignInHeldBack);
    }

    #[tokio::test]
    async fn new_credentials_that_are_right_wipe_the_record() {
        let site = Site::new().await;
        for _ in 0..5 {
            site.server.expect(SIGN_IN, 401, REFUSED);
            site.sign_in("wrong-secret").await.unwrap_err();
        }
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        site.sign_in(SECRET).await.unwrap();
        assert_eq!(site.record(), Record::default());
    }

    #[tokio::test]
    async fn a_record_takes_the_place_of_another_in_one_write() {
        let site = Site::new().await;
        let length = || fs::metadata(site.path()).unwrap().len();
        site.server.expect(SIGN_IN, 401, REFUSED);
        site.sign_in("wrong-secret").await.unwrap_err();
        assert_eq!(length(), RECORD_LENGTH as u64);
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        site.sign_in(SECRET).await.unwrap();
        assert_eq!((length(), site.record()), (RECORD_LENGTH as u64, Record::default()));
    }

    #[tokio::test]
    async fn a_network_that_fails_does_not_count() {
        let site = Site::new().await;
        site.server.expect_and_drop(SIGN_IN);
        site.server.expect(SIGN_IN, 503, "");
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        site.sign_in(SECRET).await.unwrap();
        assert_eq!(site.record(), Record::default());
    }

    #[tokio::test]
    async fn a_refused_creation_of_a_customer_counts_only_if_it_was_about_the_client() {
        let site = Site::new().await;
        site.server.expect(CREATE, 400, r#"{"error":"Invalid email"}"#);
        let error = customer(&site.process(SECRET), "ann").await.unwrap_err();
        assert_eq!((error.code, site.record().in_a_row), (FailureCode::CloudRefused, 0));
        site.server.expect(CREATE, 401, "");
        let error = customer(&site.process(SECRET), "ann").await.unwrap_err();
        assert_eq!((error.code, site.record().in_a_row), (FailureCode::SignInRefused, 1));
    }

    #[tokio::test]
    async fn a_customers_sign_in_that_fails_counts_but_leaves_the_client_in_use() {
        let site = Site::new().await;
        let cloud = site.process(SECRET);
        site.server.expect(CREATE, 400, "already exists");
        site.server.expect(SIGN_IN, 400, r#"{"error":"invalid_scope"}"#);
        assert_eq!(customer(&cloud, "ann").await.unwrap_err().code, FailureCode::CloudRefused);
        assert_eq!(site.record().in_a_row, 1);
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        cloud.product_token(soon()).await.unwrap();
        assert_eq!(site.record().in_a_row, 0);
    }

    #[tokio::test]
    async fn on_a_clean_record_customers_are_made_at_once_but_never_as_many_as_would_be_held_back() {
        let site = Site::new().await;
        let gates: Vec<_> = (0..4).map(|_| site.server.expect_gated(CREATE, 401, REFUSED)).collect();
        let cloud = site.process(SECRET);
        let lanes: Vec<_> = (0..20)
            .map(|n| {
                let cloud = cloud.clone();
                tokio::spawn(async move { customer(&cloud, &format!("customer-{n}")).await })
            })
            .collect();
        site.server.arrived(4).await;
        gates.iter().for_each(|gate| gate.add_permits(1));
        for lane in lanes {
            assert_eq!(lane.await.unwrap().unwrap_err().code, FailureCode::SignInRefused);
        }
        assert_eq!((site.server.seen().len(), site.record().in_a_row), (4, 4));
    }

    #[tokio::test]
    async fn where_nobody_is_locked_out_all_go_at_once_as_soon_as_one_was_accepted() {
        let site = Site::new().await;
        let cloud = site.process(SECRET);
        cloud.ignore_limits();
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        cloud.product_token(soon()).await.unwrap();
        let gates: Vec<_> =
            (0..20).map(|_| site.server.expect_gated(CREATE, 200, &token_answer("token-2"))).collect();
        let lanes: Vec<_> = (0..20)
            .map(|n| {
                let cloud = cloud.clone();
                tokio::spawn(async move { customer(&cloud, &format!("customer-{n}")).await })
            })
            .collect();
        site.server.arrived(1 + 20).await;
        gates.iter().for_each(|gate| gate.add_permits(1));
        for lane in lanes {
            lane.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn with_a_refusal_on_record_one_goes_first_and_the_others_follow_its_success() {
        let site = Site::new().await;
        site.server.expect(SIGN_IN, 401, REFUSED);
        site.sign_in("wrong-secret").await.unwrap_err();
        let cloud = site.process(SECRET);
        let first = site.server.expect_gated(CREATE, 200, &token_answer("token-1"));
        let lanes: Vec<_> = (0..3)
            .map(|n| {
                let cloud = cloud.clone();
                tokio::spawn(async move { customer(&cloud, &format!("customer-{n}")).await })
            })
            .collect();
        // The sign-in above was the first. Any other than the next would be unscripted.
        site.server.arrived(2).await;
        let rest: Vec<_> =
            (0..2).map(|_| site.server.expect_gated(CREATE, 200, &token_answer("token-2"))).collect();
        first.add_permits(1);
        // Both are under way before either is answered.
        site.server.arrived(4).await;
        rest.iter().for_each(|gate| gate.add_permits(1));
        for lane in lanes {
            lane.await.unwrap().unwrap();
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_record_is_for_this_user_only_and_holds_no_secret() {
        use std::os::unix::fs::PermissionsExt;

        let site = Site::new().await;
        site.server.expect(SIGN_IN, 401, REFUSED);
        site.sign_in(SECRET).await.unwrap_err();
        assert_eq!(fs::metadata(site.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(site.path()).unwrap().contains(SECRET));
    }

    #[tokio::test]
    async fn without_a_cache_refusals_are_counted_in_memory_and_a_damaged_record_is_a_clean_one() {
        let site = Site::new().await;
        site.server.expect(SIGN_IN, 401, REFUSED);
        site.sign_in(SECRET).await.unwrap_err();
        fs::write(site.path(), "{\"in_a").unwrap();
        site.server.expect(SIGN_IN, 200, &token_answer("token-1"));
        site.sign_in(SECRET).await.unwrap();

        let cloud = Cloud::new(settings(&site.server)).unwrap();
        site.server.expect(CREATE, 400, "already exists");
        site.server.expect(SIGN_IN, 400, r#"{"error":"invalid_scope"}"#);
        customer(&cloud, "ann").await.unwrap_err();
        let (_, record) = cloud.shared.sign_in_guard.load(Lock::Shared).await;
        assert_eq!(record.in_a_row, 1);
    }
}
