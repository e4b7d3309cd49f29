use secrecy::{ExposeSecret, SecretString};

use super::{Invalid, guard_for_now};

/// A one-time code that moves the device which presents it to an account.
///
/// Always 63 printable characters: the console of Device OS (`system_setup.cpp`) refuses shorter
/// codes and silently cuts longer ones, so a code of another length could never arrive intact.
/// Cannot be printed; [`ClaimCode::expose`] is the one way to its text.
#[derive(Clone)]
pub struct ClaimCode(SecretString);

impl ClaimCode {
    /// The only length the firmware takes.
    pub const LENGTH: usize = 63;

    /// Checks the length and the alphabet: printable ASCII without blanks, quotes and backslashes
    /// (the cloud uses the base64 alphabet; SoftAP's JSON could not carry the latter two).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid { what: "a claim code", why };
        if text.len() != Self::LENGTH {
            return Err(invalid(format!("has {} characters, this has {}", Self::LENGTH, text.len())));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
            return Err(invalid("holds only letters, digits and plain signs".into()));
        }
        guard_for_now(text);
        Ok(Self(text.into()))
    }

    /// The text itself, for the wire to the device.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for ClaimCode {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl std::fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimCode([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = "3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5";

    #[test]
    fn a_published_code_is_taken_and_never_printed() {
        let code = ClaimCode::parse(REAL).unwrap();
        assert_eq!(code.expose(), REAL);
        assert!(!format!("{code:?}").contains("3Gjx"));
    }

    #[test]
    fn the_text_undefined_and_cut_codes_are_refused() {
        assert!(ClaimCode::parse("undefined").is_err());
        assert!(ClaimCode::parse(&REAL[1..]).is_err());
        assert!(ClaimCode::parse(&format!("{REAL}A")).is_err());
        assert!(ClaimCode::parse(&format!("{}\n", &REAL[1..])).is_err());
    }
}
