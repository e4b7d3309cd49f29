use std::{fmt, str::FromStr};

use super::BadFault;

/// Which requests are meant: a method and a path, as in `POST /v1/products/*/customers`.
///
/// `*` as the method is any method; `*` as a segment is exactly one segment; `**` as the last segment
/// is everything below, at least one segment. Other segments are compared as they stand in the request
/// (still percent-encoded); the query is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    method: String,
    segments: Vec<String>,
}

impl RoutePattern {
    /// Whether a request for this path with this method is meant.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        if self.method != "*" && self.method != method {
            return false;
        }
        let (open_ended, wanted) = match self.segments.split_last() {
            Some((last, before)) if last == "**" => (true, before),
            _ => (false, self.segments.as_slice()),
        };
        let path: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let long_enough = if open_ended { path.len() > wanted.len() } else { path.len() == wanted.len() };
        long_enough && wanted.iter().zip(path).all(|(want, is)| want == "*" || want == is)
    }
}

impl FromStr for RoutePattern {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = |why: &str| BadFault { spec: text.to_owned(), why: why.to_owned() };
        let (method, path) = text
            .trim()
            .split_once(' ')
            .ok_or_else(|| bad("a method and a path are needed, as in \"POST /oauth/token\""))?;
        if method != "*" && (method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(bad("the method is written in capitals, or * for any"));
        }
        let path = path.trim_start();
        let rest = path.strip_prefix('/').ok_or_else(|| bad("the path begins with /"))?;
        if !path.bytes().all(|b| b.is_ascii_graphic()) || path.contains(['?', '#']) {
            return Err(bad("the path has no blanks, no query and no fragment"));
        }
        let segments: Vec<String> = rest.split('/').map(str::to_owned).collect();
        if segments.iter().rev().skip(1).any(|s| s == "**") {
            return Err(bad("** can only be the last segment"));
        }
        Ok(Self { method: method.to_owned(), segments })
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.segments.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RoutePattern {
        text.parse().unwrap()
    }

    #[test]
    fn one_star_is_one_segment_and_two_are_all_below() {
        let one = pattern("GET /v1/products/*/devices");
        assert!(one.matches("GET", "/v1/products/1319/devices"));
        assert!(!one.matches("POST", "/v1/products/1319/devices"));
        assert!(!one.matches("GET", "/v1/products/1319/devices/d"));
        let below = pattern("* /v1/products/**");
        assert!(below.matches("PUT", "/v1/products/1319/devices/d"));
        assert!(!below.matches("GET", "/v1/products"));
    }

    #[test]
    fn patterns_that_could_never_match_are_refused() {
        for bad in ["", "POST", "POST oauth", "post /x", "GET /**/x", "GET /a b", "GET /a?b=1"] {
            assert!(bad.parse::<RoutePattern>().is_err(), "{bad}");
        }
    }
}
