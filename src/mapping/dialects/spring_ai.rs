//! Spring AI, whose prompts and completions come as events.

use super::rules::usable_event_attribute;
use super::{Dialect, Events, TypeRule, UsageRule};
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::Value;
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::semconv::gen_ai::*;
use crate::semconv::gen_ai_former::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(OPERATION_NAME, &[("chat", "CHAT_MODEL"), ("embeddings", "EMBEDDING")]),
    usage: UsageRule::Keys {
        input: &[USAGE_INPUT_TOKENS],
        output: &[USAGE_OUTPUT_TOKENS],
        total: &[],
        cache_read: &[],
        cache_creation: &[],
    },
    ..Dialect::NONE
};

/// The prompt of the first event that has one.
pub(super) fn prompt<'a>(events: &Events<'a>, _: &Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    Ok(first(*events, EVENT_CONTENT_PROMPT, EVENT_PROMPT))
}

/// The completion of the first event that has one.
pub(super) fn completion<'a>(
    events: &Events<'a>,
    _: &Attributes<'a>,
) -> Result<Option<Content<'a>>, Unusable> {
    Ok(first(*events, EVENT_CONTENT_COMPLETION, EVENT_COMPLETION))
}

/// MLflow stores what it finds in these events as it is, a text without the quotes of JSON.
fn first<'a>(events: Events<'a>, name: &str, key: &str) -> Option<Content<'a>> {
    let value = events.named(name).find_map(|event| usable_event_attribute(event, key))?;
    Some(match value {
        Value::Str(text) => Content::Text(Text::Verbatim(text.to_utf8_lossy().into())),
        value => Content::Native(value),
    })
}
