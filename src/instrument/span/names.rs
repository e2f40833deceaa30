//! Names that spans of the application's own code use beside those of the GenAI conventions.

/// Value of `error.type` where no class is known (semantic conventions).
pub(in crate::instrument) const OTHER_ERROR: &str = "_OTHER";
/// Value of `error.type`: the code panicked.
pub(in crate::instrument) const PANIC: &str = "panic";
/// Value of `error.type`: the future was dropped before it was done.
pub(in crate::instrument) const CANCELLED: &str = "cancelled";
/// Event on the span of an agent: it handed over to another. The registry has no name for it.
pub(in crate::instrument) const HANDOFF: &str = "otel_mlflow.handoff";
/// Attribute of [`HANDOFF`], and of the link to the span of the agent that handed over, string: its name.
pub(in crate::instrument) const HANDOFF_FROM: &str = "otel_mlflow.handoff.from";
/// Attribute of [`HANDOFF`], string: name of the agent that took over.
pub(in crate::instrument) const HANDOFF_TO: &str = "otel_mlflow.handoff.to";
/// Name of the span that shows a hand-off, the one that MLflow gives it for OpenAI's Agents SDK.
pub(in crate::instrument) const HANDOFF_SPAN: &str = "Handoff";
