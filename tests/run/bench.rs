//! A workplace: a simulated cloud, a hub for simulated Photons, and a home of its own for the program.

use std::{
    cell::Cell,
    future::Future,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures_util::StreamExt;
use provision::{
    cloud::RootCertificates,
    model::DeviceId,
    sim::{
        cloud::{CloudConfig, CloudInfo, DeviceSeed, SimCloud},
        photon::{Effect, Mode, PhotonConfig, SimPhoton},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

pub const ID: &str = "3b0021001747353236343033";
pub const OTHER_ID: &str = "111111111111111111111111";
pub const CUSTOMER: &str = "customer5@example.com";
pub const PRODUCT: u32 = 1319;

pub const ASK_PRODUCT: &str = "GET /v1/products/1319";
pub const ASK_DEVICE: &str = "GET /v1/products/1319/devices/3b0021001747353236343033";
pub const SIGN_IN: &str = "POST /oauth/token";
pub const IMPORT: &str = "POST /v1/products/1319/devices";
pub const CREATE_CUSTOMER: &str = "POST /v1/products/1319/customers";
pub const STREAM: &str = "GET /v1/products/1319/events/spark";
pub const CLAIM_CODE: &str = "POST /v1/products/1319/device_claims";

/// What hangs is ended, so that it is seen which test it was. Nothing depends on its length.
const GUARD: Duration = Duration::from_secs(120);

pub async fn guarded<T>(what: impl Future<Output = T>) -> T {
    timeout(GUARD, what).await.expect("it hangs")
}

/// Works on all cases, some at a time: most of them wait for something.
pub async fn all<T, F: Future<Output = ()>>(cases: impl IntoIterator<Item = T>, work: impl FnMut(T) -> F) {
    futures_util::stream::iter(cases).map(work).buffer_unordered(16).collect::<Vec<()>>().await;
}

pub struct Bench {
    pub cloud: SimCloud,
    pub info: CloudInfo,
    directory: TempDir,
    /// Requests before this one are of no interest any more.
    asked_from: Cell<usize>,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(CloudConfig::default()).await
    }

    pub async fn with(config: CloudConfig) -> Self {
        let cloud = SimCloud::start(config).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        for name in ["home", "hub"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        if let Some(pem) = cloud.ca_pem() {
            std::fs::write(directory.path().join("ca.pem"), pem).unwrap();
        }
        Self { info: cloud.info(), cloud, directory, asked_from: Cell::new(0) }
    }

    /// Where the program may keep things.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The directory of links in which boards are found by their ids.
    pub fn hub(&self) -> PathBuf {
        self.directory.path().join("hub")
    }

    /// Where the program may trace its requests.
    pub fn trace(&self) -> PathBuf {
        self.directory.path().join("trace.jsonl")
    }

    // --- boards ---

    /// A board that listens, knows Wi-Fi, and speaks to this cloud.
    pub fn board(&self) -> PhotonConfig {
        PhotonConfig {
            cloud_url: Some(self.info.api_url.parse().unwrap()),
            cloud_roots: self.cloud.ca_pem().map(|pem| RootCertificates::from_pem(pem.as_bytes()).unwrap()),
            wifi_known: true,
            ..PhotonConfig::new(DeviceId::parse(ID).unwrap())
        }
    }

    /// The same, running its firmware.
    pub fn running_board(&self) -> PhotonConfig {
        PhotonConfig { listening: false, ..self.board() }
    }

    /// Plugs a board in at a port that tells nothing about it.
    pub fn plug(&self, config: PhotonConfig) -> SimPhoton {
        SimPhoton::start(config).unwrap()
    }

    /// Plugs a board into the hub, where its id can be seen without opening it.
    pub fn plug_into_hub(&self, config: PhotonConfig) -> SimPhoton {
        let link = Some(self.hub().join(config.device_id.as_str()));
        self.plug(PhotonConfig { link, ..config })
    }

    // --- the cloud ---

    /// Makes the board known to the cloud, as a member of the product.
    pub fn seed(&self, owner: Option<&str>) {
        let owner = owner.map(str::to_owned);
        assert!(self.cloud.add_device(DeviceSeed {
            id: ID.into(),
            owner,
            product_id: Some(PRODUCT),
            ..DeviceSeed::default()
        }));
    }

    /// The requests of the program since the last call of [`Bench::forget_requests`].
    pub fn requests(&self) -> Vec<String> {
        let all = self.cloud.requests();
        all[self.asked_from.get()..].iter().map(|r| format!("{} {}", r.method, r.path)).collect()
    }

    pub fn forget_requests(&self) {
        self.asked_from.set(self.cloud.requests().len());
    }

    pub fn count(&self, request: &str) -> usize {
        self.requests().iter().filter(|r| *r == request).count()
    }

    pub fn owner(&self) -> Option<String> {
        self.cloud.device(ID)?["owner"].as_str().map(str::to_owned)
    }

    pub fn customers(&self) -> Vec<String> {
        let customers = self.cloud.snapshot()["customers"].clone();
        customers.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    }

    /// All that the cloud knows, but for what passes with time and sign-ins.
    pub fn state(&self) -> Value {
        let mut state = self.cloud.snapshot();
        for passing in ["now", "valid_tokens"] {
            state.as_object_mut().unwrap().remove(passing);
        }
        state
    }

    /// One claim, of the right device by the right customer, and nothing else.
    #[track_caller]
    pub fn holds_one_claim(&self) {
        assert_eq!(self.owner().as_deref(), Some(CUSTOMER));
        assert_eq!(self.cloud.device(ID).unwrap()["product_id"], PRODUCT);
        assert_eq!(self.customers(), [CUSTOMER]);
        assert_eq!(self.cloud.snapshot()["devices"].as_array().unwrap().len(), 1);
    }

    /// Nothing was done to the device.
    #[track_caller]
    pub fn knows_no_device(&self) {
        assert_eq!(self.cloud.snapshot()["devices"].as_array().unwrap().len(), 0);
    }

    /// A board that has no way to the cloud of its own comes online and shows its code.
    pub async fn comes_online(&self, id: &str, board: &SimPhoton) {
        self.board_does(id, "session", &json!({"platform_id": 6, "firmware": "2.3.1"})).await;
        self.board_does(id, "claim", &json!({"claim_code": codes(board)[0]})).await;
    }

    /// Tells the cloud that a board does this; see `sim::cloud`.
    pub async fn board_does(&self, id: &str, what: &str, how: &Value) {
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let url = format!("{}/simulator/devices/{id}/{what}", self.info.api_url);
        let answer = client.post(url).json(how).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    // --- the program ---

    /// The program with this bench's environment and the usual settings, and no argument yet.
    pub fn provision(&self) -> Run {
        let home = self.home();
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command
            .env_clear()
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("PARTICLE_API_URL", &self.info.api_url)
            .env("PARTICLE_PRODUCT", PRODUCT.to_string())
            .env("PARTICLE_CLIENT_ID", &self.info.client_id)
            .env("PARTICLE_CLIENT_SECRET", &self.info.client_secret)
            .env("PROVISION_CUSTOMER", CUSTOMER)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if self.cloud.ca_pem().is_some() {
            command.env("PROVISION_CA_FILE", self.directory.path().join("ca.pem"));
        }
        Run { command, json: false }
    }

    /// A run at the port of this board, told as JSON.
    pub fn run(&self, board: &SimPhoton) -> Run {
        self.run_at_port(&board.usb())
    }

    pub fn run_at_port(&self, port: &Path) -> Run {
        self.provision().with(&["run", "--usb"]).with(&[port]).json()
    }

    /// A run with a board of the hub: `auto`, or an id.
    pub fn run_in_hub(&self, target: &str) -> Run {
        self.provision().with(&["run", "--usb", target, "--usb-dir"]).with(&[&self.hub()]).json()
    }
}

/// A run that is still to be started.
pub struct Run {
    pub command: Command,
    pub json: bool,
}

impl Run {
    pub fn with<A: AsRef<std::ffi::OsStr>>(mut self, arguments: &[A]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn json(self) -> Self {
        Self { json: true, ..self.with(&["--output", "json"]) }
    }

    /// To be started in another way.
    pub fn into_command(self) -> Command {
        self.command
    }

    #[allow(dead_code)] // by the bench's tests alone
    pub fn stdin(mut self, from: impl Into<Stdio>) -> Self {
        self.command.stdin(from);
        self
    }

    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stdout(to);
        self
    }

    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.command.stderr(to);
        self
    }

    /// To be told when a file may not grow, as when the disk is full, and not killed for it.
    #[allow(dead_code)] // by tests of the ledger alone
    pub fn told_of_full_disks(self) -> Self {
        let program = self.command.as_std();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        command.arg(program.get_program()).args(program.get_args()).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, ..self }
    }

    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let errors = child.stderr.take();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            if let Some(mut errors) = errors {
                errors.read_to_string(&mut text).await.unwrap();
            }
            text
        });
        let lines = child.stdout.take().map(|out| BufReader::new(out).lines());
        Running { child, lines, stderr, stdout: String::new(), json: self.json, events: Vec::new() }
    }

    pub async fn ended(self) -> Ended {
        self.start().ended().await
    }
}

/// A run that is under way.
pub struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
    stderr: JoinHandle<String>,
    stdout: String,
    json: bool,
    events: Vec<Value>,
}

impl Running {
    /// The next line, while there is one.
    async fn next_line(&mut self) -> Option<String> {
        let Ok(line) = timeout(GUARD, self.lines.as_mut()?.next_line()).await else {
            panic!("it hangs: {}", self.stdout);
        };
        let line = line.unwrap()?;
        self.stdout += &line;
        self.stdout.push('\n');
        Some(line)
    }

    /// The next event of a run that is told as JSON.
    pub async fn next_event(&mut self) -> Option<Value> {
        let line = self.next_line().await?;
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(event["schema"], 1, "{line}");
        self.events.push(event.clone());
        Some(event)
    }

    /// What was said so far.
    #[allow(dead_code)] // by the bench's tests alone
    pub fn told(&self) -> &str {
        &self.stdout
    }

    /// Waits for this event of this step.
    pub async fn reaches(&mut self, event: &str, step: &str) -> Value {
        while let Some(seen) = self.next_event().await {
            if seen["event"] == event && seen["step"] == step {
                return seen;
            }
        }
        panic!("no {event} of {step}:\n{}", self.stdout);
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.send(Signal::INT);
    }

    pub fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().expect("it still runs").try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// From now on no file may grow beyond so many bytes; or beyond what the computer has room for.
    #[cfg(target_os = "linux")]
    #[allow(dead_code)] // by tests of the ledger alone
    pub fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Resource, Rlimit, getrlimit, prlimit};

        let pid = Pid::from_raw(self.child.id().expect("it still runs").try_into().unwrap());
        let most = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: bytes.or(most.current), maximum: most.maximum };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    }

    /// Whether it has ended, after it was given the time to.
    pub async fn has_ended_within(&mut self, time: Duration) -> bool {
        timeout(time, self.child.wait()).await.is_ok()
    }

    /// SIGKILL: it cannot clean up.
    pub async fn kill(mut self) {
        guarded(self.child.kill()).await.unwrap();
    }

    pub async fn ended(self) -> Ended {
        self.ended_with(|_| {}).await
    }

    /// Watches the events until the end.
    pub async fn ended_with(mut self, mut watch: impl FnMut(&Value)) -> Ended {
        if self.json {
            while let Some(event) = self.next_event().await {
                watch(&event);
            }
        } else {
            while self.next_line().await.is_some() {}
        }
        let status = guarded(self.child.wait()).await.unwrap();
        let stderr = self.stderr.await.unwrap();
        let ended = Ended { status, events: self.events, stdout: self.stdout, stderr };
        if self.json
            && let Some(code) = ended.status.code()
        {
            ended.is_told_to_its_end(code);
        }
        ended
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub events: Vec<Value>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The last line is the result, the only one, and agrees with the exit code. A run that was left at
    /// once has no result.
    #[track_caller]
    fn is_told_to_its_end(&self, code: i32) {
        let results = self.events.iter().filter(|e| e["event"] == "result").count();
        if results == 0 && code == 130 {
            return;
        }
        assert_eq!(results, 1, "{}", self.all());
        assert_eq!(self.result()["event"], "result", "{}", self.all());
        assert_eq!(self.result()["exit_code"], code, "{}", self.all());
    }

    fn all(&self) -> String {
        format!("{}\n{}\n{}", self.status, self.stdout, self.stderr)
    }

    pub fn result(&self) -> &Value {
        self.events.last().unwrap_or(&Value::Null)
    }

    #[track_caller]
    pub fn passes(self) -> Self {
        assert_eq!(self.status.code(), Some(0), "{}", self.all());
        if !self.events.is_empty() {
            assert_eq!(self.result()["ok"], true, "{}", self.all());
        }
        self
    }

    #[track_caller]
    pub fn fails_with(self, exit_code: i32, code: &str) -> Self {
        assert_eq!(self.status.code(), Some(exit_code), "{}", self.all());
        let error = &self.result()["error"];
        assert_eq!(error["code"], code, "{}", self.all());
        for text in ["message", "hint"] {
            assert!(error[text].as_str().is_some_and(|text| !text.is_empty()), "{}", self.all());
        }
        self
    }

    /// The step that failed.
    #[track_caller]
    pub fn at(self, step: &str) -> Self {
        assert_eq!(self.result()["error"]["step"], step, "{}", self.all());
        self
    }

    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert!(self.message().contains(words), "{}", self.all());
        self
    }

    pub fn message(&self) -> &str {
        self.result()["error"]["message"].as_str().unwrap_or_default()
    }

    /// How a step ended, if it did.
    pub fn outcome(&self, step: &str) -> Option<&str> {
        let ended = self.events.iter().find(|e| e["event"] == "step-ended" && e["step"] == step)?;
        ended["outcome"].as_str()
    }

    /// Which steps ended well, by name.
    pub fn steps(&self) -> Vec<&str> {
        let ended = self.events.iter().filter(|e| e["event"] == "step-ended");
        let mut steps: Vec<_> = ended.filter_map(|e| e["step"].as_str()).collect();
        steps.sort_unstable();
        steps
    }
}

// --- what a board went through ---

/// The codes that it stored, in order.
pub fn codes(board: &SimPhoton) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::ClaimCode { code, .. } => Some(code.0.iter().map(|&byte| char::from(byte)).collect()),
        _ => None,
    };
    board.effects().iter().filter_map(text).collect()
}

/// It still listens, and nothing was done to it.
#[track_caller]
pub fn is_untouched(board: &SimPhoton) {
    assert_eq!(board.effects(), []);
    assert_eq!(board.state().mode, Mode::Listening);
}

/// Waits until it is online, outside listening mode.
pub async fn is_online(board: &SimPhoton) {
    guarded(board.wait_for(|state| state.online && state.mode == Mode::Running)).await;
}

/// The console answers at its idle prompt: it tells its id, and does not echo the question.
pub async fn is_at_its_idle_prompt(board: &SimPhoton) {
    let read = async {
        use tokio::io::AsyncWriteExt;
        let mut port = open(board).await;
        port.write_all(b"i").await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\n") || !String::from_utf8_lossy(&said).contains(ID) {
            said.push(port.read_u8().await.unwrap());
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    let said = guarded(read).await;
    let line = said.lines().find(|line| line.contains(ID)).unwrap_or_default();
    assert!(line.ends_with(&format!("Your device id is {ID}")) && !line.starts_with('i'), "{said:?}");
}

/// Opens the board's port as another program would, for itself alone. A program that was killed may
/// still be about to lose its hold on the port.
pub async fn open(board: &SimPhoton) -> tokio_serial::SerialStream {
    use tokio_serial::SerialPortBuilderExt;
    let port = board.usb();
    loop {
        match tokio_serial::new(port.to_str().unwrap(), 9600).open_native_async() {
            Ok(port) => return port,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
