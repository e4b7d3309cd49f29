//! A ledger of either kind, for one test.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use provision::record::{Ledger, Location, Who};
use tempfile::TempDir;

use crate::cluster::Cluster;

pub struct Place {
    pub url: String,
    _directory: TempDir,
    cluster: Option<&'static Cluster>,
}

impl Place {
    pub fn sqlite() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let url = directory.path().join("below/ledger.sqlite").to_str().unwrap().to_owned();
        Some(Self { url, _directory: directory, cluster: None })
    }

    pub fn postgres() -> Option<Self> {
        let cluster = Cluster::shared()?;
        Some(Self {
            url: cluster.database(),
            _directory: tempfile::tempdir().unwrap(),
            cluster: Some(cluster),
        })
    }

    /// Makes an empty file of what is to be a file: a ledger that nobody has opened yet.
    pub fn make(&self) {
        if self.cluster.is_none() {
            std::fs::create_dir_all(Path::new(&self.url).parent().unwrap()).unwrap();
            std::fs::write(&self.url, "").unwrap();
        }
    }

    /// A bench's ledger, with a connection of its own.
    pub fn ledger(&self, bench: &str) -> Ledger {
        ledger(&self.url, bench)
    }

    /// All that is kept, as text.
    pub fn content(&self) -> String {
        match self.cluster {
            Some(cluster) => cluster.dump(&self.url),
            None => {
                let path = PathBuf::from(&self.url);
                let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
                files
                    .map(|file| {
                        String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned()
                    })
                    .collect()
            }
        }
    }

    /// Changes something behind the program's back.
    pub async fn execute(&self, sql: &'static str) {
        use sqlx::{AnyConnection, Connection};

        sqlx::any::install_default_drivers();
        let url = if self.cluster.is_some() { self.url.clone() } else { format!("sqlite://{}", self.url) };
        let mut connection = AnyConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

pub fn ledger(url: &str, bench: &str) -> Ledger {
    let who = Who { bench: bench.into(), operator: "ann".into(), host: "desk".into() };
    Ledger::with_patience(Location::parse(url).unwrap(), who, Duration::from_secs(60))
}

/// Each of these tests once for each kind of ledger.
#[macro_export]
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::place::Place::sqlite().unwrap()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(place) = $crate::place::Place::postgres() {
                    super::$name(place).await;
                }
            })*
        }
    };
}
