use std::{fmt, io, path::Path, str::FromStr};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Certificates, Invalid, PrivateKey, clean, guard};

/// The name of a network: 1 to 32 bytes, of any kind, as they go over the air (IEEE 802.11).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ssid(Box<[u8]>);

impl Ssid {
    /// Takes text or raw bytes, as they are.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        match name.as_ref() {
            bytes @ [_, ..] if bytes.len() <= 32 => Ok(Self(bytes.into())),
            bytes => {
                Err(Invalid { what: "an SSID", why: format!("has 1 to 32 bytes, this has {}", bytes.len()) })
            }
        }
    }

    /// The bytes on the air.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Ssid {
    /// Made safe to show; bytes that are not UTF-8 show as `�`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&String::from_utf8_lossy(&self.0)))
    }
}

impl fmt::Debug for Ssid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssid({self})")
    }
}

/// How a network is secured, by the names that Particle's own CLI uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum WifiSecurity {
    Open,
    Wep,
    WpaTkip,
    WpaAes,
    WpaAesTkip,
    Wpa2Aes,
    Wpa2Tkip,
    Wpa2AesTkip,
    WpaEnterprise,
    Wpa2Enterprise,
}

// The flags of `wiced_security_t`, of which SoftAP's `sec` is one.
const WEP: u32 = 0x1;
const TKIP: u32 = 0x2;
const AES: u32 = 0x4;
const SHARED: u32 = 0x8000;
const WPA: u32 = 0x0020_0000;
const WPA2: u32 = 0x0040_0000;
const ENTERPRISE: u32 = 0x0200_0000;

impl WifiSecurity {
    /// Each with its name and its number on SoftAP. An enterprise network's cipher has no name here
    /// and the device takes it from its scan, so AES stands for any.
    const ALL: [(Self, &'static str, u32); 10] = [
        (Self::Open, "NONE", 0),
        (Self::Wep, "WEP", WEP),
        (Self::WpaTkip, "WPA_TKIP", WPA | TKIP),
        (Self::WpaAes, "WPA_AES", WPA | AES),
        (Self::WpaAesTkip, "WPA_AES+TKIP", WPA | AES | TKIP),
        (Self::Wpa2Aes, "WPA2_AES", WPA2 | AES),
        (Self::Wpa2Tkip, "WPA2_TKIP", WPA2 | TKIP),
        (Self::Wpa2AesTkip, "WPA2_AES+TKIP", WPA2 | AES | TKIP),
        (Self::WpaEnterprise, "WPA_802.1x", ENTERPRISE | WPA | AES),
        (Self::Wpa2Enterprise, "WPA2_802.1x", ENTERPRISE | WPA2 | AES),
    ];

    fn row(self) -> (Self, &'static str, u32) {
        Self::ALL[self as usize]
    }

    /// Takes a name in either case.
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        let row = Self::ALL.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
        row.map(|row| row.0).ok_or_else(|| Invalid {
            what: "a security",
            why: format!("is one of {}", Self::ALL.map(|row| row.1).join(", ")),
        })
    }

    /// The number that SoftAP's `configure-ap` takes as `sec`.
    pub fn sec(self) -> u32 {
        self.row().2
    }

    /// From the `sec` of SoftAP's `scan-ap`; `None` for what no `WifiSecurity` names.
    pub fn from_sec(sec: u32) -> Option<Self> {
        let has = |flag| sec & flag != 0;
        match sec {
            0 => Some(Self::Open),
            _ if sec & !(WEP | TKIP | AES | SHARED | WPA | WPA2 | ENTERPRISE) != 0 => None,
            _ if has(WEP) => Some(Self::Wep),
            // Where a network offers both, the better one is meant.
            _ if has(ENTERPRISE) && has(WPA2) => Some(Self::Wpa2Enterprise),
            _ if has(ENTERPRISE) && has(WPA) => Some(Self::WpaEnterprise),
            _ if has(WPA2) => Self::exactly(WPA2 | sec & (AES | TKIP)),
            _ => Self::exactly(sec),
        }
    }

    fn exactly(sec: u32) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == sec).map(|row| row.0)
    }

    /// The answer to the console's `Security 0=unsecured, …` (`system_setup.cpp`).
    pub fn console_answer(self) -> u8 {
        match self {
            Self::Open => b'0',
            Self::Wep => b'1',
            Self::WpaTkip | Self::WpaAes | Self::WpaAesTkip => b'2',
            Self::Wpa2Aes | Self::Wpa2Tkip | Self::Wpa2AesTkip => b'3',
            Self::WpaEnterprise => b'4',
            Self::Wpa2Enterprise => b'5',
        }
    }

    /// The answer to the console's `Security Cipher 1=AES, …`, which it asks of open networks too.
    pub fn console_cipher(self) -> u8 {
        match self {
            Self::WpaTkip | Self::Wpa2Tkip => b'2',
            Self::WpaAesTkip | Self::Wpa2AesTkip => b'3',
            _ => b'1',
        }
    }

    /// Whether it needs a user or a certificate, not a shared pass phrase.
    pub fn is_enterprise(self) -> bool {
        matches!(self, Self::WpaEnterprise | Self::Wpa2Enterprise)
    }
}

impl fmt::Display for WifiSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

impl FromStr for WifiSecurity {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        Self::parse(name)
    }
}

/// A pass phrase, a WEP key or a PEAP password: bytes of any kind, at least one (the console saves an
/// empty password as `1`). Cannot be printed; [`Passphrase::expose`] is the one way to it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Box<[u8]>>);

impl Passphrase {
    /// Takes text or raw bytes, as they are. How long it may be depends on the network.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let bytes = secret.as_ref();
        if bytes.is_empty() {
            return Err(Invalid { what: "a password", why: "cannot be empty".into() });
        }
        guard(bytes);
        Ok(Self(Zeroizing::new(bytes.into())))
    }

    /// The bytes, for the wire to the device.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase([redacted])")
    }
}

/// How one gets into a WPA or WPA2 enterprise network.
#[derive(Debug, Clone)]
pub enum Enterprise {
    /// PEAP with MSCHAPv2.
    Peap {
        /// The inner identity.
        username: String,
        /// The user's password.
        password: Passphrase,
        /// What is said before the tunnel stands, if not nothing.
        outer_identity: Option<String>,
        /// Whom to trust, if not everybody.
        root_ca: Option<Certificates>,
    },
    /// EAP-TLS.
    Tls {
        /// The client's certificate, with those between it and the root.
        client_certificate: Certificates,
        /// The client's private key.
        private_key: PrivateKey,
        /// What is said before the tunnel stands, if not nothing.
        outer_identity: Option<String>,
        /// Whom to trust, if not everybody.
        root_ca: Option<Certificates>,
    },
}

/// What opens a network.
#[derive(Debug, Clone)]
pub enum WifiAccess {
    /// Nothing.
    Open,
    /// The shared pass phrase of WPA or WPA2, or a WEP key.
    Shared(Passphrase),
    /// A user's or a machine's own credentials.
    Enterprise(Box<Enterprise>),
}

/// A network and what opens it; the two go together, or this cannot be built.
#[derive(Debug, Clone)]
pub struct WifiCredentials {
    ssid: Ssid,
    security: Option<WifiSecurity>,
    channel: Option<u8>,
    access: WifiAccess,
}

impl WifiCredentials {
    /// With no security: it is to be taken from the device's own scan.
    pub fn new(
        ssid: Ssid,
        security: Option<WifiSecurity>,
        channel: Option<u8>,
        access: WifiAccess,
    ) -> Result<Self, Invalid> {
        let fits = match (security, &access) {
            (None, _) => Ok(()),
            (Some(WifiSecurity::Open), WifiAccess::Open) => Ok(()),
            (Some(WifiSecurity::Open), _) => Err("needs no password"),
            (Some(s), WifiAccess::Enterprise(_)) if s.is_enterprise() => Ok(()),
            (Some(s), _) if s.is_enterprise() => Err("needs `eap`, and what goes with it"),
            (Some(_), WifiAccess::Shared(_)) => Ok(()),
            (Some(_), _) => Err("needs a password, and no more"),
        };
        match (fits, security) {
            (Err(why), Some(security)) => {
                Err(Invalid { what: "a network's access", why: format!("does not fit: {security} {why}") })
            }
            _ => Ok(Self { ssid, security, channel, access }),
        }
    }

    /// The network's name.
    pub fn ssid(&self) -> &Ssid {
        &self.ssid
    }

    /// Its security, where that was said.
    pub fn security(&self) -> Option<WifiSecurity> {
        self.security
    }

    /// Its channel, where that was said. It hardly matters.
    pub fn channel(&self) -> Option<u8> {
        self.channel
    }

    /// What opens it.
    pub fn access(&self) -> &WifiAccess {
        &self.access
    }

    /// Whether anything in it is secret, and so has to be sealed on SoftAP.
    pub fn has_secret(&self) -> bool {
        !matches!(self.access, WifiAccess::Open)
    }

    /// Whether a private key is part of it.
    pub fn has_private_key(&self) -> bool {
        matches!(&self.access, WifiAccess::Enterprise(kind) if matches!(**kind, Enterprise::Tls { .. }))
    }

    /// In the form that [`Self::from_json`] reads, with certificates and keys in it. Secret. A channel has
    /// no place in that form. Passwords that are no UTF-8 cannot come from a file, and do not get here.
    pub fn to_json(&self) -> Value {
        let mut keys = Map::new();
        let mut put = |key: &str, value: &str| {
            keys.insert(key.into(), value.into());
        };
        let text = |secret: &Passphrase| String::from_utf8_lossy(secret.expose()).into_owned();
        match std::str::from_utf8(self.ssid.as_bytes()) {
            Ok(name) => put("network", name),
            Err(_) => put("network_hex", &base16ct::lower::encode_string(self.ssid.as_bytes())),
        }
        if let Some(security) = self.security {
            put("security", &security.to_string());
        }
        match &self.access {
            WifiAccess::Open => {}
            WifiAccess::Shared(passphrase) => put("password", &text(passphrase)),
            WifiAccess::Enterprise(enterprise) => {
                let (outer_identity, root_ca) = match &**enterprise {
                    Enterprise::Peap { username, password, outer_identity, root_ca } => {
                        put("eap", "peap");
                        put("username", username);
                        put("password", &text(password));
                        (outer_identity, root_ca)
                    }
                    Enterprise::Tls { client_certificate, private_key, outer_identity, root_ca } => {
                        put("eap", "tls");
                        put("client_certificate", client_certificate.pem());
                        put("private_key", &private_key.pem());
                        (outer_identity, root_ca)
                    }
                };
                if let Some(identity) = outer_identity {
                    put("outer_identity", identity);
                }
                if let Some(certificates) = root_ca {
                    put("root_ca", certificates.pem());
                }
            }
        }
        Value::Object(keys)
    }

    /// The same with what was left out taken from the device's scan: from the strongest network of
    /// this name that the credentials can open. Of credentials that already say their security only
    /// the channel may be missing, and may stay so.
    pub fn completed(&self, scan: &[ScannedNetwork]) -> Result<Self, Invalid> {
        let mut seen: Vec<_> = scan.iter().filter(|n| n.ssid == self.ssid).collect();
        seen.sort_by_key(|network| std::cmp::Reverse(network.rssi));
        if self.security.is_some() {
            let same = seen.iter().find(|network| network.security == self.security);
            let channel = self.channel.or(same.and_then(|network| network.channel));
            return Ok(Self { channel, ..self.clone() });
        }
        let invalid = |why: &str| Invalid { what: "the network's security", why: why.into() };
        let mut refusal = invalid("has to be said: the device does not see the network");
        for network in seen {
            let Some(security) = network.security else {
                refusal = invalid("has to be said: the device sees a kind of network that has no name here");
                continue;
            };
            let channel = self.channel.or(network.channel);
            match Self::new(self.ssid.clone(), Some(security), channel, self.access.clone()) {
                Ok(completed) => return Ok(completed),
                Err(mismatch) => refusal = mismatch,
            }
        }
        Err(refusal)
    }

    /// Reads the JSON form of Particle's own CLI: `network`, `security`, `password`; for enterprise
    /// networks `eap` (`peap` or `tls`), `username`, `outer_identity`, `client_certificate`,
    /// `private_key`, `root_ca`. A name that is no UTF-8 is `network_hex` in place of `network`, in hexadecimal
    /// digits, which only this program knows. The last three are PEM text, or the path of a file that `read` reads.
    /// A key that is not known, or of no use with the others, is an error; no error holds a value.
    pub fn from_json(text: &str, read: impl Fn(&Path) -> io::Result<String>) -> Result<Self, Invalid> {
        let keys: Map<String, Value> = serde_json::from_str(text).map_err(|e| {
            let place = format!("is a JSON object (see line {}, column {})", e.line(), e.column());
            Invalid { what: FILE, why: place }
        })?;
        let mut form = Form { keys, read };
        let ssid = match form.text("network_hex")? {
            Some(digits) => Ssid::new(base16ct::mixed::decode_vec(&*digits).map_err(|_| Invalid {
                what: "`network_hex`",
                why: "has two hexadecimal digits for each byte of the network's name".into(),
            })?)?,
            None => Ssid::new(&*form.need("network")?)?,
        };
        let security = form.text("security")?.map(|name| WifiSecurity::parse(&name)).transpose()?;
        let access = match form.text("eap")?.map(|eap| eap.to_ascii_lowercase()).as_deref() {
            Some("peap") => WifiAccess::Enterprise(Box::new(Enterprise::Peap {
                username: form.need("username")?.to_string(),
                password: Passphrase::new(&*form.need("password")?)?,
                outer_identity: form.text("outer_identity")?.map(|text| text.to_string()),
                root_ca: form.pem("root_ca")?.map(|pem| Certificates::parse(&pem)).transpose()?,
            })),
            Some("tls") => WifiAccess::Enterprise(Box::new(Enterprise::Tls {
                client_certificate: Certificates::parse(&form.need_pem("client_certificate")?)?,
                private_key: PrivateKey::parse(&form.need_pem("private_key")?)?,
                outer_identity: form.text("outer_identity")?.map(|text| text.to_string()),
                root_ca: form.pem("root_ca")?.map(|pem| Certificates::parse(&pem)).transpose()?,
            })),
            Some(_) => return Err(Invalid { what: "`eap`", why: "is `peap` or `tls`".into() }),
            None => match form.text("password")? {
                Some(password) => WifiAccess::Shared(Passphrase::new(&*password)?),
                None => WifiAccess::Open,
            },
        };
        form.end()?;
        Self::new(ssid, security, None, access)
    }
}

const FILE: &str = "a Wi-Fi file";

/// The JSON object, taken apart key by key. Values are moved out, so that no copy stays behind.
struct Form<R> {
    keys: Map<String, Value>,
    read: R,
}

impl<R: Fn(&Path) -> io::Result<String>> Form<R> {
    const KNOWN: [&str; 10] = [
        "network",
        "network_hex",
        "security",
        "password",
        "eap",
        "username",
        "outer_identity",
        "client_certificate",
        "private_key",
        "root_ca",
    ];

    /// An empty text counts as none.
    fn text(&mut self, key: &str) -> Result<Option<Zeroizing<String>>, Invalid> {
        match self.keys.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Zeroizing::new(text)).filter(|text| !text.is_empty())),
            Some(_) => Err(Invalid { what: FILE, why: format!("has text in quotes as `{key}`") }),
        }
    }

    fn need(&mut self, key: &str) -> Result<Zeroizing<String>, Invalid> {
        self.text(key)?.ok_or_else(|| missing(key))
    }

    fn pem(&mut self, key: &str) -> Result<Option<Zeroizing<String>>, Invalid> {
        match self.text(key)? {
            Some(path) if !path.contains("-----BEGIN") => {
                let text = (self.read)(Path::new(&*path)).map_err(|e| Invalid {
                    what: FILE,
                    why: format!("names a `{key}` that cannot be read: {}", e.kind()),
                })?;
                Ok(Some(Zeroizing::new(text)))
            }
            text => Ok(text),
        }
    }

    fn need_pem(&mut self, key: &str) -> Result<Zeroizing<String>, Invalid> {
        self.pem(key)?.ok_or_else(|| missing(key))
    }

    fn end(self) -> Result<(), Invalid> {
        let Some(key) = self.keys.keys().next() else { return Ok(()) };
        let why = if Self::KNOWN.contains(&key.as_str()) {
            format!("has no use for `{key}` beside the rest of it")
        } else {
            format!("knows no `{}`; it knows {}", clean(key), Self::KNOWN.join(", "))
        };
        Err(Invalid { what: FILE, why })
    }
}

fn missing(key: &str) -> Invalid {
    Invalid { what: FILE, why: format!("needs `{key}`") }
}

/// A network as the device sees it. The same name can come several times, once an access point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedNetwork {
    /// Its name.
    pub ssid: Ssid,
    /// Its strength in dBm: -30 is close, -90 hardly there.
    pub rssi: i32,
    /// Its security, if it is one that has a name here.
    pub security: Option<WifiSecurity>,
    /// Its channel.
    pub channel: Option<u8>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn no_file(_: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn parse(json: &str) -> Result<WifiCredentials, Invalid> {
        WifiCredentials::from_json(json, no_file)
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n-----END CERTIFICATE-----\n";

    #[test]
    fn each_name_of_a_security_is_its_own_inverse() {
        for (security, name, sec) in WifiSecurity::ALL {
            assert_eq!(WifiSecurity::parse(name), Ok(security));
            assert_eq!(security.to_string(), name);
            assert_eq!(security.sec(), sec);
            assert_eq!(WifiSecurity::from_sec(sec), Some(security));
        }
        assert_eq!(WifiSecurity::from_sec(0x8001), Some(WifiSecurity::Wep));
        assert_eq!(WifiSecurity::from_sec(0x0240_0006), Some(WifiSecurity::Wpa2Enterprise));
        assert_eq!(WifiSecurity::from_sec(0x0060_0006), Some(WifiSecurity::Wpa2AesTkip));
        for strange in [0x1000_0000, 0x0040_0000, 0x4, u32::MAX] {
            assert_eq!(WifiSecurity::from_sec(strange), None, "{strange:x}");
        }
        assert!(WifiSecurity::parse("WPA3").unwrap_err().to_string().contains("WPA2_AES"));
    }

    #[test]
    fn the_form_of_particles_own_tool_is_read() {
        let wpa = parse(r#"{"network":"Home","security":"WPA2_AES","password":"correct horse"}"#).unwrap();
        assert_eq!(wpa.ssid().as_bytes(), b"Home");
        assert_eq!(wpa.security(), Some(WifiSecurity::Wpa2Aes));
        assert!(matches!(wpa.access(), WifiAccess::Shared(p) if p.expose() == b"correct horse"));

        let open = parse(r#"{"network":"Cafe","security":"NONE","password":""}"#).unwrap();
        assert!(!open.has_secret());

        let peap = parse(
            r#"{"network":"Corp","security":"WPA2_802.1x","eap":"peap","username":"ivan","password":"secret-word"}"#,
        )
        .unwrap();
        let WifiAccess::Enterprise(enterprise) = peap.access() else { panic!() };
        assert!(
            matches!(&**enterprise, Enterprise::Peap { username, root_ca: None, .. } if username == "ivan")
        );
    }

    #[test]
    fn a_name_that_is_no_text_is_written_in_hexadecimal_digits() {
        let credentials = parse(r#"{"network_hex":"636166E9","password":"correct horse"}"#).unwrap();
        assert_eq!(credentials.ssid().as_bytes(), b"caf\xe9");
        let json = credentials.to_json();
        assert_eq!(json["network_hex"], "636166e9");
        assert_eq!(parse(&json.to_string()).unwrap().ssid(), credentials.ssid());
        for bad in
            [r#""network_hex":"63616""#, r#""network_hex":"xy""#, r#""network":"a","network_hex":"61""#]
        {
            let refused = parse(&format!("{{{bad}}}")).unwrap_err().to_string();
            assert!(refused.contains("`network"), "{refused}");
        }
    }

    #[test]
    fn certificates_are_text_or_the_path_of_a_file() {
        let json = |ca: &str| {
            serde_json::json!({"network": "Corp", "eap": "peap", "username": "ivan", "password": "secret-word",
                "root_ca": ca})
            .to_string()
        };
        let read = |path: &Path| {
            assert_eq!(path, Path::new("certs/ca.pem"));
            Ok(CERTIFICATE.replace('\n', "\r\n"))
        };
        for ca in [CERTIFICATE, "certs/ca.pem"] {
            let credentials = WifiCredentials::from_json(&json(ca), read).unwrap();
            let WifiAccess::Enterprise(enterprise) = credentials.access() else { panic!() };
            let Enterprise::Peap { root_ca: Some(root_ca), .. } = &**enterprise else { panic!() };
            assert_eq!(root_ca.pem(), CERTIFICATE);
        }
        assert!(parse(&json("nowhere.pem")).unwrap_err().to_string().contains("root_ca"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_shown() {
        for (json, named) in [
            (r#"{"network":"Home","password":hunter22}"#, "line 1"),
            (r#"{"network":"Home","password":12345678}"#, "`password`"),
            (r#"{"network":"Home","pasword":"hunter22"}"#, "`pasword`"),
            (r#"{"network":"Home","password":"hunter22","username":"ivan"}"#, "`username`"),
            (r#"{"network":"Home","security":"NONE","password":"hunter22"}"#, "needs no password"),
            (r#"{"network":"Home","security":"WPA2_AES"}"#, "needs a password"),
            (r#"{"network":"Home","security":"WPA2_802.1x","password":"hunter22"}"#, "`eap`"),
            (
                r#"{"network":"Home","security":"WPA2_AES","eap":"peap","username":"i","password":"hunter22"}"#,
                "WPA2_AES",
            ),
            (r#"{"network":"Home","eap":"peap","username":"ivan","password":""}"#, "`password`"),
            (r#"{"network":"Home","eap":"ttls"}"#, "`tls`"),
            (r#"{"network":"Home","eap":"tls"}"#, "`client_certificate`"),
            (r#"{"password":"hunter22"}"#, "`network`"),
            (r#"["hunter22"]"#, "line 1"),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(named), "{json}: {error}");
            assert!(!error.contains("hunter22") && !error.contains("12345678"), "{error}");
        }
        assert!(Ssid::new([b'x'; 33]).unwrap_err().to_string().contains("33"));
        assert!(Ssid::new("").is_err());
    }

    #[test]
    fn secrets_are_not_printed_and_ssids_are_made_safe() {
        let credentials = parse(r#"{"network":"a\u001b[2Jb","password":"correct horse 9"}"#).unwrap();
        let shown = format!("{credentials:?} {}", credentials.ssid());
        assert!(!shown.contains("horse") && !shown.contains('\u{1b}'), "{shown}");
        assert!(!super::super::redact("echo: correct horse 9").contains("horse"));
    }

    #[test]
    fn what_is_left_out_comes_from_the_strongest_network_that_fits() {
        let seen = |rssi, security, channel| ScannedNetwork {
            ssid: Ssid::new("Home").unwrap(),
            rssi,
            security,
            channel: Some(channel),
        };
        let ours = parse(r#"{"network":"Home","password":"correct horse"}"#).unwrap();
        let twin = seen(-20, Some(WifiSecurity::Open), 1);
        let far = seen(-80, Some(WifiSecurity::Wpa2Aes), 6);
        let near = seen(-50, Some(WifiSecurity::Wpa2AesTkip), 11);
        let completed = ours.completed(&[far.clone(), twin.clone(), near]).unwrap();
        assert_eq!(completed.security(), Some(WifiSecurity::Wpa2AesTkip));
        assert_eq!(completed.channel(), Some(11));
        assert!(ours.completed(&[twin]).unwrap_err().to_string().contains("needs no password"));
        assert!(ours.completed(&[]).unwrap_err().to_string().contains("does not see"));
        assert!(ours.completed(&[seen(-40, None, 1)]).is_err());

        let said = parse(r#"{"network":"Home","security":"WPA2_AES","password":"correct horse"}"#).unwrap();
        assert_eq!(said.completed(&[far]).unwrap().channel(), Some(6));
        assert_eq!(said.completed(&[]).unwrap().channel(), None);
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(keys in proptest::collection::vec((0..10usize, "[ -~]{0,12}"), 0..9)) {
            let object: Map<_, _> = keys
                .into_iter()
                .map(|(key, value)| (Form::<fn(&Path) -> io::Result<String>>::KNOWN[key].into(), value.into()))
                .collect();
            let _ = parse(&Value::Object(object).to_string());
        }
    }
}
