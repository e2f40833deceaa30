//! Masking inside JSON: what is not masked stays byte for byte as it was.

use std::ops::Range;

use super::literal::{Literal, spell};
use super::rules::{Layout, Rules};

/// A text with secrets masked inside its JSON; none if there are none. Of valid JSON valid JSON is left.
/// From the first document on that is not whole, the texts in quotes are looked at as far as they can be told.
pub(super) fn mask_documents(rules: &Rules, text: &str, layout: &Layout, level: usize) -> Option<String> {
    let first = layout.documents.first().map_or(text.len(), |document| document.start);
    let at = first.min(layout.broken);
    let mut walk =
        Walk { at, broken: layout.broken, ahead: &layout.documents, ..Walk::new(rules, text, level) };
    while walk.step() {}
    walk.finish()
}

/// One whole document with secrets masked.
fn mask(rules: &Rules, json: &str, level: usize) -> Option<String> {
    let mut walk = Walk::new(rules, json, level);
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
    /// Whole documents that are not passed yet: what is in them is certain, what is around them is not.
    ahead: &'a [Range<usize>],
    /// Before this, only documents are looked at.
    broken: usize,
}

impl<'a> Walk<'a> {
    fn new(rules: &'a Rules, json: &'a str, level: usize) -> Self {
        let (out, within) = (String::new(), Vec::new());
        Self { rules, json, level, at: 0, copied: 0, out, within, blocked: false, ahead: &[], broken: 0 }
    }

    /// Looks at one token, or at one whole document. `false` at the end.
    fn step(&mut self) -> bool {
        while let Some((document, ahead)) = self.ahead.split_first()
            && document.start <= self.at
        {
            self.ahead = ahead;
            if document.start == self.at {
                self.document(document.clone());
                return true;
            }
        }
        if self.at < self.broken {
            self.at = self.broken.min(self.next_document().start);
            return true;
        }
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

    fn document(&mut self, document: Range<usize>) {
        self.at = document.end;
        let masked = match std::mem::take(&mut self.blocked) {
            true => Some(spell(&self.rules.mask)),
            false => mask(self.rules, self.json.get(document.clone()).unwrap_or_default(), self.level),
        };
        if let Some(masked) = masked {
            self.replace(document.start, &masked);
        }
    }

    /// The next whole document, or none at the end of the text.
    fn next_document(&self) -> Range<usize> {
        self.ahead.first().cloned().unwrap_or(self.json.len()..self.json.len())
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
        let start = self.at;
        let mut literal = Literal::read(self.json.get(start..).unwrap_or_default());
        if let Some(before) = self.cut_short(start + literal.length) {
            literal = Literal::read(self.json.get(start..before).unwrap_or_default());
        }
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

    /// Where a text has to end that would end inside a whole document: the quote before it was a stray one.
    fn cut_short(&self, end: usize) -> Option<usize> {
        let document = self.ahead.iter().find(|document| end <= document.end)?;
        (document.start < end && end < document.end).then_some(document.start)
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
        if self.cut_short(self.at).is_some() {
            self.at =
                self.ahead.iter().map(|document| document.end).find(|end| *end > self.at).unwrap_or(self.at);
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
