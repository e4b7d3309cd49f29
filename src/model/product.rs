use std::fmt;

use super::Invalid;

/// How a product is named by its user: its number or its slug.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ProductRef(String);

impl ProductRef {
    /// Letters, digits, hyphens, underscores and dots; `.` and `..` would change a URL's path.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if text.is_empty() || !text.bytes().all(plain) || text.bytes().all(|b| b == b'.') {
            return Err(Invalid {
                what: "a product",
                why: "is named by its number or its slug (letters, digits, hyphens)".into(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// As it goes into a path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProductRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_slugs_are_taken_and_paths_are_not() {
        assert_eq!(ProductRef::parse(" 1319 ").unwrap().as_str(), "1319");
        assert!(ProductRef::parse("my-product-v1").is_ok());
        for bad in ["", "..", "a/b", "a?b", "a b", "%2e"] {
            assert!(ProductRef::parse(bad).is_err(), "{bad}");
        }
    }
}
