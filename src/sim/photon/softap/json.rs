use std::ops::Range;

/// What a value can be to the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, `true`, `false`, `null`, and whatever else stands there without quotes.
    Primitive,
    Object,
    Array,
    /// In quotes; the token is what is between them.
    String,
}

#[derive(Debug, PartialEq, Eq)]
struct Token {
    kind: Kind,
    text: Range<usize>,
    /// An object or array whose end has not come yet.
    open: bool,
    /// Keys in an object, entries in an array, values of a key.
    size: usize,
}

/// The fields of an object as the firmware reads it: the key's place in `keys` and the value's bytes,
/// escapes and all, in the order they come. `None` refuses the whole: an unknown key, a value of the
/// wrong kind, a key without a value, or nothing at all (`JSONRequestCommand::parse_json_request`).
///
/// What comes first is never looked at: anything that is not an object has no fields. Of text that is
/// no JSON the firmware takes what its tokenizer made of it up to there, and then runs into memory that
/// nobody wrote; here it finds nothing there.
pub(super) fn fields<'a>(text: &'a [u8], keys: &[(&str, Kind)]) -> Option<Vec<(usize, &'a [u8])>> {
    if text.is_empty() {
        return None;
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut tokens = tokens(text).into_iter();
    let children = |token: &Token| match token.kind {
        Kind::Object | Kind::Array => token.size * 2,
        _ => 0,
    };
    // Each field is a key and a value, so that what is inside a value would count as further fields: by
    // then the value was of the wrong kind.
    let mut left = children(&tokens.next()?);
    let mut fields = Vec::new();
    while left > 0 {
        let key = tokens.next()?;
        let place = keys.iter().position(|(name, _)| name.as_bytes() == &text[key.text.clone()])?;
        let value = tokens.next()?;
        if value.kind != keys[place].1 {
            return None;
        }
        fields.push((place, &text[value.text]));
        left -= 2;
    }
    Some(fields)
}

/// Cuts a text into tokens, up to where it cannot be read on (`services/src/jsmn.c`). It does not mind
/// keys without quotes, missing or additional commas, or what comes after the end.
fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    // What the next token belongs to: the open object or array, or the key whose value is awaited.
    let mut owner: Option<usize> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let kind_and_text = match byte {
            b'{' => Some((Kind::Object, at..at)),
            b'[' => Some((Kind::Array, at..at)),
            b'}' | b']' => {
                let kind = if byte == b'}' { Kind::Object } else { Kind::Array };
                match tokens.iter().rposition(|token| token.open) {
                    Some(last) if tokens[last].kind == kind => {
                        tokens[last].open = false;
                        tokens[last].text.end = at + 1;
                    }
                    _ => return tokens,
                }
                owner = tokens.iter().rposition(|token| token.open);
                None
            }
            b'"' => match string(text, at) {
                Some(inside) => Some((Kind::String, inside)),
                None => return tokens,
            },
            b'\t' | b'\r' | b'\n' | b' ' => None,
            b':' => {
                owner = tokens.len().checked_sub(1);
                None
            }
            b',' => {
                let of_a_key =
                    owner.is_some_and(|at| matches!(tokens[at].kind, Kind::Primitive | Kind::String));
                if of_a_key {
                    owner = tokens.iter().rposition(|token| token.open).or(owner);
                }
                None
            }
            _ => match primitive(text, at) {
                Some(inside) => Some((Kind::Primitive, inside)),
                None => return tokens,
            },
        };
        at += 1;
        let Some((kind, text)) = kind_and_text else { continue };
        if let Some(owner) = owner {
            tokens[owner].size += 1;
        }
        let open = matches!(kind, Kind::Object | Kind::Array);
        match kind {
            // On to behind the closing quote.
            Kind::String => at = text.end + 1,
            Kind::Primitive => at = text.end,
            _ => owner = Some(tokens.len()),
        }
        tokens.push(Token { kind, text, open, size: 0 });
    }
    tokens
}

/// What is between the quote at this place and the next one that is not escaped.
fn string(text: &[u8], quote: usize) -> Option<Range<usize>> {
    let start = quote + 1;
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' => return Some(start..at),
            // A backslash that ends the text is an ordinary character of a string that has no end.
            b'\\' => {
                at += 1;
                match text.get(at)? {
                    b'"' | b'/' | b'\\' | b'b' | b'f' | b'r' | b'n' | b't' => {}
                    b'u' => {
                        let digits = text.get(at + 1..at + 5)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        at += 4;
                    }
                    _ => return None,
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Everything up to the next separator; printable ASCII only. One that ends with the text is one too.
fn primitive(text: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = &text[start..];
    let ends = |byte: &u8| b"\t\r\n ,]}:".contains(byte);
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    rest[..length].iter().all(|byte| (32..127).contains(byte)).then_some(start..start + length)
}

/// A number as `atoi` reads it: 0 when there is none.
pub(super) fn number(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let value =
        digits.fold(0i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let value = if negative { -value } else { value };
    let kept = value.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    i32::try_from(kept).unwrap_or_default()
}

/// Undoes escapes, which the firmware does for certificates only. `None` for one that it does not know,
/// such as `\u` (`json_unescape` of `softap.cpp`).
pub(super) fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        out.push(match byte {
            b'\\' => match rest.next()? {
                &plain @ (b'"' | b'\\' | b'/') => plain,
                b'b' => 0x08,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 0x0c,
                b'r' => b'\r',
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: &[(&str, Kind)] = &[("k", Kind::String), ("v", Kind::String), ("n", Kind::Primitive)];

    fn read(text: &str) -> Option<Vec<(usize, String)>> {
        let fields = fields(text.as_bytes(), KEYS)?;
        Some(fields.into_iter().map(|(key, value)| (key, String::from_utf8(value.into()).unwrap())).collect())
    }

    fn some(fields: &[(usize, &str)]) -> Option<Vec<(usize, String)>> {
        Some(fields.iter().map(|&(key, value)| (key, value.to_owned())).collect())
    }

    #[test]
    fn order_white_space_and_duplicates_do_not_matter() {
        assert_eq!(read(r#"{"k":"cc","v":"x","n":-7}"#), some(&[(0, "cc"), (1, "x"), (2, "-7")]));
        assert_eq!(read(" {\r\n\t\"n\" : 1 , \"k\" : \"\" } "), some(&[(2, "1"), (0, "")]));
        assert_eq!(read(r#"{"k":"a","k":"b"}"#), some(&[(0, "a"), (0, "b")]));
        assert_eq!(read("{}"), some(&[]));
    }

    #[test]
    fn unknown_keys_and_values_of_the_wrong_kind_refuse_the_whole() {
        for bad in [
            r#"{"k":"cc","x":"1"}"#,
            r#"{"K":"cc"}"#,
            r#"{"k":null}"#,
            r#"{"k":1}"#,
            r#"{"n":"1"}"#,
            r#"{"k":["cc"]}"#,
            r#"{"k":{"v":"x"}}"#,
            r#"{"n":[]}"#,
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        // Any primitive will do for a number.
        assert_eq!(read(r#"{"n":null}"#), some(&[(2, "null")]));
    }

    #[test]
    fn escapes_stay_as_they_are() {
        assert_eq!(read(r#"{"k":"a\"b\\\u00e9"}"#), some(&[(0, r#"a\"b\\\u00e9"#)]));
        assert_eq!(read("{\"k\":\"Caf\u{e9}\"}"), some(&[(0, "Caf\u{e9}")]));
        assert_eq!(read(r#"{"k":"\x"}"#), None);
        assert_eq!(read(r#"{"k":"\u00g0"}"#), None);
    }

    #[test]
    fn what_is_not_quite_json_is_taken_for_what_the_tokenizer_makes_of_it() {
        assert_eq!(read(r#"{k:"cc",v:"x"}"#), some(&[(0, "cc"), (1, "x")]));
        // Without a comma the second key belongs to the first, and the object has one key.
        assert_eq!(read(r#"{"k":"cc" "v":"x"}"#), some(&[(0, "cc")]));
        // What comes first is not looked at.
        assert_eq!(read("7"), some(&[]));
        assert_eq!(read(r#""k""#), some(&[]));
        // A cut end: one that is too short by its brace is as good.
        assert_eq!(read(r#"{"k":"cc","v":"x""#), some(&[(0, "cc"), (1, "x")]));
        assert_eq!(read(r#"{"k":"cc","v":"x"#), None);
        assert_eq!(read("{\"k\":\"cc\"}\0{"), some(&[(0, "cc")]));
    }

    #[test]
    fn numbers_are_read_up_to_the_first_other_character() {
        for (text, value) in [
            ("4194308", 4_194_308),
            ("-7", -7),
            ("+7", 7),
            ("12x", 12),
            ("true", 0),
            ("0x10", 0),
            ("1.9", 1),
            ("99999999999", i32::MAX),
            ("-99999999999999999999999", i32::MIN),
        ] {
            assert_eq!(number(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn escapes_of_certificates_are_undone_and_unicode_ruins_them() {
        assert_eq!(unescape(br#"a\nb\r\t\/\"\\\b\f"#).unwrap(), b"a\nb\r\t/\"\\\x08\x0c");
        assert_eq!(unescape(br"\u000a"), None);
        assert_eq!(unescape(br"a\"), None);
    }

    fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            9 => prop::sample::select(br#"{}[]":,\ kvn1u0a"#.to_vec()),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..60)
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic_and_what_it_finds_is_in_the_text(text in nearly_json()) {
            for (key, value) in fields(&text, KEYS).unwrap_or_default() {
                prop_assert!(key < KEYS.len());
                prop_assert!(value.is_empty() || text.windows(value.len()).any(|part| part == value));
            }
            let _ = (number(&text), unescape(&text));
        }

        #[test]
        fn what_an_ordinary_writer_wrote_is_read_back(code in "[ -~&&[^\"\\\\]]{0,70}", n in any::<i32>()) {
            let text = serde_json::json!({ "k": "cc", "v": code, "n": n }).to_string();
            let mut found = read(&text).unwrap();
            found.sort();
            prop_assert_eq!(found, some(&[(0, "cc"), (1, &code), (2, &n.to_string())]).unwrap());
        }
    }
}
