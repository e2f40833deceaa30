//! Masking inside JSON: what is not masked stays byte for byte as it was.

use std::borrow::Cow;

use super::rules::Rules;

/// JSON with secrets masked; none if there are none. Of valid JSON valid JSON is left. Of anything else
/// the texts in quotes are looked at as far as they can be told.
pub(super) fn mask(rules: &Rules, json: &str, level: usize) -> Option<String> {
    let mut walk =
        Walk { rules, json, level, at: 0, copied: 0, out: String::new(), within: Vec::new(), blocked: false };
    while walk.step() {}
    walk.finish()
}

/// What the walk is inside of.
enum Within {
    Array,
    /// An object, at the place of a key.
    Key,
    /// An object, at the place of a value.
    Value,
}

struct Walk<'a> {
    rules: &'a Rules,
    json: &'a str,
    level: usize,
    /// The next byte to look at; always between characters.
    at: usize,
    /// What comes before is in `out`.
    copied: usize,
    out: String,
    within: Vec<Within>,
    /// The value that comes next belongs to a key that is blocked.
    blocked: bool,
}

impl Walk<'_> {
    /// Looks at one token. `false` at the end.
    fn step(&mut self) -> bool {
        let Some(byte) = self.json.as_bytes().get(self.at) else { return false };
        match byte {
            b'{' | b'[' if self.blocked => self.mask_container(),
            b'{' => self.open(Within::Key),
            b'[' => self.open(Within::Array),
            b'}' | b']' => {
                self.within.pop();
                self.at += 1;
            }
            b',' => {
                self.turn(Within::Key);
                self.blocked = false;
                self.at += 1;
            }
            b':' => {
                self.turn(Within::Value);
                self.at += 1;
            }
            b'"' => self.string(),
            byte if byte.is_ascii_whitespace() => self.at += 1,
            _ => self.scalar(),
        }
        true
    }

    fn open(&mut self, within: Within) {
        self.within.push(within);
        self.at += 1;
    }

    /// In an object, a colon follows a key and a comma a value.
    fn turn(&mut self, to: Within) {
        if let Some(within @ (Within::Key | Within::Value)) = self.within.last_mut() {
            *within = to;
        }
    }

    /// A key or a text.
    fn string(&mut self) {
        let literal = Literal::read(self.json.get(self.at..).unwrap_or_default());
        let start = self.at;
        self.at += literal.length;
        let text = literal.text();
        if matches!(self.within.last(), Some(Within::Key)) {
            self.blocked = self.rules.blocks_key(&text);
            if let Some(key) = self.rules.plain(&text) {
                self.replace(start, &literal.spell(&key));
            }
        } else if std::mem::take(&mut self.blocked) {
            let mask = literal.spell(&self.rules.mask);
            self.replace(start, &mask);
        } else if let Some(masked) = self.rules.text_at(&text, self.level + 1) {
            self.replace(start, &literal.spell(&masked));
        }
    }

    /// A number, a word, or what should not be there.
    fn scalar(&mut self) {
        let start = self.at;
        let rest = self.json.get(start..).unwrap_or_default();
        let is_end = |character: char| character.is_ascii_whitespace() || "{}[],:\"".contains(character);
        let token = rest.get(..rest.find(is_end).unwrap_or(rest.len())).unwrap_or_default();
        self.at += token.len();
        if std::mem::take(&mut self.blocked) || self.rules.finds(token) {
            self.replace(start, &spell(&self.rules.mask));
        }
    }

    /// An object or a list, up to its end.
    fn mask_container(&mut self) {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            match byte {
                b'"' => {
                    self.at += Literal::read(self.json.get(self.at..).unwrap_or_default()).length;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        // The walk goes on between characters, also after a text that was cut off.
        self.at = self.json.ceil_char_boundary(self.at);
        self.blocked = false;
        self.replace(start, &spell(&self.rules.mask));
    }

    /// Puts a text in the place of what was read since `start`.
    fn replace(&mut self, start: usize, with: &str) {
        self.out.push_str(self.json.get(self.copied..start).unwrap_or_default());
        self.out.push_str(with);
        self.copied = self.at;
    }

    fn finish(mut self) -> Option<String> {
        if self.copied == 0 {
            return None;
        }
        self.out.push_str(self.json.get(self.copied..).unwrap_or_default());
        Some(self.out)
    }
}

/// A text in quotes, as it is spelled.
struct Literal<'a> {
    /// Without the quotes.
    inside: &'a str,
    /// With the quotes.
    length: usize,
    is_closed: bool,
}

impl<'a> Literal<'a> {
    /// Reads from the opening quote to the closing one, or to the end.
    fn read(text: &'a str) -> Self {
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
    fn text(&self) -> Cow<'a, str> {
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
    fn spell(&self, text: &str) -> String {
        let mut spelled = spell(text);
        if !self.is_closed {
            spelled.pop();
        }
        spelled
    }
}

fn spell(text: &str) -> String {
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
