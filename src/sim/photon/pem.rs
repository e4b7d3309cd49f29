use base64::{Engine, engine::general_purpose::STANDARD};

/// The DER bytes of the certificates in a PEM text, one after the other; `None` when there is none or
/// it cannot be read (`mbedtls_x509_crt_pem_to_der`). What the DER holds is not looked into beyond its
/// outermost length.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut rest = text;
    let mut all = Vec::new();
    while let Some((der, after)) = block(rest, "CERTIFICATE") {
        all.extend(der);
        rest = after;
    }
    (!all.is_empty()).then_some(all)
}

/// The DER bytes of an unencrypted private key (`mbedtls_pk_pem_to_der`).
pub(super) fn private_key(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let labels = ["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"];
    labels.iter().find_map(|label| block(text, label)).map(|(der, _)| der)
}

fn block<'a>(text: &'a str, label: &str) -> Option<(Vec<u8>, &'a str)> {
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, rest) = after.split_once(&format!("-----END {label}-----"))?;
    let packed: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(packed).ok()?;
    is_one_sequence(&der).then_some((der, rest))
}

fn is_one_sequence(der: &[u8]) -> bool {
    let Some((&0x30, [first, rest @ ..])) = der.split_first() else { return false };
    if *first < 0x80 {
        return rest.len() == usize::from(*first);
    }
    let digits = usize::from(first & 0x7f);
    if digits > 4 || rest.len() < digits {
        return false;
    }
    let (length, content) = rest.split_at(digits);
    length.iter().fold(0, |n, &b| n << 8 | usize::from(b)) == content.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\r\nMAMCAQE=\r\n-----END CERTIFICATE-----\r\n";

    #[test]
    fn certificates_are_found_and_joined() {
        assert_eq!(certificates(CERTIFICATE.as_bytes()).unwrap(), [0x30, 3, 2, 1, 1]);
        assert_eq!(certificates(CERTIFICATE.repeat(2).as_bytes()).unwrap().len(), 10);
        assert_eq!(private_key(CERTIFICATE.as_bytes()), None);
    }

    #[test]
    fn cut_and_garbled_texts_are_not_understood() {
        assert_eq!(certificates(&CERTIFICATE.as_bytes()[..40]), None);
        assert_eq!(certificates(CERTIFICATE.replace("MAMC", "MAQC").as_bytes()), None);
        assert_eq!(certificates(b"\xff"), None);
        assert_eq!(private_key(b""), None);
    }
}
