//! The usual chunk of a stream: a piece of text for one choice, read without building a tree.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::genai::{Text, utf8};

/// A chunk that says nothing but this. Everything else, such as tool calls, usage or shapes of other
/// servers, is none, and is read as a tree.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) system_fingerprint: Option<Text<'a>>,
    #[serde(borrow)]
    choices: (Piece<'a>,),
    #[serde(default)]
    usage: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// What came for one choice.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(default)]
    pub(super) index: i64,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    /// Of legacy completions.
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

impl<'a> Chunk<'a> {
    pub(super) fn usual(data: &'a [u8]) -> Option<Self> {
        let chunk: Self = serde_json::from_str(utf8(data).ok()?).ok()?;
        let (piece,) = &chunk.choices;
        let calls = piece
            .delta
            .as_ref()
            .is_some_and(|delta| delta.tool_calls.is_some() || delta.function_call.is_some());
        (chunk.usage.is_none() && chunk.error.is_none() && !calls).then_some(chunk)
    }

    pub(super) fn into_piece(self) -> Piece<'a> {
        self.choices.0
    }
}
