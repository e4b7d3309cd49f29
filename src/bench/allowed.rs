use std::collections::BTreeSet;

use crate::model::{DeviceId, Invalid};

/// Which boards are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every one that is plugged in.
    Any,
    /// These.
    Only(BTreeSet<DeviceId>),
}

impl Allowed {
    /// Reads device ids, one a line; what follows a blank, a comma or a `#` is passed over.
    ///
    /// # Errors
    ///
    /// A line that does not begin with a device id; none at all.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let mut ids = BTreeSet::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some(word) = line.split(|c: char| c.is_whitespace() || c == ',').find(|w| !w.is_empty())
            else {
                continue;
            };
            let id = DeviceId::parse(word.trim_matches('"')).map_err(|invalid| Invalid {
                what: "a list of devices",
                why: format!("has a device id in each line: {invalid} (line {})", number + 1),
            })?;
            ids.insert(id);
        }
        if ids.is_empty() {
            return Err(Invalid { what: "a list of devices", why: "cannot be empty".into() });
        }
        Ok(Self::Only(ids))
    }

    /// Whether this board is meant. One whose id USB does not tell is so only if every one is.
    pub fn allows(&self, id: Option<&DeviceId>) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ids) => id.is_some_and(|id| ids.contains(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3b0021001747353236343033";

    #[test]
    fn only_boards_of_the_list_are_meant() {
        let allowed =
            Allowed::parse(&format!("\u{feff}# box 7\r\n{} , shelf 3\n\n", ID.to_uppercase())).unwrap();
        let (listed, other) = (DeviceId::parse(ID), DeviceId::parse("0123456789abcdef01234567"));
        assert!(allowed.allows(listed.ok().as_ref()));
        assert!(!allowed.allows(other.clone().ok().as_ref()) && !allowed.allows(None));
        assert!(Allowed::Any.allows(None) && Allowed::Any.allows(other.ok().as_ref()));
    }

    #[test]
    fn a_line_without_an_id_is_named() {
        let said = Allowed::parse(&format!("{ID}\nA1")).unwrap_err().to_string();
        assert!(said.ends_with("(line 2)"), "{said}");
        assert!(Allowed::parse("# nothing\n").is_err());
    }
}
