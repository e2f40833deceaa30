//! OpenLLMetry (Traceloop), current and former.

use super::{ContentRule, Dialect, Source, TypeRule, UsageRule};
use crate::semconv::gen_ai_former::{SYSTEM, USAGE_COMPLETION_TOKENS, USAGE_PROMPT_TOKENS};
use crate::semconv::traceloop::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        SPAN_KIND,
        &[
            ("workflow", "WORKFLOW"),
            ("task", "TASK"),
            ("agent", "AGENT"),
            ("tool", "TOOL"),
            ("unknown", "UNKNOWN"),
        ],
    ),
    inputs: ContentRule::First(&[
        Source::Key(ENTITY_INPUT),
        Source::Numbered(&["gen_ai.prompt.", ".content"]),
        Source::Numbered(&["gen_ai.completion.", ".tool_calls.", ".arguments"]),
    ]),
    outputs: ContentRule::First(&[
        Source::Key(ENTITY_OUTPUT),
        Source::Numbered(&["gen_ai.completion.", ".content"]),
    ]),
    usage: UsageRule::Keys {
        input: &[USAGE_PROMPT_TOKENS],
        output: &[USAGE_COMPLETION_TOKENS],
        total: &[USAGE_TOTAL_TOKENS],
        cache_read: &[],
        cache_creation: &[],
    },
    provider: Some(SYSTEM),
    session: Some(SESSION_ID),
    user: Some(USER_ID),
    ..Dialect::NONE
};
