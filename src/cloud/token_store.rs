//! Tokens in files, one for each, until they expire.

use std::{
    fs::{DirBuilder, File, Metadata},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{AccessToken, ApiUrl, auth::Subject};
use crate::model::Customer;

/// The directory `tokens` of the cache. A cache that cannot be used is worth a warning, not a failure.
#[derive(Debug, Clone)]
pub(super) struct TokenStore {
    dir: PathBuf,
    api_url: String,
    client_id: String,
}

/// A token's file: for whom and where it is, as the file's name tells neither.
#[derive(Serialize, Deserialize, PartialEq)]
struct Stored {
    api_url: String,
    client_id: String,
    subject: String,
    token: String,
    /// Unix seconds.
    expires_at: u64,
}

impl TokenStore {
    pub(super) fn new(cache_dir: &Path, api_url: &ApiUrl, client_id: &str) -> Self {
        Self { dir: cache_dir.join("tokens"), api_url: api_url.to_string(), client_id: client_id.to_owned() }
    }

    /// The token, if there is one that can be trusted and still lives.
    pub(super) fn load(&self, subject: &str) -> Option<AccessToken> {
        let stored = match read::<Stored>(&self.path(subject)) {
            Ok(stored) => stored?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, "a cached token could not be read");
                return None;
            }
        };
        let ours =
            stored.api_url == self.api_url && stored.client_id == self.client_id && stored.subject == subject;
        if !ours {
            return None;
        }
        AccessToken::parse(&stored.token, Some(stored.expires_at), true).filter(AccessToken::is_fresh)
    }

    /// Keeps a token; one without an end is the user's own and is not ours to store.
    pub(super) fn save(&self, subject: &str, token: &AccessToken) {
        let Some(expires_at) = token.expires_at() else { return };
        let stored = Stored {
            api_url: self.api_url.clone(),
            client_id: self.client_id.clone(),
            subject: subject.to_owned(),
            token: token.expose().to_owned(),
            expires_at,
        };
        if let Err(error) = write(&self.dir, &self.path(subject), &stored) {
            tracing::warn!(%error, "a token could not be cached");
        }
    }

    /// Forgets a token that was refused, unless another process has put a newer one there.
    pub(super) fn remove(&self, subject: &str, refused: &AccessToken) {
        if self.load(subject).is_some_and(|kept| kept.expose() == refused.expose())
            && let Err(error) = std::fs::remove_file(self.path(subject))
        {
            tracing::warn!(%error, "a refused token could not be taken out of the cache");
        }
    }

    fn path(&self, subject: &str) -> PathBuf {
        self.dir.join(format!("{}.json", sha256(&[&self.api_url, &self.client_id, subject])))
    }
}

/// A token that was kept for an OAuth client, or for a customer.
pub struct KeptToken {
    /// The token.
    pub token: AccessToken,
    path: PathBuf,
}

impl KeptToken {
    /// Takes it out of the cache.
    pub fn forget(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "a token could not be taken out of the cache");
        }
    }
}

/// The token that is kept for an OAuth client, or for one of its customers, if it still lives.
pub fn kept_token(
    cache_dir: &Path,
    api_url: &ApiUrl,
    client_id: &str,
    customer: Option<&Customer>,
) -> Option<KeptToken> {
    let store = TokenStore::new(cache_dir, api_url, client_id);
    let subject = customer.map_or(Subject::Product, Subject::Existing).key();
    Some(KeptToken { token: store.load(&subject)?, path: store.path(&subject) })
}

/// All tokens that are kept for this API and still live, whichever client they were got with.
pub fn kept_tokens(cache_dir: &Path, api_url: &ApiUrl) -> Vec<KeptToken> {
    let files = std::fs::read_dir(cache_dir.join("tokens")).into_iter().flatten().flatten();
    let kept = files.filter_map(|file| {
        let path = file.path();
        let stored = read::<Stored>(&path).ok()?.filter(|stored| stored.api_url == api_url.to_string())?;
        let token = AccessToken::parse(&stored.token, Some(stored.expires_at), true)?;
        token.is_fresh().then_some(KeptToken { token, path })
    });
    kept.collect()
}

/// Complete or not at all; temporary files are 0600 from the start.
pub(super) fn write(dir: &Path, path: &Path, stored: &impl Serialize) -> io::Result<()> {
    private_dir(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec(stored)?)?;
    file.persist(path)?;
    Ok(())
}

/// What [`write`] has written, if it can be trusted and understood.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let mut file = File::open(path)?;
    if !is_private(&file.metadata()?) {
        tracing::warn!("a cached token is not used, as its file is open to others");
        return Ok(None);
    }
    let mut text = Vec::new();
    (&mut file).take(64 * 1024).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// A file that another user wrote could make us act for them; one that others can read may be known.
#[cfg(unix)]
fn is_private(file: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;

    file.is_file() && file.uid() == rustix::process::geteuid().as_raw() && file.mode() & 0o077 == 0
}

/// The user's cache directory is private by its inherited rights there.
#[cfg(not(unix))]
fn is_private(file: &Metadata) -> bool {
    file.is_file()
}

/// Makes a directory, and those above it, for this user only.
pub(super) fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// The parts as one name of 64 hexadecimal digits.
pub(super) fn sha256(parts: &[&str]) -> String {
    format!("{:x}", Sha256::digest(parts.join("\0")))
}

pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn store(dir: &Path) -> TokenStore {
        TokenStore::new(dir, &ApiUrl::default(), "bench-1")
    }

    fn token(text: &str, expires_at: u64) -> AccessToken {
        AccessToken::parse(text, Some(expires_at), false).unwrap()
    }

    #[test]
    fn a_token_comes_back_to_the_same_client_and_subject_only() {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).save("product", &token("token-1", u64::MAX));
        assert_eq!(store(dir.path()).load("product").unwrap().expose(), "token-1");
        assert!(store(dir.path()).load("customer").is_none());
        assert!(TokenStore::new(dir.path(), &ApiUrl::default(), "bench-2").load("product").is_none());
    }

    #[test]
    fn the_file_and_its_directory_are_for_this_user_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(&dir.path().join("cache"));
        store.save("product", &token("token-1", u64::MAX));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path("product")), 0o600);
        assert_eq!(mode(&store.dir), 0o700);
        assert_eq!(mode(store.dir.parent().unwrap()), 0o700);
    }

    #[test]
    fn files_that_are_open_to_others_damaged_or_nearly_expired_are_ignored_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let path = store.path("product");
        store.save("product", &token("token-1", u64::MAX));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(store.load("product").is_none());
        store.save("product", &token("token-2", u64::MAX));
        assert_eq!(store.load("product").unwrap().expose(), "token-2");
        fs::write(&path, "{\"api_url\":").unwrap();
        assert!(store.load("product").is_none());
        store.save("product", &token("token-3", unix_now() + 30));
        assert!(store.load("product").is_none());
    }

    #[test]
    fn only_the_token_that_was_refused_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.save("product", &token("token-2", u64::MAX));
        store.remove("product", &token("token-1", u64::MAX));
        assert!(store.load("product").is_some());
        store.remove("product", &token("token-2", u64::MAX));
        assert!(store.load("product").is_none());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a-file");
        fs::write(&file, "").unwrap();
        let store = store(&file);
        store.save("product", &token("token-1", u64::MAX));
        assert!(store.load("product").is_none());
    }
}
