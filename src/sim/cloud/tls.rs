use std::{io, net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// What the certificate of a simulated cloud is like. All are signed by an authority of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, `cloud.simulated.example`, this computer's loopback addresses, and the address
    /// that is listened on.
    Good,
    /// The same, but its time is over.
    Expired,
    /// For `elsewhere.simulated.example` only.
    OfAnotherHost,
}

/// How a simulated cloud proves who it is.
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    pub(super) ca_pem: String,
}

impl Identity {
    /// Made anew each time, authority and all.
    pub(super) fn new(certificate: Certificate, address: IpAddr) -> io::Result<Self> {
        let failed = io::Error::other::<rcgen::Error>;
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Simulated Particle cloud, authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate().map_err(failed)?;
        let authority = CertifiedIssuer::self_signed(authority, authority_key).map_err(failed)?;

        let names = match certificate {
            Certificate::OfAnotherHost => vec!["elsewhere.simulated.example".to_owned()],
            _ => {
                let usual = ["localhost", "cloud.simulated.example", "127.0.0.1", "::1"].map(str::to_owned);
                let own = address.to_string();
                let own = (!usual.contains(&own) && !address.is_unspecified()).then_some(own);
                usual.into_iter().chain(own).collect()
            }
        };
        let mut params = CertificateParams::new(names).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, "Simulated Particle cloud");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if certificate == Certificate::Expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().map_err(failed)?;
        let signed = params.signed_by(&key, &authority).map_err(failed)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let provider = Arc::new(ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![signed.der().clone()], key))
            .map_err(io::Error::other)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { server: Arc::new(server), ca_pem: authority.pem() })
    }
}
