//! VoltAgent.

use super::rules::look_up;
use super::{ContentRule, Dialect, FormatRule, Source, TypeRule, UsageRule};
use crate::mapping::attributes::Attributes;
use crate::mapping::unusable::Unusable;
use crate::semconv::voltagent::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Custom(span_type),
    inputs: ContentRule::First(&[Source::Key(AGENT_MESSAGES), Source::Key(LLM_MESSAGES), Source::Key(INPUT)]),
    outputs: ContentRule::First(&[Source::Key(OUTPUT)]),
    usage: UsageRule::Keys {
        input: &[USAGE_PROMPT_TOKENS, LLM_USAGE_PROMPT_TOKENS],
        output: &[USAGE_COMPLETION_TOKENS, LLM_USAGE_COMPLETION_TOKENS],
        total: &[USAGE_TOTAL_TOKENS, LLM_USAGE_TOTAL_TOKENS],
        cache_read: &[],
        cache_creation: &[],
    },
    message_format: FormatRule::IfAny(&[OPERATION_ID, CONVERSATION_ID], "voltagent"),
    session: Some(CONVERSATION_ID),
    ..Dialect::NONE
};

const TYPES: &[(&str, &str)] = &[("agent", "AGENT"), ("llm", "LLM"), ("tool", "TOOL"), ("memory", "MEMORY")];

/// The type of the span, or else of the entity; an empty list or object counts as absent.
fn span_type(attributes: &Attributes<'_>) -> Result<Option<&'static str>, Unusable> {
    for key in [SPAN_TYPE, ENTITY_TYPE] {
        if attributes.usable(key).is_some()
            && let Some(span_type) = look_up(attributes, key, TYPES)?
        {
            return Ok(Some(span_type));
        }
    }
    Ok(None)
}
