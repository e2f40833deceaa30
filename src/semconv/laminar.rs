//! Names that Laminar uses.

/// Attribute: kind of the span, such as `LLM`.
pub const SPAN_TYPE: &str = "lmnr.span.type";
/// Attribute: what the operation was given.
pub const SPAN_INPUT: &str = "lmnr.span.input";
/// Attribute: what the operation returned.
pub const SPAN_OUTPUT: &str = "lmnr.span.output";
/// Attribute: session of the trace.
pub const SESSION_ID: &str = "lmnr.association.properties.session_id";
/// Attribute: user of the trace.
pub const USER_ID: &str = "lmnr.association.properties.user_id";
