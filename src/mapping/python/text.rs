//! Strings as Python has them: Unicode code points, surrogates included.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// A Python string.
///
/// Held as UTF-8 where it is Unicode text. A JSON escape such as `\ud83d` without its partner is
/// legal in Python; a string with one is held as generalised UTF-8, three bytes for the
/// surrogate, and has no [`Text::as_utf8`].
#[derive(Clone, Debug)]
pub struct Text(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Utf8(String),
    /// Holds at least one surrogate, so that no text has two representations.
    Surrogates(Vec<u8>),
}

impl Text {
    /// The text as UTF-8; none if it holds a surrogate.
    pub fn as_utf8(&self) -> Option<&str> {
        match &self.0 {
            Repr::Utf8(text) => Some(text),
            Repr::Surrogates(_) => None,
        }
    }

    /// The text as UTF-8; itself if it holds a surrogate.
    ///
    /// # Errors
    /// The text, unchanged, if it holds a surrogate.
    pub fn into_utf8(self) -> Result<String, Self> {
        match self.0 {
            Repr::Utf8(text) => Ok(text),
            Repr::Surrogates(_) => Err(self),
        }
    }

    /// The text as generalised UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Utf8(text) => text.as_bytes(),
            Repr::Surrogates(bytes) => bytes,
        }
    }

    /// The number of code points, as Python's `len`.
    pub fn len(&self) -> usize {
        self.as_bytes().iter().filter(|byte| !is_continuation(**byte)).count()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The first `count` code points, as Python's `text[:count]`.
    pub fn prefix(&self, count: usize) -> Self {
        let starts = self.as_bytes().iter().enumerate().filter(|(_, byte)| !is_continuation(**byte));
        let end = starts.map(|(at, _)| at).nth(count).unwrap_or(self.as_bytes().len());
        Self::from_wtf8(self.as_bytes().get(..end).unwrap_or_default().to_vec())
    }

    /// The text as UTF-8, with U+FFFD for each surrogate.
    pub fn to_utf8_lossy(&self) -> String {
        match &self.0 {
            Repr::Utf8(text) => text.clone(),
            Repr::Surrogates(bytes) => {
                let points = CodePoints::new(bytes);
                points.map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
        }
    }

    /// Takes generalised UTF-8, which the caller vouches for.
    pub(super) fn from_wtf8(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self(Repr::Utf8(text)),
            Err(error) => Self(Repr::Surrogates(error.into_bytes())),
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::from(String::new())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Repr::Utf8(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Repr::Utf8(text.to_owned()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

/// As the bytes hash, so that a dictionary can be asked with a plain `&str`.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Text {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Appends a code point, which may be a surrogate, as generalised UTF-8.
pub(super) fn push_code_point(bytes: &mut Vec<u8>, point: u32) {
    match char::from_u32(point) {
        Some(character) => {
            let mut buffer = [0; 4];
            bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        None => bytes.extend([
            0xe0 | (point >> 12 & 0x0f) as u8,
            0x80 | (point >> 6 & 0x3f) as u8,
            0x80 | (point & 0x3f) as u8,
        ]),
    }
}

/// The code points of generalised UTF-8, surrogates included.
pub(super) struct CodePoints<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> CodePoints<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }
}

impl Iterator for CodePoints<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let first = u32::from(*self.bytes.next()?);
        let (mut point, more) = match first {
            0..0xc0 => (first, 0),
            0xc0..0xe0 => (first & 0x1f, 1),
            0xe0..0xf0 => (first & 0x0f, 2),
            _ => (first & 0x07, 3),
        };
        for _ in 0..more {
            point = point << 6 | u32::from(*self.bytes.next()? & 0x3f);
        }
        Some(point)
    }
}
