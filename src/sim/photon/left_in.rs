use std::{fmt, str::FromStr};

use crate::model::{FirmwareVersion, Invalid};

/// A place in a dialogue where somebody left the console, before this program came.
///
/// Read from its text form: `C`, `scanning`, `ymodem`, or a prompt of the Wi-Fi dialogue: `w:ssid`,
/// `w:security`, `w:cipher`, `w:cipher-open`, `w:password`, `w:eap-type`, `w:username`,
/// `w:peap-password`, `w:client-certificate`, `w:private-key`, `w:outer-identity`, `w:root-ca`. All but
/// the first two of these were reached over a network that the scan did not show. After a further colon
/// stands what was typed there: `C:abc`, `w:password:half`.
#[derive(Clone, PartialEq, Eq)]
pub struct LeftIn {
    /// What was typed: each after the prompt before it had come.
    steps: Vec<Vec<u8>>,
    modern: bool,
}

impl fmt::Debug for LeftIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeftIn([typed])")
    }
}

impl LeftIn {
    /// The scan after the SSID, the enterprise prompts: from 0.7.0 on. `C`: from 0.6.0 on.
    pub(super) fn exists_in(&self, firmware: &FirmwareVersion) -> bool {
        let first = self.steps.first().map(Vec::as_slice);
        (!self.modern || *firmware >= FirmwareVersion::new(0, 7, 0))
            && (first != Some(b"C") || *firmware >= FirmwareVersion::new(0, 6, 0))
    }

    /// Whatever somebody may have typed.
    #[cfg(test)]
    pub(super) fn typed(steps: Vec<Vec<u8>>) -> Self {
        Self { steps, modern: false }
    }

    pub(super) fn into_steps(self) -> Vec<Vec<u8>> {
        self.steps
    }
}

impl FromStr for LeftIn {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid {
            what: "a place where a console was left",
            why: "is C, C:TYPED, w:PROMPT, w:PROMPT:TYPED, scanning or ymodem".into(),
        };
        let prefix = if text.starts_with("w:") { 2 } else { 0 };
        let (place, typed) = match text[prefix..].find(':') {
            Some(at) => (&text[..prefix + at], &text[prefix + at + 1..]),
            None => (text, ""),
        };
        // The SSID is one that no scan shows.
        let answers: &[&str] = match place {
            "C" => &["C"],
            "ymodem" => &["f"],
            "scanning" | "w:security" => &["w", "left behind\r"],
            "w:ssid" => &["w"],
            "w:cipher" => &["w", "left behind\r", "3\r"],
            "w:cipher-open" => &["w", "left behind\r", "0\r"],
            "w:password" => &["w", "left behind\r", "3\r", "1\r"],
            "w:eap-type" => &["w", "left behind\r", "5\r", "1\r"],
            "w:username" => &["w", "left behind\r", "5\r", "1\r", "0\r"],
            "w:peap-password" => &["w", "left behind\r", "5\r", "1\r", "0\r", "somebody\r"],
            "w:client-certificate" => &["w", "left behind\r", "5\r", "1\r", "1\r"],
            "w:private-key" => &["w", "left behind\r", "5\r", "1\r", "1\r", "\r"],
            "w:outer-identity" => &["w", "left behind\r", "5\r", "1\r", "0\r", "\r", "\r"],
            "w:root-ca" => &["w", "left behind\r", "5\r", "1\r", "0\r", "\r", "\r", "\r"],
            _ => return Err(invalid()),
        };
        let may_type = place == "C" || place.starts_with("w:");
        if !typed.is_empty() && (!may_type || typed.contains(['\r', '\n', '\0'])) {
            return Err(invalid());
        }
        let mut steps: Vec<_> = answers.iter().map(|answer| answer.as_bytes().to_vec()).collect();
        // A last, perhaps empty, step stands for "and the prompt was read", which a scan has not reached.
        if place != "scanning" {
            steps.push(typed.as_bytes().to_vec());
        }
        let modern = place == "scanning" || answers.get(2) == Some(&"5\r");
        Ok(Self { steps, modern })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_their_text_form() {
        let steps = |text: &str| text.parse::<LeftIn>().map(LeftIn::into_steps);
        assert_eq!(steps("C:abc").unwrap(), [b"C".to_vec(), b"abc".to_vec()]);
        assert_eq!(steps("w:password:ha:lf").unwrap().last().unwrap(), b"ha:lf");
        assert_eq!(steps("scanning").unwrap().len(), 2);
        for bad in ["", "D", "w", "w:", "w:colour", "scanning:x", "ymodem:x", "C:a\rb"] {
            assert!(steps(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_that_a_firmware_does_not_have_are_known() {
        let exists = |text: &str, v| text.parse::<LeftIn>().unwrap().exists_in(&v);
        assert!(!exists("C", FirmwareVersion::new(0, 5, 5)));
        assert!(exists("w:password", FirmwareVersion::new(0, 4, 9)));
        assert!(!exists("w:username", FirmwareVersion::new(0, 6, 4)));
        assert!(exists("scanning", FirmwareVersion::new(0, 7, 0)));
    }
}
