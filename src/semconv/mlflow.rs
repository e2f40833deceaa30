//! Names that MLflow gives a meaning: span attributes, trace tags and trace metadata.

/// Span attribute: type of the span, such as `CHAT_MODEL`.
pub const SPAN_TYPE: &str = "mlflow.spanType";
/// Span attribute: what the operation was given, as JSON text.
pub const SPAN_INPUTS: &str = "mlflow.spanInputs";
/// Span attribute: what the operation returned, as JSON text.
pub const SPAN_OUTPUTS: &str = "mlflow.spanOutputs";
/// Span attribute: the trace id in MLflow's form.
pub const TRACE_REQUEST_ID: &str = "mlflow.traceRequestId";
/// Span attribute: token counts of the span.
pub const CHAT_TOKEN_USAGE: &str = "mlflow.chat.tokenUsage";
/// Span attribute: tools that were offered to the model.
pub const CHAT_TOOLS: &str = "mlflow.chat.tools";
/// Span attribute: the conversation in OpenAI's form, which the UI's chat view shows in place of inputs and outputs.
pub const CHAT_MESSAGES: &str = "mlflow.chat.messages";
/// Span attribute: which dialect the messages are in, for the UI's chat view.
pub const MESSAGE_FORMAT: &str = "mlflow.message.format";
/// Span attribute: model that answered.
pub const LLM_MODEL: &str = "mlflow.llm.model";
/// Span attribute: provider of the model.
pub const LLM_PROVIDER: &str = "mlflow.llm.provider";
/// Span attribute: cost of the span, in US dollars.
pub const LLM_COST: &str = "mlflow.llm.cost";
/// Prefix of root span attributes that become tags of the trace.
pub const TRACE_TAG_PREFIX: &str = "mlflow.traceTag.";
/// Prefix of MLflow's own names.
pub const PREFIX: &str = "mlflow.";
/// Trace tag: name of the trace.
pub const TRACE_NAME: &str = "mlflow.traceName";
/// Trace tag: where the trace's artifacts live.
pub const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";
/// Trace tag: where the trace's spans live.
pub const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
/// Trace metadata: user of the trace.
pub const TRACE_USER: &str = "mlflow.trace.user";
/// Trace metadata: set once a client has closed the trace.
pub const TRACE_INFO_FINALIZED: &str = "mlflow.trace.infoFinalized";
/// Trace metadata: session of the trace; senders also use it as an attribute.
pub const TRACE_SESSION: &str = "mlflow.trace.session";
/// Trace metadata: program that made the trace.
pub const SOURCE_NAME: &str = "mlflow.source.name";
/// Prefix of the tags that MLflow keeps about a trace.
pub const TRACE_PREFIX: &str = "mlflow.trace.";
/// Prefix of span events that hold a chunk of a stream each; a number follows.
pub const CHUNK_EVENT_PREFIX: &str = "mlflow.chunk.item.";
/// Attribute of chunk events: the chunk, as JSON text.
pub const CHUNK_VALUE: &str = "mlflow.chunk.value";
/// Run tag: tables that were logged, as a JSON list of paths.
pub const LOGGED_ARTIFACTS: &str = "mlflow.loggedArtifacts";
