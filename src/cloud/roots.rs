use reqwest::Certificate;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::model::Invalid;

/// Authorities that are trusted besides those that the computer trusts anyway: a proxy's that looks into
/// TLS, a simulated cloud's.
#[derive(Debug, Clone)]
pub struct RootCertificates(Vec<Certificate>);

impl RootCertificates {
    /// Reads a PEM bundle with a certificate or more. What else it holds is left aside.
    pub fn from_pem(bundle: &[u8]) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a bundle of certificates", why: why.into() };
        let mut found = Vec::new();
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            let certificate = certificate.map_err(|_| invalid("is damaged PEM"))?;
            found.push(Certificate::from_der(&certificate).map_err(|_| invalid("is damaged PEM"))?);
            store.add(certificate).map_err(|_| invalid("holds something that is no certificate"))?;
        }
        if found.is_empty() {
            return Err(invalid("holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"));
        }
        Ok(Self(found))
    }

    /// One by one, for a client.
    pub(crate) fn to_vec(&self) -> Vec<Certificate> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sim::cloud::{CloudConfig, SimCloud};

    async fn authority() -> String {
        let tls = Some(crate::sim::cloud::Certificate::Good);
        let cloud = SimCloud::start(CloudConfig { tls, ..CloudConfig::default() }).await.unwrap();
        cloud.ca_pem().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_bundle_holds_one_certificate_or_more_and_may_hold_words() {
        let pem = authority().await;
        assert_eq!(RootCertificates::from_pem(pem.as_bytes()).unwrap().to_vec().len(), 1);
        let bundle = format!("# the proxy's\n{pem}\n# another's\n{}", pem.replace('\n', "\r\n"));
        assert_eq!(RootCertificates::from_pem(bundle.as_bytes()).unwrap().to_vec().len(), 2);
    }

    #[tokio::test]
    async fn what_is_no_certificate_is_refused_with_a_reason() {
        let pem = authority().await;
        let lines: Vec<_> = pem.lines().collect();
        let cut = lines[..lines.len() / 2].join("\n");
        for (bundle, why) in [
            ("", "holds no certificate in PEM form"),
            ("{}", "holds no certificate in PEM form"),
            (&cut, "is damaged PEM"),
            ("-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", "is damaged PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "something that is no certificate",
            ),
        ] {
            let said = RootCertificates::from_pem(bundle.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(why), "{bundle}: {said}");
        }
        assert!(RootCertificates::from_pem(pem.replace("CERTIFICATE", "PRIVATE KEY").as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bundle_panics(bytes: Vec<u8>, body in "[A-Za-z0-9+/=\n]{0,80}") {
            let _ = RootCertificates::from_pem(&bytes);
            let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            prop_assert!(RootCertificates::from_pem(pem.as_bytes()).is_err());
        }
    }
}
