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
/// Run tag: which run of the gateway this is; the same 32 hex digits in every gateway.
pub const RUN_KEY: &str = "otel_mlflow.run_key";
/// Run tag: why the traces of the run share it: `attribute`, `session`, `trace` or `service`.
pub const RUN_MODE: &str = "otel_mlflow.run_mode";
/// Run tag: what the traces of the run share.
pub const RUN_OF: &str = "otel_mlflow.run_of";
/// Run tag: parameters that are the same in all requests so far, as a JSON object.
pub const RUN_PARAMS: &str = "otel_mlflow.params";
/// Run tag: parameters that are not, each with its values and their numbers of requests, as a JSON object.
pub const RUN_VARYING: &str = "otel_mlflow.varying_params";
/// Run tag: the run that has taken the place of this one, which two gateways made in one moment.
pub const RUN_REPLACED_BY: &str = "otel_mlflow.replaced_by";
/// Metadata of an assessment: which evaluation event it was.
pub const EVALUATION_KEY: &str = "otel_mlflow.evaluation";
/// Trace tag: the root span has not come; when something of the trace was last written, as RFC 3339.
pub const END_AWAITED: &str = "otel_mlflow.end_awaited";
/// Trace tag: the trace was closed without its root span; when something of it had last been written.
pub const END_NOT_RECEIVED: &str = "otel_mlflow.end_not_received";
