//! Takes a list of records apart while it comes in.

use std::collections::VecDeque;

use super::http::MOST;

/// The records of a JSON document that is a list, or an object that has one under a known name. Fed the
/// document in pieces of any size, it gives each record as the text that it is, and keeps the rest of
/// the document, the frame, for whoever wants to know what else it says.
///
/// It only finds where records begin and end; whether what is between is JSON, its reader will see.
pub(super) struct Elements {
    /// The names under which the list may be found.
    fields: &'static [&'static str],
    /// How many brackets are open.
    depth: usize,
    /// Within a text, and perhaps just behind a backslash.
    text: Option<Behind>,
    /// How many brackets are open between records, while inside the list.
    list: Option<usize>,
    found: bool,
    frame: Vec<u8>,
    element: Vec<u8>,
    ready: VecDeque<String>,
    too_long: bool,
}

#[derive(PartialEq)]
enum Behind {
    Backslash,
    Other,
}

impl Elements {
    pub(super) fn new(fields: &'static [&'static str]) -> Self {
        Self {
            fields,
            depth: 0,
            text: None,
            list: None,
            found: false,
            frame: Vec::new(),
            element: Vec::new(),
            ready: VecDeque::new(),
            too_long: false,
        }
    }

    /// Takes the next piece.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.take(*byte));
    }

    /// The next record that is complete.
    pub(super) fn next(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    /// Whether the list was found; it may be empty.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// The document without the records, and whether something in it was too long to be kept.
    pub(super) fn frame(mut self) -> (Vec<u8>, bool) {
        // What was cut off within a record was cut off.
        self.frame.append(&mut self.element);
        (self.frame, self.too_long)
    }

    fn take(&mut self, byte: u8) {
        match (&self.text, byte) {
            (Some(Behind::Other), b'"') => self.text = None,
            (Some(Behind::Other), b'\\') => self.text = Some(Behind::Backslash),
            (Some(_), _) => self.text = Some(Behind::Other),
            (None, b'"') => self.text = Some(Behind::Other),
            (None, b'[' | b'{') => {
                let begins = byte == b'[' && !self.found && self.is_the_lists_place();
                self.depth += 1;
                if begins {
                    self.frame.push(byte);
                    (self.list, self.found) = (Some(self.depth), true);
                    return;
                }
            }
            (None, b']' | b'}') => {
                if self.list == Some(self.depth) {
                    self.end_of_element();
                    self.list = None;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            (None, b',') if self.list == Some(self.depth) => return self.end_of_element(),
            (None, _) => {}
        }
        let kept = if self.list.is_some() { &mut self.element } else { &mut self.frame };
        match kept.len() < MOST {
            true => kept.push(byte),
            false => self.too_long = true,
        }
    }

    fn end_of_element(&mut self) {
        let element = self.element.trim_ascii();
        if !element.is_empty() {
            self.ready.push_back(String::from_utf8_lossy(element).into_owned());
        }
        self.element.clear();
    }

    /// Whether a list that begins here is the one: the document itself, or a field of it.
    fn is_the_lists_place(&self) -> bool {
        let before = self.frame.trim_ascii();
        if self.depth == 0 {
            return before.is_empty();
        }
        let Some(named) = before.strip_suffix(b":") else { return false };
        let named = named.trim_ascii_end();
        self.depth == 1
            && before.starts_with(b"{")
            && self.fields.iter().any(|field| named.ends_with(format!("\"{field}\"").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn apart(pieces: &[&[u8]]) -> (Vec<String>, String, bool) {
        let mut elements = Elements::new(&["devices", "device"]);
        let mut all = Vec::new();
        for piece in pieces {
            elements.feed(piece);
            all.extend(std::iter::from_fn(|| elements.next()));
        }
        let found = elements.found();
        (all, String::from_utf8(elements.frame().0).unwrap(), found)
    }

    fn whole(document: &str) -> (Vec<String>, String, bool) {
        apart(&[document.as_bytes()])
    }

    #[test]
    fn records_are_found_as_the_document_and_under_their_name() {
        let (all, frame, found) = whole(r#" [{"id": 1.0,"a":["]",{"b":"\"],["}]} , {}, 7]"#);
        assert_eq!(all, [r#"{"id": 1.0,"a":["]",{"b":"\"],["}]}"#, "{}", "7"]);
        assert_eq!((frame.as_str(), found), (" []", true));
        let (all, frame, _) =
            whole(r#"{"customers":[{"devices":[1]}],"devices" : [{"x":[1,2]}],"meta":{"total_pages":3}}"#);
        assert_eq!(all, [r#"{"x":[1,2]}"#]);
        assert_eq!(frame, r#"{"customers":[{"devices":[1]}],"devices" : [],"meta":{"total_pages":3}}"#);
    }

    #[test]
    fn what_has_no_list_says_so_and_is_all_frame() {
        for document in ["", "<html>[1]", r#"{"error":"no"}"#, r#"{"devices":{"devices":[1]}}"#, "null"] {
            assert_eq!(whole(document), (vec![], document.to_owned(), false), "{document}");
        }
        assert_eq!(whole("[]"), (vec![], "[]".to_owned(), true));
    }

    #[test]
    fn what_was_cut_off_leaves_a_frame_that_shows_it() {
        for document in ["[", "[{}", "[{},", r#"[{},{"a":"#, r#"{"devices":[{}"#] {
            let frame = whole(document).1;
            assert!(serde_json::from_str::<Value>(&frame).unwrap_err().is_eof(), "{document} {frame}");
        }
    }

    #[test]
    fn a_record_without_an_end_does_not_fill_the_memory() {
        let mut elements = Elements::new(&[]);
        elements.feed(b"[\"");
        let piece = [b'x'; 4096];
        (0..2 * MOST / piece.len()).for_each(|_| elements.feed(&piece));
        let (frame, too_long) = elements.frame();
        assert!(too_long && frame.len() <= MOST + 1);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\\\[\\]{},:]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"]{0,3}", inner, 0..4).prop_map(|m| json!(m)),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_records_come_out_whatever_the_pieces(
            records in proptest::collection::vec(any_json(), 0..6),
            named: bool,
            pretty: bool,
            size in 1usize..9,
        ) {
            let document = if named { json!({"a": [1], "devices": records, "z": {}}) } else { json!(records) };
            let text = if pretty { format!("{document:#}") } else { document.to_string() };
            let (all, frame, found) = apart(&text.as_bytes().chunks(size).collect::<Vec<_>>());
            prop_assert!(found);
            let read: Vec<Value> = all.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            prop_assert_eq!(read, records);
            let expected = if named { json!({"a": [1], "devices": [], "z": {}}) } else { json!([]) };
            prop_assert_eq!(serde_json::from_str::<Value>(&frame).unwrap(), expected);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "[\\[\\]{}\",:\\\\a ]{0,40}") {
            let mut elements = Elements::new(&["a"]);
            elements.feed(&bytes);
            elements.feed(text.as_bytes());
            let _ = elements.frame();
        }
    }
}
