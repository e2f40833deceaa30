//! Names of the OpenTelemetry semantic conventions for generative AI, current and former.

/// Attribute: kind of the operation, such as `chat`.
pub const OPERATION_NAME: &str = "gen_ai.operation.name";
/// Attribute: provider of the model.
pub const PROVIDER_NAME: &str = "gen_ai.provider.name";
/// Attribute, former: provider of the model.
pub const SYSTEM: &str = "gen_ai.system";
/// Attribute: model that was asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// Attribute: model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Attribute: messages given to the model.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
/// Attribute: messages that the model returned.
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
/// Attribute: arguments of a tool call.
pub const TOOL_CALL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
/// Attribute: result of a tool call.
pub const TOOL_CALL_RESULT: &str = "gen_ai.tool.call.result";
/// Attribute: tools that were offered to the model.
pub const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
/// Attribute: name of the agent.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// Attribute: conversation that the operation belongs to.
pub const CONVERSATION_ID: &str = "gen_ai.conversation.id";
/// Attribute: tokens of the prompt.
pub const USAGE_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Attribute: tokens of the answer.
pub const USAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Attribute: prompt tokens that came from a cache.
pub const USAGE_CACHE_READ_INPUT_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Attribute: prompt tokens that went into a cache.
pub const USAGE_CACHE_WRITE_INPUT_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
/// Attribute: prompt tokens that went into a cache.
pub const USAGE_CACHE_CREATION_INPUT_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// Attribute, former: tokens of the prompt.
pub const USAGE_PROMPT_TOKENS: &str = "gen_ai.usage.prompt_tokens";
/// Attribute, former: tokens of the answer.
pub const USAGE_COMPLETION_TOKENS: &str = "gen_ai.usage.completion_tokens";
/// Event, former: a message of the system.
pub const EVENT_SYSTEM_MESSAGE: &str = "gen_ai.system.message";
/// Event, former: a message of the user.
pub const EVENT_USER_MESSAGE: &str = "gen_ai.user.message";
/// Event, former: an earlier answer of the model.
pub const EVENT_ASSISTANT_MESSAGE: &str = "gen_ai.assistant.message";
/// Event, former: an answer of the model.
pub const EVENT_CHOICE: &str = "gen_ai.choice";
/// Event, former: the prompt.
pub const EVENT_CONTENT_PROMPT: &str = "gen_ai.content.prompt";
/// Event, former: the answer.
pub const EVENT_CONTENT_COMPLETION: &str = "gen_ai.content.completion";
/// Attribute of [`EVENT_CONTENT_PROMPT`]: the prompt.
pub const EVENT_PROMPT: &str = "gen_ai.prompt";
/// Attribute of [`EVENT_CONTENT_COMPLETION`]: the answer.
pub const EVENT_COMPLETION: &str = "gen_ai.completion";
/// Attribute of the message events: what was said.
pub const EVENT_CONTENT: &str = "content";
/// Attribute of the message events: who said it.
pub const EVENT_ROLE: &str = "role";
/// Attribute of several vendors: cost of the prompt in US dollars.
pub const USAGE_INPUT_COST: &str = "gen_ai.usage.input_cost";
/// Attribute of several vendors: cost of the answer in US dollars.
pub const USAGE_OUTPUT_COST: &str = "gen_ai.usage.output_cost";
/// Attribute of several vendors: cost of both in US dollars.
pub const USAGE_COST: &str = "gen_ai.usage.cost";
/// Attribute of OpenLLMetry: prompt tokens that came from a cache.
pub const USAGE_CACHE_READ_FORMER: &str = "gen_ai.usage.cache_read_input_tokens";
/// Attribute of OpenLLMetry: prompt tokens that went into a cache.
pub const USAGE_CACHE_CREATION_FORMER: &str = "gen_ai.usage.cache_creation_input_tokens";
