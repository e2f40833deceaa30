//! OpenInference (Arize Phoenix).

use super::{ContentRule, CostRule, Dialect, Source, TypeRule, UsageRule};
use crate::semconv::openinference::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        SPAN_KIND,
        &[
            ("TOOL", "TOOL"),
            ("CHAIN", "CHAIN"),
            ("LLM", "LLM"),
            ("RETRIEVER", "RETRIEVER"),
            ("EMBEDDING", "EMBEDDING"),
            ("AGENT", "AGENT"),
            ("RERANKER", "RERANKER"),
            ("UNKNOWN", "UNKNOWN"),
            ("GUARDRAIL", "GUARDRAIL"),
            ("EVALUATOR", "EVALUATOR"),
        ],
    ),
    inputs: ContentRule::First(&[Source::Key(INPUT_VALUE)]),
    outputs: ContentRule::First(&[Source::Key(OUTPUT_VALUE)]),
    usage: UsageRule::Keys {
        input: &[TOKEN_COUNT_PROMPT],
        output: &[TOKEN_COUNT_COMPLETION],
        total: &[TOKEN_COUNT_TOTAL],
        cache_read: &[TOKEN_COUNT_CACHE_READ],
        cache_creation: &[TOKEN_COUNT_CACHE_WRITE],
    },
    models: &[RESPONSE_MODEL_NAME, MODEL_NAME, REQUEST_MODEL_NAME, EMBEDDING_MODEL_NAME],
    provider: Some(PROVIDER),
    costs: CostRule::Keys([COST_PROMPT, COST_COMPLETION, COST_TOTAL]),
    ..Dialect::NONE
};
