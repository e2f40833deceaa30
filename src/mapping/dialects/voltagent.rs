//! VoltAgent.

use super::{ContentRule, Dialect, FormatRule, Source, TypeRule, UsageRule};
use crate::semconv::voltagent::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        &[SPAN_TYPE, ENTITY_TYPE],
        &[("agent", "AGENT"), ("llm", "LLM"), ("tool", "TOOL"), ("memory", "MEMORY")],
    ),
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
    ..Dialect::NONE
};
