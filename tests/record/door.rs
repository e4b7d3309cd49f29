//! The way into a PostgreSQL over the network: certificates, passwords and rights.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    bench::{Bench, Ended},
    cluster::{Cluster, Door},
};

const PASSWORD: &str = "xyzzy-plugh";

/// A server that lets nobody in over the network without TLS and a password.
struct Desk {
    cluster: Cluster,
    door: Door,
    directory: TempDir,
    bench: Bench,
}

/// An authority's certificate, and a server's for `localhost` with its key; all as PEM.
fn certificates() -> (String, String, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let signed =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), signed.pem(), key.serialize_pem())
}

impl Desk {
    async fn new() -> Option<Self> {
        let (ca, certificate, key) = certificates();
        let (cluster, door) = Cluster::with_door(&certificate, &key)?;
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), ca).unwrap();
        fs::write(directory.path().join("other.pem"), certificates().0).unwrap();
        for sql in [
            format!("CREATE ROLE ann LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE ledger OWNER ann".into(),
            format!("CREATE ROLE eve LOGIN PASSWORD '{PASSWORD}'"),
        ] {
            cluster.execute("postgres", &sql);
        }
        Some(Self { cluster, door, directory, bench: Bench::new().await })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The address of a database there.
    fn url(&self, who: &str, host: &str, database: &str, parameters: &str) -> String {
        format!("postgres://{who}@{host}:{}/{database}?{parameters}", self.door.port)
    }

    /// `sslmode=verify-full` with the right authority.
    fn safe(&self, who: &str, database: &str) -> String {
        self.url(
            who,
            "localhost",
            database,
            &format!("sslmode=verify-full&sslrootcert={}", self.file("ca.pem").display()),
        )
    }

    async fn asks(&self, url: &str, variables: &[(&str, &str)]) -> Ended {
        let history =
            self.bench.provision().with(&["history", "--output", "csv"]).env("PROVISION_LEDGER", url);
        let ended = variables.iter().fold(history, |run, (name, value)| run.env(name, value)).ended().await;
        assert!(!format!("{ended:?}").contains("xyzzy"), "{ended:?}");
        ended
    }

    #[track_caller]
    fn let_in(ended: &Ended) {
        assert!(ended.status.success() && ended.stdout.starts_with("run,"), "{ended:?}");
    }

    /// What is said instead.
    #[track_caller]
    fn refused(ended: Ended, parts: &[&str]) {
        assert_eq!(ended.status.code(), Some(50), "{ended:?}");
        // Wrapped as the terminal has it.
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }
}

const GIVEN: (&str, &str) = ("PGPASSWORD", PASSWORD);

#[tokio::test]
async fn a_server_proves_who_it_is() {
    let Some(desk) = Desk::new().await else { return };
    Desk::let_in(&desk.asks(&desk.safe("ann", "ledger"), &[GIVEN]).await);
    // Encrypted, and proved by nobody.
    Desk::let_in(&desk.asks(&desk.url("ann", "localhost", "ledger", "sslmode=require"), &[GIVEN]).await);
    let other = desk.file("other.pem");
    let with =
        |host, ca: &str| desk.url("ann", host, "ledger", &format!("sslmode=verify-full&sslrootcert={ca}"));
    let said = desk.asks(&with("localhost", other.to_str().unwrap()), &[GIVEN]).await;
    Desk::refused(
        said,
        &["no secure connection", "signed by nobody whom this computer trusts", "sslrootcert"],
    );
    let said = desk.asks(&with("127.0.0.1", desk.file("ca.pem").to_str().unwrap()), &[GIVEN]).await;
    Desk::refused(said, &["no secure connection", "the server's certificate is for another host"]);
    let said = desk.asks(&with("localhost", "/no/such/ca.pem"), &[GIVEN]).await;
    Desk::refused(said, &["sslrootcert", "/no/such/ca.pem", "No such file"]);
    let said = desk.asks(&desk.url("ann", "localhost", "ledger", "sslmode=disable"), &[GIVEN]).await;
    Desk::refused(said, &["no encryption"]);
}

#[tokio::test]
async fn a_certificate_that_nobody_would_look_at_is_refused() {
    let bench = Bench::new().await;
    for parameters in ["sslmode=require&sslrootcert=/ca.pem", "sslrootcert=/ca.pem", "sslmod=verify-full"] {
        let url = format!("postgres://ann@localhost/ledger?{parameters}");
        let path = bench.provision().with(&["ledger", "path"]).env("PROVISION_LEDGER", url).ended().await;
        assert_eq!(path.status.code(), Some(2), "{parameters}: {path:?}");
    }
}

#[tokio::test]
async fn a_password_comes_from_many_places_and_goes_to_none() {
    let Some(desk) = Desk::new().await else { return };
    let url = desk.safe("ann", "ledger");
    let with_password = url.replace("ann@", &format!("ann:{PASSWORD}@"));
    Desk::let_in(&desk.asks(&url, &[GIVEN]).await);
    Desk::let_in(&desk.asks(&with_password, &[]).await);
    let private = |name: &str, text: &str| {
        fs::write(desk.file(name), text).unwrap();
        fs::set_permissions(desk.file(name), fs::Permissions::from_mode(0o600)).unwrap();
    };
    private("passwords", &format!("localhost:*:ledger:ann:{PASSWORD}\n"));
    Desk::let_in(&desk.asks(&url, &[("PGPASSFILE", desk.file("passwords").to_str().unwrap())]).await);
    private("provision.toml", &format!("[profiles.default]\nledger = '{with_password}'\n"));
    let config = desk.file("provision.toml");
    let history =
        || desk.bench.provision().with(&["history", "--output", "csv"]).env("PROVISION_CONFIG", &config);
    Desk::let_in(&history().ended().await);
    // What others can read is no place for it.
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = history().ended().await;
    assert!(refused.status.code() == Some(2) && !refused.stderr.contains("xyzzy"), "{refused:?}");
    // A wrong one, and none.
    for variables in [&[("PGPASSWORD", "xyzzy-wrong")][..], &[]] {
        let said = desk.asks(&url, variables).await;
        Desk::refused(said, &["password authentication failed for user \"ann\"", "PGPASSWORD", ".pgpass"]);
    }
}

#[tokio::test]
async fn who_may_not_is_told_what_to_do() {
    let Some(desk) = Desk::new().await else { return };
    let said = desk.asks(&desk.safe("ann", "nowhere"), &[GIVEN]).await;
    Desk::refused(said, &["database \"nowhere\" does not exist", "createdb"]);
    let said = desk.asks(&desk.safe("eve", "ledger"), &[GIVEN]).await;
    Desk::refused(said, &["permission denied for schema public", "GRANT"]);
    // Once it is there, who only reads needs no right to change it.
    Desk::let_in(&desk.asks(&desk.safe("ann", "ledger"), &[GIVEN]).await);
    desk.cluster.execute("ledger", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO eve");
    Desk::let_in(&desk.asks(&desk.safe("eve", "ledger"), &[GIVEN]).await);
}
