//! The usual answer and the usual chunk: one choice, nothing but text. Read without building a tree;
//! everything else, such as tool calls, several choices or shapes of other servers, is none of it, and
//! is read as a tree.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::genai::{Json, Text, utf8};

/// What answers and chunks have around their choices.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
pub(super) struct Usual<'a, C> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) system_fingerprint: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Option<Json<'a>>,
    pub(super) choices: (C,),
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// What came for one choice of a stream.
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

/// A choice of a whole answer, where its content is not recorded.
#[derive(Debug, Deserialize)]
pub(super) struct Brief<'a> {
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    message: Calls,
}

#[derive(Debug, Deserialize)]
struct Calls {
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

impl<'a> Usual<'a, Piece<'a>> {
    pub(super) fn chunk(data: &'a [u8]) -> Option<Self> {
        let chunk: Self = read(data)?;
        let delta = chunk.choices.0.delta.as_ref();
        let calls = delta.is_some_and(|delta| delta.tool_calls.is_some() || delta.function_call.is_some());
        (chunk.usage.is_none() && chunk.error.is_none() && !calls).then_some(chunk)
    }
}

impl<'a> Usual<'a, Brief<'a>> {
    pub(super) fn answer(body: &'a [u8]) -> Option<Self> {
        let answer: Self = read(body)?;
        let message = &answer.choices.0.message;
        let calls = message.tool_calls.is_some() || message.function_call.is_some();
        (answer.error.is_none() && !calls).then_some(answer)
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_str(utf8(bytes).ok()?).ok()
}
