//! The listening-mode console of a Photon, as bytes.
//!
//! Source: Device OS `system/src/system_setup.cpp` and `wiring/src/spark_wiring_stream.cpp`, tags
//! v0.4.9 to v3.3.1. The facts that the code here and in `device/usb` relies on:
//!
//! - At the idle prompt nothing is printed or echoed. Each byte is a command ([`command`]); letters
//!   written together are all answered, in order; bytes that mean nothing answer nothing.
//! - In a dialogue each byte is echoed. CR or LF ends the line and is not echoed; the device prints
//!   CR LF, **throws away all it has received by then**, and only then prints what follows. So nothing
//!   may be sent after a line end before the text that follows the echo has come.
//! - A line at its maximum length ends with the next byte, whatever it is, and that byte is lost.
//! - Backspace takes back one byte. No prompt has a time-out, and closing the port changes nothing.
//! - Log lines of the system and of user firmware may stand before or after anything; the system logs
//!   claim codes in clear. What leaves this module as text has them masked.

use crate::model::{ClaimCode, DeviceId, FirmwareVersion, Platform, clean};

/// The single-letter commands of the idle prompt.
pub mod command {
    /// Device id; in every firmware.
    pub const IDENTIFY: u8 = b'i';
    /// Firmware version; since 0.4.4.
    pub const VERSION: u8 = b'v';
    /// The device's own claimed bit; since 0.6.0.
    pub const CLAIMED: u8 = b'c';
    /// Module information, with the platform id; since 0.4.
    pub const MODULES: u8 = b's';
    /// MAC address; since 0.4. Its reply has a known end, so it is asked last.
    pub const MAC: u8 = b'm';
    /// Opens the claim-code dialogue; since 0.6.0.
    pub const CLAIM_CODE: u8 = b'C';
    /// Opens the Wi-Fi dialogue; in every firmware.
    pub const WIFI: u8 = b'w';
    /// Leaves listening mode; no reply. What is sent after it is answered at the next listening.
    pub const EXIT: u8 = b'x';
    /// Ends a firmware transfer; means nothing at the idle prompt.
    pub const ABORT_TRANSFER: u8 = b'a';
}

/// Ends a line. One byte only: the LF of a CR LF could arrive late and answer the next prompt.
pub const LINE_END: u8 = b'\n';

/// Empties whatever line is half typed and ends it: at the idle prompt it does and prints nothing.
/// 64 backspaces, because that is the longest line of the console.
pub const CLEAR_LINE: [u8; 65] = {
    let mut bytes = [0x08; 65];
    bytes[64] = b'\r';
    bytes
};

/// Finds out whether this is the idle prompt, where it asks who it is, and answers nothing elsewhere. In a
/// dialogue the backspace makes room for the letter, so that no line comes to its full length, at which
/// the next byte of any kind would end it; [`TAKE_BACK`] then takes the letter out again. A line that is
/// full already ends with whatever byte comes: nothing but to send none would leave that as it is.
pub const PROBE: [u8; 2] = [TAKE_BACK, command::IDENTIFY];

/// Takes back one byte of a line. In an empty one, and at the idle prompt, it does and prints nothing; in a
/// menu, whose lines hold one character, it ends the letter as a wrong answer, which is asked for again.
pub const TAKE_BACK: u8 = 0x08;

/// The first firmware with the claim-code dialogue (and with the device id as USB serial number).
pub const FIRST_WITH_CLAIM_CODE: FirmwareVersion = FirmwareVersion::new(0, 6, 0);

/// A question that awaits a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// `Enter 63-digit claim code: `
    ClaimCode,
    /// `SSID: `
    Ssid,
    /// `Security 0=unsecured, …, 5=WPA2 Enterprise: `
    Security,
    /// `Security 0=unsecured, …, 3=WPA2: `, of firmware before 0.7.0.
    OldSecurity,
    /// `Security Cipher 1=AES, …: `
    Cipher,
    /// `Password: `
    Password,
    /// `EAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: `
    EapType,
    /// `Username: `
    Username,
    /// `Outer identity (optional): `
    OuterIdentity,
    /// Many lines, ended by an empty one.
    ClientCertificate,
    /// Many lines, ended by an empty one.
    PrivateKey,
    /// Many lines, ended by an empty one.
    RootCa,
}

/// Prompts that stand at the end of an unfinished line. 0.7.0 added the enterprise choices.
const OPEN_PROMPTS: [(&[u8], Prompt); 9] = [
    (b"Enter 63-digit claim code: ", Prompt::ClaimCode),
    (b"SSID: ", Prompt::Ssid),
    (b"Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ", Prompt::Security),
    (b"Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ", Prompt::OldSecurity),
    (b"Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ", Prompt::Cipher),
    (b"Password: ", Prompt::Password),
    (b"EAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ", Prompt::EapType),
    (b"Username: ", Prompt::Username),
    (b"Outer identity (optional): ", Prompt::OuterIdentity),
];

/// Prompts that are lines of their own.
const LINE_PROMPTS: [(&str, Prompt); 3] = [
    ("Client certificate in PEM format:", Prompt::ClientCertificate),
    ("Private key in PEM format:", Prompt::PrivateKey),
    ("Root CA in PEM format (optional):", Prompt::RootCa),
];

/// Something the device said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The answer to `i`, in any of its forms.
    DeviceId(DeviceId),
    /// Part of the answer to `i` on boards that have one.
    SerialNumber(String),
    /// The answer to `v`.
    Version(FirmwareVersion),
    /// The answer to `c`.
    Claimed(bool),
    /// The answer to `s`.
    Modules(Platform),
    /// The answer to `m`: six lower-case hex pairs with colons.
    Mac(String),
    /// A question.
    Prompt(Prompt),
    /// `Claim code set to: …`; `None` when what follows is not a claim code (bytes were lost).
    CodeSet(Option<ClaimCode>),
    /// `Sorry, claim code is not 63 characters long. Claim code unchanged.`
    CodeUnchanged,
    /// `Thanks! Wait while I save those credentials...`
    Saving,
    /// `Awesome. Now we'll connect!`: saved, and listening mode is over.
    Saved,
    /// `Derp. Sorry, we couldn't save the credentials.`
    NotSaved,
    /// The device waits for a firmware transfer.
    TransferWaiting,
    /// Any other line: a log line, an echo, noise. Cleaned, claim codes masked.
    Line(String),
}

/// Turns the bytes of the console into what was said. However the bytes are split, the result is
/// the same, and no input makes it fail.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    mac_follows: bool,
    /// A secret was asked for, so lines may be its echo until the device says something of its own.
    secret_echoes: bool,
}

impl Reader {
    /// A line that goes on for longer keeps only its end. The longest real one, the answer to `s`,
    /// has under 2 KiB.
    const LONGEST: usize = 8 * 1024;

    /// Takes the next byte.
    pub fn feed(&mut self, byte: u8) -> Option<Said> {
        match self.hear(byte)? {
            Said::Line(_) if self.secret_echoes => Some(Said::Line("[redacted]".into())),
            Said::Line(line) => Some(Said::Line(line)),
            said => {
                self.secret_echoes = matches!(said, Said::Prompt(Prompt::Password | Prompt::PrivateKey));
                Some(said)
            }
        }
    }

    fn hear(&mut self, byte: u8) -> Option<Said> {
        if byte == b'\n' {
            let line = std::mem::take(&mut self.line);
            return self.classify(&line);
        }
        if self.line.len() == Self::LONGEST {
            self.line.drain(..Self::LONGEST / 2);
        }
        self.line.push(byte);
        let open = OPEN_PROMPTS.iter().find(|(text, _)| self.line.ends_with(text));
        open.map(|&(_, prompt)| {
            self.line.clear();
            Said::Prompt(prompt)
        })
    }

    /// The line that has begun and not ended, for finding one's own echo in it.
    pub fn unfinished(&self) -> &[u8] {
        &self.line
    }

    /// Whether the device asks for a firmware transfer: a `C` every 5 s and nothing else.
    pub fn asks_for_transfer(&self) -> bool {
        !self.line.is_empty() && self.line.iter().all(|&b| b == b'C')
    }

    fn classify(&mut self, line: &[u8]) -> Option<Said> {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_matches(|c: char| c == '\r' || c == '\0');
        if text.trim().is_empty() {
            return None;
        }
        // Noise may stand before a reply on its line, so each is looked for anywhere in it.
        let after = |key: &str| text.find(key).map(|at| text[at + key.len()..].trim());
        if let Some(rest) = after("Claim code set to: ") {
            return Some(Said::CodeSet(ClaimCode::parse(rest).ok()));
        }
        if text.contains("Claim code unchanged.") {
            return Some(Said::CodeUnchanged);
        }
        let id = after("Your device id is ").or_else(|| after("Device ID: "));
        if let Some(id) = id.and_then(|id| DeviceId::parse(id).ok()).or_else(|| id_in_json(text)) {
            return Some(Said::DeviceId(id));
        }
        if let Some(serial) = after("Serial Number: ") {
            return Some(Said::SerialNumber(clean(serial)));
        }
        if after("Device Secret: ").is_some() {
            return Some(Said::Line("Device Secret: [redacted]".into()));
        }
        if let Some(version) = after("system firmware version: ").and_then(|v| FirmwareVersion::parse(v).ok())
        {
            return Some(Said::Version(version));
        }
        match after("Device claimed: ") {
            Some("yes") => return Some(Said::Claimed(true)),
            Some("no") => return Some(Said::Claimed(false)),
            _ => {}
        }
        if text.ends_with("Your device MAC address is") {
            self.mac_follows = true;
            return None;
        }
        if self.mac_follows && is_mac(text) {
            self.mac_follows = false;
            return Some(Said::Mac(text.to_ascii_lowercase()));
        }
        if let Some(platform) = platform_in_modules(text) {
            return Some(Said::Modules(platform));
        }
        if let Some(&(_, prompt)) = LINE_PROMPTS.iter().find(|(prompt, _)| text.ends_with(prompt)) {
            return Some(Said::Prompt(prompt));
        }
        if text.contains("Thanks! Wait while I save those credentials...") {
            return Some(Said::Saving);
        }
        if text.contains("Awesome. Now we'll connect!") {
            return Some(Said::Saved);
        }
        if text.contains("Derp. Sorry, we couldn't save the credentials.") {
            return Some(Said::NotSaved);
        }
        if text.contains("Waiting for the binary file to be sent") {
            return Some(Said::TransferWaiting);
        }
        Some(Said::Line(clean(&mask_codes(text))))
    }
}

/// Some old builds answer `i` in JSON, with `deviceId`.
fn id_in_json(text: &str) -> Option<DeviceId> {
    if !text.contains("\"deviceId\"") {
        return None;
    }
    let json: serde_json::Value = serde_json::from_str(&text[text.find('{')?..]).ok()?;
    DeviceId::parse(json.get("deviceId")?.as_str()?).ok()
}

fn platform_in_modules(text: &str) -> Option<Platform> {
    let digits = &text[text.find("{\"p\":")? + 5..];
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    let id = digits[..end].parse().ok()?;
    text.ends_with('}').then(|| Platform::from_id(id))
}

fn is_mac(text: &str) -> bool {
    let mut pairs = 0;
    text.split(':').all(|pair| {
        pairs += 1;
        pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit())
    }) && pairs == 6
}

/// Masks what may be a claim code: a run of 62 or more characters of the base64 alphabet (62, because
/// a byte may have been lost). Other people's codes are as secret as ours.
fn mask_codes(text: &str) -> String {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(belongs) {
        let run = &rest[start..];
        let end = run.find(|c| !belongs(c)).unwrap_or(run.len());
        out.push_str(&rest[..start]);
        out.push_str(if end < 62 { &run[..end] } else { "[redacted]" });
        rest = &run[end..];
    }
    out.push_str(rest);
    out
}

/// The way out of a dialogue that somebody else left open, without saving anything.
///
/// Answers each prompt so that the device ends in "Sorry" (claim code) or "Derp" (Wi-Fi), or says that
/// only a reset is safe. Never answers `0` to Security: that saves an open network.
///
/// The default one begins after [`CLEAR_LINE`], which answered the prompt of the moment with an empty
/// line.
#[derive(Debug, Default)]
pub struct WayOut {
    /// A prompt has been answered since then.
    begun: bool,
    /// A security other than open was chosen, so the cipher asked for next is not an open network's.
    secured: bool,
    /// A required answer was left empty, so what follows cannot be saved.
    spoiled: bool,
    /// Firmware before 0.7.0: an empty password is saved as an open network.
    old: bool,
}

impl WayOut {
    /// The way out for somebody who has answered these prompts so far, and chose another security than
    /// open if asked for one.
    pub fn after(asked: &[Prompt], open: bool) -> Self {
        let old = asked.contains(&Prompt::OldSecurity);
        let secured = (old || asked.contains(&Prompt::Security)) && !open;
        Self { begun: true, secured, spoiled: false, old }
    }

    /// What to send at this prompt, its line end included; `None`: every answer could save something.
    pub fn answer(&mut self, prompt: Prompt) -> Option<&'static [u8]> {
        // Of all prompts only Username takes an empty line and goes on to a password.
        self.spoiled |= prompt == Prompt::Password && !self.begun;
        self.begun = true;
        match prompt {
            Prompt::ClaimCode => Some(b"\n"),
            Prompt::Password => (!self.old).then_some(b"\n"),
            // An SSID cannot be left empty (0.7.0 on), and this one is nobody's.
            Prompt::Ssid => Some(b"provision leaves this dialogue\n"),
            Prompt::Security => {
                self.secured = true;
                Some(b"3\n")
            }
            Prompt::OldSecurity => None,
            Prompt::Cipher => self.secured.then_some(b"1\n"),
            Prompt::EapType => Some(b"1\n"),
            Prompt::Username | Prompt::ClientCertificate | Prompt::PrivateKey => {
                self.spoiled = true;
                Some(b"\n")
            }
            Prompt::OuterIdentity | Prompt::RootCa => self.spoiled.then_some(b"\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";

    fn said(bytes: &[u8]) -> Vec<Said> {
        let mut reader = Reader::default();
        bytes.iter().filter_map(|&b| reader.feed(b)).collect()
    }

    fn id() -> DeviceId {
        DeviceId::parse("3b0021001747353236343033").unwrap()
    }

    #[test]
    fn letters_written_together_are_all_understood() {
        let bytes = b"Your device id is 3b0021001747353236343033\r\nsystem firmware version: 2.3.1\n\r\n\
            Device claimed: no\r\n{\"p\":6,\"m\":[{\"s\":16384,\"l\":\"m\"}]}\r\n\
            Your device MAC address is\r\n6c:0b:84:44:1f:0e\r\n";
        assert_eq!(
            said(bytes),
            [
                Said::DeviceId(id()),
                Said::Version(FirmwareVersion::new(2, 3, 1)),
                Said::Claimed(false),
                Said::Modules(Platform::Photon),
                Said::Mac("6c:0b:84:44:1f:0e".into()),
            ]
        );
    }

    #[test]
    fn the_long_form_of_identify_never_shows_the_device_secret() {
        let bytes = b"Device ID: 3b0021001747353236343033\r\nDevice Secret: ABCDEFGHIJKLMNO\r\nSerial Number: PHHMAB123456789\r\n";
        let heard = said(bytes);
        assert_eq!(heard[0], Said::DeviceId(id()));
        assert_eq!(heard[2], Said::SerialNumber("PHHMAB123456789".into()));
        assert!(!format!("{heard:?}").contains("ABCDEF"));
    }

    #[test]
    fn old_builds_answer_identify_in_json() {
        assert_eq!(said(b"{\"deviceId\":\"3B0021001747353236343033\"}\r\n"), [Said::DeviceId(id())]);
    }

    #[test]
    fn a_confirmation_is_read_character_for_character() {
        let exact = format!("{CODE}\r\nClaim code set to: {CODE}\r\n");
        assert_eq!(said(exact.as_bytes()).last(), Some(&Said::CodeSet(ClaimCode::parse(CODE).ok())));
        let lost = format!("Claim code set to: {}\r\n", &CODE[1..]);
        assert_eq!(said(lost.as_bytes()), [Said::CodeSet(None)]);
    }

    #[test]
    fn claim_codes_in_log_lines_and_echoes_are_masked() {
        let log =
            format!("0000012345 [system] INFO: Sending claim code: {CODE}\r\n{CODE}\r\n{}\r\n", &CODE[1..]);
        let heard = format!("{:?}", said(log.as_bytes()));
        assert!(heard.contains("Sending claim code: [redacted]"), "{heard}");
        assert!(!heard.contains("3Gjx") && !heard.contains("GjxEd"), "{heard}");
    }

    #[test]
    fn echoes_of_secrets_are_masked_however_short() {
        let bytes = b"Password: ab\r\nThanks! Wait while I save those credentials...\r\n\r\nhello\r\n";
        let masked = Said::Line("[redacted]".into());
        assert_eq!(
            said(bytes),
            [Said::Prompt(Prompt::Password), masked, Said::Saving, Said::Line("hello".into())]
        );
    }

    #[test]
    fn noise_and_log_lines_around_replies_and_prompts_do_no_harm() {
        let bytes = b"\x00\xffgarbageEnter 63-digit claim code: \
            0000000042 [app] INFO: hello\r\nnoiseDevice claimed: yes\r\n";
        assert_eq!(
            said(bytes),
            [
                Said::Prompt(Prompt::ClaimCode),
                Said::Line("0000000042 [app] INFO: hello".into()),
                Said::Claimed(true),
            ]
        );
    }

    #[test]
    fn every_prompt_of_the_firmware_is_known() {
        for (text, prompt) in OPEN_PROMPTS {
            assert_eq!(said(text), [Said::Prompt(prompt)]);
        }
        for (text, prompt) in LINE_PROMPTS {
            assert_eq!(said(format!("{text}\r\n").as_bytes()), [Said::Prompt(prompt)]);
        }
    }

    #[test]
    fn the_way_out_never_completes_what_could_be_saved() {
        let mut unknown = WayOut::default();
        assert_eq!(unknown.answer(Prompt::Cipher), None);
        assert_eq!(unknown.answer(Prompt::OldSecurity), None);
        assert_eq!(unknown.answer(Prompt::OuterIdentity), None);
        assert_eq!(unknown.answer(Prompt::RootCa), None);
        let mut way = WayOut::default();
        way.answer(Prompt::Security);
        assert_eq!(way.answer(Prompt::Cipher), Some(&b"1\n"[..]));
        way.answer(Prompt::Username);
        assert!(way.answer(Prompt::OuterIdentity).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            said(&bytes);
        }

        #[test]
        fn replies_are_understood_among_any_whole_lines(noise in "[ -~]{0,40}") {
            prop_assume!(!noise.contains("Device claimed") && !noise.ends_with(": "));
            let bytes = format!("{noise}\r\nDevice claimed: yes\r\n{noise}\r\n");
            prop_assert!(said(bytes.as_bytes()).contains(&Said::Claimed(true)));
        }
    }
}
