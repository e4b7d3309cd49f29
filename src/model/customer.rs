use std::fmt;

use super::{DeviceId, Invalid};

/// A customer's name within a product: an e-mail address or any other unique text.
///
/// The cloud compares names without regard to case, and so does this type.
#[derive(Debug, Clone, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Customer(String);

impl Customer {
    /// Takes any text without blanks at its ends and without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid { what: "a customer", why: why.into() };
        let text = text.trim();
        if text.is_empty() {
            return Err(invalid("cannot be empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid("cannot hold control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the cloud's `owner` names this customer.
    pub fn is(&self, owner: &str) -> bool {
        self.0.to_lowercase() == owner.trim().to_lowercase()
    }
}

impl PartialEq for Customer {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl fmt::Display for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What `--customer` holds: a name, or a name with `{device_id}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerTemplate {
    /// The same customer for every device; known before the device is.
    Fixed(Customer),
    /// One customer a device; the text still holds `{device_id}`.
    PerDevice(String),
}

impl CustomerTemplate {
    const HOLE: &str = "{device_id}";

    /// Refuses placeholders other than `{device_id}`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let sample = text.replace(Self::HOLE, "0123456789abcdef01234567");
        let customer = Customer::parse(&sample)?;
        if sample.contains(['{', '}']) {
            return Err(Invalid {
                what: "a customer template",
                why: "knows the placeholder {device_id} only".into(),
            });
        }
        Ok(if text.contains(Self::HOLE) {
            Self::PerDevice(text.trim().to_owned())
        } else {
            Self::Fixed(customer)
        })
    }

    /// The customer, if it can be told without the device.
    pub fn fixed(&self) -> Option<&Customer> {
        match self {
            Self::Fixed(customer) => Some(customer),
            Self::PerDevice(_) => None,
        }
    }

    /// The customer of this device.
    pub fn for_device(&self, id: &DeviceId) -> Customer {
        match self {
            Self::Fixed(customer) => customer.clone(),
            Self::PerDevice(text) => Customer(text.replace(Self::HOLE, id.as_str())),
        }
    }
}

impl fmt::Display for CustomerTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(customer) => customer.fmt(f),
            Self::PerDevice(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gives_each_device_its_own_customer() {
        let id = DeviceId::parse("3B0021001747353236343033").unwrap();
        let template = CustomerTemplate::parse("{device_id}@shadow.example").unwrap();
        assert_eq!(template.fixed(), None);
        assert_eq!(template.for_device(&id).as_str(), "3b0021001747353236343033@shadow.example");
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        assert!(CustomerTemplate::parse("{serial}@shadow.example").is_err());
        assert!(CustomerTemplate::parse(" ").is_err());
    }

    #[test]
    fn owners_are_compared_without_regard_to_case() {
        assert!(Customer::parse("Ann+1@Example.com").unwrap().is("ann+1@example.COM"));
    }
}
