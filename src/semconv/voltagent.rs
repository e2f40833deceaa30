//! Names that VoltAgent uses.

/// Attribute: kind of the span, such as `agent`.
pub const SPAN_TYPE: &str = "span.type";
/// Attribute: kind of the entity, such as `agent`.
pub const ENTITY_TYPE: &str = "entity.type";
/// Attribute: messages given to the agent.
pub const AGENT_MESSAGES: &str = "agent.messages";
/// Attribute: messages given to the model.
pub const LLM_MESSAGES: &str = "llm.messages";
/// Attribute: what the operation was given.
pub const INPUT: &str = "input";
/// Attribute: what the operation returned.
pub const OUTPUT: &str = "output";
/// Attribute: tokens of the prompt.
pub const USAGE_PROMPT_TOKENS: &str = "usage.prompt_tokens";
/// Attribute: tokens of the answer.
pub const USAGE_COMPLETION_TOKENS: &str = "usage.completion_tokens";
/// Attribute: tokens of both.
pub const USAGE_TOTAL_TOKENS: &str = "usage.total_tokens";
/// Attribute: tokens of the prompt.
pub const LLM_USAGE_PROMPT_TOKENS: &str = "llm.usage.prompt_tokens";
/// Attribute: tokens of the answer.
pub const LLM_USAGE_COMPLETION_TOKENS: &str = "llm.usage.completion_tokens";
/// Attribute: tokens of both.
pub const LLM_USAGE_TOTAL_TOKENS: &str = "llm.usage.total_tokens";
/// Attribute: operation of VoltAgent.
pub const OPERATION_ID: &str = "voltagent.operation_id";
/// Attribute: conversation of VoltAgent.
pub const CONVERSATION_ID: &str = "voltagent.conversation_id";
