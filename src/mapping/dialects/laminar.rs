//! Laminar.

use super::{ContentRule, Dialect, FormatRule, Source, TypeRule, UsageRule, gen_ai};
use crate::semconv::gen_ai::{USAGE_INPUT_TOKENS, USAGE_OUTPUT_TOKENS};
use crate::semconv::gen_ai_former::SYSTEM;
use crate::semconv::laminar::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        SPAN_TYPE,
        &[
            ("LLM", "LLM"),
            ("TOOL", "TOOL"),
            ("DEFAULT", "CHAIN"),
            ("PIPELINE", "CHAIN"),
            ("EXECUTOR", "AGENT"),
            ("EVALUATOR", "EVALUATOR"),
            ("HUMAN_EVALUATOR", "EVALUATOR"),
            ("EVALUATION", "EVALUATOR"),
            ("CACHED", "LLM"),
        ],
    ),
    inputs: ContentRule::First(&[Source::Key(SPAN_INPUT)]),
    outputs: ContentRule::First(&[Source::Key(SPAN_OUTPUT)]),
    usage: UsageRule::Keys {
        input: &[USAGE_INPUT_TOKENS],
        output: &[USAGE_OUTPUT_TOKENS],
        total: &[],
        cache_read: &[],
        cache_creation: &[],
    },
    models: gen_ai::MODELS,
    provider: Some(SYSTEM),
    message_format: FormatRule::IfAny(&[SPAN_TYPE], "openai"),
    session: Some(SESSION_ID),
    user: Some(USER_ID),
    ..Dialect::NONE
};
