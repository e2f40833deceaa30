//! Names of this project, where no convention has one.

/// Attribute, string: how a stream ended: `completed`, `failed` or `dropped` (the caller stopped reading).
pub const STREAM_END: &str = "otel_mlflow.stream.end";
/// Attribute, int: chunks of a stream that arrived.
pub const STREAM_CHUNKS: &str = "otel_mlflow.stream.chunks";
/// Attribute, int: tokens of the prompt that are sound.
pub const USAGE_INPUT_AUDIO_TOKENS: &str = "otel_mlflow.usage.input.audio_tokens";
/// Attribute, int: tokens of the answer that are sound.
pub const USAGE_OUTPUT_AUDIO_TOKENS: &str = "otel_mlflow.usage.output.audio_tokens";
/// Attribute, int: size in bytes of an answer that was too big to be read for telemetry.
pub const RESPONSE_UNREAD_SIZE: &str = "otel_mlflow.response.unread_size";
