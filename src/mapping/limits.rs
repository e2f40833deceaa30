//! What the database behind MLflow can hold.

use super::options::Backend;
use super::routing::MAX_RUN_ID;
use super::unusable::Unusable;
use std::borrow::Cow;

/// Characters that MLflow keeps of the name of a model or a provider.
pub(super) const DIMENSION: usize = 500;
/// Characters of `spans.type`.
pub(super) const SPAN_TYPE: usize = 500;
/// Characters of a session id.
pub(super) const SESSION_ID: usize = 250;
/// Characters of the name of a trace.
pub(super) const TRACE_NAME: usize = 4096;
/// Characters of the key of a tag.
pub(super) const TAG_KEY: usize = 250;
/// Characters of the value of a tag or of metadata.
pub(super) const TAG_VALUE: usize = 8000;
/// Traces that MLflow links to a run in one go; of more it links none.
pub(super) const RUN_LINKS: usize = 100;
/// Rows that MLflow writes in one statement.
pub(super) const ROWS_PER_STATEMENT: usize = 100;

impl Backend {
    /// Characters of a run id that a trace can be linked to.
    pub(super) fn longest_run_id(self) -> usize {
        match self {
            Self::Sqlite => usize::MAX,
            Self::Postgres => MAX_RUN_ID,
        }
    }

    /// Checks a text for what a column cannot hold.
    ///
    /// # Errors
    /// A text that is too long, or a NUL character, where the database minds.
    pub(super) fn check(self, name: &'static str, text: &str, limit: usize) -> Result<(), Unusable> {
        if self == Self::Sqlite {
            return Ok(());
        }
        if text.contains('\0') {
            return Err(Unusable::Nul(name));
        }
        check_length(name, text, limit)
    }
}

/// Makes a text fit a column, if that is asked for, or checks it.
pub(super) fn fit<'t>(
    backend: Backend,
    name: &'static str,
    text: Cow<'t, str>,
    limit: usize,
    repair: bool,
) -> Result<Cow<'t, str>, Unusable> {
    if repair {
        let is_unstorable = backend != Backend::Sqlite && text.contains('\0');
        let text = if is_unstorable { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text };
        return Ok(match cut(&text, limit).len() {
            length if length == text.len() => text,
            length => Cow::Owned(text.get(..length).unwrap_or_default().to_owned()),
        });
    }
    backend.check(name, &text, limit)?;
    Ok(text)
}

/// Checks the number of characters of a text.
///
/// # Errors
/// A text that is too long.
pub(super) fn check_length(name: &'static str, text: &str, limit: usize) -> Result<(), Unusable> {
    // No text has more characters than bytes.
    let length = if text.len() <= limit { 0 } else { text.chars().count() };
    if length > limit { Err(Unusable::TooLong { name, length, limit }) } else { Ok(()) }
}

/// The first characters of a text.
pub(super) fn cut(text: &str, characters: usize) -> &str {
    if text.len() <= characters {
        return text;
    }
    text.char_indices().nth(characters).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
