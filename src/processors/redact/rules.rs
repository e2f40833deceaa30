//! What is masked in one text.

use std::borrow::Cow;
use std::collections::BTreeSet;

use regex::{NoExpand, Regex};
use serde::de::IgnoredAny;

use super::super::matching::{Problem, compile};
use super::{RedactConfig, json};

/// JSON in JSON in JSON: each level doubles the backslashes of those below, so that even the largest
/// body cannot hold many. Below, a text is masked as a whole.
const MAX_LEVELS: usize = 32;

/// The compiled settings.
pub(super) struct Rules {
    values: Vec<Regex>,
    keys: Vec<Regex>,
    ignored: BTreeSet<String>,
    pub(super) mask: String,
}

impl Rules {
    pub(super) fn new(config: &RedactConfig) -> Result<Self, Problem> {
        let compile = |key: &'static str| move |pattern: &String| compile(pattern, key);
        Ok(Self {
            values: config.blocked_values.iter().map(compile("blocked_values")).collect::<Result<_, _>>()?,
            keys: config
                .blocked_key_patterns
                .iter()
                .map(compile("blocked_key_patterns"))
                .collect::<Result<_, _>>()?,
            ignored: config.ignored_keys.clone(),
            mask: config.mask.clone(),
        })
    }

    /// Whether the attribute is passed on as it is.
    pub(super) fn ignores(&self, key: &str) -> bool {
        self.ignored.contains(key)
    }

    /// Whether the whole value of a key is masked.
    pub(super) fn blocks_key(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| pattern.is_match(key))
    }

    /// Whether a pattern finds something in a text.
    pub(super) fn finds(&self, text: &str) -> bool {
        self.values.iter().any(|pattern| pattern.is_match(text))
    }

    /// The text with what the patterns find masked; none if they find nothing. Knows nothing of JSON.
    pub(super) fn plain(&self, text: &str) -> Option<String> {
        let mut masked = Cow::Borrowed(text);
        for pattern in &self.values {
            if let Cow::Owned(replaced) = pattern.replace_all(&masked, NoExpand(&self.mask)) {
                masked = Cow::Owned(replaced);
            }
        }
        match masked {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => None,
        }
    }

    /// The text with secrets masked, also those inside JSON; none if there are none.
    pub(super) fn text(&self, text: &str) -> Option<String> {
        self.text_at(text, 0)
    }

    /// The same for a text that stands so many levels of JSON deep.
    pub(super) fn text_at(&self, text: &str, level: usize) -> Option<String> {
        let start = text.len() - text.trim_start().len();
        if !text.contains(['{', '[']) && !text.get(start..).is_some_and(|rest| rest.starts_with('"')) {
            return self.plain(text);
        }
        if level >= MAX_LEVELS {
            return Some(self.mask.clone());
        }
        let (masked, is_all_json) = self.documents(text, start, level);
        if is_all_json {
            return masked;
        }
        let plain = self.plain(masked.as_deref().unwrap_or(text));
        plain.or(masked)
    }

    /// Masks inside every JSON document of a text, and says whether the text is one and nothing else.
    /// A text that begins like JSON and is none, such as one that was cut off, is read as far as it is.
    fn documents(&self, text: &str, start: usize, level: usize) -> (Option<String>, bool) {
        let mut masked: Option<String> = None;
        let (mut copied, mut search, mut is_all_json) = (0, start, false);
        while let Some(found) = self.next_document(text, search, start) {
            let document = text.get(found.start..found.end).unwrap_or_default();
            if let Some(changed) = json::mask(self, document, level) {
                let out = masked.get_or_insert_default();
                out.push_str(text.get(copied..found.start).unwrap_or_default());
                out.push_str(&changed);
                copied = found.end;
            }
            is_all_json = found.is_whole && found.start == start && found.end == text.trim_end().len();
            search = found.end;
        }
        if let Some(masked) = &mut masked {
            masked.push_str(text.get(copied..).unwrap_or_default());
        }
        (masked, is_all_json)
    }

    fn next_document(&self, text: &str, search: usize, start: usize) -> Option<Document> {
        let mut from = search;
        loop {
            let rest = text.get(from..)?;
            let at_start = from == start && rest.starts_with(['"', '{', '[']);
            let begin = if at_start { from } else { from + rest.find(['{', '['])? };
            let document = text.get(begin..)?;
            if let Some(length) = length_of_json(document) {
                return Some(Document { start: begin, end: begin + length, is_whole: true });
            }
            if begin == start {
                return Some(Document { start: begin, end: text.len(), is_whole: false });
            }
            from = begin + 1;
        }
    }
}

/// Where in a text JSON stands.
struct Document {
    start: usize,
    end: usize,
    is_whole: bool,
}

/// The length of the JSON that a text begins with.
fn length_of_json(text: &str) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    stream.next()?.ok()?;
    Some(stream.byte_offset())
}
