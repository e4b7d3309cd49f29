use std::{fmt, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::model::{Invalid, clean, guard};

/// Where a ledger is. Shown without what is secret in it.
#[derive(Debug, Clone)]
pub enum Location {
    /// A file of SQLite's, which is made where it is missing.
    File(PathBuf),
    /// A file that nobody has written yet, and that is not to be made: an empty ledger.
    Missing(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

/// The address of a database, which may hold a password.
#[derive(Debug, Clone)]
pub struct PostgresUrl {
    whole: SecretString,
    shown: String,
}

impl Location {
    /// A `postgres://` or `postgresql://` URL, or else a path.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a ledger", why: why.into() };
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("postgres" | "postgresql") => {}
            Some(_) => return Err(invalid("is a file's path, or begins with postgres://")),
            None if text.trim().is_empty() => return Err(invalid("is a file's path or a postgres:// URL")),
            None => return Ok(Self::File(PathBuf::from(text))),
        }
        let escaped =
            "looks like postgres://user@host/database; a password's /, ? and # are written %2F, %3F and %23";
        let mut url = Url::parse(text).map_err(|_| invalid(escaped))?;
        // A part of a password, else, that would be shown.
        if url.fragment().is_some() || url.path().contains('@') {
            return Err(invalid(escaped));
        }
        let of = |name| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        if url.query_pairs().any(|(key, _)| !KNOWN.contains(&&*key)) {
            return Err(invalid(&format!("has no parameters but {}", KNOWN.join(", "))));
        }
        let mode = of("sslmode");
        if mode.as_deref().is_some_and(|mode| !MODES.contains(&mode)) {
            return Err(invalid(&format!("has an sslmode of {}", MODES.join(", "))));
        }
        let is_checked = mode.is_some_and(|mode| mode.starts_with("verify-"));
        if of("sslrootcert").is_some() && !is_checked {
            return Err(invalid("has an sslrootcert that nobody looks at without sslmode=verify-full"));
        }
        let secrets: Vec<_> = url.password().map(str::to_owned).into_iter().chain(in_query(&url)).collect();
        // As it is written, and as it goes over the wire.
        for secret in &secrets {
            guard(secret);
        }
        if let Some(password) = url.password() {
            guard(percent_decoded(password));
        }
        let whole = SecretString::from(text);
        let _ = url.set_password(None);
        url.set_query(None);
        Ok(Self::Postgres(PostgresUrl { whole, shown: clean(url.as_str()) }))
    }

    /// Whether a password stands in this text, which then must not be a process's argument.
    pub fn holds_password(text: &str) -> bool {
        Url::parse(text).is_ok_and(|url| url.password().is_some() || in_query(&url).next().is_some())
    }
}

/// The parameters of a database's address that mean something here. The driver passes over others, also one
/// that was to make the connection safe.
const KNOWN: [&str; 12] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// How safe the connection is; the driver takes more, and does something else then than others do.
const MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

impl PostgresUrl {
    /// With its password, for the driver alone.
    pub(super) fn expose(&self) -> &str {
        self.whole.expose_secret()
    }

    /// The files that it names, and in which parameters.
    pub(super) fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let Ok(url) = Url::parse(self.expose()) else { return Vec::new() };
        let file = |name: &'static str| {
            let (_, path) = url.query_pairs().find(|(key, _)| key == name)?;
            Some((name, PathBuf::from(path.into_owned())))
        };
        ["sslrootcert", "sslcert", "sslkey"].into_iter().filter_map(file).collect()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Missing(path) => f.write_str(&clean(&path.to_string_lossy())),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

fn in_query(url: &Url) -> impl Iterator<Item = String> {
    url.query_pairs().filter(|(key, _)| key == "password").map(|(_, value)| value.into_owned())
}

/// A user's name or password as the URL's author meant it.
fn percent_decoded(text: &str) -> String {
    // The one decoder at hand that is the URL standard's own; a plus is a plus in a password.
    let query = format!("={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::redact;

    #[test]
    fn a_password_is_neither_shown_nor_printed_and_guarded_in_both_its_forms() {
        for text in [
            "postgres://ann:xyzzy%2Bplugh@db.example:5432/ledger?sslmode=require",
            "postgresql://ann@db.example/ledger?password=xyzzy%2Bplugh",
        ] {
            let location = Location::parse(text).unwrap();
            assert!(Location::holds_password(text));
            let said = format!("{location} {location:?}");
            assert!(said.contains("db.example") && !said.contains("xyzzy"), "{said}");
            assert_eq!(redact("xyzzy+plugh"), "[redacted]");
        }
    }

    #[test]
    fn what_is_no_url_is_a_path() {
        for path in ["ledger.sqlite", "/var/lib/provision/ledger.sqlite", "C:\\ledger.sqlite", "./a:b"] {
            assert!(
                matches!(Location::parse(path), Ok(Location::File(p)) if p.as_os_str() == path),
                "{path}"
            );
        }
        for bad in ["", " ", "mysql://db.example/ledger", "postgres://"] {
            // An address with nothing in it names the local socket, as psql has it.
            assert_eq!(Location::parse(bad).is_ok(), bad == "postgres://", "{bad}");
        }
        assert!(!Location::holds_password("postgres://ann@db.example/ledger"));
    }

    #[test]
    fn what_could_be_a_part_of_a_password_or_makes_nothing_safe_is_refused() {
        for bad in [
            "postgres://ann:12/34@db.example/ledger",
            "postgres://ann:12#34@db.example/ledger",
            "postgres://ann:12?34@db.example/ledger",
            "postgres://ann@db.example/ledger?sslmod=verify-full",
            "postgres://ann@db.example/ledger?sslmode=allow",
            "postgres://ann@db.example/ledger?sslmode=require&sslrootcert=/ca.pem",
            "postgres://ann@db.example/ledger?sslrootcert=/ca.pem",
        ] {
            let refused = Location::parse(bad).unwrap_err().to_string();
            assert!(!refused.contains("34"), "{refused}");
        }
        for good in
            ["sslmode=verify-full&sslrootcert=/ca.pem", "sslmode=verify-ca", "host=/run/postgresql&user=ann"]
        {
            assert!(Location::parse(&format!("postgres://db.example/ledger?{good}")).is_ok(), "{good}");
        }
    }
}
