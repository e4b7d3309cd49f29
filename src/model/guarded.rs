//! The secrets that the process holds, in every form in which one of them may come back.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};

/// Shorter texts are not looked for: masking them would wreck every line that has them by chance.
const LEAST: usize = 5;
/// Texts of fewer bytes count only where they stand alone, with no letter or digit beside them.
const LEAST_WITHIN_WORDS: usize = 6;
/// The least of a secret's base64 that is looked for.
const LEAST_BASE64: usize = 8;
/// How many bytes all forms have at least, and by which they are found.
const START: usize = 4;
/// How many secrets are remembered that were not to be guarded for good: some hours of a bench's codes
/// and tokens.
const PASSING: usize = 4096;
/// A text is looked at as it is, decoded, and decoded again: JSON within JSON, a URL within JSON.
const DECODINGS: usize = 3;

type Bytes = Arc<[u8]>;

/// All of them. Looking takes as long as the text is, however many there are; so does forgetting the
/// oldest of those that pass.
#[derive(Default)]
pub(super) struct Guarded {
    secrets: HashMap<Bytes, Stay>,
    /// Those that pass, by when they came; one that came again is in it again.
    queue: VecDeque<(u64, Bytes)>,
    came: u64,
    forms: HashMap<[u8; START], Vec<Form>>,
    /// Which two bytes forms begin with, a bit each: most places of most texts need no second look.
    starts: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    ForGood,
    /// Until many others have come after this moment.
    Since(u64),
}

struct Form {
    bytes: Bytes,
    /// How many secrets have it.
    of: u32,
}

impl Guarded {
    /// Whether there is nothing to do about this secret.
    pub(super) fn knows(&self, secret: &[u8], for_good: bool) -> bool {
        if secret.len() < LEAST {
            return true;
        }
        match self.secrets.get(secret) {
            Some(Stay::ForGood) => true,
            Some(Stay::Since(came)) => !for_good && self.came - came < PASSING as u64 / 2,
            None => false,
        }
    }

    pub(super) fn add(&mut self, secret: &[u8], for_good: bool) {
        // It may have come meanwhile.
        if self.knows(secret, for_good) {
            return;
        }
        let secret = Bytes::from(secret);
        let stay = if for_good {
            Stay::ForGood
        } else {
            self.came += 1;
            self.queue.push_back((self.came, secret.clone()));
            Stay::Since(self.came)
        };
        if self.secrets.insert(secret.clone(), stay).is_none() {
            forms(&secret).into_iter().for_each(|form| self.look_for(form));
        }
        while self.queue.len() > PASSING {
            let Some((came, oldest)) = self.queue.pop_front() else { break };
            // Else it has come again since, or stays for good by now.
            if self.secrets.get(&oldest) == Some(&Stay::Since(came)) {
                self.secrets.remove(&oldest);
                forms(&oldest).iter().for_each(|form| self.forget(form));
            }
        }
    }

    fn look_for(&mut self, form: Bytes) {
        let Some(start) = start_of(&form) else { return };
        self.starts.resize(1 << 10, 0);
        let (word, bit) = place(start[0], start[1]);
        self.starts[word] |= bit;
        let bucket = self.forms.entry(start).or_default();
        match bucket.iter_mut().find(|known| known.bytes == form) {
            Some(known) => known.of += 1,
            None => bucket.push(Form { bytes: form, of: 1 }),
        }
    }

    // The bit of its two first bytes stays: it costs a look, no more.
    fn forget(&mut self, form: &Bytes) {
        let Some(bucket) = start_of(form).and_then(|start| self.forms.get_mut(&start)) else { return };
        if let Some(at) = bucket.iter().position(|known| known.bytes == *form) {
            bucket[at].of -= 1;
            if bucket[at].of == 0 {
                bucket.swap_remove(at);
            }
        }
        if bucket.is_empty() {
            start_of(form).map(|start| self.forms.remove(&start));
        }
    }

    /// Where there is anything of a secret, in any order; ranges may overlap. They need not be at the
    /// borders of characters.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        if self.forms.is_empty() {
            return;
        }
        self.find_in(&View { bytes: text.into(), from: None }, DECODINGS, found);
    }

    fn find_in(&self, view: &View, decodings: usize, found: &mut Vec<Range<usize>>) {
        self.find_plain(&view.bytes, |range| found.push(view.origin(range.start)..view.origin(range.end)));
        // One by one, as what is a sign of the one coding may be a plain one in the other.
        for coding in [b'%', b'\\', b'&'] {
            if decodings > 0
                && let Some(decoded) = view.decoded(coding)
            {
                self.find_in(&decoded, decodings - 1, found);
            }
        }
    }

    fn find_plain(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        for (at, window) in text.windows(START).enumerate() {
            let (word, bit) = place(window[0], window[1]);
            if self.starts[word] & bit == 0 {
                continue;
            }
            let bucket = start_of(window).and_then(|start| self.forms.get(&start));
            let fits = |form: &&Form| {
                let end = at + form.bytes.len();
                let beside =
                    |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
                let alone = || !beside(at.checked_sub(1)) && !beside(Some(end));
                text[at..].starts_with(&form.bytes) && (form.bytes.len() >= LEAST_WITHIN_WORDS || alone())
            };
            let longest = bucket.into_iter().flatten().filter(fits).map(|form| form.bytes.len()).max();
            if let Some(length) = longest {
                found(at..at + length);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.secrets.len(), self.forms.values().map(Vec::len).sum())
    }
}

fn start_of(form: &[u8]) -> Option<[u8; START]> {
    form.first_chunk().copied()
}

fn place(first: u8, second: u8) -> (usize, u64) {
    let pair = usize::from(u16::from_be_bytes([first, second]));
    (pair / 64, 1 << (pair % 64))
}

/// As it is, with a form's blanks, in hex, and what is certain of its base64 wherever in a text it
/// stands, as in HTTP Basic. Percent-encoding, JSON's escapes and HTML's entities are undone in the text
/// instead: there are too many ways to write them.
fn forms(secret: &Bytes) -> Vec<Bytes> {
    let mut forms = vec![secret.clone()];
    if secret.contains(&b' ') {
        forms.push(secret.iter().map(|&b| if b == b' ' { b'+' } else { b }).collect());
    }
    forms.push(base16ct::lower::encode_string(secret).into_bytes().into());
    forms.push(base16ct::upper::encode_string(secret).into_bytes().into());
    for before in 0..3 {
        let bytes = [&[0; 2][..before], secret].concat();
        // Six bits a character: those that hold bits of a neighbour are not certain.
        let certain = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        if certain.len() >= LEAST_BASE64 {
            let base64 = &BASE64_STANDARD_NO_PAD.encode(&bytes)[certain];
            forms.push(base64.replace('+', "-").replace('/', "_").into_bytes().into());
            forms.push(base64.as_bytes().into());
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// A text, perhaps with layers of percent-encoding or escapes undone, and where each byte of it was; at
/// the end also where the text ends.
struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// Absent where nothing is undone.
    from: Option<Vec<usize>>,
}

impl View<'_> {
    fn origin(&self, at: usize) -> usize {
        self.from.as_ref().map_or(at, |from| from[at])
    }

    /// With one layer of the coding that has this sign undone; `None` if there is nothing to undo.
    fn decoded(&self, sign: u8) -> Option<View<'static>> {
        let text = &*self.bytes;
        let mut at = text.iter().position(|b| *b == sign)?;
        let mut bytes = text[..at].to_vec();
        let mut from: Vec<_> = (0..at).map(|at| self.origin(at)).collect();
        let mut changed = false;
        while at < text.len() {
            let mut utf8 = [0; 4];
            let undone = match &text[at..] {
                [first, ..] if *first != sign => None,
                [b'%', rest @ ..] => byte(rest, &mut utf8).map(|bytes| (bytes, 3)),
                [b'&', rest @ ..] => entity(rest, &mut utf8),
                rest => unescape(&rest[1..], &mut utf8),
            };
            changed |= undone.is_some();
            let (plain, length) = undone.unwrap_or((&text[at..=at], 1));
            bytes.extend_from_slice(plain);
            from.extend(plain.iter().map(|_| self.origin(at)));
            at += length;
        }
        from.push(self.origin(text.len()));
        changed.then_some(View { bytes: bytes.into(), from: Some(from) })
    }
}

/// What an escape of JSON or of Rust's `Debug` means, without its backslash, and how long it is with it.
fn unescape<'a>(rest: &[u8], utf8: &'a mut [u8; 4]) -> Option<(&'a [u8], usize)> {
    let plain = match rest.first()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0' => 0,
        b'b' => 8,
        b'f' => 12,
        byte @ (b'"' | b'\'' | b'\\' | b'/') => *byte,
        b'x' => return Some((byte(&rest[1..], utf8)?, 4)),
        b'u' => return unescape_unicode(&rest[1..], utf8),
        _ => return None,
    };
    utf8[0] = plain;
    Some((&utf8[..1], 2))
}

/// A byte in two digits.
fn byte<'a>(digits: &[u8], utf8: &'a mut [u8; 4]) -> Option<&'a [u8]> {
    utf8[0] = u8::try_from(number(digits, 2)?).ok()?;
    Some(&utf8[..1])
}

fn unescape_unicode<'a>(rest: &[u8], utf8: &'a mut [u8; 4]) -> Option<(&'a [u8], usize)> {
    let (code, length) = match rest.strip_prefix(b"{") {
        Some(digits) => {
            let count = digits.iter().position(|&b| b == b'}').filter(|count| (1..=6).contains(count))?;
            (number(digits, count)?, count + 4)
        }
        None => match (number(rest, 4)?, rest.get(4..)) {
            (high @ 0xd800..0xdc00, Some([b'\\', b'u', low @ ..])) => {
                let low = number(low, 4).filter(|low| (0xdc00..0xe000).contains(low))?;
                (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
            }
            (code, _) => (code, 6),
        },
    };
    let text: &str = char::from_u32(code)?.encode_utf8(utf8);
    let bytes = text.len();
    Some((&utf8[..bytes], length))
}

/// What an entity of HTML or XML means, without its `&`, and how long it is with it: the five that such
/// texts must escape, and characters by their numbers.
fn entity<'a>(rest: &[u8], utf8: &'a mut [u8; 4]) -> Option<(&'a [u8], usize)> {
    let end = rest.iter().take(9).position(|&b| b == b';')?;
    let code = match &rest[..end] {
        b"amp" => '&'.into(),
        b"lt" => '<'.into(),
        b"gt" => '>'.into(),
        b"quot" => '"'.into(),
        b"apos" => '\''.into(),
        [b'#', b'x' | b'X', digits @ ..] => number(digits, digits.len())?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    let bytes = char::from_u32(code)?.encode_utf8(utf8).len();
    Some((&utf8[..bytes], end + 2))
}

/// So many hexadecimal digits.
fn number(digits: &[u8], count: usize) -> Option<u32> {
    digits.get(..count)?.iter().try_fold(0, |n, &digit| Some(n * 16 + char::from(digit).to_digit(16)?))
}
