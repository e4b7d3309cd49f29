use std::fmt;

use zeroize::Zeroizing;

use super::super::{
    carry::{CannotCarry, check_for_softap, wep_digits},
    seal::{DeviceKey, SealError},
};
use crate::model::{
    Certificates, ClaimCode, Enterprise, Passphrase, WifiAccess, WifiCredentials, WifiSecurity,
};

/// How an EAP-TLS private key is packed before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// What 2.3.1 takes; to be tried first.
    Der,
    /// What Particle's own client sends; older firmware may want it where it refuses DER.
    Pem,
}

/// Why a network cannot be configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// The credentials would not arrive as they are.
    #[error(transparent)]
    CannotCarry(#[from] CannotCarry),
    /// They could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// They do not say the network's security: take it from a scan first.
    #[error("the network's security has to be known")]
    SecurityUnknown,
    /// They hold a secret, and there is no key to seal it with.
    #[error("the device's public key has to be known")]
    KeyUnknown,
}

/// One command with its body, for either framing.
#[derive(Clone)]
pub struct Request {
    pub(super) command: &'static str,
    /// Empty for commands that have none. A claim code is in clear here.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Request {
    fn new(command: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { command, body: Zeroizing::new(body.into()) }
    }

    /// The protocol's version, which is no firmware's.
    pub fn version() -> Self {
        Self::new("version", "")
    }

    /// The device id and the claimed bit.
    pub fn device_id() -> Self {
        Self::new("device-id", "")
    }

    /// The networks that the device sees; takes it some seconds.
    pub fn scan() -> Self {
        Self::new("scan-ap", "")
    }

    /// The key to seal secrets with.
    pub fn public_key() -> Self {
        Self::new("public-key", "")
    }

    /// Leaves a claim code with the device. A code has no character that JSON would escape.
    pub fn set_claim_code(code: &ClaimCode) -> Self {
        Self::new("set", format!(r#"{{"k":"cc","v":"{}"}}"#, code.expose()))
    }

    /// Ends listening mode and, with it, the access point.
    pub fn connect() -> Self {
        Self::new("connect-ap", r#"{"idx":0}"#)
    }

    /// Saves a network. The key is needed only where [`WifiCredentials::has_secret`]. An unknown
    /// channel goes as 0, which is what the device takes for any.
    pub fn configure(
        credentials: &WifiCredentials,
        key: Option<&DeviceKey>,
        form: KeyForm,
    ) -> Result<Self, ConfigureError> {
        check_for_softap(credentials, None)?;
        let security = credentials.security().ok_or(ConfigureError::SecurityUnknown)?;
        let key = || key.ok_or(ConfigureError::KeyUnknown);
        let mut body = Body(br#"{"idx":0"#.to_vec());
        // The device's tokenizer goes by bytes, so a name of any others goes as it is.
        body.bytes("ssid", credentials.ssid().as_bytes());
        body.number("sec", security.sec());
        body.number("ch", credentials.channel().unwrap_or(0).into());
        match credentials.access() {
            WifiAccess::Open => {}
            WifiAccess::Shared(passphrase) => body.text("pwd", &key()?.seal(&plain(passphrase, security))?),
            WifiAccess::Enterprise(enterprise) => match &**enterprise {
                Enterprise::Peap { username, password, outer_identity, root_ca } => {
                    body.number("eap", 25);
                    body.optional("oi", outer_identity.as_deref());
                    body.text("ii", username);
                    body.text("pwd", &key()?.seal(password.expose())?);
                    body.optional("ca", root_ca.as_ref().map(escaped).as_deref());
                }
                Enterprise::Tls { client_certificate, private_key, outer_identity, root_ca } => {
                    let sealed = match form {
                        KeyForm::Der => key()?.seal_private_key(private_key.der()),
                        KeyForm::Pem => key()?.seal_private_key(private_key.pem().as_bytes()),
                    }?;
                    body.number("eap", 13);
                    body.optional("oi", outer_identity.as_deref());
                    body.text("crt", &escaped(client_certificate));
                    body.text("ek", &sealed.ek);
                    body.text("key", &sealed.key);
                    body.optional("ca", root_ca.as_ref().map(escaped).as_deref());
                }
            },
        }
        body.0.push(b'}');
        Ok(Self::new("configure-ap", body.0))
    }

    /// Whether it only asks, so that it may be asked again when nobody knows what became of it.
    pub fn only_asks(&self) -> bool {
        self.body.is_empty()
    }

    /// The command's name: the last part of the HTTP path, and the first line over TCP.
    pub fn command(&self) -> &'static str {
        self.command
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.command)
    }
}

/// What is sealed of a pass phrase: itself, or the digits of a WEP key.
fn plain(passphrase: &Passphrase, security: WifiSecurity) -> Zeroizing<Vec<u8>> {
    let digits = (security == WifiSecurity::Wep).then(|| wep_digits(passphrase.expose())).flatten();
    digits.unwrap_or_else(|| Zeroizing::new(passphrase.expose().to_vec()))
}

/// PEM as JSON has it: line ends are all there is to escape, and the device undoes that.
fn escaped(certificates: &Certificates) -> String {
    certificates.pem().replace('\n', "\\n")
}

/// A JSON object that is being written. Its texts need no escapes.
struct Body(Vec<u8>);

impl Body {
    fn bytes(&mut self, key: &str, bytes: &[u8]) {
        self.0.extend([b",\"", key.as_bytes(), b"\":\"", bytes, b"\""].concat());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.bytes(key, text.as_bytes());
    }

    fn optional(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &str, number: u32) {
        self.0.extend(format!(",\"{key}\":{number}").into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rsa::{Pkcs1v15Encrypt, pkcs1::EncodeRsaPrivateKey};

    use super::{
        super::super::{
            openssl::{openssl, openssl_text},
            recorded,
        },
        *,
    };
    use crate::model::{PrivateKey, Ssid};

    /// The firmware's reading of `configure-ap`: its tokenizer takes what is between two quotes as it
    /// stands, unknown keys and other types refuse it all, and only certificates have escapes undone.
    fn device_reads(body: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
        const NUMBERS: [&str; 4] = ["idx", "ch", "sec", "eap"];
        const STRINGS: [&str; 8] = ["ssid", "pwd", "oi", "ii", "crt", "ek", "key", "ca"];
        let mut rest = body.strip_prefix(b"{")?.strip_suffix(b"}")?;
        let mut values = BTreeMap::new();
        loop {
            let (key, after) = string(rest)?;
            let key = String::from_utf8(key.to_vec()).ok()?;
            let after = after.strip_prefix(b":")?;
            let (value, after) = match string(after) {
                Some(value) => Some(value).filter(|_| STRINGS.contains(&&*key)),
                None => Some(after.split_at(after.iter().position(|&b| b == b',').unwrap_or(after.len())))
                    .filter(|_| NUMBERS.contains(&&*key)),
            }?;
            let mut value = value.to_vec();
            if key == "crt" || key == "ca" {
                value = String::from_utf8(value).ok()?.replace("\\n", "\n").into_bytes();
            }
            values.insert(key, value);
            if after.is_empty() {
                return Some(values);
            }
            rest = after.strip_prefix(b",")?;
        }
    }

    fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
        let text = text.strip_prefix(b"\"")?;
        let mut at = 0;
        while text.get(at)? != &b'"' {
            at += if text[at] == b'\\' { 2 } else { 1 };
        }
        Some((&text[..at], &text[at + 1..]))
    }

    fn opened(values: &BTreeMap<String, Vec<u8>>, key: &str) -> Vec<u8> {
        let sealed = base16ct::mixed::decode_vec(&values[key]).unwrap();
        recorded::private_key().decrypt(Pkcs1v15Encrypt, &sealed).unwrap()
    }

    /// The same by independent code.
    fn openssl_opens(values: &BTreeMap<String, Vec<u8>>, key: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, recorded::private_key().to_pkcs1_der().unwrap().as_bytes()).unwrap();
        let sealed = base16ct::mixed::decode_vec(&values[key]).unwrap();
        let path = file.path().to_str().unwrap();
        openssl(&["pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", path], &sealed)
    }

    #[test]
    fn pass_phrases_go_as_they_are() {
        for passphrase in ["correct horse", "\u{7f}~<>&'{}[]\t\r\n\"\\", &"ü".repeat(32)] {
            let request = configured(&shared("Home", "WPA2_AES", passphrase)).unwrap();
            assert_eq!(openssl_opens(&device_reads(&request.body).unwrap(), "pwd"), passphrase.as_bytes());
        }
    }

    fn shared(ssid: impl AsRef<[u8]>, security: &str, password: impl AsRef<[u8]>) -> WifiCredentials {
        WifiCredentials::new(
            Ssid::new(ssid).unwrap(),
            Some(security.parse().unwrap()),
            Some(6),
            WifiAccess::Shared(Passphrase::new(password).unwrap()),
        )
        .unwrap()
    }

    fn configured(credentials: &WifiCredentials) -> Result<Request, ConfigureError> {
        Request::configure(credentials, Some(&recorded::device_key()), KeyForm::Der)
    }

    #[test]
    fn networks_are_configured_as_in_the_recordings() {
        for (name, credentials) in [
            ("http configure WPA2", shared("Home-WPA2", "WPA2_AES", "correct horse")),
            ("http configure UTF-8 SSID", shared("Café ☕", "WPA2_AES", "correct horse")),
        ] {
            let scenario = recorded::softap().into_iter().find(|scenario| scenario["name"] == name).unwrap();
            let sent = recorded::bytes(&scenario["send"][0]);
            let ours = configured(&credentials).unwrap().http("192.168.0.1:80".parse().unwrap());
            // All but the seal, which is another each time.
            let seal = 256 + "\"}".len();
            assert_eq!(sent.len(), ours.len(), "{name}");
            assert_eq!(sent[..sent.len() - seal], ours[..ours.len() - seal], "{name}");
        }
        let open = WifiCredentials::new(
            Ssid::new("OpenCafe").unwrap(),
            Some(WifiSecurity::Open),
            Some(1),
            WifiAccess::Open,
        );
        let request = Request::configure(&open.unwrap(), None, KeyForm::Der).unwrap();
        assert_eq!(*request.body, br#"{"idx":0,"ssid":"OpenCafe","sec":0,"ch":1}"#);
    }

    #[test]
    fn nothing_secret_goes_without_a_key_and_nothing_without_its_security() {
        let wpa = shared("Home", "WPA2_AES", "correct horse");
        assert!(matches!(Request::configure(&wpa, None, KeyForm::Der), Err(ConfigureError::KeyUnknown)));
        let unsaid = WifiCredentials::new(wpa.ssid().clone(), None, None, wpa.access().clone()).unwrap();
        assert!(matches!(configured(&unsaid), Err(ConfigureError::SecurityUnknown)));
    }

    #[test]
    fn wep_keys_go_as_digits() {
        for (key, digits) in [("abcde", "6162636465"), ("0123456789", "0123456789")] {
            let request = configured(&shared("Old", "WEP", key)).unwrap();
            assert_eq!(openssl_opens(&device_reads(&request.body).unwrap(), "pwd"), digits.as_bytes());
        }
    }

    #[test]
    fn peap_credentials_arrive_whole() {
        let certificate = openssl_text(
            &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=ca"],
            "",
        );
        let json = serde_json::json!({"network": "Corp-EAP", "security": "WPA2_802.1x", "eap": "peap",
            "username": "i".repeat(64), "password": "p".repeat(64), "outer_identity": "anonymous",
            "root_ca": certificate.replace('\n', "\r\n")});
        let credentials = WifiCredentials::from_json(&json.to_string(), |_| unreachable!()).unwrap();
        let values = device_reads(&configured(&credentials).unwrap().body).unwrap();
        assert_eq!(values["eap"], b"25");
        assert_eq!(values["sec"], (0x0240_0004).to_string().as_bytes());
        assert_eq!(values["ii"], [b'i'; 64]);
        assert_eq!(values["oi"], b"anonymous");
        assert_eq!(values["ca"], certificate.as_bytes());
        assert_eq!(openssl_opens(&values, "pwd"), [b'p'; 64]);
        assert!(!values.contains_key("crt") && !values.contains_key("key"));
    }

    #[test]
    fn tls_credentials_arrive_whole_as_der_or_as_pem() {
        let key = openssl_text(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, &key).unwrap();
        let certificate = openssl_text(
            &["req", "-x509", "-new", "-key", file.path().to_str().unwrap(), "-subj", "/CN=client"],
            "",
        );
        let json = serde_json::json!({"network": "Corp-EAP", "security": "WPA2_802.1x", "eap": "tls",
            "client_certificate": "client.pem", "private_key": key});
        let credentials = WifiCredentials::from_json(&json.to_string(), |_| Ok(certificate.clone())).unwrap();
        let der = PrivateKey::parse(&key).unwrap().der().to_vec();
        for (form, plain) in [(KeyForm::Der, der), (KeyForm::Pem, key.into_bytes())] {
            let request = Request::configure(&credentials, Some(&recorded::device_key()), form).unwrap();
            let values = device_reads(&request.body).unwrap();
            assert_eq!(values["eap"], b"13");
            assert_eq!(values["crt"], certificate.as_bytes());
            let once = openssl_opens(&values, "ek");
            let [aes, iv] = [&once[..16], &once[16..]].map(base16ct::lower::encode_string);
            let sealed = base16ct::lower::decode_vec(&values["key"]).unwrap();
            let opened = openssl(&["enc", "-d", "-aes-128-cbc", "-K", &aes, "-iv", &iv], &sealed);
            assert_eq!(opened, plain);
        }
    }

    fn any_ssid() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[ -~é☕]{1,16}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 1..=32),
        ]
        .prop_filter("32 bytes at most", |ssid| ssid.len() <= 32)
    }

    proptest! {
        #[test]
        fn any_name_and_pass_phrase_arrive_byte_for_byte_or_are_refused_beforehand(
            ssid in any_ssid(), password in proptest::collection::vec(any::<u8>(), 1..80),
        ) {
            let plain = ssid.iter().all(|b| !matches!(b, b'"' | b'\\' | 0..b' '));
            let fits = (8..=64).contains(&password.len()) && !password.contains(&0);
            match configured(&shared(&ssid, "WPA2_AES", &password)) {
                Ok(request) => {
                    prop_assert!(plain && fits);
                    let values = device_reads(&request.body).unwrap();
                    prop_assert_eq!(&values["ssid"], &ssid);
                    prop_assert_eq!(opened(&values, "pwd"), password);
                    let tcp = request.tcp();
                    let start = format!("configure-ap\n{}\n\n", request.body.len());
                    prop_assert_eq!(tcp.strip_prefix(start.as_bytes()).unwrap(), &**request.body);
                }
                Err(error) => {
                    prop_assert!(matches!(error, ConfigureError::CannotCarry(_)));
                    prop_assert!(!plain || !fits);
                }
            }
        }
    }
}
