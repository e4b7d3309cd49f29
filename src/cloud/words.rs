//! What an answer says, whatever its shape: the cloud's JSON comes in several, and what stands
//! between (proxies, captive portals, load balancers) answers HTML, plain text or nothing.

use serde_json::Value;

use crate::model::clean;

/// The fields that hold words, in the order in which a person wants to read them.
const FIELDS: [&str; 7] = ["error", "error_description", "code", "message", "errors", "info", "description"];

/// The words of a body, cleaned; never empty.
pub(super) fn words(body: &[u8]) -> String {
    // Only the beginning is shown, so only the beginning is searched.
    let start = &body[..body.len().min(16 * 1024)];
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return "an empty answer".into();
    }
    if body.starts_with(&[0x1f, 0x8b]) {
        return "compressed data, which was not asked for".into();
    }
    if start.iter().any(|b| b.is_ascii_control() && !b.is_ascii_whitespace() && *b != 0x1b) {
        return format!("{} bytes that are no text", body.len());
    }
    if text.starts_with('<') {
        return html_title(text)
            .map_or_else(|| "an HTML page".into(), |title| clean(&format!("an HTML page, “{title}”")));
    }
    match read_json(body) {
        Ok(json) => match json_words(&json) {
            found if found.is_empty() => clean(&outline(&json)),
            found => clean(&found),
        },
        Err(_) => clean(text),
    }
}

/// JSON, also with a mark before it and with characters in it that are no UTF-8.
pub(super) fn read_json(body: &[u8]) -> serde_json::Result<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_str(&String::from_utf8_lossy(body)),
    }
}

/// What kind of JSON it is. Never its values, as those may be secrets.
pub(super) fn outline(json: &Value) -> String {
    match json {
        Value::Object(fields) if fields.is_empty() => "an empty JSON object".into(),
        Value::Object(fields) => {
            format!("JSON with {}", fields.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
        Value::Null => "nothing".into(),
        Value::Array(_) => "a JSON array".into(),
        _ => "a bare JSON value".into(),
    }
}

/// The `error` field of an OAuth answer: a fixed word such as `invalid_client`.
pub(super) fn error_word(body: &[u8]) -> Option<String> {
    match read_json(body).ok()?.get_mut("error")?.take() {
        Value::String(word) => Some(word),
        _ => None,
    }
}

pub(super) fn json_words(json: &Value) -> String {
    let mut found = Vec::new();
    collect(json, &mut found);
    found.join(": ")
}

fn collect<'a>(json: &'a Value, found: &mut Vec<&'a str>) {
    match json {
        Value::String(text) if !text.trim().is_empty() && !found.contains(&text.trim()) => {
            found.push(text.trim());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => {
            FIELDS.iter().filter_map(|name| fields.get(*name)).for_each(|field| collect(field, found));
        }
        _ => {}
    }
}

fn html_title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let from = open + lower[open..].find('>')? + 1;
    let to = from + lower[from..].find("</title")?;
    let title = html[from..to].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_shape_of_body_ends_in_its_own_words() {
        for (body, said) in [
            (
                r#"{"error":"invalid_token","error_description":"It is invalid."}"#,
                "invalid_token: It is invalid.",
            ),
            (r#"{"ok":false,"error":"timed out"}"#, "timed out"),
            (r#"{"error":{"message":"No","status":3}}"#, "No"),
            (r#"{"ok":false,"errors":["one",{"message":"two"},"one"]}"#, "one: two"),
            (r#"{"info":"I am sorry"}"#, "I am sorry"),
            (r#""just a string""#, "just a string"),
            (r#"{"access_token":"tok-en","expires_in":7}"#, "JSON with access_token, expires_in"),
            ("[]", "a JSON array"),
            ("{}", "an empty JSON object"),
            ("null", "nothing"),
            ("7", "a bare JSON value"),
            (r#"{"error":"cut o"#, r#"{"error":"cut o"#),
            ("", "an empty answer"),
            (" \r\n", "an empty answer"),
            ("<html><head><TITLE>\n 502 Bad\tGateway</title>", "an HTML page, “502 Bad Gateway”"),
            ("<!doctype html><p>hi", "an HTML page"),
            ("<title>never closed", "an HTML page"),
            ("upstream timed out", "upstream timed out"),
            ("\u{feff}{\"error\":\"marked\"}", "marked"),
            ("\u{1f}\u{0}", "2 bytes that are no text"),
        ] {
            assert_eq!(words(body.as_bytes()), said);
        }
        assert_eq!(words(b"{\"error\":\"d\xe9sol\xe9\"}"), "d\u{fffd}sol\u{fffd}");
        assert_eq!(words(b"\x1f\x8b\x08\x00"), "compressed data, which was not asked for");
        assert!(words(b"\xff\xfe\x1b[2J").contains("\\u{1b}"));
    }

    #[test]
    fn a_token_in_an_info_url_is_taken_out() {
        let body = r#"{"info":"see https://api.particle.io/v1/devices?access_token=tok-en&x=1"}"#;
        assert_eq!(
            words(body.as_bytes()),
            "see https://api.particle.io/v1/devices?access_token=[redacted]&x=1"
        );
    }

    proptest! {
        #[test]
        fn no_body_panics_or_says_nothing(body: Vec<u8>, html in "<(title)?[<>a-zß/ ]{0,40}") {
            prop_assert!(!words(&body).is_empty());
            prop_assert!(!words(html.as_bytes()).is_empty());
        }
    }
}
