use std::sync::PoisonError;

use aes::{
    Aes128,
    cipher::{BlockModeDecrypt, KeyIvInit},
};

use super::{
    commands::Session,
    json::{self, Kind},
    wiced,
    wire_state::Wire,
};
use crate::sim::photon::{
    Effect, SavedNetwork, Security, Typed,
    credentials::{CIPHER_REQUIRED, Credentials, ENTERPRISE_INCOMPLETE, INVALID_SSID_LENGTH, SAVED},
    hex,
};

/// Before 0.7 the first five only.
const KEYS: &[(&str, Kind)] = &[
    ("idx", Kind::Primitive),
    ("ssid", Kind::String),
    ("pwd", Kind::String),
    ("ch", Kind::Primitive),
    ("sec", Kind::Primitive),
    ("eap", Kind::Primitive),
    ("oi", Kind::String),
    ("ii", Kind::String),
    ("crt", Kind::String),
    ("ek", Kind::String),
    ("key", Kind::String),
    ("ca", Kind::String),
];
const KEYS_BEFORE_0_7: usize = 5;

/// `ConfigureAP::passcode`, and what is answered to one that does not fit
/// (`MBEDTLS_ERR_RSA_OUTPUT_TOO_LARGE`). From 0.7.0 on there is room for whatever can be sealed.
const PASSCODE_SIZE_BEFORE_0_7: usize = 65;
const OUTPUT_TOO_LARGE: i32 = -0x4400;

const BLOCK: usize = 16;
/// `CERTIFICATE_SIZE` and `PRIVATE_KEY_SIZE` of `platform_dct.h`: what is not shorter is not stored.
const CERTIFICATE_SIZE: usize = 4096;
const PRIVATE_KEY_SIZE: usize = 2048;

/// What a request has brought, opened where it was sealed.
#[derive(Default)]
struct Request {
    ssid: Vec<u8>,
    password: Vec<u8>,
    /// WICED's number, as it was sent.
    security: i32,
    channel: u8,
    eap_type: u8,
    outer_identity: Vec<u8>,
    inner_identity: Vec<u8>,
    client_certificate: Vec<u8>,
    /// In hex, as it was sent.
    private_key: Option<Vec<u8>>,
    ca_certificate: Vec<u8>,
    /// Negative when the last thing that was to be opened could not be.
    opened: i32,
}

impl Session {
    /// `configure-ap`: the result, or `None` when the request is refused as a whole
    /// (`ConfigureAPCommand`).
    pub(super) async fn configure(&self, body: &[u8], wire: Wire) -> Option<i32> {
        let modern = self.device.quirks.modern_wifi;
        let keys = if modern { KEYS } else { &KEYS[..KEYS_BEFORE_0_7] };
        let mut request = Request::default();
        for (key, value) in json::fields(body, keys)? {
            self.take(&mut request, KEYS[key].0, value);
        }
        let private_key = request.private_key.as_deref().and_then(|hex| self.open_private_key(hex));
        if private_key.is_some() {
            request.opened = 1;
        }
        if request.opened < 0 {
            return Some(request.opened);
        }
        let result = match wiced::security(request.security) {
            _ if !modern => self.save_as_before_0_7(&request),
            security => self.save(&request, security, private_key.unwrap_or_default(), wire).await,
        };
        Some(result)
    }

    /// An empty string sets nothing; of a key that comes twice the last counts.
    fn take(&self, request: &mut Request, key: &str, value: &[u8]) {
        let set = |field: &mut Vec<u8>| {
            if !value.is_empty() {
                *field = value.to_vec();
            }
        };
        match key {
            "ssid" => set(&mut request.ssid),
            // Too short to be sealed: taken as it is.
            "pwd" if value.len() < 2 && self.device.quirks.modern_wifi => set(&mut request.password),
            "pwd" => match self.key.open(value) {
                Ok(plain) if plain.len() > PASSCODE_SIZE_BEFORE_0_7 && !self.device.quirks.modern_wifi => {
                    request.opened = OUTPUT_TOO_LARGE;
                }
                Ok(plain) => {
                    request.opened = 0;
                    // A C string.
                    let plain = plain.split(|&byte| byte == 0).next().unwrap_or_default();
                    if !plain.is_empty() {
                        request.password = plain.to_vec();
                    }
                }
                Err(code) => request.opened = code,
            },
            "ch" => request.channel = low_byte(json::number(value)),
            "sec" => request.security = json::number(value),
            "eap" => request.eap_type = low_byte(json::number(value)),
            "oi" => set(&mut request.outer_identity),
            "ii" => set(&mut request.inner_identity),
            "crt" => request.client_certificate = json::unescape(value).unwrap_or_default(),
            "ca" => request.ca_certificate = json::unescape(value).unwrap_or_default(),
            "ek" if value.len() >= 2 => {
                let opened = self.key.open(value);
                request.opened = opened.as_ref().err().copied().unwrap_or_default();
                let mut exchanged = [0; 2 * BLOCK];
                for (byte, plain) in exchanged.iter_mut().zip(opened.unwrap_or_default()) {
                    *byte = plain;
                }
                *self.exchanged.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchanged);
            }
            "key" => {
                request.private_key = Some(value.to_vec());
                // So that the network is not taken for an open one.
                request.password = b"1".to_vec();
            }
            _ => {}
        }
    }

    /// Opens a private key with what an `ek` has brought, in this request or before; its padding stays.
    /// The vector goes on from block to block and from request to request (`decrypt_private_key`).
    fn open_private_key(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut exchanged = self.exchanged.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, vector) = exchanged.as_mut()?.split_at_mut(BLOCK);
        let mut opened = hex::decode(sealed);
        let length = opened.len();
        // A block that is not full is filled up.
        opened.resize(length.next_multiple_of(BLOCK), 0);
        let last = opened.last_chunk::<BLOCK>().copied();
        let mut cipher = cbc::Decryptor::<Aes128>::new_from_slices(key, vector).ok()?;
        for block in opened.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block(block.try_into().ok()?);
        }
        if let Some(last) = last {
            vector.copy_from_slice(&last);
        }
        opened.truncate(length);
        Some(opened)
    }

    /// `wlan_set_credentials`: the security is that of the scan, except for open networks and WEP; a
    /// first pass asks whether it would do, a second one saves, each with a scan of its own.
    async fn save(
        &self,
        request: &Request,
        security: Option<Security>,
        private_key: Vec<u8>,
        wire: Wire,
    ) -> i32 {
        // An unknown kind is one that only a scan could tell, and that is never found in one.
        let mut credentials =
            Credentials::new(request.ssid.clone(), security.unwrap_or(Security::Wpa2), None);
        credentials.password = request.password.clone();
        credentials.eap_type = request.eap_type;
        credentials.inner_identity = request.inner_identity.clone();
        credentials.outer_identity = request.outer_identity.clone();
        credentials.client_certificate = understood(&request.client_certificate, CERTIFICATE_SIZE);
        credentials.private_key = understood(&private_key, PRIVATE_KEY_SIZE);
        credentials.ca_certificate = request.ca_certificate.clone();

        let scans = credentials.need_a_scan() && (1..=32).contains(&credentials.ssid.len());
        if scans {
            self.scanner.scan(&self.device, wire).await;
        }
        let networks = &self.device.networks;
        let result = match credentials.check(networks) {
            INVALID_SSID_LENGTH => INVALID_SSID_LENGTH,
            _ if security.is_none() => CIPHER_REQUIRED,
            // `check_enterprise_credentials`: with its NUL it may just fill its place.
            SAVED if credentials.eap_type != 0 && credentials.ca_certificate.len() >= CERTIFICATE_SIZE => {
                ENTERPRISE_INCOMPLETE
            }
            result => result,
        };
        if scans && result == SAVED {
            self.scanner.scan(&self.device, wire).await;
        }
        let saved = (result == SAVED).then(|| credentials.to_saved(networks));
        self.device
            .write_credentials(saved, effect(request, &credentials, wiced::hal_number(security), result));
        result
    }

    /// Nothing is looked at, and `sec` is stored as it came (`add_wiced_wifi_credentials`).
    fn save_as_before_0_7(&self, request: &Request) -> i32 {
        let security = wiced::security(request.security);
        let cipher = wiced::cipher(request.security);
        // What the radio would not know what to do with is as good as open: no secured network takes it.
        let mut credentials =
            Credentials::new(request.ssid.clone(), security.unwrap_or(Security::Open), cipher);
        credentials.ssid.truncate(32);
        credentials.password = request.password.clone();
        // Not asked of any scan, so a missing cipher stays missing.
        let saved = SavedNetwork { cipher, ..credentials.to_saved(&[]) };
        self.device.write_credentials(Some(saved), effect(request, &credentials, request.security, SAVED));
        SAVED
    }
}

fn effect(request: &Request, credentials: &Credentials, security: i32, result: i32) -> Effect {
    let given = |bytes: &[u8]| (!bytes.is_empty()).then(|| Typed(bytes.to_vec()));
    Effect::WlanSetCredentials {
        ssid_hex: hex::encode(&credentials.ssid),
        password: given(&credentials.password),
        password_hex: given(hex::encode(&credentials.password).as_bytes()),
        security,
        cipher: 0,
        channel: request.channel,
        eap_type: request.eap_type,
        inner_identity: given(&credentials.inner_identity),
        outer_identity: given(&credentials.outer_identity),
        client_certificate: given(&credentials.client_certificate),
        private_key: given(&credentials.private_key),
        ca_certificate: given(&credentials.ca_certificate),
        result,
    }
}

/// What the firmware takes for a certificate or a key, else nothing: text with the head line of a
/// certificate, or one ASN.1 sequence that fits (`x509_get_pem_der_length` of `wlan_hal.cpp`). A private
/// key in PEM has another head line and is neither.
fn understood(bytes: &[u8], size: usize) -> Vec<u8> {
    // A text is stored with the NUL at its end.
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let head = b"-----BEGIN CERTIFICATE-----";
    let is_pem = text.windows(head.len()).any(|part| part == head);
    let fits = bytes.len() + 1 < size;
    let is_der = || sequence_length(bytes).is_some_and(|length| length <= size * 3 / 4);
    if fits && (is_pem || is_der()) { bytes.to_vec() } else { Vec::new() }
}

/// The whole length of the ASN.1 sequence at the beginning (`mbedtls_asn1_get_tag`).
fn sequence_length(der: &[u8]) -> Option<usize> {
    let (&0x30, [first, rest @ ..]) = der.split_first()? else { return None };
    if *first < 0x80 {
        return Some(2 + usize::from(*first));
    }
    let digits = usize::from(first & 0x7f);
    if !(1..=4).contains(&digits) {
        return None;
    }
    let length = rest.get(..digits)?.iter().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
    length.checked_add(2 + digits)
}

fn low_byte(number: i32) -> u8 {
    number.to_le_bytes()[0]
}
