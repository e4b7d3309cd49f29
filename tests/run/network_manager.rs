//! A NetworkManager on a bus of its own, with the real one's names, signatures, states and reasons, as far
//! as a Wi-Fi client needs them.
//!
//! Strict: what the real one would refuse (an unknown key, a value of another type) is refused, an object
//! that is gone is gone, a volatile profile goes with its use, and what is bound to a client goes with it.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};
use zbus::{
    Connection, MatchRule, Message, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant,
    connection::Builder, message::Type,
};

use crate::{bench::guarded, door::Door};

const NM: &str = "org.freedesktop.NetworkManager";
const ROOT: &str = "/org/freedesktop/NetworkManager";
const WIRE: &str = "/org/freedesktop/NetworkManager/Devices/1";
const RADIO: &str = "/org/freedesktop/NetworkManager/Devices/2";

/// What becomes of an attempt to join a network that is not the one of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    Works,
    /// `NMDeviceStateReason`.
    Fails(u32),
    NeverEnds,
    Forbidden,
}

#[derive(Debug, Clone)]
pub struct Setup {
    /// Each with its name, and whether it asks for a password.
    pub air: Vec<(Vec<u8>, bool)>,
    /// The saved profile that the radio is connected to.
    pub before: Option<&'static str>,
    pub joining: Joining,
    pub back_never_ends: bool,
    /// The network of before goes out of the air once it was left.
    pub back_is_blocked: bool,
    pub has_radio: bool,
    pub radio_is_on: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            air: vec![(b"Office".into(), true), (b"Photon-ABCD".into(), false)],
            before: Some("Office"),
            joining: Joining::Works,
            back_never_ends: false,
            back_is_blocked: false,
            has_radio: true,
            radio_is_on: true,
        }
    }
}

struct Profile {
    id: String,
    uuid: String,
    volatile: bool,
    ssid: Vec<u8>,
}

struct Active {
    profile: String,
    state: u32,
    /// The client that it ends with.
    bound_to: Option<String>,
}

struct World {
    setup: Setup,
    profiles: BTreeMap<String, Profile>,
    actives: BTreeMap<String, Active>,
    /// What the radio is used for.
    using: Option<String>,
    device_state: u32,
    /// Scans so far; the clock that `LastScan` and `LastSeen` show stands still in between.
    scans: i64,
    seen_in: BTreeMap<usize, i64>,
    made: usize,
    said: Vec<String>,
}

type Signals = Vec<(String, &'static str, &'static str, Said)>;

enum Said {
    Active(u32, u32),
    Device(u32, u32, u32),
    LastScan(i64),
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut world = Self {
            profiles: BTreeMap::new(),
            actives: BTreeMap::new(),
            using: None,
            device_state: 30,
            scans: 1,
            seen_in: (0..setup.air.len()).map(|n| (n, 1)).collect(),
            made: 0,
            said: Vec::new(),
            setup,
        };
        if let Some(name) = world.setup.before {
            let path = world.add(Profile {
                id: name.into(),
                uuid: "0e9dcb3c-5f4e-4a1f-9c4e-6a8bff2b1f10".into(),
                volatile: false,
                ssid: name.into(),
            });
            world.activate(&path, None, &mut Vec::new());
        }
        world
    }

    fn add(&mut self, profile: Profile) -> String {
        self.made += 1;
        let path = format!("{ROOT}/Settings/{}", self.made);
        self.profiles.insert(path.clone(), profile);
        path
    }

    /// The name of the profile that is in use, once it is up.
    fn connected(&self) -> Option<&str> {
        let active = &self.actives[self.using.as_ref()?];
        (active.state == 2).then(|| self.profiles[&active.profile].id.as_str())
    }

    fn is_in_the_air(&self, ssid: &[u8]) -> bool {
        self.setup.air.iter().enumerate().any(|(n, (name, _))| name == ssid && self.seen_in.contains_key(&n))
    }

    fn device(&mut self, state: u32, reason: u32, signals: &mut Signals) {
        let old = std::mem::replace(&mut self.device_state, state);
        signals.push((
            RADIO.into(),
            "org.freedesktop.NetworkManager.Device",
            "StateChanged",
            Said::Device(state, old, reason),
        ));
    }

    fn activate(&mut self, profile: &str, bound_to: Option<String>, signals: &mut Signals) -> String {
        let left_another = self.using.is_some();
        if left_another && self.setup.back_is_blocked {
            self.seen_in.remove(&0);
        }
        self.end(60, 3, signals);
        self.made += 1;
        let path = format!("{ROOT}/ActiveConnection/{}", self.made);
        self.actives.insert(path.clone(), Active { profile: profile.into(), state: 1, bound_to });
        self.using = Some(path.clone());
        for state in [40, 50, 70] {
            self.device(state, 0, signals);
        }
        let profile = &self.profiles[profile];
        let known = Some(profile.id.as_str()) == self.setup.before;
        match self.setup.joining {
            _ if !self.is_in_the_air(&profile.ssid.clone()) => self.fail(53, signals),
            Joining::Fails(reason) if !known => self.fail(reason, signals),
            Joining::NeverEnds if !known => {}
            _ if known && self.setup.back_never_ends && left_another => {}
            _ => {
                self.device(100, 0, signals);
                self.actives.get_mut(&path).unwrap().state = 2;
                signals.push((
                    path.clone(),
                    "org.freedesktop.NetworkManager.Connection.Active",
                    "StateChanged",
                    Said::Active(2, 1),
                ));
            }
        }
        path
    }

    /// The radio has failed; what connects by itself does so then.
    fn fail(&mut self, reason: u32, signals: &mut Signals) {
        self.device(120, reason, signals);
        self.end(reason, 3, signals);
        self.connect_by_itself(signals);
    }

    fn connect_by_itself(&mut self, signals: &mut Signals) {
        let before = self.setup.before;
        let saved = self.profiles.iter().find(|(_, profile)| Some(profile.id.as_str()) == before);
        if let Some(path) = saved.filter(|(_, p)| self.is_in_the_air(&p.ssid)).map(|(path, _)| path.clone()) {
            self.said.push("(connects by itself)".into());
            self.activate(&path, None, signals);
        }
    }

    /// Ends what the radio is used for.
    fn end(&mut self, device_reason: u32, active_reason: u32, signals: &mut Signals) {
        let Some(path) = self.using.take() else { return };
        let active = self.actives.remove(&path).unwrap();
        let interface = "org.freedesktop.NetworkManager.Connection.Active";
        for state in [3, 4] {
            signals.push((path.clone(), interface, "StateChanged", Said::Active(state, active_reason)));
        }
        self.device(30, device_reason, signals);
        if self.profiles[&active.profile].volatile {
            self.profiles.remove(&active.profile);
        }
    }

    fn scan(&mut self, signals: &mut Signals) {
        self.said.push("scan".into());
        self.scans += 1;
        for seen in self.seen_in.values_mut() {
            *seen = self.scans;
        }
        signals.push((
            RADIO.into(),
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            Said::LastScan(self.scans),
        ));
    }

    fn property(&self, path: &str, interface: &str, name: &str) -> Option<Variant<'static>> {
        let path_of = |path: &str| Variant::from(ObjectPath::try_from(path.to_owned()).unwrap());
        let nothing = || path_of("/");
        let short = interface.strip_prefix(NM)?.trim_start_matches('.');
        let number = path.rsplit('/').next()?.parse::<usize>();
        Some(match (path, short, name) {
            (ROOT, "", "WirelessEnabled") => self.setup.radio_is_on.into(),
            (ROOT, "", "Version") => "1.42.4".into(),
            (WIRE, "Device", "DeviceType") => 1_u32.into(),
            (WIRE, "Device", "State") => 100_u32.into(),
            (WIRE, "Device", "Interface") => "eth0".into(),
            (RADIO, _, _) if !self.setup.has_radio => return None,
            (RADIO, "Device", "DeviceType") => 2_u32.into(),
            (RADIO, "Device", "State") => self.device_state.into(),
            (RADIO, "Device", "Interface") => "wlan0".into(),
            (RADIO, "Device", "ActiveConnection") => self.using.as_deref().map_or_else(nothing, path_of),
            // A scan takes a second of this clock.
            (RADIO, "Device.Wireless", "LastScan") => (self.scans * 1000).into(),
            (_, "AccessPoint", _) => {
                let seen = *self.seen_in.get(&number.clone().ok()?)?;
                let (ssid, secured) = &self.setup.air[number.ok()?];
                match name {
                    "Ssid" => ssid.clone().into(),
                    "Flags" => u32::from(*secured).into(),
                    "WpaFlags" => 0_u32.into(),
                    "RsnFlags" => (if *secured { 0x188_u32 } else { 0 }).into(),
                    "Strength" => 77_u8.into(),
                    "LastSeen" => i32::try_from(seen).unwrap().into(),
                    _ => return None,
                }
            }
            (_, "Connection.Active", _) => {
                let active = self.actives.get(path)?;
                let profile = &self.profiles[&active.profile];
                match name {
                    "State" => active.state.into(),
                    "Connection" => path_of(&active.profile),
                    "Id" => profile.id.clone().into(),
                    "Uuid" => profile.uuid.clone().into(),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

type Settings = HashMap<String, HashMap<String, OwnedVariant>>;

/// What the real one says of a profile or option that it cannot use.
fn wrong(what: &str) -> (&'static str, String) {
    ("org.freedesktop.NetworkManager.Settings.Connection.InvalidProperty", what.into())
}

fn take<T: TryFrom<OwnedVariant>>(
    settings: &mut Settings,
    group: &str,
    key: &str,
) -> Result<T, (&'static str, String)> {
    let value = settings.get_mut(group).and_then(|group| group.remove(key));
    value.and_then(|value| T::try_from(value).ok()).ok_or_else(|| wrong(&format!("{group}.{key}")))
}

/// The profile of an open network that keeps its hands off the default route and the names.
fn open_profile(mut settings: Settings) -> Result<Profile, (&'static str, String)> {
    let settings = &mut settings;
    let ssid: Vec<u8> = take(settings, "802-11-wireless", "ssid")?;
    let is = |settings: &mut Settings, group: &str, key: &str, wanted: &str| {
        let value: String = take(settings, group, key)?;
        if value == wanted { Ok(()) } else { Err(wrong(key)) }
    };
    is(settings, "connection", "type", "802-11-wireless")?;
    is(settings, "802-11-wireless", "mode", "infrastructure")?;
    is(settings, "ipv4", "method", "auto")?;
    is(settings, "ipv6", "method", "ignore")?;
    let autoconnects: bool = take(settings, "connection", "autoconnect")?;
    let has_route: bool = take(settings, "ipv4", "never-default").map(|never: bool| !never)?;
    let has_names: bool = take(settings, "ipv4", "ignore-auto-dns").map(|ignored: bool| !ignored)?;
    let (id, uuid): (String, String) =
        (take(settings, "connection", "id")?, take(settings, "connection", "uuid")?);
    let left_over: Vec<_> = settings.values().flat_map(HashMap::keys).collect();
    if autoconnects || has_route || has_names || !left_over.is_empty() || uuid.len() != 36 || ssid.is_empty()
    {
        return Err(wrong(&format!("{left_over:?}")));
    }
    Ok(Profile { id, uuid, volatile: true, ssid })
}

/// Its answer to a call, or the error's name and text.
enum Answer {
    Nothing,
    Path(String),
    Paths(Vec<String>),
    Value(Variant<'static>),
    Made(String, String),
}

fn answer(
    world: &mut World,
    call: &Message,
    signals: &mut Signals,
) -> Result<Answer, (&'static str, String)> {
    let header = call.header();
    let text = |part: Option<String>| part.unwrap_or_default();
    let path = text(header.path().map(ToString::to_string));
    let interface = text(header.interface().map(ToString::to_string));
    let member = text(header.member().map(ToString::to_string));
    let client = text(header.sender().map(ToString::to_string));
    let body = call.body();
    let bad = |_| ("org.freedesktop.DBus.Error.InvalidArgs", format!("{interface}.{member}"));
    let short = interface.strip_prefix(NM).map_or(interface.as_str(), |rest| rest.trim_start_matches('.'));
    let gone = || ("org.freedesktop.DBus.Error.UnknownMethod", format!("no {interface}.{member} at {path}"));
    match (path.as_str(), short, member.as_str()) {
        (_, "org.freedesktop.DBus.Properties", "Get") => {
            let (of, name): (String, String) = body.deserialize().map_err(bad)?;
            world.property(&path, &of, &name).map(Answer::Value).ok_or_else(gone)
        }
        (ROOT, "", "GetDevices") => {
            let radio = world.setup.has_radio.then(|| RADIO.to_owned());
            Ok(Answer::Paths([WIRE.to_owned()].into_iter().chain(radio).collect()))
        }
        (RADIO, "Device.Wireless", "GetAllAccessPoints") => {
            let spot = |n: &usize| format!("{ROOT}/AccessPoint/{n}");
            Ok(Answer::Paths(world.seen_in.keys().map(spot).collect()))
        }
        (RADIO, "Device.Wireless", "RequestScan") => {
            let options: (HashMap<String, OwnedVariant>,) = body.deserialize().map_err(bad)?;
            assert!(options.0.is_empty());
            world.scan(signals);
            Ok(Answer::Nothing)
        }
        (ROOT, "", "AddAndActivateConnection2") => {
            type Arguments = (Settings, OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedVariant>);
            let (settings, radio, spot, mut options): Arguments = body.deserialize().map_err(bad)?;
            if world.setup.joining == Joining::Forbidden {
                return Err(("org.freedesktop.NetworkManager.PermissionDenied", "Not authorized.".into()));
            }
            let mut option = |name: &str| options.remove(name).and_then(|value| String::try_from(value).ok());
            let (persist, bound) = (option("persist"), option("bind-activation"));
            if persist.as_deref() != Some("volatile")
                || bound.as_deref() != Some("dbus-client")
                || !options.is_empty()
            {
                return Err(("org.freedesktop.NetworkManager.InvalidArguments", "options".into()));
            }
            let profile = open_profile(settings)?;
            let number = spot.as_str().rsplit('/').next().and_then(|n| n.parse::<usize>().ok());
            let named = number.and_then(|n| world.setup.air.get(n));
            if radio.as_str() != RADIO || named != Some(&(profile.ssid.clone(), false)) {
                return Err((
                    "org.freedesktop.NetworkManager.UnknownDevice",
                    "device or access point".into(),
                ));
            }
            world.said.push(format!("join {}", String::from_utf8_lossy(&profile.ssid)));
            let profile = world.add(profile);
            let active = world.activate(&profile, Some(client), signals);
            Ok(Answer::Made(profile, active))
        }
        (ROOT, "", "ActivateConnection") => {
            let (profile, radio, spot): (OwnedObjectPath, OwnedObjectPath, OwnedObjectPath) =
                body.deserialize().map_err(bad)?;
            let known = world.profiles.get(profile.as_str()).map(|profile| profile.id.clone());
            let Some(id) = known.filter(|_| radio.as_str() == RADIO && spot.as_str() == "/") else {
                return Err((
                    "org.freedesktop.NetworkManager.UnknownConnection",
                    "no such connection".into(),
                ));
            };
            world.said.push(format!("activate {id}"));
            Ok(Answer::Path(world.activate(profile.as_str(), None, signals)))
        }
        (ROOT, "", "DeactivateConnection") => {
            let (active,): (OwnedObjectPath,) = body.deserialize().map_err(bad)?;
            world.said.push("deactivate".into());
            if world.using.as_deref() != Some(active.as_str()) {
                return Err(("org.freedesktop.NetworkManager.ConnectionNotActive", "not active".into()));
            }
            world.end(39, 2, signals);
            Ok(Answer::Nothing)
        }
        (_, "Settings", "GetConnectionByUuid") => {
            let (uuid,): (String,) = body.deserialize().map_err(bad)?;
            let found = world.profiles.iter().find(|(_, profile)| profile.uuid == uuid);
            found.map(|(path, _)| Answer::Path(path.clone())).ok_or((
                "org.freedesktop.NetworkManager.Settings.InvalidConnection",
                "No connection with the UUID was found.".into(),
            ))
        }
        (_, "Settings.Connection", "Delete") => {
            let profile = world.profiles.get(&path).ok_or_else(gone)?;
            assert!(profile.volatile, "what others have saved is none of its business");
            world.said.push("delete".into());
            if world.using.as_ref().is_some_and(|active| world.actives[active].profile == path) {
                world.end(38, 11, signals);
            }
            world.profiles.remove(&path);
            Ok(Answer::Nothing)
        }
        _ => Err(gone()),
    }
}

async fn emit(bus: &Connection, signals: Signals) {
    for (path, interface, member, said) in signals {
        let path = path.as_str();
        let sent = match said {
            Said::Active(state, reason) => {
                bus.emit_signal(None::<&str>, path, interface, member, &(state, reason)).await
            }
            Said::Device(new, old, reason) => {
                bus.emit_signal(None::<&str>, path, interface, member, &(new, old, reason)).await
            }
            Said::LastScan(scan) => {
                let changed: HashMap<&str, Variant<'_>> = HashMap::from([("LastScan", (scan * 1000).into())]);
                let body = ("org.freedesktop.NetworkManager.Device.Wireless", changed, Vec::<String>::new());
                bus.emit_signal(None::<&str>, path, interface, member, &body).await
            }
        };
        sent.unwrap();
    }
}

async fn reply(bus: &Connection, call: &Message, answer: Result<Answer, (&'static str, String)>) {
    let header = call.header();
    let path = |path: String| OwnedObjectPath::try_from(path).unwrap();
    let sent = match answer {
        Ok(Answer::Nothing) => bus.reply(&header, &()).await,
        Ok(Answer::Path(one)) => bus.reply(&header, &path(one)).await,
        Ok(Answer::Paths(all)) => bus.reply(&header, &all.into_iter().map(path).collect::<Vec<_>>()).await,
        Ok(Answer::Value(value)) => bus.reply(&header, &value).await,
        Ok(Answer::Made(profile, active)) => {
            let more = HashMap::<String, OwnedVariant>::new();
            bus.reply(&header, &(path(profile), path(active), more)).await
        }
        Err((name, text)) => bus.reply_error(&header, name, &text).await,
    };
    sent.unwrap();
}

/// A bus of its own, with nobody on it.
pub struct Bus {
    pub address: String,
    directory: tempfile::TempDir,
    _daemon: Child,
}

impl Bus {
    /// `None` where there is no dbus-daemon, which is said; on CI there has to be one.
    pub async fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("bus.conf");
        let listen = directory.path().join("bus");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
            listen.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command.arg("--config-file").arg(config).args(["--nofork", "--nopidfile", "--print-address=1"]);
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut daemon = match spawned {
            Ok(daemon) => daemon,
            Err(error) if std::env::var_os("CI").is_none() => {
                eprintln!("skipped: dbus-daemon cannot be run: {error}");
                return None;
            }
            Err(error) => panic!("dbus-daemon cannot be run: {error}"),
        };
        let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
        let address = guarded(lines.next_line()).await.unwrap().expect("it says its address");
        Some(Self { address, directory, _daemon: daemon })
    }
}

pub struct NetworkManager {
    pub bus: Bus,
    world: Arc<Mutex<World>>,
    connection: Connection,
    changed: Arc<watch::Sender<()>>,
}

impl NetworkManager {
    pub async fn start(setup: Setup) -> Option<Self> {
        let bus = Bus::start().await?;
        assert!(bus.directory.path().exists());
        let world = Arc::new(Mutex::new(World::new(setup)));
        let connection = Builder::address(bus.address.as_str()).build().await.unwrap();
        let owners = MatchRule::builder().msg_type(Type::Signal).member("NameOwnerChanged").build().unwrap();
        let mut owners = MessageStream::for_match_rule(owners, &connection, None).await.unwrap();
        let mut calls = MessageStream::from(&connection);
        connection.request_name(NM).await.unwrap();
        let changed = Arc::new(watch::channel(()).0);
        let (of_task, on, told) = (world.clone(), connection.clone(), changed.clone());
        tokio::spawn(async move {
            loop {
                let mut signals = Vec::new();
                tokio::select! {
                    biased;
                    Some(Ok(call)) = calls.next() => {
                        if call.message_type() == Type::MethodCall {
                            let answer = answer(&mut of_task.lock().unwrap(), &call, &mut signals);
                            reply(&on, &call, answer).await;
                        }
                    }
                    Some(Ok(owner)) = owners.next() => {
                        let (name, _, new): (String, String, String) = owner.body().deserialize().unwrap();
                        let mut world = of_task.lock().unwrap();
                        let bound = world.using.as_ref().and_then(|path| world.actives[path].bound_to.clone());
                        if new.is_empty() && bound == Some(name) {
                            world.end(38, 11, &mut signals);
                            world.connect_by_itself(&mut signals);
                        }
                    }
                    else => return,
                }
                emit(&on, signals).await;
                told.send_replace(());
            }
        });
        Some(Self { bus, world, connection, changed })
    }

    /// The network goes out of the air; what is connected to it ends.
    pub async fn vanish(&self, ssid: &str) {
        let mut signals = Vec::new();
        {
            let mut world = self.world.lock().unwrap();
            let number = world.setup.air.iter().position(|(name, _)| name == ssid.as_bytes()).unwrap();
            world.seen_in.remove(&number);
            world.said.push(format!("({ssid} vanishes)"));
            let using =
                world.using.as_ref().map(|path| world.profiles[&world.actives[path].profile].ssid.clone());
            if using.as_deref() == Some(ssid.as_bytes()) {
                world.fail(53, &mut signals);
            }
        }
        emit(&self.connection, signals).await;
        self.changed.send_replace(());
    }

    /// The network is in the air again, to be found by the next scan.
    pub fn appear(&self, ssid: &str) {
        let mut world = self.world.lock().unwrap();
        let number = world.setup.air.iter().position(|(name, _)| name == ssid.as_bytes()).unwrap();
        world.seen_in.insert(number, 0);
    }

    /// What the radio is connected to.
    pub fn connected(&self) -> Option<String> {
        self.world.lock().unwrap().connected().map(str::to_owned)
    }

    /// What was asked of it, but for questions; what it did by itself in brackets.
    pub fn said(&self) -> Vec<String> {
        self.world.lock().unwrap().said.clone()
    }

    /// The same without scans: after a run there may be some, for the board's network could come back.
    pub fn did(&self) -> Vec<String> {
        self.said().into_iter().filter(|said| said != "scan").collect()
    }

    pub fn profiles(&self) -> Vec<String> {
        self.world.lock().unwrap().profiles.values().map(|profile| profile.id.clone()).collect()
    }

    /// Waits until it has been asked for so much.
    pub async fn wait_for(&self, is: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        guarded(async {
            while !is(self) {
                changed.changed().await.unwrap();
            }
        })
        .await;
    }

    /// Connected as before, and no profile left but what was there.
    #[track_caller]
    pub fn is_as_before(&self) {
        let world = self.world.lock().unwrap();
        assert_eq!(world.connected(), world.setup.before, "{:?}", world.said);
        let profiles: Vec<_> = world.profiles.values().map(|profile| profile.id.as_str()).collect();
        assert_eq!(profiles, Vec::from_iter(world.setup.before), "{:?}", world.said);
    }

    /// A way to this address that is open only while the radio is connected to a network of this name.
    pub async fn door(&self, to: SocketAddr, network: &'static str) -> Door {
        let world = self.world.clone();
        Door::new(to, move || world.lock().unwrap().connected().is_some_and(|name| name.ends_with(network)))
            .await
    }
}
