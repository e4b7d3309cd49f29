//! A simulated Photon on its access point, and credentials of every kind.

use std::{future::Future, net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use provision::{
    device::{Manner, Note, Patience, SetupDevice, SoftApPhoton, UsbPhoton},
    link::{
        discovery::{UsbTarget, lister},
        serial::SystemPorts,
    },
    model::{ClaimCode, DeviceId, Failure, Ssid, WifiAccess, WifiCredentials, WifiSecurity},
    sim::photon::{Effect, PhotonConfig, SimPhoton},
};
use serde_json::{Value, json};

pub const ID: &str = "3b0021001747353236343033";
pub const OTHER_ID: &str = "111111111111111111111111";
pub const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";
pub const PASSPHRASE: &str = "correct \"horse\" \\ bättery";

/// A throw-away key that nothing else knows.
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIATVT92vby2iZ68Hl43a+hlHHHDnTwkg/qyoDJIIRSxJoAoGCCqGSM49
AwEHoUQDQgAE9aXpexZYMl45tAUDdbmh6kqNs62kwKBamGFCC0wm4ER0MRN9VWbl
DATKwQwiG2OJyWK6dIxE+lQooSXc7MT2rA==
-----END EC PRIVATE KEY-----
";

/// What hangs is ended, so that it is seen which test it was. Nothing depends on its length.
const GUARD: Duration = Duration::from_secs(120);

pub async fn guarded<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, what).await.expect("it hangs")
}

pub fn id() -> DeviceId {
    DeviceId::parse(ID).unwrap()
}

pub fn code() -> ClaimCode {
    ClaimCode::parse(CODE).unwrap()
}

/// In setup mode, with both wires, among these networks.
pub fn among(networks: &[&str]) -> PhotonConfig {
    let anywhere = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    PhotonConfig {
        softap_http: anywhere,
        softap_tcp: anywhere,
        networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
        ..PhotonConfig::new(id())
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Wire {
    Http,
    Tcp,
}

pub const WIRES: [Wire; 2] = [Wire::Http, Wire::Tcp];

impl Wire {
    /// What `--softap` takes.
    pub fn target(self, photon: &SimPhoton) -> String {
        match self {
            Self::Http => photon.softap_http().unwrap().to_string(),
            Self::Tcp => format!("tcp://{}", photon.softap_tcp().unwrap()),
        }
    }

    pub fn device(self, photon: &SimPhoton) -> SoftApPhoton {
        device_at(&self.target(photon), Patience::default())
    }

    /// A device that has said who it is.
    pub async fn reached(self, photon: &SimPhoton) -> SoftApPhoton {
        let mut device = self.device(photon);
        guarded(device.reach(Manner::Touch, &quiet)).await.unwrap();
        device
    }
}

pub fn device_at(target: &str, patience: Patience) -> SoftApPhoton {
    SoftApPhoton::new(target.parse().unwrap(), None, patience)
}

pub fn over_usb(photon: &SimPhoton) -> UsbPhoton {
    let ports = std::sync::Arc::new(SystemPorts);
    let patience = Patience { silence: Duration::from_millis(300), ..Patience::default() };
    UsbPhoton::new(UsbTarget::Port(photon.usb()), lister(None).into(), ports, patience, None)
}

pub fn quiet(_: Note) {}

pub fn from_file(form: &Value) -> WifiCredentials {
    let no_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    WifiCredentials::from_json(&form.to_string(), no_file).unwrap()
}

pub fn open(ssid: &str) -> WifiCredentials {
    let ssid = Ssid::new(ssid).unwrap();
    WifiCredentials::new(ssid, Some(WifiSecurity::parse("NONE").unwrap()), None, WifiAccess::Open).unwrap()
}

pub fn shared(ssid: &str, security: &str, password: &str) -> WifiCredentials {
    from_file(&json!({"network": ssid, "security": security, "password": password}))
}

/// Its security is left to the device's scan.
pub fn without_security(ssid: &str, password: &str) -> WifiCredentials {
    from_file(&json!({"network": ssid, "password": password}))
}

pub fn certificate() -> String {
    let lines = STANDARD.encode([0x30, 0x03, 0x02, 0x01, 0x01]);
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

pub fn peap() -> WifiCredentials {
    from_file(&json!({
        "network": "Corp", "security": "WPA2_802.1x", "eap": "peap", "username": "ivan",
        "password": PASSPHRASE, "outer_identity": "anonymous", "root_ca": certificate(),
    }))
}

pub fn eap_tls() -> WifiCredentials {
    from_file(&json!({
        "network": "Corp", "security": "WPA2_802.1x", "eap": "tls", "client_certificate": certificate(),
        "private_key": KEY, "outer_identity": "anonymous", "root_ca": certificate(),
    }))
}

/// The key as it stands between its two lines.
pub fn key_der() -> Vec<u8> {
    let lines: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(lines).unwrap()
}

/// Secrets and all, as the recordings show them.
pub fn effects(photon: &SimPhoton) -> Vec<Value> {
    photon.effects().iter().map(|effect| serde_json::to_value(effect).unwrap()).collect()
}

/// How bytes stand in [`effects`].
pub fn latin1(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes of hex digits.
pub fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The codes that it stored, in order.
pub fn codes(photon: &SimPhoton) -> Vec<String> {
    let text = |effect: &Effect| match effect {
        Effect::ClaimCode { code, .. } => Some(latin1(&code.0)),
        _ => None,
    };
    photon.effects().iter().filter_map(text).collect()
}

/// Gives the network over this wire.
pub async fn give(photon: &SimPhoton, wire: Wire, wifi: &WifiCredentials) -> Result<(), Failure> {
    let mut device = wire.reached(photon).await;
    device.carries(wifi, None)?;
    guarded(device.set_wifi(wifi, &quiet)).await
}
