use super::{
    Cipher, Effect, Network, Security, Typed, hex,
    network::seen,
    state::{Device, SavedNetwork},
};

/// What the firmware answers to credentials (`wlan_hal.h`, `wiced_result_t`).
pub(super) const SAVED: i32 = 0;
pub(super) const CIPHER_REQUIRED: i32 = -2;
pub(super) const INVALID_SSID_LENGTH: i32 = -3;
const INVALID_KEY_LENGTH: i32 = -4;
pub(super) const ENTERPRISE_INCOMPLETE: i32 = 1;
const WICED_ERROR: i32 = 4;

pub(super) const EAP_NONE: u8 = 0;
pub(super) const EAP_TLS: u8 = 13;
pub(super) const EAP_PEAP: u8 = 25;

/// Wi-Fi credentials on their way to be saved. An empty field was never set.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) ssid: Vec<u8>,
    pub(super) password: Vec<u8>,
    pub(super) security: Security,
    pub(super) cipher: Option<Cipher>,
    pub(super) eap_type: u8,
    pub(super) inner_identity: Vec<u8>,
    pub(super) outer_identity: Vec<u8>,
    pub(super) client_certificate: Vec<u8>,
    pub(super) private_key: Vec<u8>,
    pub(super) ca_certificate: Vec<u8>,
}

impl Credentials {
    pub(super) fn new(ssid: Vec<u8>, security: Security, cipher: Option<Cipher>) -> Self {
        Self {
            ssid,
            password: Vec::new(),
            security,
            cipher,
            eap_type: 0,
            inner_identity: Vec::new(),
            outer_identity: Vec::new(),
            client_certificate: Vec::new(),
            private_key: Vec::new(),
            ca_certificate: Vec::new(),
        }
    }

    /// WPA and WPA2 without a cipher: the firmware scans for it (`toSecurity`), the console waits.
    pub(super) fn need_a_scan(&self) -> bool {
        self.security.has_cipher() && self.cipher.is_none()
    }

    /// Security and cipher as they are saved: where a scan is needed, what it tells; `None` when it shows
    /// no such network (`toSecurity`).
    fn as_found_by_a_scan(&self, networks: &[Network]) -> Option<(Security, Option<Cipher>)> {
        if !self.need_a_scan() {
            return Some((self.security, self.cipher));
        }
        seen(networks, &self.ssid).map(|network| (network.security, network.cipher))
    }

    /// Whether they would be saved by firmware from 0.7.0 on; 0 for yes
    /// (`wlan_set_credentials_internal`, `check_enterprise_credentials`).
    pub(super) fn check(&self, networks: &[Network]) -> i32 {
        if !(1..=32).contains(&self.ssid.len()) {
            return INVALID_SSID_LENGTH;
        }
        let Some((security, _)) = self.as_found_by_a_scan(networks) else { return CIPHER_REQUIRED };
        let right_length = match security {
            Security::Open => true,
            Security::Wep => (5..=58).contains(&self.password.len()),
            Security::Wpa | Security::Wpa2 => (8..=64).contains(&self.password.len()),
            Security::WpaEnt | Security::Wpa2Ent => true,
        };
        if !right_length {
            return INVALID_KEY_LENGTH;
        }
        let complete = match self.eap_type {
            EAP_PEAP => {
                (1..=64).contains(&self.inner_identity.len()) && (1..=64).contains(&self.password.len())
            }
            EAP_TLS => !self.client_certificate.is_empty() && !self.private_key.is_empty(),
            EAP_NONE => true,
            _ => false,
        };
        if complete { SAVED } else { ENTERPRISE_INCOMPLETE }
    }

    /// Whether they would be saved by firmware before 0.7.0, which looks at no length and takes an
    /// empty pass phrase for an open network (`system_network_wifi.h`, `set_credentials`).
    pub(super) fn check_as_before_0_7(&mut self, networks: &[Network]) -> i32 {
        if self.ssid.is_empty() {
            return WICED_ERROR;
        }
        if self.password.is_empty() {
            self.security = Security::Open;
        }
        if self.need_a_scan() && seen(networks, &self.ssid).is_none() {
            return CIPHER_REQUIRED;
        }
        SAVED
    }

    /// What is written to flash: a WEP key is taken for hex digits, and nothing is longer than 64 bytes
    /// (`add_wiced_wifi_credentials`).
    pub(super) fn to_saved(&self, networks: &[Network]) -> SavedNetwork {
        let (security, cipher) = self.as_found_by_a_scan(networks).unwrap_or((self.security, self.cipher));
        let mut password = match self.password[..] {
            [first, _, ..] if security == Security::Wep && first > 4 => hex::decode(&self.password),
            _ => self.password.clone(),
        };
        password.truncate(64);
        SavedNetwork { ssid: self.ssid.clone(), password: Typed(password), security, cipher }
    }

    fn effect(&self, result: i32) -> Effect {
        let given = |bytes: &[u8]| (!bytes.is_empty()).then(|| Typed(bytes.to_vec()));
        Effect::Credentials {
            ssid_hex: hex::encode(&self.ssid),
            password: given(&self.password),
            security: self.security,
            cipher: self.cipher,
            eap_type: self.eap_type,
            inner_identity: given(&self.inner_identity),
            outer_identity: given(&self.outer_identity),
            client_certificate_len: self.client_certificate.len(),
            private_key_len: self.private_key.len(),
            ca_certificate_len: self.ca_certificate.len(),
            result,
        }
    }
}

impl Device {
    /// Writes the console's credentials when they were found good, and notes what came of them.
    pub(super) fn conclude_credentials(&self, credentials: &Credentials, result: i32) {
        let saved = (result == SAVED).then(|| credentials.to_saved(&self.networks));
        self.write_credentials(saved, credentials.effect(result));
    }

    /// Writes credentials, if there are any to write, and notes what was done.
    pub(super) fn write_credentials(&self, saved: Option<SavedNetwork>, effect: Effect) {
        self.change(|state| {
            state.effects.push(effect);
            if let Some(saved) = saved {
                remember(&mut state.saved, saved);
                state.credentials_changed = true;
            }
        });
    }
}

/// Five networks at most, the newest first; one entry a name and one enterprise network in all
/// (`add_wiced_wifi_credentials`).
fn remember(saved: &mut Vec<SavedNetwork>, new: SavedNetwork) {
    const MOST: usize = 5;
    let place = saved.iter().position(|old| old.ssid == new.ssid);
    let enterprise = new.security.is_enterprise();
    match place {
        Some(at) => saved[at] = new,
        None => saved.insert(0, new),
    }
    let at = place.unwrap_or(0);
    if enterprise {
        let mut index = 0;
        saved.retain(|other| {
            index += 1;
            index - 1 == at || !other.security.is_enterprise()
        });
    }
    saved.truncate(MOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_networks_are_kept_the_newest_first_and_one_of_them_enterprise() {
        let entry = |ssid: &str, security| SavedNetwork {
            ssid: ssid.into(),
            password: Typed(Vec::new()),
            security,
            cipher: None,
        };
        let mut saved = Vec::new();
        for ssid in ["a", "b", "c", "b"] {
            remember(&mut saved, entry(ssid, Security::Wpa2));
        }
        remember(&mut saved, entry("d", Security::Wpa2Ent));
        remember(&mut saved, entry("e", Security::WpaEnt));
        remember(&mut saved, entry("f", Security::Open));
        remember(&mut saved, entry("g", Security::Open));
        let names: Vec<_> = saved.iter().map(|s| String::from_utf8_lossy(&s.ssid).into_owned()).collect();
        assert_eq!(names, ["g", "f", "e", "c", "b"]);
    }
}
