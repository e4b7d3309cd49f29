/// An answer in the pieces in which the firmware writes it. Over HTTP each becomes a chunk.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Pieces(Vec<Vec<u8>>);

impl Pieces {
    /// Writes one piece; an empty one is no piece.
    pub(super) fn write(&mut self, piece: impl AsRef<[u8]>) -> &mut Self {
        if !piece.as_ref().is_empty() {
            self.0.push(piece.as_ref().to_vec());
        }
        self
    }

    /// `write_quoted_string`: a piece for each quote.
    fn quoted(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.write("\"").write(text).write("\"")
    }

    /// `write_json_string`: nothing is escaped.
    pub(super) fn string(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.quoted(name).write(":").quoted(value)
    }

    /// `write_json_int`.
    pub(super) fn number(&mut self, name: &str, value: i32) -> &mut Self {
        self.quoted(name).write(":").write(value.to_string())
    }

    /// `write_result_code`: `{"r":0}`.
    pub(super) fn result(code: i32) -> Self {
        let mut pieces = Self::default();
        pieces.write("{").number("r", code).write("}");
        pieces
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}
