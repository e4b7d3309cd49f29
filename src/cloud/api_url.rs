use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::model::Invalid;

/// Where the API is: https, or plain http on this computer only (for the simulated cloud).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl(Url);

impl ApiUrl {
    /// Particle's own.
    pub const PARTICLE: &str = "https://api.particle.io";

    /// Refuses what would send credentials in the clear, and parts that an API's address cannot have.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "an API URL", why: why.into() };
        let mut url = Url::parse(text.trim()).map_err(|_| invalid("looks like https://api.particle.io"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("cannot hold a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("cannot hold a query or a fragment"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(invalid("begins with https://: plain http would show secrets to the network"));
            }
            _ => return Err(invalid("begins with https://")),
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Whether it is on this computer.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    pub(super) fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The address of a call; the segments are percent-encoded.
    pub(super) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Only URLs that cannot be a base (mailto:) have no path, and those were refused.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        // A constant, and a test parses it.
        Self::parse(Self::PARTICLE).expect("Particle's own URL is one")
    }
}

impl FromStr for ApiUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_loopback_http_are_taken_and_lose_their_trailing_slash() {
        for (given, shown) in [
            ("https://api.particle.io/", "https://api.particle.io"),
            ("HTTPS://API.Particle.io", "https://api.particle.io"),
            ("http://127.0.0.1:4000", "http://127.0.0.1:4000"),
            ("http://[::1]:4000/cloud//", "http://[::1]:4000/cloud"),
            ("http://localhost:4000/", "http://localhost:4000"),
        ] {
            assert_eq!(ApiUrl::parse(given).unwrap().to_string(), shown);
        }
        assert_eq!(ApiUrl::default().to_string(), ApiUrl::PARTICLE);
    }

    #[test]
    fn urls_that_would_leak_credentials_are_refused_and_not_repeated() {
        for bad in [
            "http://api.particle.io",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "https://user:pass@api.particle.io",
            "https://api.particle.io/?access_token=x",
            "https://api.particle.io/#x",
            "ftp://127.0.0.1",
            "api.particle.io",
            "",
        ] {
            let refusal = ApiUrl::parse(bad).unwrap_err().to_string();
            assert!(!refusal.contains("pass@"), "{refusal}");
        }
    }

    #[test]
    fn segments_are_percent_encoded_under_the_base_path() {
        let url = ApiUrl::parse("http://localhost:1/base").unwrap();
        assert_eq!(url.join(&["v1", "a/b?c", "d e"]).path(), "/base/v1/a%2Fb%3Fc/d%20e");
    }
}
