//! Names that OpenLLMetry (Traceloop) uses.

/// Attribute: kind of the span, such as `workflow`.
pub const SPAN_KIND: &str = "traceloop.span.kind";
/// Attribute: what the operation was given.
pub const ENTITY_INPUT: &str = "traceloop.entity.input";
/// Attribute: what the operation returned.
pub const ENTITY_OUTPUT: &str = "traceloop.entity.output";
/// Attribute: tokens of prompt and answer.
pub const USAGE_TOTAL_TOKENS: &str = "llm.usage.total_tokens";
/// Attribute: session of the trace.
pub const SESSION_ID: &str = "traceloop.association.properties.session_id";
/// Attribute: user of the trace.
pub const USER_ID: &str = "traceloop.association.properties.user_id";
