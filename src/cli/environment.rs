//! The process's environment, and the directories that follow from it.

use std::{ffi::OsString, path::PathBuf};

use crate::model::Failure;

type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The environment's variables; injected, so that tests need not change those of their process.
pub struct Environment(Box<Variables>);

impl Environment {
    /// The process's own.
    pub fn of_process() -> Self {
        Self::new(|name| match std::env::var_os(name) {
            // Services may run without it; the account has one all the same.
            None if name == "HOME" => std::env::home_dir().map(Into::into),
            value => value,
        })
    }

    /// Any other.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self(Box::new(lookup))
    }

    /// A path. An empty value counts as not set, here and below.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        (self.0)(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A text, which has to be UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let value = (self.0)(name).filter(|value| !value.is_empty());
        // The value is left out of the message: it may be a secret.
        value
            .map(OsString::into_string)
            .transpose()
            .map_err(|_| Failure::configuration(format!("{name} is not UTF-8 text"), format!("mend {name}")))
    }
}

/// Where this program's files are on this platform. Nothing is created, and each is absent where there
/// is no home directory to put it under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// `provision.toml`, which need not exist.
    pub config_file: Option<PathBuf>,
    /// What can be fetched again, such as tokens.
    pub cache_dir: Option<PathBuf>,
    /// What is to be kept, such as records of runs.
    pub data_dir: Option<PathBuf>,
}

impl Directories {
    /// XDG's directories; `Library` on macOS; `AppData` on Windows.
    pub fn of(env: &Environment) -> Self {
        let base = |variable: &str, below_home: &str| {
            // XDG: relative paths are invalid, and to be ignored.
            let set = env.path(variable).filter(|path| path.is_absolute());
            set.or_else(|| Some(env.path("HOME")?.join(below_home)))
        };
        let [config, cache, data] = if cfg!(target_os = "macos") {
            let library = |name| env.path("HOME").map(|home| home.join("Library").join(name));
            [library("Application Support"), library("Caches"), library("Application Support")]
        } else if cfg!(windows) {
            [env.path("APPDATA"), env.path("LOCALAPPDATA"), env.path("APPDATA")]
        } else {
            [
                base("XDG_CONFIG_HOME", ".config"),
                base("XDG_CACHE_HOME", ".cache"),
                base("XDG_DATA_HOME", ".local/share"),
            ]
        };
        Self {
            config_file: config.map(|dir| dir.join("provision/provision.toml")),
            cache_dir: cache.map(|dir| dir.join("provision")),
            data_dir: data.map(|dir| dir.join("provision")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &'static [(&'static str, &'static str)]) -> Environment {
        Environment::new(|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn empty_values_count_as_not_set() {
        let env = env(&[("A", ""), ("B", "b")]);
        assert_eq!((env.text("A").unwrap(), env.path("A")), (None, None));
        assert_eq!((env.text("B").unwrap(), env.path("B")), (Some("b".into()), Some("b".into())));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_refused_without_being_shown() {
        use std::os::unix::ffi::OsStringExt;
        let env = Environment::new(|_| Some(OsString::from_vec(b"xyzzy\xff".into())));
        assert_eq!(
            env.text("PARTICLE_CLIENT_SECRET").unwrap_err().detail,
            "PARTICLE_CLIENT_SECRET is not UTF-8 text"
        );
        assert!(env.path("PROVISION_CONFIG").is_some());
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    #[test]
    fn directories_are_xdgs_or_below_home() {
        let below_home = Directories::of(&env(&[("HOME", "/home/ann"), ("XDG_CACHE_HOME", "relative")]));
        assert_eq!(below_home.config_file, Some("/home/ann/.config/provision/provision.toml".into()));
        assert_eq!(below_home.cache_dir, Some("/home/ann/.cache/provision".into()));
        assert_eq!(below_home.data_dir, Some("/home/ann/.local/share/provision".into()));
        let set = Directories::of(&env(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_CACHE_HOME", "/k"),
            ("XDG_DATA_HOME", "/d"),
        ]));
        assert_eq!(set.config_file, Some("/c/provision/provision.toml".into()));
        assert_eq!((set.cache_dir, set.data_dir), (Some("/k/provision".into()), Some("/d/provision".into())));
    }

    #[test]
    fn without_a_home_there_are_no_directories() {
        let nowhere = Directories { config_file: None, cache_dir: None, data_dir: None };
        assert_eq!(Directories::of(&env(&[])), nowhere);
    }
}
