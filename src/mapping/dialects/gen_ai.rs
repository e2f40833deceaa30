//! The OpenTelemetry semantic conventions for generative AI.

use super::{ContentRule, CostRule, Dialect, Source, TypeRule, UsageRule};
use crate::semconv::gen_ai::*;
use crate::semconv::gen_ai_former::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(OPERATION_NAME, OPERATION_TYPES),
    inputs: ContentRule::First(INPUTS),
    outputs: ContentRule::First(OUTPUTS),
    usage: USAGE,
    models: MODELS,
    provider: Some(PROVIDER_NAME),
    tools: Some(TOOL_DEFINITIONS),
    costs: CostRule::Keys([USAGE_INPUT_COST, USAGE_OUTPUT_COST, USAGE_COST]),
    ..Dialect::NONE
};

/// Types of spans by the name of the operation.
pub(super) const OPERATION_TYPES: &[(&str, &str)] = &[
    ("chat", "CHAT_MODEL"),
    ("create_agent", "AGENT"),
    ("embeddings", "EMBEDDING"),
    ("execute_tool", "TOOL"),
    ("generate_content", "LLM"),
    ("invoke_agent", "AGENT"),
    ("text_completion", "LLM"),
    ("response", "LLM"),
];

pub(super) const INPUTS: &[Source] = &[Source::Key(INPUT_MESSAGES), Source::Key(TOOL_CALL_ARGUMENTS)];

pub(super) const OUTPUTS: &[Source] = &[Source::Key(OUTPUT_MESSAGES), Source::Key(TOOL_CALL_RESULT)];

pub(super) const MODELS: &[&str] = &[RESPONSE_MODEL, REQUEST_MODEL];

pub(super) const USAGE: UsageRule = UsageRule::Keys {
    input: &[USAGE_INPUT_TOKENS],
    output: &[USAGE_OUTPUT_TOKENS],
    total: &[],
    cache_read: &[USAGE_CACHE_READ_INPUT_TOKENS],
    cache_creation: &[USAGE_CACHE_WRITE_INPUT_TOKENS, USAGE_CACHE_CREATION_INPUT_TOKENS],
};
