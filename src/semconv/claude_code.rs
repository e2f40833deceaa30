//! Names that Claude Code uses.

/// Attribute: kind of the span, such as `llm_request`.
pub const SPAN_TYPE: &str = "span.type";
/// Attribute: what the user asked.
pub const USER_PROMPT: &str = "user_prompt";
/// Attribute: what was added to the conversation.
pub const NEW_CONTEXT: &str = "new_context";
/// Attribute: arguments of a tool.
pub const TOOL_INPUT: &str = "tool_input";
/// Attribute: command line of a tool.
pub const FULL_COMMAND: &str = "full_command";
/// Attribute: file that a tool works on.
pub const FILE_PATH: &str = "file_path";
/// Attribute: skill that a tool runs.
pub const SKILL_NAME: &str = "skill_name";
/// Attribute: agent that a tool starts.
pub const SUBAGENT_TYPE: &str = "subagent_type";
/// Attribute: what the model answered.
pub const RESPONSE_MODEL_OUTPUT: &str = "response.model_output";
/// Attribute: tokens of the prompt that no cache knew.
pub const INPUT_TOKENS: &str = "input_tokens";
/// Attribute: tokens of the answer.
pub const OUTPUT_TOKENS: &str = "output_tokens";
/// Attribute: prompt tokens that came from a cache.
pub const CACHE_READ_TOKENS: &str = "cache_read_tokens";
/// Attribute: prompt tokens that went into a cache.
pub const CACHE_CREATION_TOKENS: &str = "cache_creation_tokens";
/// Event: what a tool returned.
pub const EVENT_TOOL_OUTPUT: &str = "tool.output";
/// Attribute of [`EVENT_TOOL_OUTPUT`]: text that the tool printed.
pub const EVENT_OUTPUT: &str = "output";
/// Attribute of [`EVENT_TOOL_OUTPUT`]: content that the tool read.
pub const EVENT_CONTENT: &str = "content";
/// Attribute of [`EVENT_TOOL_OUTPUT`]: what the tool changed.
pub const EVENT_DIFF: &str = "diff";
