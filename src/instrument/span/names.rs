//! Names that spans of the application's own code use beside those of the GenAI conventions.

/// Attribute, string: which class of error the operation ended with (semantic conventions, `error.type`).
pub(in crate::instrument) const ERROR_TYPE: &str = "error.type";
/// Value of [`ERROR_TYPE`] where no class is known (semantic conventions).
pub(in crate::instrument) const OTHER_ERROR: &str = "_OTHER";
/// Value of [`ERROR_TYPE`]: the code panicked.
pub(in crate::instrument) const PANIC: &str = "panic";
/// Value of [`ERROR_TYPE`]: the future was dropped before it was done.
pub(in crate::instrument) const CANCELLED: &str = "cancelled";
/// Event: an error (semantic conventions).
pub(in crate::instrument) const EXCEPTION: &str = "exception";
/// Attribute of [`EXCEPTION`], string: type of the error.
pub(in crate::instrument) const EXCEPTION_TYPE: &str = "exception.type";
/// Attribute of [`EXCEPTION`], string: what the error says.
pub(in crate::instrument) const EXCEPTION_MESSAGE: &str = "exception.message";
/// Event on the span of an agent: it handed over to another. The registry has no name for it.
pub(in crate::instrument) const HANDOFF: &str = "otel_mlflow.handoff";
/// Attribute of [`HANDOFF`], and of the link to the span of the agent that handed over, string: its name.
pub(in crate::instrument) const HANDOFF_FROM: &str = "otel_mlflow.handoff.from";
/// Attribute of [`HANDOFF`], string: name of the agent that took over.
pub(in crate::instrument) const HANDOFF_TO: &str = "otel_mlflow.handoff.to";
/// Name of the span that shows a hand-off, the one that MLflow gives it for OpenAI's Agents SDK.
pub(in crate::instrument) const HANDOFF_SPAN: &str = "Handoff";
