//! Names that the Vercel AI SDK uses.

/// Attribute: function of the SDK, such as `ai.generateText`.
pub const OPERATION_ID: &str = "ai.operationId";
/// Attribute: the prompt.
pub const PROMPT: &str = "ai.prompt";
/// Prefix of the attributes that make up the prompt of a model call.
pub const PROMPT_PREFIX: &str = "ai.prompt.";
/// Prefix of the attributes that make up the answer of a model call.
pub const RESPONSE_PREFIX: &str = "ai.response.";
/// Attribute: text of the answer.
pub const RESPONSE_TEXT: &str = "ai.response.text";
/// Attribute: object of the answer.
pub const RESPONSE_OBJECT: &str = "ai.response.object";
/// Attribute: arguments of a tool call.
pub const TOOL_CALL_ARGS: &str = "ai.toolCall.args";
/// Attribute: result of a tool call.
pub const TOOL_CALL_RESULT: &str = "ai.toolCall.result";
/// Attribute: text to embed.
pub const VALUE: &str = "ai.value";
/// Attribute: texts to embed.
pub const VALUES: &str = "ai.values";
/// Attribute: an embedding.
pub const EMBEDDING: &str = "ai.embedding";
/// Attribute: embeddings.
pub const EMBEDDINGS: &str = "ai.embeddings";
/// Attribute: session of the trace.
pub const SESSION_ID: &str = "ai.telemetry.metadata.sessionId";
/// Attribute: user of the trace.
pub const USER_ID: &str = "ai.telemetry.metadata.userId";
