//! Langfuse.

use super::{ContentRule, CostRule, Dialect, Source, TypeRule};
use crate::semconv::langfuse::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        OBSERVATION_TYPE,
        &[
            ("generation", "LLM"),
            ("embedding", "EMBEDDING"),
            ("tool", "TOOL"),
            ("retriever", "RETRIEVER"),
            ("agent", "AGENT"),
            ("chain", "CHAIN"),
            ("evaluator", "EVALUATOR"),
            ("guardrail", "GUARDRAIL"),
            ("span", "UNKNOWN"),
        ],
    ),
    inputs: ContentRule::First(&[Source::Key(OBSERVATION_INPUT)]),
    outputs: ContentRule::First(&[Source::Key(OBSERVATION_OUTPUT)]),
    costs: CostRule::Object(COST_DETAILS, ["input", "output", "total"]),
    session: Some(SESSION_ID),
    user: Some(USER_ID),
    ..Dialect::NONE
};
