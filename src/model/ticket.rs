use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{ClaimCode, Customer, CustomerTemplate, DeviceId, Invalid, ProductRef, WifiCredentials};

const WHAT: &str = "a ticket";

/// What passes from preparing (with internet) to delivering (on the Photon's network) and verifying
/// (with internet again).
///
/// Holds a claim code, and perhaps Wi-Fi credentials: whoever reads it can take the device. It is of no
/// use once its code has expired.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// Where the cloud is that made the code.
    pub api_url: String,
    /// The product and the customer; absent for a developer's own account.
    pub owner: Option<(ProductRef, Customer)>,
    /// The device that it is for; any, if absent.
    pub device_id: Option<DeviceId>,
    /// Whether the device is in the product already.
    pub imported: bool,
    /// The code.
    pub claim_code: ClaimCode,
    /// The network that the device shall join.
    pub wifi: Option<WifiCredentials>,
    /// When the code expires, as far as anybody knows.
    pub expires_at: Timestamp,
}

/// The stored form, versioned apart from the live one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    ticket: u32,
    api_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    product: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    imported: bool,
    claim_code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    wifi: Option<Value>,
    expires_at: Timestamp,
}

const VERSION: u32 = 1;

impl Ticket {
    /// How long a claim code is taken to be good for. Particle does not say, so this is a guess on the
    /// careful side: a ticket can be made again at any time.
    pub const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

    /// As it is stored. Secret.
    pub fn to_json(&self) -> Zeroizing<String> {
        let stored = Stored {
            ticket: VERSION,
            api_url: self.api_url.clone(),
            product: self.owner.as_ref().map(|(product, _)| product.to_string()),
            customer: self.owner.as_ref().map(|(_, customer)| customer.to_string()),
            device_id: self.device_id.as_ref().map(DeviceId::to_string),
            imported: self.imported,
            claim_code: self.claim_code.expose().to_owned(),
            wifi: self.wifi.as_ref().map(WifiCredentials::to_json),
            expires_at: self.expires_at,
        };
        // A plain struct of texts always serialises.
        Zeroizing::new(serde_json::to_string(&stored).unwrap_or_default())
    }

    /// Reads the stored form. No error holds a value.
    pub fn from_json(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: WHAT, why: why.into() };
        let stored: Stored = serde_json::from_str(text)
            .map_err(|_| invalid("is a file that `prepare` has written, and this is not one"))?;
        if stored.ticket != VERSION {
            return Err(invalid("of another version of this program cannot be used"));
        }
        let owner = match (stored.product, stored.customer) {
            (Some(product), Some(customer)) => {
                Some((ProductRef::parse(&product)?, Customer::parse(&customer)?))
            }
            (None, None) => None,
            _ => return Err(invalid("names both a product and a customer, or neither")),
        };
        let wifi = stored.wifi.map(|json| {
            let text = Zeroizing::new(json.to_string());
            WifiCredentials::from_json(&text, |_| Err(std::io::ErrorKind::Unsupported.into()))
        });
        Ok(Self {
            api_url: stored.api_url,
            owner,
            device_id: stored.device_id.map(|id| DeviceId::parse(&id)).transpose()?,
            imported: stored.imported,
            claim_code: ClaimCode::parse(&stored.claim_code)?,
            wifi: wifi.transpose()?,
            expires_at: stored.expires_at,
        })
    }

    /// Whether its code is too old to be delivered.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// The customer as a template that names them alone.
    pub fn customer(&self) -> Option<CustomerTemplate> {
        self.owner.as_ref().map(|(_, customer)| CustomerTemplate::Fixed(customer.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Passphrase, Ssid, WifiAccess, WifiSecurity};

    fn ticket() -> Ticket {
        let wifi = WifiCredentials::new(
            Ssid::new("Café").unwrap(),
            Some(WifiSecurity::Wpa2Aes),
            Some(6),
            WifiAccess::Shared(Passphrase::new("correct horse").unwrap()),
        );
        Ticket {
            api_url: "https://api.particle.io".into(),
            owner: Some((ProductRef::parse("1319").unwrap(), Customer::parse("ann@example.com").unwrap())),
            device_id: DeviceId::parse("3b0021001747353236343033").ok(),
            imported: true,
            claim_code: ClaimCode::parse("3GjxEdDu3eIWEs5C9WMun5etWsIC7KreXXHQ2JXAfBorHv+t26F04cFObo/FsL5")
                .unwrap(),
            wifi: wifi.ok(),
            expires_at: "2026-11-23T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_ticket_reads_as_it_was_written() {
        let text = ticket().to_json();
        assert_eq!(Ticket::from_json(&text).unwrap().to_json(), text);
        assert!(text.contains("correct horse"));
    }

    #[test]
    fn a_ticket_cannot_be_printed_with_its_secrets() {
        let shown = format!("{:?}", ticket());
        assert!(!shown.contains("3Gjx") && !shown.contains("correct horse"), "{shown}");
    }

    #[test]
    fn a_ticket_expires_with_its_code() {
        assert!(!ticket().has_expired("2026-11-23T09:59:59Z".parse().unwrap()));
        assert!(ticket().has_expired("2026-11-23T10:00:00Z".parse().unwrap()));
    }

    #[test]
    fn other_files_are_refused_without_showing_them() {
        for bad in ["", "{}", "[1]", r#"{"ticket":2}"#, r#"{"claim_code":"secret-thing"}"#] {
            let refused = Ticket::from_json(bad).unwrap_err().to_string();
            assert!(!refused.contains("secret-thing"), "{refused}");
        }
    }
}
