//! Getting this computer onto a Photon's own network and back, with NetworkManager over D-Bus.
//!
//! What is made for it leaves no trace: the profile is volatile, so NetworkManager forgets it once it is
//! not used any more, and its use is bound to this program's connection to the bus. So a program that is
//! killed, and cannot go back by itself, leaves that to NetworkManager, which ends what was joined and
//! connects again to what connects by itself. The profile has no default route and no DNS, for a Photon's
//! server answers every name with itself: a computer with a wire beside its Wi-Fi stays online.
//!
//! Source of the names and numbers: NetworkManager's D-Bus interface (`introspection/*.xml`) and
//! `nm-dbus-interface.h`. 1.16 or later is needed, which first binds what it activates to its client.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, Type, Variant,
    connection::Builder, fdo, message,
};

use super::softap::Joiner;
use crate::model::{Failure, FailureCode, Ssid, clean};

/// For one call; a person may have to type a password for it first (polkit).
const CALL: Duration = Duration::from_secs(60);
/// For one look around by the radio.
const SCAN: Duration = Duration::from_secs(15);
/// Between two looks around.
const REST: Duration = Duration::from_secs(3);
/// How often the radio looks around for the network before it counts as not there.
const LOOKS: u8 = 3;
/// For getting into the network and being given an address; NetworkManager gives up after 25 and 45 s.
const JOINED: Duration = Duration::from_secs(75);
/// The same, for the network of before.
const BACK: Duration = Duration::from_secs(45);
/// How long an access point may take to go away once the Photon was told to leave setup mode.
const GOES_AWAY: Duration = Duration::from_secs(10);

const SERVICE: &str = "org.freedesktop.NetworkManager";
const MANAGER: (&str, &str) = ("/org/freedesktop/NetworkManager", SERVICE);
const SETTINGS: (&str, &str) =
    ("/org/freedesktop/NetworkManager/Settings", "org.freedesktop.NetworkManager.Settings");
const PROFILE: &str = "org.freedesktop.NetworkManager.Settings.Connection";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
const ACCESS_POINT: &str = "org.freedesktop.NetworkManager.AccessPoint";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";

/// `NM_DEVICE_TYPE_WIFI`.
const WIFI: u32 = 2;
/// `NM_DEVICE_STATE_DISCONNECTED`: what is below cannot be used.
const DISCONNECTED: u32 = 30;
/// `NM_DEVICE_STATE_FAILED`.
const FAILED: u32 = 120;
/// `NM_802_11_AP_FLAGS_PRIVACY`.
const PRIVACY: u32 = 1;
/// `NM_ACTIVE_CONNECTION_STATE_ACTIVATED`; before it come unknown and activating.
const ACTIVATED: u32 = 2;

/// A network without a password that this computer sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenNetwork {
    /// Its name.
    pub ssid: Ssid,
    /// How strong it is, in percent.
    pub strength: u8,
}

/// The networks without a password that this computer's Wi-Fi (or this interface of it) sees now, the
/// strongest first, each name once.
///
/// # Errors
/// `NoNetworkManager`, `NoWifi`, `JoinForbidden`.
pub async fn open_networks(interface: Option<&str>) -> Result<Vec<OpenNetwork>, Failure> {
    let bus = Bus::open().await?;
    let radios = bus.radios(interface).await?;
    bus.scan(&radios).await;
    let mut seen: Vec<OpenNetwork> = Vec::new();
    for radio in &radios {
        for spot in bus.spots(radio).await.into_iter().filter(|spot| spot.open) {
            if let Ok(ssid) = Ssid::new(&spot.ssid) {
                seen.push(OpenNetwork { ssid, strength: spot.strength });
            }
        }
    }
    seen.sort_by_key(|network| std::cmp::Reverse(network.strength));
    let mut named = Vec::<OpenNetwork>::new();
    for network in seen {
        if named.iter().all(|other| other.ssid != network.ssid) {
            named.push(network);
        }
    }
    Ok(named)
}

/// One network to join, by way of NetworkManager.
pub struct NetworkManager {
    network: Ssid,
    interface: Option<String>,
    away: Option<Away>,
    /// Where the network was joined.
    radio: Option<OwnedObjectPath>,
}

/// What there is to go back from.
struct Away {
    /// When it goes, what was joined goes with it.
    bus: Bus,
    radio: OwnedObjectPath,
    /// What the radio was connected to.
    before: Option<Connected>,
    /// Of the profile that was made.
    uuid: String,
    /// Once it is known.
    active: Option<OwnedObjectPath>,
    /// From before it was joined.
    news: News,
}

/// What a radio is connected to.
struct Connected {
    active: OwnedObjectPath,
    profile: OwnedObjectPath,
    name: String,
}

impl NetworkManager {
    /// Nothing is asked yet. Without an interface, the one that sees the network is taken.
    pub fn new(network: Ssid, interface: Option<String>) -> Self {
        Self { network, interface, away: None, radio: None }
    }

    /// The radio that sees the network, best one that is free, and where it sees it.
    async fn find(&self, bus: &Bus) -> Result<(OwnedObjectPath, OwnedObjectPath), Failure> {
        let mut looks = 0;
        let radios = bus.radios(self.interface.as_deref()).await?;
        loop {
            let mut seen = Vec::new();
            for radio in &radios {
                let free = bus.connected(radio).await.is_none();
                let spots = bus.spots(radio).await.into_iter();
                let ours = spots.filter(|spot| spot.ssid == self.network.as_bytes());
                seen.extend(ours.map(|spot| ((spot.open, free, spot.strength), radio, spot.path)));
            }
            match seen.into_iter().max_by_key(|(rank, ..)| *rank) {
                Some(((true, ..), radio, path)) => return Ok((radio.clone(), path)),
                Some(_) => {
                    let detail =
                        format!("{} asks for a password, and a Photon's network has none", self.network);
                    return Err(Failure::new(FailureCode::JoinRefused, detail));
                }
                None if looks == LOOKS => {
                    let detail = format!("this computer does not see the network {}", self.network);
                    return Err(Failure::new(FailureCode::NetworkNotSeen, detail));
                }
                None => {
                    looks += 1;
                    bus.scan(&radios).await;
                }
            }
        }
    }

    /// What NetworkManager shall connect to, and keep nothing of.
    fn profile(&self, uuid: &str) -> HashMap<&'static str, HashMap<&'static str, Variant<'static>>> {
        let name = format!("provision: {}", self.network);
        HashMap::from([
            (
                "connection",
                HashMap::from([
                    ("id", name.into()),
                    ("uuid", uuid.to_owned().into()),
                    ("type", "802-11-wireless".into()),
                    ("autoconnect", false.into()),
                ]),
            ),
            (
                "802-11-wireless",
                HashMap::from([
                    ("ssid", self.network.as_bytes().to_vec().into()),
                    ("mode", "infrastructure".into()),
                ]),
            ),
            (
                "ipv4",
                HashMap::from([
                    ("method", "auto".into()),
                    ("never-default", true.into()),
                    ("ignore-auto-dns", true.into()),
                ]),
            ),
            ("ipv6", HashMap::from([("method", "ignore".into())])),
        ])
    }
}

#[async_trait]
impl Joiner for NetworkManager {
    fn network(&self) -> &Ssid {
        &self.network
    }

    fn is_away(&self) -> bool {
        self.away.is_some()
    }

    async fn join(&mut self) -> Result<(), Failure> {
        let bus = Bus::open().await?;
        let (radio, spot) = self.find(&bus).await?;
        self.radio = Some(radio.clone());
        let before = bus.connected(&radio).await;
        // Known before NetworkManager knows it: whatever becomes of the call, it can be undone.
        let uuid = some_uuid();
        let profile = self.profile(&uuid);
        let news = bus.news(&radio).await?;
        let away = self.away.insert(Away { bus, radio, before, uuid, active: None, news });
        // Volatile: not on disk, and gone once it is not used. Bound: not used any more once we are gone.
        let options: HashMap<_, Variant<'_>> =
            HashMap::from([("persist", "volatile".into()), ("bind-activation", "dbus-client".into())]);
        let arguments = (profile, &away.radio, &spot, options);
        type Answer = (OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedVariant>);
        let (_, active, _): Answer = away
            .bus
            .call(MANAGER, "AddAndActivateConnection2", &arguments)
            .await
            .map_err(|e| refused(e, "join"))?;
        let active = away.active.insert(active);
        away.bus.activated(&mut away.news, active, JOINED).await.map_err(|why| {
            let detail = format!("{} could not be joined: {why}", self.network);
            let vanished = why == Stopped::Reason(SSID_NOT_FOUND);
            let code = if vanished { FailureCode::NetworkNotSeen } else { FailureCode::JoinRefused };
            Failure::new(code, detail)
        })
    }

    async fn lost(&mut self) -> Failure {
        let why = match &mut self.away {
            Some(Away { bus, news, active: Some(active), .. }) => bus.over(news, active).await,
            // Nothing was joined, so nothing can be lost.
            _ => std::future::pending().await,
        };
        Failure::new(FailureCode::NetworkLost, format!("{} was lost: {why}", self.network))
    }

    async fn go_back(&mut self) -> Result<String, Failure> {
        let Some(away) = &self.away else { return Ok(String::new()) };
        let gone_back = away.go_back().await;
        // Whatever could not be undone ends with the connection to the bus.
        self.away = None;
        gone_back
    }

    async fn comes_back(&mut self) {
        let (Ok(bus), Some(radio)) = (Bus::open().await, &self.radio) else {
            return std::future::pending().await;
        };
        let gone_by = Instant::now() + GOES_AWAY;
        let mut gone = false;
        let mut before = bus.last_scan(radio).await;
        loop {
            bus.scan(std::slice::from_ref(radio)).await;
            let now = bus.last_scan(radio).await;
            if now > before {
                let mut spots = bus.spots(radio).await.into_iter();
                // NetworkManager goes on to list for a while what a scan does not find any more.
                let seen = spots.any(|s| s.ssid == self.network.as_bytes() && s.last_seen_ms() > before);
                match seen {
                    true if gone || Instant::now() >= gone_by => return,
                    true => {}
                    false => gone = true,
                }
                before = now;
            }
            sleep(REST).await;
        }
    }
}

impl Away {
    async fn go_back(&self) -> Result<String, Failure> {
        let gone_back = match &self.before {
            Some(before) => self.connect_again(before).await,
            None => self.disconnect().await,
        };
        // Gone by itself, unless something came in between.
        if let Ok(profile) =
            self.bus.call::<OwnedObjectPath>(SETTINGS, "GetConnectionByUuid", &(&self.uuid,)).await
        {
            let deleted = self.bus.call::<()>((profile.as_str(), PROFILE), "Delete", &()).await;
            debug!(?deleted, "the profile that was made");
        }
        gone_back
    }

    async fn connect_again(&self, before: &Connected) -> Result<String, Failure> {
        let Connected { name, profile, .. } = before;
        let failed = |why: String| {
            Failure::new(
                FailureCode::JoinRefused,
                format!("this computer could not go back to {name}: {why}"),
            )
        };
        let mut news = self.bus.news(&self.radio).await?;
        let active = match self.bus.connected(&self.radio).await {
            // The Photon's network went away, and NetworkManager has done it already.
            Some(now) if now.profile == *profile => now.active,
            _ => {
                let nothing = OwnedObjectPath::default();
                let arguments = (profile, &self.radio, nothing);
                let active = self.bus.call(MANAGER, "ActivateConnection", &arguments).await;
                active.map_err(|e| failed(clean(&e.to_string())))?
            }
        };
        self.bus.activated(&mut news, &active, BACK).await.map_err(|why| failed(why.to_string()))?;
        Ok(name.clone())
    }

    async fn disconnect(&self) -> Result<String, Failure> {
        if let Some(active) = &self.active {
            let ended = self.bus.call::<()>(MANAGER, "DeactivateConnection", &(active,)).await;
            // It may be over already, and that is as good.
            debug!(?ended, "the connection that was made");
        }
        Ok("no network, as before".into())
    }
}

/// An access point that a radio sees.
struct Spot {
    path: OwnedObjectPath,
    ssid: Vec<u8>,
    open: bool,
    strength: u8,
    /// In seconds of the same clock as a radio's last scan.
    last_seen: i32,
}

impl Spot {
    fn last_seen_ms(&self) -> i64 {
        i64::from(self.last_seen) * 1000
    }
}

/// NetworkManager, on the system's bus.
struct Bus(Connection);

impl Bus {
    async fn open() -> Result<Self, Failure> {
        let absent = |what: &str| Failure::new(FailureCode::NoNetworkManager, what);
        let bus = Builder::system().method_timeout(CALL).build().await;
        let bus = Self(bus.map_err(|e| absent("the system's D-Bus cannot be reached").because(e))?);
        match bus.get::<bool>(MANAGER, "WirelessEnabled").await {
            Ok(true) => Ok(bus),
            Ok(false) => Err(Failure::new(FailureCode::NoWifi, "this computer's Wi-Fi is switched off")),
            Err(error) if is_forbidden(&error) => Err(refused(error, "be asked")),
            Err(error) => Err(absent("NetworkManager does not answer on this computer").because(error)),
        }
    }

    async fn call<T: DeserializeOwned + Type>(
        &self,
        (path, interface): (&str, &str),
        method: &'static str,
        body: &(impl serde::Serialize + zbus::DynamicType),
    ) -> zbus::Result<T> {
        self.0.call_method(Some(SERVICE), path, Some(interface), method, body).await?.body().deserialize()
    }

    async fn get<T: TryFrom<OwnedVariant, Error = zbus::Error>>(
        &self,
        (path, interface): (&str, &str),
        property: &'static str,
    ) -> zbus::Result<T> {
        let arguments = (interface, property);
        let properties = (path, "org.freedesktop.DBus.Properties");
        self.call::<OwnedVariant>(properties, "Get", &arguments).await?.try_into()
    }

    /// Signals of this name, of whatever object, from now on.
    async fn signals(&self, member: &'static str) -> zbus::Result<MessageStream> {
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).sender(SERVICE).member(member).build()?;
        // Answers come behind signals, which nobody may have read yet, so there has to be room for these.
        MessageStream::for_match_rule(rule, &self.0, NonZeroUsize::new(4096)).await
    }

    async fn news(&self, radio: &OwnedObjectPath) -> Result<News, Failure> {
        let signals = self.signals("StateChanged").await.map_err(|error| {
            let detail = "NetworkManager cannot be listened to";
            Failure::new(FailureCode::NoNetworkManager, detail).because(error)
        })?;
        Ok(News { signals, radio: radio.clone(), failed: None })
    }

    /// The Wi-Fi devices that can be used.
    async fn radios(&self, interface: Option<&str>) -> Result<Vec<OwnedObjectPath>, Failure> {
        let devices: Vec<OwnedObjectPath> =
            self.call(MANAGER, "GetDevices", &()).await.map_err(|e| refused(e, "be asked"))?;
        let mut radios = Vec::new();
        for device in devices {
            let of = (device.as_str(), DEVICE);
            let usable = self.get(of, "DeviceType").await.ok() == Some(WIFI)
                && self.get::<u32>(of, "State").await.is_ok_and(|state| state >= DISCONNECTED);
            let name = self.get::<String>(of, "Interface").await.unwrap_or_default();
            if usable && interface.is_none_or(|wanted| wanted == name) {
                radios.push(device);
            }
        }
        match (radios.is_empty(), interface) {
            (false, _) => Ok(radios),
            (true, None) => Err(Failure::new(
                FailureCode::NoWifi,
                "this computer has no Wi-Fi that NetworkManager manages",
            )),
            (true, Some(name)) => Err(Failure::new(
                FailureCode::NoWifi,
                format!("{name} is no Wi-Fi of this computer that NetworkManager manages"),
            )),
        }
    }

    /// What a radio is connected to, or is about to be.
    async fn connected(&self, radio: &OwnedObjectPath) -> Option<Connected> {
        let active: OwnedObjectPath = self.get((radio.as_str(), DEVICE), "ActiveConnection").await.ok()?;
        let of = (active.as_str(), ACTIVE);
        let profile = self.get(of, "Connection").await.ok()?;
        let name = clean(&self.get::<String>(of, "Id").await.ok()?);
        Some(Connected { active, profile, name })
    }

    async fn spots(&self, radio: &OwnedObjectPath) -> Vec<Spot> {
        let all =
            self.call::<Vec<OwnedObjectPath>>((radio.as_str(), WIRELESS), "GetAllAccessPoints", &()).await;
        let mut spots = Vec::new();
        for path in all.unwrap_or_default() {
            // One that has gone meanwhile is none.
            if let Ok(spot) = self.spot(path).await {
                spots.push(spot);
            }
        }
        spots
    }

    async fn spot(&self, path: OwnedObjectPath) -> zbus::Result<Spot> {
        let of = (path.as_str(), ACCESS_POINT);
        let mut secured = self.get::<u32>(of, "Flags").await? & PRIVACY;
        for kind in ["WpaFlags", "RsnFlags"] {
            secured |= self.get::<u32>(of, kind).await?;
        }
        let ssid = self.get(of, "Ssid").await?;
        let strength = self.get(of, "Strength").await?;
        let last_seen = self.get(of, "LastSeen").await?;
        Ok(Spot { path, ssid, open: secured == 0, strength, last_seen })
    }

    /// When a radio last ended a scan, in milliseconds; -1 if never.
    async fn last_scan(&self, radio: &OwnedObjectPath) -> i64 {
        self.get((radio.as_str(), WIRELESS), "LastScan").await.unwrap_or(-1)
    }

    /// Lets radios look around. What they cannot or may not do is left undone.
    async fn scan(&self, radios: &[OwnedObjectPath]) {
        let until = Instant::now() + SCAN;
        let Ok(mut signals) = self.signals("PropertiesChanged").await else { return };
        for radio in radios {
            let before = self.last_scan(radio).await;
            let options = HashMap::<&str, Variant<'_>>::new();
            let asked = self.call::<()>((radio.as_str(), WIRELESS), "RequestScan", &(options,)).await;
            debug!(?asked, %radio, "scan");
            while self.last_scan(radio).await == before {
                if !matches!(timeout_at(until, signals.next()).await, Ok(Some(_))) {
                    break;
                }
            }
        }
    }

    /// Ends well when this connection is up.
    async fn activated(
        &self,
        news: &mut News,
        active: &OwnedObjectPath,
        allowed: Duration,
    ) -> Result<(), Stopped> {
        let until = Instant::now() + allowed;
        loop {
            match self.state(active).await {
                Some(ACTIVATED) => return Ok(()),
                Some(before) if before < ACTIVATED => {}
                _ => return Err(news.why()),
            }
            match timeout_at(until, news.next()).await {
                Ok(true) => {}
                Ok(false) => return Err(Stopped::NoBus),
                Err(_) => return Err(Stopped::Late),
            }
        }
    }

    /// Ends when this connection, which is up, is not any more.
    async fn over(&self, news: &mut News, active: &OwnedObjectPath) -> Stopped {
        while self.state(active).await == Some(ACTIVATED) {
            if !news.next().await {
                return Stopped::NoBus;
            }
        }
        news.why()
    }

    /// A connection that has ended is soon no object any more.
    async fn state(&self, active: &OwnedObjectPath) -> Option<u32> {
        self.get((active.as_str(), ACTIVE), "State").await.ok()
    }
}

/// What NetworkManager tells of a radio. That something has changed is reason enough to look again; only
/// why the radio has failed cannot be asked for afterwards.
struct News {
    signals: MessageStream,
    radio: OwnedObjectPath,
    failed: Option<u32>,
}

impl News {
    /// Waits until something has changed; not so, if nobody will tell any more.
    async fn next(&mut self) -> bool {
        match self.signals.next().await {
            Some(said) => self.heed(said),
            None => return false,
        }
        true
    }

    /// Why the connection is over that was just seen to be. That was said before.
    fn why(&mut self) -> Stopped {
        while let Some(Some(said)) = self.signals.next().now_or_never() {
            self.heed(said);
        }
        self.failed.map_or(Stopped::Untold, Stopped::Reason)
    }

    fn heed(&mut self, said: zbus::Result<Message>) {
        let Ok(said) = said else { return };
        let of_radio = said.header().path().is_some_and(|path| path.as_str() == self.radio.as_str());
        if let Ok((FAILED, _, reason)) = said.body().deserialize::<(u32, u32, u32)>()
            && of_radio
        {
            self.failed.get_or_insert(reason);
        }
    }
}

/// Why a connection did not come about, or did not last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// `NMDeviceStateReason`.
    Reason(u32),
    Untold,
    Late,
    NoBus,
}

/// `NM_DEVICE_STATE_REASON_SSID_NOT_FOUND`.
const SSID_NOT_FOUND: u32 = 53;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reason(5 | 6 | 15..=17) => "it gave this computer no address",
            Self::Reason(7) => "it asks for a password",
            Self::Reason(8..=11) => "the radio could not get into it, or was put out again",
            Self::Reason(SSID_NOT_FOUND) => "it went out of the air",
            Self::Reason(number) => return write!(f, "NetworkManager gives the reason {number}"),
            Self::Untold => "NetworkManager ended the connection, or another program did",
            Self::Late => "it took too long",
            Self::NoBus => "NetworkManager does not answer any more",
        })
    }
}

fn is_forbidden(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::MethodError(name, ..) => name.as_str().ends_with(".PermissionDenied"),
        zbus::Error::FDO(error) => matches!(**error, fdo::Error::AccessDenied(_) | fdo::Error::AuthFailed(_)),
        _ => false,
    }
}

/// What NetworkManager says instead of doing what it was told.
fn refused(error: zbus::Error, what: &str) -> Failure {
    let (code, detail) = match &error {
        error if is_forbidden(error) => {
            (FailureCode::JoinForbidden, format!("NetworkManager does not let this user {what}"))
        }
        zbus::Error::FDO(unknown) if matches!(**unknown, fdo::Error::UnknownMethod(_)) => {
            (FailureCode::NoNetworkManager, "NetworkManager is older than 1.16".to_owned())
        }
        _ => (FailureCode::JoinRefused, "NetworkManager refuses to connect".to_owned()),
    };
    Failure::new(code, detail).because(error)
}

/// A random one (version 4), by which the profile is found again.
fn some_uuid() -> String {
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_a_random_one() {
        let uuid = some_uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        assert_ne!(uuid, some_uuid());
    }

    #[test]
    fn the_name_goes_into_the_profile_byte_for_byte() {
        let profile = NetworkManager::new(Ssid::new(b"Photon-\xff").unwrap(), None).profile("x");
        assert_eq!(profile["802-11-wireless"]["ssid"], Variant::from(b"Photon-\xff".to_vec()));
        assert_eq!(profile["connection"]["id"], Variant::from("provision: Photon-\u{fffd}"));
    }
}
