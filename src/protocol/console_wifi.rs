//! The Wi-Fi dialogue of the listening-mode console: what to answer to what is asked.
//!
//! Source: Device OS `system/src/system_setup.cpp`. Which questions come, and in which order, depends
//! on the firmware (before 0.7 it never scans and always asks for the security) and on what the
//! device's scan finds. So nothing here has an order: each prompt is answered as it comes, and nothing
//! is sent without one. That matters: the device scans for seconds without a word, and bytes that
//! arrive meanwhile answer the next prompt; after the dialogue each byte is a command.
//!
//! What is not asked for cannot be told. A network that the device sees as open is saved as open
//! once its cipher is answered, whatever the credentials say; that is reported, and not prevented.

use std::fmt;

use zeroize::Zeroizing;

use super::console::{LINE_END, Prompt, Said, WayOut, command};
use crate::model::{Enterprise, WifiAccess, WifiCredentials, WifiSecurity};

/// What is to be sent at a prompt, its line end included. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer(Zeroizing<Vec<u8>>);

impl Answer {
    /// The bytes, for one write.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn line(text: &[u8]) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + 1));
        bytes.extend_from_slice(text);
        bytes.push(LINE_END);
        Self(bytes)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({} bytes, [redacted])", self.0.len())
    }
}

/// Why the credentials were not saved as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The credentials do not say the security, and the device asks for it.
    #[error("the device does not see this network, so its security has to be said")]
    SecurityNeeded,
    /// The device asks for something that these credentials do not have: by this name it sees a network
    /// of another kind.
    #[error("the device sees another kind of network by this name: it asks for {}", name(*.0))]
    OtherKind(Prompt),
    /// The device asked again, so it did not take the answer.
    #[error("the device did not take the answer to {}", name(*.0))]
    AskedAgain(Prompt),
    /// `Derp`: the device could not save the credentials.
    #[error("the device could not save these credentials")]
    NotSaved,
    /// The credentials hold a password, and the device saved the network without asking for it.
    #[error("the device sees this network as an open one, and saved it so")]
    SavedAsOpen,
}

fn name(prompt: Prompt) -> &'static str {
    match prompt {
        Prompt::ClaimCode => "a claim code",
        Prompt::Ssid => "the network's name",
        Prompt::Security | Prompt::OldSecurity => "the security",
        Prompt::Cipher => "the cipher",
        Prompt::Password => "a password",
        Prompt::EapType => "an EAP type",
        Prompt::Username => "a user name",
        Prompt::OuterIdentity => "an outer identity",
        Prompt::ClientCertificate => "a client certificate",
        Prompt::PrivateKey => "a private key",
        Prompt::RootCa => "a root certificate",
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Send this, in one write.
    Send(Answer),
    /// Send nothing.
    Wait,
    /// The credentials are saved and listening mode is over. Not a sign that they are right.
    Saved,
    /// The credentials are not saved, or not as they are. Send nothing more.
    Refused {
        /// Why.
        why: Refusal,
        /// Whether the console still waits for an answer, and every answer could save something: only
        /// a reset is safe then. Otherwise the dialogue is over, and perhaps listening mode with it.
        stuck: bool,
    },
}

/// One pass through the dialogue. The credentials should have passed
/// [`check_for_console`](super::carry::check_for_console).
#[derive(Debug)]
pub struct WifiDialogue<'a> {
    credentials: &'a WifiCredentials,
    asked: Vec<Prompt>,
    leaving: Option<(Refusal, WayOut)>,
    over: bool,
}

impl<'a> WifiDialogue<'a> {
    /// The byte that opens the dialogue at the idle prompt; to be sent before anything else.
    pub const OPEN: u8 = command::WIFI;

    /// The longest way through the dialogue has ten prompts; who is asked for much more is led around.
    const MOST_PROMPTS: usize = 20;

    /// For the next dialogue to be opened.
    pub fn new(credentials: &'a WifiCredentials) -> Self {
        Self { credentials, asked: Vec::new(), leaving: None, over: false }
    }

    /// Takes what the device said. After [`Step::Saved`] or [`Step::Refused`] there is only
    /// [`Step::Wait`].
    pub fn on(&mut self, said: &Said) -> Step {
        let left = self.leaving.as_ref().map(|(why, _)| *why);
        match (said, left) {
            _ if self.over => Step::Wait,
            (Said::Prompt(prompt), _) => self.asked_for(*prompt),
            (Said::Saved | Said::NotSaved | Said::CodeUnchanged, Some(why)) => self.refused(why, false),
            (Said::NotSaved | Said::CodeUnchanged, None) => self.refused(Refusal::NotSaved, false),
            (Said::Saved, None) if self.password_was_not_asked_for() => {
                self.refused(Refusal::SavedAsOpen, false)
            }
            (Said::Saved, None) => {
                self.over = true;
                Step::Saved
            }
            _ => Step::Wait,
        }
    }

    fn refused(&mut self, why: Refusal, stuck: bool) -> Step {
        self.over = true;
        Step::Refused { why, stuck }
    }

    fn asked_for(&mut self, prompt: Prompt) -> Step {
        let again = self.asked.contains(&prompt);
        self.asked.push(prompt);
        let (why, mut way) = match self.leaving.take() {
            Some(leaving) => leaving,
            None if again => (Refusal::AskedAgain(prompt), self.way_out()),
            None => match self.answer(prompt) {
                Ok(answer) => return Step::Send(answer),
                Err(refusal) => (refusal, self.way_out()),
            },
        };
        // With a user name given an empty password is saved, as `1`.
        let would_save = prompt == Prompt::Password && self.asked.contains(&Prompt::Username);
        match way.answer(prompt) {
            Some(line) if !would_save && self.asked.len() <= Self::MOST_PROMPTS => {
                self.leaving = Some((why, way));
                Step::Send(Answer(Zeroizing::new(line.to_vec())))
            }
            _ => self.refused(why, true),
        }
    }

    fn way_out(&self) -> WayOut {
        // Security is answered with `0` only where the network is to be open.
        let open = self.credentials.security() == Some(WifiSecurity::Open);
        WayOut::after(&self.asked, open)
    }

    fn answer(&self, prompt: Prompt) -> Result<Answer, Refusal> {
        let other_kind = Err(Refusal::OtherKind(prompt));
        let credentials = self.credentials;
        let security = credentials.security();
        let enterprise = match credentials.access() {
            WifiAccess::Enterprise(enterprise) => Some(&**enterprise),
            _ => None,
        };
        let line = |text: &[u8]| Ok(Answer::line(text));
        match (prompt, enterprise) {
            (Prompt::Ssid, _) => line(credentials.ssid().as_bytes()),
            (Prompt::Security | Prompt::OldSecurity, _) => {
                line(&[security.ok_or(Refusal::SecurityNeeded)?.console_answer()])
            }
            (Prompt::Cipher, _) => line(&[security.map_or(b'1', WifiSecurity::console_cipher)]),
            (Prompt::Password, None) => match credentials.access() {
                WifiAccess::Shared(passphrase) => line(passphrase.expose()),
                _ => other_kind,
            },
            // Before the EAP type it would be the pass phrase of a network that is not an enterprise's.
            (Prompt::Password, Some(Enterprise::Peap { password, .. }))
                if self.asked.contains(&Prompt::EapType) =>
            {
                line(password.expose())
            }
            (Prompt::EapType, Some(Enterprise::Peap { .. })) => line(b"0"),
            (Prompt::EapType, Some(Enterprise::Tls { .. })) => line(b"1"),
            (Prompt::Username, Some(Enterprise::Peap { username, .. })) => line(username.as_bytes()),
            // A block is ended by an empty line.
            (Prompt::ClientCertificate, Some(Enterprise::Tls { client_certificate, .. })) => {
                line(client_certificate.pem().as_bytes())
            }
            (Prompt::PrivateKey, Some(Enterprise::Tls { private_key, .. })) => {
                line(private_key.pem().as_bytes())
            }
            (
                Prompt::OuterIdentity,
                Some(Enterprise::Peap { outer_identity, .. } | Enterprise::Tls { outer_identity, .. }),
            ) => line(outer_identity.as_deref().unwrap_or_default().as_bytes()),
            (Prompt::RootCa, Some(Enterprise::Peap { root_ca, .. } | Enterprise::Tls { root_ca, .. })) => {
                line(root_ca.as_ref().map_or("", |root_ca| root_ca.pem()).as_bytes())
            }
            _ => other_kind,
        }
    }

    fn password_was_not_asked_for(&self) -> bool {
        let secret = [Prompt::Password, Prompt::PrivateKey];
        self.credentials.has_secret() && !secret.iter().any(|prompt| self.asked.contains(prompt))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{carry::check_for_console, console::Reader, openssl::openssl_text, recorded},
        *,
    };
    use crate::model::{Passphrase, Ssid};

    fn credentials(
        ssid: impl AsRef<[u8]>,
        security: Option<&str>,
        password: impl AsRef<[u8]>,
    ) -> WifiCredentials {
        let access = match password.as_ref() {
            b"" => WifiAccess::Open,
            password => WifiAccess::Shared(Passphrase::new(password).unwrap()),
        };
        WifiCredentials::new(Ssid::new(ssid).unwrap(), security.map(|s| s.parse().unwrap()), None, access)
            .unwrap()
    }

    fn from_json(json: serde_json::Value) -> WifiCredentials {
        WifiCredentials::from_json(&json.to_string(), |_| unreachable!()).unwrap()
    }

    /// What the dialogue does when it hears these bytes: what it sends, and how it ends, if it does.
    fn hear(dialogue: &mut WifiDialogue, reader: &mut Reader, bytes: &[u8]) -> (Vec<u8>, Option<Step>) {
        let (mut sent, mut end) = (Vec::new(), None);
        for said in bytes.iter().filter_map(|&byte| reader.feed(byte)) {
            match dialogue.on(&said) {
                Step::Send(answer) => sent.extend_from_slice(answer.bytes()),
                Step::Wait => {}
                step => end = Some(step),
            }
        }
        (sent, end)
    }

    fn recorded(name: &str) -> serde_json::Value {
        recorded::console().into_iter().find(|scenario| scenario["name"] == name).unwrap()
    }

    /// Plays the device's side of a recording as long as the dialogue sends what was sent there.
    fn play(name: &str, credentials: &WifiCredentials) -> Option<Step> {
        let (mut dialogue, mut reader) = (WifiDialogue::new(credentials), Reader::default());
        let mut sent = vec![WifiDialogue::OPEN];
        let mut end = None;
        for exchange in recorded(name)["exchange"].as_array().unwrap() {
            if end.is_some() {
                assert_eq!(sent, b"", "{name}: nothing is sent after the end");
                break;
            }
            assert_eq!(sent, recorded::bytes(&exchange["send"]), "{name}");
            (sent, end) = hear(&mut dialogue, &mut reader, &recorded::bytes(&exchange["receive"]));
        }
        end
    }

    #[test]
    fn recorded_dialogues_are_answered_byte_for_byte() {
        let peap = from_json(serde_json::json!({"network": "Corp", "eap": "peap", "username": "ivan",
            "password": "secret", "outer_identity": "anonymous"}));
        let wpa = |ssid| credentials(ssid, Some("WPA2_AES"), "correct horse");
        for (name, credentials) in [
            ("wifi: WPA2 seen in scan", wpa("Home WPA2")),
            ("wifi: WPA2 seen in scan", credentials("Home WPA2", None, "correct horse")),
            ("wifi: WPA2 not seen", wpa("Hidden Net")),
            ("wifi: open, seen", credentials("Cafe", Some("NONE"), "")),
            ("wifi: open, seen", credentials("Cafe", None, "")),
            ("wifi: open, not seen", credentials("Other", Some("NONE"), "")),
            ("wifi: WEP seen", credentials("Old WEP", Some("WEP"), "abcde")),
            ("wifi: WEP seen", credentials("Old WEP", None, "abcde")),
            ("wifi: PEAP, seen", peap),
        ] {
            assert_eq!(check_for_console(&credentials, None), Ok(()));
            assert_eq!(play(name, &credentials), Some(Step::Saved), "{name}");
        }
    }

    #[test]
    fn recorded_mistakes_are_refused_beforehand() {
        let refused = Step::Refused { why: Refusal::NotSaved, stuck: false };
        for (name, password, end) in [
            ("wifi: pass phrase too short, back to idle", "short".to_owned(), refused),
            ("wifi: pass phrase of 65 is cut to 64", "p".repeat(65), Step::Saved),
        ] {
            let credentials = credentials("Home WPA2", Some("WPA2_AES"), password);
            assert!(check_for_console(&credentials, None).is_err(), "{name}");
            assert_eq!(play(name, &credentials), Some(end), "{name}");
        }
        assert!(Ssid::new([b'S'; 33]).is_err(), "SSID of 33 is cut to 32");
    }

    #[test]
    fn recorded_refusals_of_an_answer_end_the_attempt() {
        for (name, why) in [
            ("wifi: empty SSID is asked again", Refusal::AskedAgain(Prompt::Ssid)),
            ("wifi: wrong menu answers are asked again", Refusal::AskedAgain(Prompt::Security)),
            ("recover at SSID with a junk network", Refusal::AskedAgain(Prompt::Ssid)),
            ("recover at Password", Refusal::NotSaved),
        ] {
            let ours = credentials("Home WPA2", Some("WPA2_AES"), "correct horse");
            let (mut dialogue, mut reader) = (WifiDialogue::new(&ours), Reader::default());
            let exchanges = recorded(name)["exchange"].clone();
            let mut ends = exchanges.as_array().unwrap().iter().filter_map(|exchange| {
                hear(&mut dialogue, &mut reader, &recorded::bytes(&exchange["receive"])).1
            });
            assert_eq!(ends.next(), Some(Step::Refused { why, stuck: false }), "{name}");
        }
    }

    /// A device that asks these prompts, each when the one before is answered.
    fn asked<'a>(dialogue: &mut WifiDialogue, prompts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut reader = Reader::default();
        let answers = prompts.into_iter().map(|prompt| hear(dialogue, &mut reader, prompt.as_bytes()).0);
        answers.map(|sent| String::from_utf8(sent).unwrap()).collect()
    }

    const SSID: &str = "SSID: ";
    const OLD_SECURITY: &str = "\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ";
    const SECURITY: &str =
        "\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ";
    const CIPHER: &str = "\r\nSecurity Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ";
    const PASSWORD: &str = "\r\nPassword: ";
    const DERP: &str = "\r\nThanks! Wait while I save those credentials...\r\n\r\n\
        Derp. Sorry, we couldn't save the credentials.\r\n\r\n";
    const AWESOME: &str =
        "\r\nThanks! Wait while I save those credentials...\r\n\r\nAwesome. Now we'll connect!\r\n\r\n";

    fn ends(dialogue: &mut WifiDialogue, bytes: &str) -> Option<Step> {
        hear(dialogue, &mut Reader::default(), bytes.as_bytes()).1
    }

    #[test]
    fn firmware_before_0_7_asks_in_its_own_order() {
        let ours = credentials("Home", Some("WPA_TKIP"), "correct horse");
        let mut dialogue = WifiDialogue::new(&ours);
        let sent = asked(&mut dialogue, [SSID, OLD_SECURITY, CIPHER, PASSWORD]);
        assert_eq!(sent, ["Home\n", "2\n", "2\n", "correct horse\n"]);
        assert_eq!(ends(&mut dialogue, AWESOME), Some(Step::Saved));
    }

    #[test]
    fn an_unknown_security_is_never_guessed_and_nothing_is_saved() {
        for password in ["correct horse", ""] {
            let ours = credentials("Hidden", None, password);
            let mut dialogue = WifiDialogue::new(&ours);
            assert_eq!(
                asked(&mut dialogue, [SSID, SECURITY, CIPHER, PASSWORD]),
                ["Hidden\n", "3\n", "1\n", "\n"]
            );
            let refused = Step::Refused { why: Refusal::SecurityNeeded, stuck: false };
            assert_eq!(ends(&mut dialogue, DERP), Some(refused));
        }
    }

    #[test]
    fn a_prompt_that_is_asked_again_ends_the_attempt() {
        let ours = credentials("Hidden", Some("WPA2_AES"), "correct horse");
        let mut dialogue = WifiDialogue::new(&ours);
        let sent = asked(&mut dialogue, [SSID, SECURITY, CIPHER, CIPHER, PASSWORD]);
        assert_eq!(sent, ["Hidden\n", "3\n", "1\n", "1\n", "\n"]);
        let why = Refusal::AskedAgain(Prompt::Cipher);
        assert_eq!(ends(&mut dialogue, DERP), Some(Step::Refused { why, stuck: false }));

        let mut looping = WifiDialogue::new(&ours);
        let sent = asked(&mut looping, [SSID; 100]);
        assert_eq!(sent.iter().filter(|line| !line.is_empty()).count(), WifiDialogue::MOST_PROMPTS);
    }

    #[test]
    fn another_kind_of_network_gets_no_password_of_ours() {
        let peap = from_json(serde_json::json!({"network": "Corp", "eap": "peap", "username": "ivan",
            "password": "secret-word"}));
        let mut dialogue = WifiDialogue::new(&peap);
        assert_eq!(asked(&mut dialogue, [SSID, PASSWORD]), ["Corp\n", "\n"]);
        let why = Refusal::OtherKind(Prompt::Password);
        assert_eq!(ends(&mut dialogue, DERP), Some(Step::Refused { why, stuck: false }));

        let shared = credentials("Corp", None, "correct horse");
        let mut dialogue = WifiDialogue::new(&shared);
        let enterprise = [
            SSID,
            "\r\nEAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ",
            "\r\nClient certificate in PEM format:\r\n",
            "\r\nPrivate key in PEM format:\r\n",
            "\r\nOuter identity (optional): ",
            "\r\nRoot CA in PEM format (optional):\r\n",
        ];
        assert_eq!(asked(&mut dialogue, enterprise), ["Corp\n", "1\n", "\n", "\n", "\n", "\n"]);
        let why = Refusal::OtherKind(Prompt::EapType);
        assert_eq!(ends(&mut dialogue, DERP), Some(Step::Refused { why, stuck: false }));
    }

    #[test]
    fn a_network_saved_without_its_password_is_not_called_saved() {
        let ours = credentials("Home", Some("WPA2_AES"), "correct horse");
        let mut dialogue = WifiDialogue::new(&ours);
        assert_eq!(asked(&mut dialogue, [SSID, CIPHER]), ["Home\n", "1\n"]);
        let refused = Step::Refused { why: Refusal::SavedAsOpen, stuck: false };
        assert_eq!(ends(&mut dialogue, AWESOME), Some(refused));
    }

    #[test]
    fn where_every_answer_saves_something_nothing_is_sent() {
        let open = credentials("Cafe", Some("NONE"), "");
        let mut dialogue = WifiDialogue::new(&open);
        assert_eq!(asked(&mut dialogue, [SSID, CIPHER]), ["Cafe\n", "1\n"]);
        let why = Refusal::AskedAgain(Prompt::Cipher);
        assert_eq!(ends(&mut dialogue, CIPHER), Some(Step::Refused { why, stuck: true }));
        assert_eq!(asked(&mut dialogue, [CIPHER, SSID, PASSWORD]), ["", "", ""]);
    }

    #[test]
    fn pem_blocks_go_with_bare_line_ends_and_an_empty_line() {
        let key = openssl_text(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
        let certificate = "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n-----END CERTIFICATE-----\n";
        let tls = from_json(serde_json::json!({"network": "Corp", "eap": "tls",
            "client_certificate": certificate.replace('\n', "\r\n"), "private_key": key.replace('\n', "\r\n"),
            "root_ca": certificate}));
        let mut dialogue = WifiDialogue::new(&tls);
        let sent = asked(
            &mut dialogue,
            [
                SSID,
                "\r\nEAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ",
                "\r\nClient certificate in PEM format:\r\n",
                "\r\nPrivate key in PEM format:\r\n",
                "\r\nOuter identity (optional): ",
                "\r\nRoot CA in PEM format (optional):\r\n",
            ],
        );
        let block = format!("{certificate}\n");
        assert_eq!(sent, ["Corp\n", "1\n", &block, &format!("{key}\n"), "\n", &block]);
        assert_eq!(ends(&mut dialogue, AWESOME), Some(Step::Saved));
        assert!(
            !format!("{dialogue:?}").contains("ivate key in")
                && !format!("{dialogue:?}").contains(&key[40..60])
        );
    }

    #[test]
    fn answers_are_not_printed() {
        let ours = credentials("Home", None, "correct horse");
        let mut dialogue = WifiDialogue::new(&ours);
        let step = dialogue.on(&Said::Prompt(Prompt::Password));
        assert!(!format!("{step:?} {dialogue:?}").contains("horse"));
    }

    /// `serialReadLine`: the line that the firmware keeps of these bytes, and its echo.
    fn kept(bytes: &[u8], most: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut line, mut echo) = (Vec::new(), Vec::new());
        for &byte in bytes {
            if line.len() == most || byte == b'\r' || byte == b'\n' {
                break;
            }
            match byte {
                0x08 | 0x7f if line.pop().is_none() => continue,
                0x08 | 0x7f => {}
                _ => line.push(byte),
            }
            echo.push(byte);
        }
        let end = line.iter().position(|&b| b == 0).unwrap_or(line.len());
        line.truncate(end);
        echo.extend_from_slice(b"\r\n");
        (line, echo)
    }

    fn any_bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        let words = ["SSID: ", "Password: ", "Derp. Sorry, we couldn't", "Awesome. ", "x", "\u{8}", " "];
        let crafted = (0..words.len(), 0..words.len())
            .prop_map(move |(a, b)| [words[a], words[b]].concat().into_bytes());
        prop_oneof![
            crafted,
            "[ -~é☕]{1,70}".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 1..=most),
        ]
        .prop_filter("not too long", move |bytes| bytes.len() <= most)
    }

    proptest! {
        #[test]
        fn any_name_and_pass_phrase_arrive_byte_for_byte_or_are_refused_beforehand(
            ssid in any_bytes(32), password in any_bytes(80), seen in any::<bool>(),
        ) {
            let ours = credentials(&ssid, Some("WPA2_AES"), &password);
            if check_for_console(&ours, None).is_err() {
                return Ok(());
            }
            let (mut dialogue, mut reader) = (WifiDialogue::new(&ours), Reader::default());
            let mut prompts = vec![(SSID, 32), (SECURITY, 1), (CIPHER, 1), (PASSWORD, 64)];
            if seen {
                prompts.drain(1..3);
            }
            let (mut lines, mut echo) = (Vec::new(), Vec::new());
            for (prompt, most) in prompts {
                // The echo comes first, and the scan is over before the next prompt.
                let (early, end) = hear(&mut dialogue, &mut reader, &echo);
                prop_assert!(early.is_empty() && end.is_none());
                let (sent, end) = hear(&mut dialogue, &mut reader, prompt.trim_start().as_bytes());
                prop_assert!(end.is_none());
                prop_assert_eq!(sent.iter().filter(|&&b| b == b'\n').count(), 1);
                let (line, back) = kept(&sent, most);
                lines.push(line);
                echo = back;
            }
            echo.extend_from_slice(AWESOME.as_bytes());
            let (sent, end) = hear(&mut dialogue, &mut reader, &echo);
            prop_assert_eq!((sent.len(), end), (0, Some(Step::Saved)));
            prop_assert_eq!(&lines[0], &ssid);
            prop_assert_eq!(&lines[lines.len() - 1], &password);
        }

        #[test]
        fn no_order_of_prompts_makes_it_fail_and_after_the_end_it_is_silent(
            prompts in proptest::collection::vec(0..11usize, 0..40), after in 0..11usize,
        ) {
            const ALL: [Prompt; 11] = [
                Prompt::ClaimCode, Prompt::Ssid, Prompt::Security, Prompt::Cipher, Prompt::Password, Prompt::EapType,
                Prompt::Username, Prompt::OuterIdentity, Prompt::ClientCertificate, Prompt::PrivateKey, Prompt::RootCa,
            ];
            let ours = credentials("Home", Some("WPA2_AES"), "correct horse");
            let mut dialogue = WifiDialogue::new(&ours);
            for prompt in prompts {
                if let Step::Send(answer) = dialogue.on(&Said::Prompt(ALL[prompt])) {
                    prop_assert!(answer.bytes().ends_with(b"\n"));
                    prop_assert!(ALL[prompt] != Prompt::Security || answer.bytes() != b"0\n");
                }
            }
            dialogue.on(&Said::NotSaved);
            prop_assert_eq!(dialogue.on(&Said::Prompt(ALL[after])), Step::Wait);
        }
    }
}
