//! Names of the OpenInference semantic conventions (Arize).

/// Attribute: kind of the span, such as `LLM`.
pub const SPAN_KIND: &str = "openinference.span.kind";
/// Attribute: what the operation was given.
pub const INPUT_VALUE: &str = "input.value";
/// Attribute: what the operation returned.
pub const OUTPUT_VALUE: &str = "output.value";
/// Attribute: tokens of the prompt.
pub const TOKEN_COUNT_PROMPT: &str = "llm.token_count.prompt";
/// Attribute: tokens of the answer.
pub const TOKEN_COUNT_COMPLETION: &str = "llm.token_count.completion";
/// Attribute: tokens of both.
pub const TOKEN_COUNT_TOTAL: &str = "llm.token_count.total";
/// Attribute: prompt tokens that came from a cache.
pub const TOKEN_COUNT_CACHE_READ: &str = "llm.token_count.prompt_details.cache_read";
/// Attribute: prompt tokens that went into a cache.
pub const TOKEN_COUNT_CACHE_WRITE: &str = "llm.token_count.prompt_details.cache_write";
/// Attribute: model that answered.
pub const RESPONSE_MODEL_NAME: &str = "llm.response.model_name";
/// Attribute: model.
pub const MODEL_NAME: &str = "llm.model_name";
/// Attribute: model that was asked for.
pub const REQUEST_MODEL_NAME: &str = "llm.request.model_name";
/// Attribute: embedding model.
pub const EMBEDDING_MODEL_NAME: &str = "embedding.model_name";
/// Attribute: provider of the model.
pub const PROVIDER: &str = "llm.provider";
/// Attribute: cost of the prompt in US dollars.
pub const COST_PROMPT: &str = "llm.cost.prompt";
/// Attribute: cost of the answer in US dollars.
pub const COST_COMPLETION: &str = "llm.cost.completion";
/// Attribute: cost of both in US dollars.
pub const COST_TOTAL: &str = "llm.cost.total";
