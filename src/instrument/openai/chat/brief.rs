//! The usual answer where its content is not recorded, read without building a tree.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::genai::{Json, Text, utf8};

/// What a whole answer says of itself. Answers with several choices or with tool calls are none, and
/// are read as a tree.
#[derive(Debug, Deserialize)]
pub(super) struct Brief<'a> {
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
    #[serde(borrow)]
    choices: (Choice<'a>,),
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    message: Message,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

impl<'a> Brief<'a> {
    pub(super) fn usual(body: &'a [u8]) -> Option<Self> {
        let brief: Self = serde_json::from_str(utf8(body).ok()?).ok()?;
        let message = &brief.choices.0.message;
        let plain = message.tool_calls.is_none() && message.function_call.is_none() && brief.error.is_none();
        plain.then_some(brief)
    }

    pub(super) fn finish_reason(&self) -> Option<&str> {
        self.choices.0.finish_reason.as_ref().map(|reason| reason.0.as_ref())
    }
}
