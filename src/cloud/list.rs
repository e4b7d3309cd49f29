/// A record of a list, and the JSON text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is understood of it.
    pub record: T,
    /// All that the cloud said, as it said it: from outside, and not redacted.
    pub json: String,
}
