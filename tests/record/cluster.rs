//! A throw-away PostgreSQL. It ends with the process that started it, however that ends.

use std::{
    env, fs, io,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::LazyLock,
};

use tempfile::TempDir;

use crate::cable::Cable;

/// How to reach a server over TCP.
pub struct Door {
    pub port: u16,
}

pub struct Cluster {
    bin: PathBuf,
    directory: TempDir,
    /// While it is open, the server lives.
    _life: ChildStdin,
    guardian: Child,
}

/// The one that tests share which do not stop it.
static SHARED: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start);

/// Starts the server, waits for the end of its standard input, and stops it.
const GUARDIAN: &str = r#"
"$1/initdb" -D "$2/data" -U postgres -A trust --no-sync --no-instructions >"$2/log" 2>&1 || exit 1
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 120 -o "$3" start >/dev/null 2>&1 || exit 1
echo ready
read -r _
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1
"#;

impl Cluster {
    pub fn shared() -> Option<&'static Self> {
        SHARED.as_ref()
    }

    /// None where there is no PostgreSQL, which is said; where the whole suite must run, that is a failure.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| String::new())
    }

    /// One that also lets in over TCP, with TLS and a password.
    pub fn with_door(certificate: &str, key: &str) -> Option<(Self, Door)> {
        // The server cannot choose a port by itself; a free one is still free a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = |directory: &Path| {
            let file = |name: &str, text: &str| {
                let path = directory.join(name);
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                path
            };
            let files = [
                file("server.crt", certificate),
                file("server.key", key),
                file("hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"),
            ];
            as_server(&[&files[0], &files[1], &files[2]]);
            let [certificate, key, hba] = files.map(|file| file.display().to_string());
            format!(
                " -c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file='{certificate}' \
                 -c ssl_key_file='{key}' -c hba_file='{hba}'"
            )
        };
        Some((Self::start_with(options)?, Door { port }))
    }

    fn start_with(more: impl FnOnce(&Path) -> String) -> Option<Self> {
        let Some(bin) = bin() else {
            assert!(env::var_os("CI").is_none(), "PostgreSQL is missing: install `postgresql`");
            eprintln!("PostgreSQL is missing, so its tests are skipped");
            return None;
        };
        // A socket's path is short.
        let directory = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let sockets = directory.path().join("s");
        fs::create_dir(&sockets).unwrap();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=off -c max_connections=200{}",
            sockets.display(),
            more(directory.path())
        );
        let mut command = as_server(&[directory.path(), &sockets]);
        command.args(["sh", "-c", GUARDIAN, "guardian"]).arg(&bin).arg(directory.path()).arg(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guardian = command.spawn().unwrap();
        let life = guardian.stdin.take().unwrap();
        let mut said = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(guardian.stdout.take().unwrap()), &mut said).unwrap();
        let log = || fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        assert_eq!(said, "ready\n", "{}", log());
        Some(Self { bin, directory, _life: life, guardian })
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        format!("postgres:///{}?user=postgres&host={}", self.new_database(), self.sockets().display())
    }

    /// The same, over TCP, and the cable to it.
    pub fn database_over_tcp(&self) -> (String, Cable) {
        let cable = Cable::to(self.sockets().join(".s.PGSQL.5432"));
        (format!("postgres://postgres@127.0.0.1:{}/{}", cable.port(), self.new_database()), cable)
    }

    /// The way to the same database that no cable is part of.
    pub fn beside(&self, url: &str) -> String {
        let (_, name) = url.rsplit_once('/').unwrap();
        format!("postgres:///{name}?user=postgres&host={}", self.sockets().display())
    }

    fn new_database(&self) -> String {
        let name = format!("d{:016x}", fastrand::u64(..));
        self.execute("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Does this in a database.
    pub fn execute(&self, database: &str, sql: &str) {
        let socket = fs::read_dir(self.sockets()).unwrap().map(|file| file.unwrap().path());
        let port = socket.filter_map(|file| Some(file.extension()?.to_owned())).find(|port| port != "lock");
        let done = Command::new(self.bin.join("psql"))
            .arg("-h")
            .arg(self.sockets())
            .arg("-p")
            .arg(port.unwrap())
            .args(["-U", "postgres", "-d", database, "-qc", sql])
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// All that is in a database, as text.
    pub fn dump(&self, url: &str) -> String {
        let dump = Command::new(self.bin.join("pg_dump")).arg(url).output().unwrap();
        assert!(dump.status.success(), "{dump:?}");
        String::from_utf8(dump.stdout).unwrap()
    }

    pub fn stop(&self) {
        self.control(&["-m", "immediate", "stop"]);
    }

    /// With the options that it had.
    pub fn start_again(&self) {
        let options = fs::read_to_string(self.directory.path().join("data/postmaster.opts")).unwrap();
        let (_, options) = options.trim().split_once(' ').unwrap();
        let log = self.directory.path().join("log");
        self.control(&["-w", "-l", log.to_str().unwrap(), "-o", &options.replace('"', "'"), "start"]);
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = as_server(&[]);
        command
            .arg(self.bin.join("pg_ctl"))
            .arg("-D")
            .arg(self.directory.path().join("data"))
            .args(arguments);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{arguments:?}: {status}");
    }

    fn sockets(&self) -> PathBuf {
        self.directory.path().join("s")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One that was stopped has nothing to stop.
        let mut command = as_server(&[]);
        command.arg(self.bin.join("pg_ctl")).arg("-D").arg(self.directory.path().join("data"));
        let _ =
            command.args(["-m", "immediate", "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.guardian.kill();
        let _ = self.guardian.wait();
    }
}

/// On the path, or where Debian puts it.
fn bin() -> Option<PathBuf> {
    let on_path = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    on_path.into_iter().chain(debian).find(|dir| dir.join("initdb").exists() && dir.join("psql").exists())
}

/// The server refuses to run as root, so then it runs as the user that its package makes, whose these
/// directories become.
fn as_server(directories: &[&Path]) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    for directory in directories {
        assert!(Command::new("chown").arg("postgres:").arg(directory).status().unwrap().success());
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "env", "HOME=/"]);
    command
}
