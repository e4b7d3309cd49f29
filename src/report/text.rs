//! Fitting texts into a terminal.

use std::borrow::Cow;

use console::{measure_text_width, truncate_str};

/// The text, cut to this many columns; an ellipsis shows that something is missing.
pub(super) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    truncate_str(text, columns, "…")
}

/// Breaks a text between words, so that no line has more columns. What follows on the first line is
/// indented. A word that is longer than a line, such as an address, stays whole, to be copied.
pub fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    for (n, word) in text.split(' ').enumerate() {
        let width = measure_text_width(word);
        if n == 0 {
            at = width;
        } else if at + 1 + width <= columns {
            out.push(' ');
            at += 1 + width;
        } else {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            at = indent + width;
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(fit("verify", 6), "verify");
        assert_eq!(fit("verified", 6), "verif…");
        assert_eq!(fit("製品の名前", 6), "製品…");
    }

    #[test]
    fn lines_break_between_words_and_are_indented() {
        assert_eq!(wrap("error: one two three", 14, 4), "error: one two\n    three");
        assert_eq!(
            wrap("see https://status.particle.io now", 10, 2),
            "see\n  https://status.particle.io\n  now"
        );
        assert_eq!(wrap("short", 80, 4), "short");
    }

    #[test]
    fn blanks_in_front_and_in_between_stay() {
        assert_eq!(wrap("  next: a  b", 80, 4), "  next: a  b");
    }
}
