//! The tokens of Python's JSON grammar, over bytes.
//!
//! Tokens are found and checked here, and converted elsewhere. The text is UTF-8 or generalised
//! UTF-8; whatever is beyond ASCII is legal inside strings only.

use super::drive::{LoadsError, Poison};
use super::int::MAX_DIGITS;

/// A string token: what is between the quotes.
#[derive(Clone, Copy)]
pub(super) struct RawString<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether there is a backslash in it.
    pub(super) escaped: bool,
}

/// A number token.
#[derive(Clone, Copy)]
pub(super) struct RawNumber<'a> {
    pub(super) text: &'a [u8],
    /// Whether it has a fraction or an exponent.
    pub(super) is_float: bool,
}

/// A position in a text.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Skips the four blanks that JSON knows; no other white space.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over a byte if it is the next one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Steps over a word if it comes next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Reads a string whose opening quote is next.
    pub(super) fn string(&mut self) -> Result<RawString<'a>, LoadsError> {
        if !self.take(b'"') {
            return Err(LoadsError::Invalid);
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_length(self.rest());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += escape_length(self.rest()).ok_or(LoadsError::Invalid)?;
                }
                _ => return Err(LoadsError::Invalid),
            }
        }
        let bytes = self.bytes.get(start..self.at).unwrap_or_default();
        self.bump();
        Ok(RawString { bytes, escaped })
    }

    /// Reads a number that begins with a digit or a minus sign.
    ///
    /// As in Python, a point or an exponent without digits ends the number before it; the rest
    /// is then in the way of what follows, but a number of too many digits has failed earlier.
    pub(super) fn number(&mut self) -> Result<RawNumber<'a>, LoadsError> {
        let start = self.at;
        self.take(b'-');
        let whole = match self.peek() {
            Some(b'0') => {
                self.bump();
                1
            }
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(LoadsError::Invalid),
        };
        let whole_end = self.at;
        self.optional_digits(|scanner| scanner.take(b'.'));
        self.optional_digits(|scanner| {
            let exponent = scanner.take(b'e') || scanner.take(b'E');
            let _signed = exponent && (scanner.take(b'+') || scanner.take(b'-'));
            exponent
        });
        let is_float = self.at > whole_end;
        if !is_float && whole > MAX_DIGITS {
            return Err(LoadsError::Poison(Poison::Digits));
        }
        Ok(RawNumber { text: self.bytes.get(start..self.at).unwrap_or_default(), is_float })
    }

    /// Reads a prefix and the digits after it, or nothing.
    fn optional_digits(&mut self, prefix: impl Fn(&mut Self) -> bool) {
        let start = self.at;
        if !prefix(self) || self.digits() == 0 {
            self.at = start;
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }
}

/// Whether a byte ends a run of string content that needs no attention.
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Length of the run before the next quote, backslash or control character.
///
/// Most of what is scanned is text in long runs, and JSON within strings in short ones: eight bytes at a
/// time are quick for both.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = special_in(*word) {
            return index * 8 + at;
        }
    }
    words.len() * 8 + tail.iter().take_while(|byte| !is_special(**byte)).count()
}

/// Where the first special byte of eight is.
///
/// Taking one from each byte sets the high bit of those that were zero; a borrow can only set it
/// wrongly in bytes after such a one.
fn special_in(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let below = |text: u64, least: u64| text.wrapping_sub(ONES * least) & !text;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let special = (below(word, 0x20) | is(b'"') | is(b'\\')) & HIGH;
    (special != 0).then(|| special.trailing_zeros() as usize / 8)
}

/// Length of the escape that a text begins with; none if it is not legal.
fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(2..6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_run_ends_before_the_first_special_byte(
            bytes in proptest::collection::vec(
                proptest::prop_oneof![4 => 0x1eu8..0x24, 1 => 0x5au8..0x5e, 4 => proptest::num::u8::ANY], 0..40,
            ),
        ) {
            let expected = bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len());
            proptest::prop_assert_eq!(plain_length(&bytes), expected);
        }
    }

    #[test]
    fn every_byte_is_known_at_every_place() {
        for (byte, place) in (0..=u8::MAX).flat_map(|byte| (0..20).map(move |place| (byte, place))) {
            let mut bytes = [b'a'; 20];
            bytes[place] = byte;
            assert_eq!(plain_length(&bytes), if is_special(byte) { place } else { 20 }, "{byte} at {place}");
        }
    }
}
