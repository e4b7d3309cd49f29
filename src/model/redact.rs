//! The last line of defence for secrets, and for the terminal.
//!
//! Secrets are types that cannot be printed. But the cloud echoes tokens in error texts, devices
//! print claim codes in their logs, and other people's libraries log what they like. So every
//! secret that the process comes to hold is [`guard`]ed once, and every text on its way out is
//! [`redact`]ed: of the secrets themselves, also percent-encoded, escaped, in HTML's entities, in hex or
//! in base64, and of what looks like one or is called one.

use std::{borrow::Cow, ops::Range, sync::RwLock};

use serde_json::Value;

use super::guarded::Guarded;

const MASK: &str = "[redacted]";

#[cfg(not(test))]
static SECRETS: RwLock<Option<Guarded>> = RwLock::new(None);

// Each unit test has its own, on its own thread: what one of them guards is a plain word to others.
#[cfg(test)]
thread_local! {
    static SECRETS: RwLock<Option<Guarded>> = const { RwLock::new(None) };
}

fn with_secrets<T>(work: impl FnOnce(&RwLock<Option<Guarded>>) -> T) -> T {
    #[cfg(not(test))]
    return work(&SECRETS);
    #[cfg(test)]
    SECRETS.with(work)
}

/// Remembers a secret, so that [`redact`] takes it out of every text from now on. One of five bytes (a
/// WEP key) is taken out where it stands alone; shorter ones are not, as masking them would wreck every
/// line that has them by chance.
pub fn guard(secret: impl AsRef<[u8]>) {
    remember(secret.as_ref(), true);
}

/// The same for one of many that come and go, such as claim codes: it is forgotten once some thousand
/// others have come after it.
pub fn guard_for_now(secret: impl AsRef<[u8]>) {
    remember(secret.as_ref(), false);
}

fn remember(secret: &[u8], for_good: bool) {
    with_secrets(|secrets| {
        let known =
            secrets.read().unwrap_or_else(|e| e.into_inner()).as_ref().map(|s| s.knows(secret, for_good));
        if known != Some(true) {
            let mut secrets = secrets.write().unwrap_or_else(|e| e.into_inner());
            secrets.get_or_insert_default().add(secret, for_good);
        }
    });
}

/// Replaces every guarded secret; every run of exactly 40 hexadecimal digits (the form of Particle's
/// tokens and client secrets) and every one of 63 that looks like a claim code; and the values of what
/// is called a secret, in a query, a form or JSON.
pub fn redact(text: &str) -> Cow<'_, str> {
    with_secrets(|secrets| redact_of(secrets.read().unwrap_or_else(|e| e.into_inner()).as_ref(), text))
}

/// Replaces only the secrets that are guarded, for what may hold others that its reader has asked for.
pub fn redact_held(text: &str) -> Cow<'_, str> {
    let mut found = Vec::new();
    with_secrets(|secrets| {
        if let Some(secrets) = secrets.read().unwrap_or_else(|e| e.into_inner()).as_ref() {
            secrets.find(text.as_bytes(), &mut found);
        }
    });
    if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, found)) }
}

fn redact_of<'a>(secrets: Option<&Guarded>, text: &'a str) -> Cow<'a, str> {
    let mut found = Vec::new();
    if let Some(secrets) = secrets {
        secrets.find(text.as_bytes(), &mut found);
    }
    find_runs(text.as_bytes(), &mut found);
    find_named(text.as_bytes(), &mut found);
    if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(masked(text, found)) }
}

fn masked(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for Range { start, end } in found {
        // Whole characters; the text's own ends are at borders.
        let border = |at: &usize| text.is_char_boundary(*at);
        let start = (0..=start).rev().find(border).unwrap_or(start);
        let end = (end..text.len()).find(border).unwrap_or(text.len());
        if start >= done {
            out.push_str(&text[done..start]);
            out.push_str(MASK);
        }
        done = done.max(end);
    }
    out.push_str(&text[done..]);
    out
}

/// Tokens and claim codes by their looks.
fn find_runs(text: &[u8], found: &mut Vec<Range<usize>>) {
    find_runs_of(text, u8::is_ascii_hexdigit, 40, |_| true, found);
    // A long path has no digits, or no capitals.
    let mixed = |run: &[u8]| {
        let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
        has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
    };
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    find_runs_of(text, base64, super::ClaimCode::LENGTH, mixed, found);
}

fn find_runs_of(
    text: &[u8],
    belongs: impl Fn(&u8) -> bool,
    length: usize,
    hides: impl Fn(&[u8]) -> bool,
    found: &mut Vec<Range<usize>>,
) {
    let mut start = 0;
    while start < text.len() {
        let end = start + text[start..].iter().take_while(|b| belongs(b)).count();
        if end - start == length && hides(&text[start..end]) {
            found.push(start..end);
        }
        start = end + 1;
    }
}

/// The values in `access_token=…` and `"access_token":"…"`.
fn find_named(text: &[u8], found: &mut Vec<Range<usize>>) {
    for at in (0..text.len()).filter(|&at| matches!(text[at], b'=' | b':')) {
        let (before, after) = (&text[..at], &text[at + 1..]);
        let value = if text[at] == b'=' {
            named(before, called_a_secret_in_a_form).then(|| unquoted(after))
        } else {
            // JSON, perhaps in a string of JSON.
            let before = before.trim_ascii_end();
            let before = before.strip_suffix(b"\"").map(|b| b.strip_suffix(b"\\").unwrap_or(b));
            before.filter(|before| named(before, is_called_a_secret)).and_then(|_| json_value(after))
        };
        found.extend(value.filter(|v| !v.is_empty()).map(|v| at + 1 + v.start..at + 1 + v.end));
    }
}

fn named(before: &[u8], secret: fn(&str) -> bool) -> bool {
    let name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let length = before.iter().rev().take_while(name).take(40).count();
    std::str::from_utf8(&before[before.len() - length..]).is_ok_and(secret)
}

fn unquoted(after: &[u8]) -> Range<usize> {
    let ends = |b: &u8| b.is_ascii_whitespace() || b"&\"'\\<>;,)}".contains(b);
    0..after.iter().position(ends).unwrap_or(after.len())
}

/// A string without its quotes, or a number.
fn json_value(after: &[u8]) -> Option<Range<usize>> {
    let start = after.iter().position(|b| !b.is_ascii_whitespace())?;
    let (quote, ends): (&[u8], &[u8]) = match &after[start..] {
        [b'"', ..] => (b"\"", b"\""),
        [b'\\', b'"', ..] => (b"\\\"", b"\\\""),
        [b'0'..=b'9' | b'-', ..] => (b"", b",}] \r\n\t"),
        _ => return None,
    };
    let (start, rest) = (start + quote.len(), &after[start + quote.len()..]);
    let mut at = 0;
    while at < rest.len() {
        match (quote.len(), rest[at]) {
            (0, byte) if ends.contains(&byte) => break,
            // In a string, what a backslash stands before does not end it; in a string within one, it does.
            (1, b'\\') => at += 1,
            (1, b'"') => break,
            (2, b'\\') if rest[at..].starts_with(b"\\\\\\") => at += 3,
            (2, b'\\') if rest[at..].starts_with(b"\\\\") => at += 2,
            (2, b'\\') if rest[at..].starts_with(b"\\\"") => break,
            _ => {}
        }
        at += 1;
    }
    Some(start..start + at.min(rest.len()))
}

/// Whether a field of this name holds a secret, in what the cloud and Particle's own tools send:
/// `access_token`, `mfaToken`, `client_secret`, `password`, `claim_code`, `private_key`, `otp`.
pub fn is_called_a_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let part =
        ["token", "secret", "password", "passphrase", "passwd", "claimcode", "authorization", "cookie"];
    let end = ["key", "otp", "pwd", "psk", "credentials"];
    // What kind of token it is, where a secret is, or that there is to be none, is none.
    let about = ["type", "file"];
    !name.starts_with("no")
        && !about.iter().any(|a| name.ends_with(a))
        && (part.iter().any(|p| name.contains(p)) || end.iter().any(|e| name.ends_with(e)))
}

/// In running text `key=` is often no secret's; that of these always is.
fn called_a_secret_in_a_form(name: &str) -> bool {
    is_called_a_secret(name) && !name.ends_with("key")
}

/// Redacts every text within, and the values of fields that are called secrets whatever they are. What
/// becomes of it is always JSON; a redacted text of JSON need not be.
pub fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (name, value) in fields {
                if is_called_a_secret(name) { hide(value) } else { redact_json(value) }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(_) | Value::Number(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(_) => redact_json(value),
        Value::Null | Value::Bool(_) => {}
    }
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
    use base64::{Engine, prelude::BASE64_STANDARD};
    use proptest::prelude::*;
    use serde_json::json;

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
    fn of_secrets_that_begin_or_overlap_one_another_nothing_is_left() {
        ["prefix-of", "prefix-of-another", "another-one"].iter().for_each(guard);
        assert_eq!(redact("prefix-of-another prefix-of"), "[redacted] [redacted]");
        assert_eq!(redact("<prefix-of-another-one>"), "<[redacted]>");
    }

    #[test]
    fn five_bytes_count_where_they_stand_alone_and_four_do_not() {
        ["wepky", "four"].iter().for_each(guard);
        assert_eq!(
            redact("wepky, \"wepky\", wepkys and four 7765706b79"),
            "[redacted], \"[redacted]\", wepkys and four [redacted]"
        );
    }

    #[test]
    fn claim_codes_are_known_by_their_looks() {
        // Never guarded.
        let code = "5LsF/oobOFc40F62t+vHroBfAXJ2QHXXerK7CIsWte5nuMW9C5sEWIe3uDdExjG";
        assert_eq!(redact(&format!("claim={code}.")), "claim=[redacted].");
        for plain in [&format!("{code}A"), &"a1".repeat(32)[1..], &"/Some/Path".repeat(7)[..63]] {
            assert_eq!(redact(plain), plain);
        }
    }

    #[test]
    fn what_is_called_a_secret_is_masked_in_queries_and_in_json() {
        // Whatever other tests have guarded meanwhile.
        let redact = |text| redact_of(None, text);
        for (text, masked) in [
            ("password=x y", "password=[redacted] y"),
            ("{\"access_token\":\"half of a", "{\"access_token\":\"[redacted]"),
            (r#"{"otp": 123456, "ok":true}"#, r#"{"otp": [redacted], "ok":true}"#),
            (r#"{"password":"a\"b\\","x":1}"#, r#"{"password":"[redacted]","x":1}"#),
            (r#"{\"mfa_token\":\"a\\\"b\",\"x\":1}"#, r#"{\"mfa_token\":\"[redacted]\",\"x\":1}"#),
            (r#"{\"mfa_token\":\"a\\n\",\"x\":1}"#, r#"{\"mfa_token\":\"[redacted]\",\"x\":1}"#),
            (r#"Form { client_secret: "x" }"#, r#"Form { client_secret: "x" }"#),
        ] {
            assert_eq!(redact(text), masked);
        }
        for plain in [
            r#"{"token_type":"bearer","error":"x"}"#,
            r#"{"password":null}"#,
            "no_password=true",
            "password: wrong",
            "key=usb",
            "client_secret_file=secret.txt",
            "access_token=",
        ] {
            assert_eq!(redact(plain), plain);
        }
    }

    #[test]
    fn json_stays_json() {
        guard("0.12345678");
        let mut value = json!({
            "seconds": 0.12345678, "otp": 7, "note": "it took 0.12345678", "tokens": ["a", {"name": "b"}],
            "client": {"secret": "x", "id": 1}, "key": null,
        });
        redact_json(&mut value);
        assert_eq!(
            value,
            json!({
                "seconds": 0.12345678, "otp": MASK, "note": "it took [redacted]", "tokens": [MASK, {"name": "b"}],
                "client": {"secret": MASK, "id": 1}, "key": null,
            })
        );
    }

    #[test]
    fn device_ids_and_plain_texts_stay() {
        let plain = "device 3b0021001747353236343033 of Café ☕, 100% \\o/";
        assert!(matches!(redact(plain), Cow::Borrowed(t) if t == plain));
    }

    #[test]
    fn terminal_controls_are_shown_not_sent() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\n");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), 301);
        assert_eq!(tame(&"x".repeat(1000)).chars().count(), 1000);
    }

    #[test]
    fn secrets_that_pass_are_forgotten_and_the_others_are_not() {
        let mut guarded = Guarded::default();
        guarded.add(b"for-good-and-all", true);
        let forms = guarded.len().1;
        for n in 0..6000 {
            guarded.add(format!("passing-secret-{n:08}").as_bytes(), false);
            // One that is used all the time.
            guarded.add(b"used-all-the-time", false);
        }
        let (secrets, all) = guarded.len();
        assert!(secrets <= 4097 && all <= 4097 * forms, "{secrets} {all}");
        let finds = |text: &str| {
            let mut found = Vec::new();
            guarded.find(text.as_bytes(), &mut found);
            !found.is_empty()
        };
        assert!(finds("for-good-and-all") && finds("passing-secret-00005999") && finds("used-all-the-time"));
        assert!(!finds("passing-secret-00000000"));
    }

    /// Percent-encoded as somebody might, byte by byte.
    fn percent(text: &str, which: &[bool]) -> String {
        let encode = |(n, b): (usize, u8)| match which[n % which.len()] || !b.is_ascii_alphanumeric() {
            true if n % 2 == 0 => format!("%{b:02x}"),
            true => format!("%{b:02X}"),
            false => char::from(b).to_string(),
        };
        text.bytes().enumerate().map(encode).collect()
    }

    /// As HTML has it, some characters by their numbers.
    fn html(text: &str, which: &[bool]) -> String {
        let escape = |(n, c): (usize, char)| match (c, which[n % which.len()]) {
            ('&', false) => "&amp;".into(),
            ('<', false) => "&lt;".into(),
            ('>', false) => "&gt;".into(),
            ('"', false) => "&quot;".into(),
            ('\'', false) => "&#39;".into(),
            (c, true) if n % 2 == 0 => format!("&#{};", u32::from(c)),
            (c, true) => format!("&#x{:x};", u32::from(c)),
            (c, false) => c.into(),
        };
        text.chars().enumerate().map(escape).collect()
    }

    proptest! {
        #[test]
        fn no_form_of_a_secret_gets_through(
            secret in "[ -~é☕𝄞\\n]{6,70}",
            before in "[a-z0-9+/]{0,5}",
            after in "[ \"&,é]?[a-z]{0,5}",
            which in proptest::collection::vec(any::<bool>(), 1..9),
        ) {
            // Not of the whole process: it may be anything, six blanks for one.
            let mut guarded = Guarded::default();
            guarded.add(secret.as_bytes(), true);
            let redact = |text: &str| redact_of(Some(&guarded), text).into_owned();
            let json = |text: &str| serde_json::to_string(text).unwrap();
            let in_json = json(&secret);
            let in_json = &in_json[1..in_json.len() - 1];
            let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let debug = format!("{:?}", secret);
            for disguise in [
                secret.clone(),
                json(&secret),
                json(&json(&secret)),
                in_json.replace('/', "\\/"),
                debug,
                form,
                percent(&secret, &which),
                json(&percent(&secret, &which)),
                html(&secret, &which),
                json(&html(&secret, &which)),
                base16ct::lower::encode_string(secret.as_bytes()),
                base16ct::upper::encode_string(secret.as_bytes()),
                secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
            ] {
                let text = format!("{before}{disguise}{after}");
                let said = redact(&text);
                prop_assert!(said.contains(MASK), "{text} became {said}");
                prop_assert!(!said.contains(&disguise), "{text} became {said}");
            }
            let pair = BASE64_STANDARD.encode(format!("{before}:{secret}{after}"));
            let said = redact(&pair);
            // All but what its ends share with their neighbours.
            prop_assert!(said.len() <= pair.len() + MASK.len() - (secret.len() * 8 / 6 - 2), "{pair} became {said}");
        }

        #[test]
        fn no_text_panics_and_twice_is_as_good_as_once(text in "\\PC{0,80}", odd in r#"[\\u{}x%"=:&#;0-9a-fé tokensecret]{0,80}"#) {
            for text in [text, odd] {
                let once = redact(&text).into_owned();
                prop_assert_eq!(redact(&once).into_owned(), once.clone());
                redact_json(&mut Value::String(text));
            }
        }
    }
}
