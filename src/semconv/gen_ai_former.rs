//! Names of the GenAI semantic conventions that the current registry no longer has; senders still
//! use them.

/// Attribute, former: provider of the model.
pub const SYSTEM: &str = "gen_ai.system";
/// Attribute: prompt tokens that went into a cache.
pub const USAGE_CACHE_WRITE_INPUT_TOKENS: &str = "gen_ai.usage.cache_write.input_tokens";
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
/// Attribute, former: service tier that was asked for.
pub const OPENAI_REQUEST_SERVICE_TIER: &str = "gen_ai.openai.request.service_tier";
/// Attribute, former: service tier that was used.
pub const OPENAI_RESPONSE_SERVICE_TIER: &str = "gen_ai.openai.response.service_tier";
/// Attribute, former: fingerprint of the system that answered.
pub const OPENAI_RESPONSE_SYSTEM_FINGERPRINT: &str = "gen_ai.openai.response.system_fingerprint";
