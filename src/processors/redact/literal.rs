//! Texts in quotes, as JSON spells them.

use std::borrow::Cow;

/// How a text begins.
pub(super) enum Quoted {
    /// With a text in quotes of so many bytes, with the quotes.
    Whole(usize),
    /// With one that has no end.
    CutOff,
    /// Otherwise; or with a quote that is nobody's, as words follow the next one.
    Not,
}

/// Whether a text begins with one in quotes.
pub(super) fn quoted(text: &str) -> Quoted {
    if !text.starts_with('"') {
        return Quoted::Not;
    }
    let Literal { length, is_closed, .. } = Literal::read(text);
    let next = text.get(length..).and_then(|rest| rest.chars().next());
    match next {
        None if !is_closed => Quoted::CutOff,
        Some(next) if !next.is_whitespace() && !",]}".contains(next) => Quoted::Not,
        _ => Quoted::Whole(length),
    }
}

/// A text in quotes, as it is spelled.
pub(super) struct Literal<'a> {
    /// Without the quotes.
    inside: &'a str,
    /// With the quotes.
    pub(super) length: usize,
    is_closed: bool,
}

impl<'a> Literal<'a> {
    /// Reads from the opening quote to the closing one, or to the end.
    pub(super) fn read(text: &'a str) -> Self {
        let mut is_escaped = false;
        for (at, byte) in text.bytes().enumerate().skip(1) {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    return Self {
                        inside: text.get(1..at).unwrap_or_default(),
                        length: at + 1,
                        is_closed: true,
                    };
                }
                _ => {}
            }
        }
        Self { inside: text.get(1..).unwrap_or_default(), length: text.len(), is_closed: false }
    }

    /// What the literal says.
    pub(super) fn text(&self) -> Cow<'a, str> {
        if !self.inside.contains('\\') {
            return Cow::Borrowed(self.inside);
        }
        let mut text = String::with_capacity(self.inside.len());
        let mut rest = self.inside;
        while let Some((before, after)) = rest.split_once('\\') {
            text.push_str(before);
            let (character, length) = unescape(after);
            text.push(character);
            rest = after.get(length..).unwrap_or_default();
        }
        text.push_str(rest);
        Cow::Owned(text)
    }

    /// Another text in the place of this one; cut off where this one is.
    pub(super) fn spell(&self, text: &str) -> String {
        let mut spelled = spell(text);
        if !self.is_closed {
            spelled.pop();
        }
        spelled
    }
}

/// A text in quotes.
pub(super) fn spell(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The character after a backslash, and how many bytes spell it.
fn unescape(after: &str) -> (char, usize) {
    match after.chars().next() {
        Some('n') => ('\n', 1),
        Some('t') => ('\t', 1),
        Some('r') => ('\r', 1),
        Some('b') => ('\u{8}', 1),
        Some('f') => ('\u{c}', 1),
        Some('u') => unescape_unicode(after),
        Some(other) => (other, other.len_utf8()),
        None => ('\\', 0),
    }
}

/// Reads `u` and four hexadecimal digits, and the other half of a pair behind them. Half a pair is no
/// character; it is read as one that stands for it.
fn unescape_unicode(after: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits =
            after.get(at..at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        digits.and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(first) = unit(1) else { return ('u', 1) };
    if let (0xd800..0xdc00, Some("\\u"), Some(second @ 0xdc00..0xe000)) = (first, after.get(5..7), unit(7)) {
        let joined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}
