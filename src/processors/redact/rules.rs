//! What is masked in one text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use regex::{NoExpand, Regex};
use serde::de::IgnoredAny;

use super::super::matching::{Problem, compile};
use super::literal::{Quoted, quoted};
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
        let layout = Layout::of(text, start);
        let masked = json::mask_documents(self, text, &layout, level);
        if layout.is_all_json {
            return masked;
        }
        let plain = self.plain(masked.as_deref().unwrap_or(text));
        plain.or(masked)
    }
}

/// Where in a text JSON stands.
pub(super) struct Layout {
    /// Whole documents.
    pub(super) documents: Vec<Range<usize>>,
    /// Where the first begins that is not whole, such as one that was cut off: nobody knows where it ends, and
    /// later documents may be parts of it. The length of the text if all are whole.
    pub(super) broken: usize,
    /// The text is one whole document and nothing else.
    is_all_json: bool,
}

impl Layout {
    /// Looks through a text that begins at `start`.
    fn of(text: &str, start: usize) -> Self {
        let mut layout = Self { documents: Vec::new(), broken: text.len(), is_all_json: false };
        let all = start..text.trim_end().len();
        let length_at = |at: usize| length_of_json(text.get(at..).unwrap_or_default());
        let mut from = start;
        match text.get(start..).map(quoted) {
            // A text in JSON, perhaps with others behind it.
            Some(Quoted::Whole(length)) => {
                from = start + length;
                layout.documents.push(start..from);
            }
            Some(Quoted::CutOff) => layout.broken = start,
            Some(Quoted::Not) | None => {}
        }
        while let Some(found) = text.get(from..).and_then(|rest| rest.find(['{', '['])) {
            let begin = from + found;
            from = begin + 1;
            match length_at(begin) {
                Some(length) => {
                    from = begin + length;
                    layout.documents.push(begin..from);
                }
                None => layout.broken = layout.broken.min(begin),
            }
        }
        layout.is_all_json = layout.documents == [all];
        layout
    }
}

/// The length of the JSON that a text begins with.
fn length_of_json(text: &str) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    stream.next()?.ok()?;
    Some(stream.byte_offset())
}
