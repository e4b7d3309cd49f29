//! The last line of defence for secrets, and for the terminal.
//!
//! Secrets are types that cannot be printed. But the cloud echoes tokens in error texts, devices
//! print claim codes in their logs, and other people's libraries log what they like. So every
//! secret that the process comes to hold is [`guard`]ed once, and every text on its way out is
//! [`redact`]ed.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeSet, sync::RwLock};

const MASK: &str = "[redacted]";

/// The longest first, so that none leaves the tail of a longer one behind.
static SECRETS: RwLock<BTreeSet<(Reverse<usize>, String)>> = RwLock::new(BTreeSet::new());

/// Remembers a secret, so that [`redact`] takes it out of every text from now on. Texts of fewer
/// than six characters are not guarded: masking them would wreck every line that has them by chance.
pub fn guard(secret: &str) {
    if secret.len() < 6 {
        return;
    }
    let secret = (Reverse(secret.len()), secret.to_owned());
    let known = SECRETS.read().unwrap_or_else(|e| e.into_inner()).contains(&secret);
    if !known {
        SECRETS.write().unwrap_or_else(|e| e.into_inner()).insert(secret);
    }
}

/// Replaces every guarded secret, anything that follows `access_token=` and every run of exactly 40
/// hexadecimal digits (the form of Particle's tokens and client secrets).
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for (_, secret) in SECRETS.read().unwrap_or_else(|e| e.into_inner()).iter() {
        if out.contains(secret.as_str()) {
            out = Cow::Owned(out.replace(secret.as_str(), MASK));
        }
    }
    out = mask_runs(out, |run| run.len() == 40, |c| c.is_ascii_hexdigit());
    mask_after(out, "access_token=")
}

fn mask_runs(text: Cow<'_, str>, hides: fn(&str) -> bool, belongs: fn(char) -> bool) -> Cow<'_, str> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (belongs(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                if hides(&text[from..at]) {
                    found.push(from..at);
                }
                start = None;
            }
            _ => {}
        }
    }
    if found.is_empty() {
        return text;
    }
    let mut out = text.into_owned();
    for range in found.into_iter().rev() {
        out.replace_range(range, MASK);
    }
    Cow::Owned(out)
}

fn mask_after<'a>(text: Cow<'a, str>, key: &str) -> Cow<'a, str> {
    if !text.contains(key) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(at) = rest.find(key) {
        let (before, after) = rest.split_at(at + key.len());
        out.push_str(before);
        out.push_str(MASK);
        let end = after
            .find(|c: char| c == '&' || c == '"' || c == '\'' || c.is_whitespace())
            .unwrap_or(after.len());
        rest = &after[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A text from outside (an SSID, a name, the cloud's words, a device's log line), made safe to show:
/// redacted, control characters as `\u{1b}`, at most 300 characters.
pub fn clean(text: &str) -> String {
    shown(text, 300)
}

/// The same in full length, for what has a place of its own: a cell of a table, a field of a record.
pub fn tame(text: &str) -> String {
    shown(text, usize::MAX)
}

fn shown(text: &str, most: usize) -> String {
    let mut out = String::new();
    for (n, c) in redact(text).chars().enumerate() {
        if n == most {
            out.push('…');
            break;
        }
        // U+202A..202E and U+2066..2069 reorder what follows them on a terminal.
        if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c)
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_texts_tokens_and_query_strings_are_masked() {
        guard("hunter2-long");
        let said = redact(
            "see https://x/?access_token=abc&x=1 5724113917ac1e1cbf80cae2e24dd27c56245bdb hunter2-long!",
        );
        assert_eq!(said, "see https://x/?access_token=[redacted]&x=1 [redacted] [redacted]!");
    }

    #[test]
    fn a_secret_that_begins_another_leaves_nothing_of_it() {
        guard("prefix-of");
        guard("prefix-of-another");
        assert_eq!(redact("prefix-of-another prefix-of"), "[redacted] [redacted]");
    }

    #[test]
    fn device_ids_and_plain_texts_stay() {
        let plain = "device 3b0021001747353236343033 of Café ☕";
        assert!(matches!(redact(plain), Cow::Borrowed(t) if t == plain));
    }

    #[test]
    fn terminal_controls_are_shown_not_sent() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\n");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), 301);
        assert_eq!(tame(&"x".repeat(1000)).chars().count(), 1000);
    }
}
