//! Names that Google's Agent Development Kit uses.

/// Attribute: the request to the model.
pub const LLM_REQUEST: &str = "gcp.vertex.agent.llm_request";
/// Attribute: the answer of the model.
pub const LLM_RESPONSE: &str = "gcp.vertex.agent.llm_response";
/// Attribute: arguments of a tool call.
pub const TOOL_CALL_ARGS: &str = "gcp.vertex.agent.tool_call_args";
/// Attribute: result of a tool call.
pub const TOOL_RESPONSE: &str = "gcp.vertex.agent.tool_response";
/// Attribute: session of the trace.
pub const SESSION_ID: &str = "gcp.vertex.agent.session_id";
