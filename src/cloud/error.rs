use std::{error::Error, fmt};

use crate::model::{Failure, FailureCode, clean};

/// A call that did not end well. Holds no secret; cheap to clone, as those who share a sign-in share
/// its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudError {
    /// The stable code.
    pub code: FailureCode,
    /// The method and the path: `POST /v1/products/1319/devices`.
    pub call: String,
    /// The status of the last answer, if one came.
    pub status: Option<u16>,
    /// The cloud's own words, or what went wrong on the way; at most some 300 characters.
    pub said: String,
}

impl CloudError {
    /// The words are cleaned.
    pub(super) fn new(code: FailureCode, call: &str, status: Option<u16>, said: impl AsRef<str>) -> Self {
        Self { code, call: clean(call), status, said: clean(said.as_ref()) }
    }

    /// A call that cannot be made with the settings there are.
    pub(super) fn settings(call: &str, why: impl AsRef<str>) -> Self {
        Self::new(FailureCode::Configuration, call, None, why)
    }

    /// Whether the cloud does not have it, or does not show it to this token. Which of the two
    /// statuses it is, is not published.
    pub(super) fn is_not_visible(&self) -> bool {
        matches!(self.status, Some(403 | 404))
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{} was answered with {status}: {}", self.call, self.said)?,
            None => write!(f, "{}: {}", self.call, self.said)?,
        }
        if self.code == FailureCode::ProductNotVisible {
            f.write_str(
                " (the OAuth client must be made inside the product; one made at account level does \
                 not work for the product's calls)",
            )?;
        }
        Ok(())
    }
}

impl Error for CloudError {}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        Failure::new(error.code, error.to_string())
    }
}
