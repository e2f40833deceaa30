//! Which content is recorded, and how much of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::record::Recorder;

/// The environment variable that says where content is recorded.
pub const CAPTURE_VARIABLE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

/// Where the content of calls is recorded: prompts, answers, tool arguments and results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureMode {
    /// Nowhere.
    #[default]
    NoContent,
    /// On spans.
    SpanOnly,
    /// On events.
    EventOnly,
    /// On both.
    SpanAndEvent,
}

/// A mode that does not exist.
#[derive(Debug, thiserror::Error)]
#[error(
    "{CAPTURE_VARIABLE} is `{0}`, which is none of NO_CONTENT, SPAN_ONLY, EVENT_ONLY and SPAN_AND_EVENT; \
     no content is recorded"
)]
pub struct UnknownCaptureMode(String);

impl CaptureMode {
    /// The mode of that name, in any case.
    ///
    /// # Errors
    ///
    /// If there is none; the caller is to say so once and to record nothing.
    pub fn parse(name: &str) -> Result<Self, UnknownCaptureMode> {
        let modes = [
            ("NO_CONTENT", Self::NoContent),
            ("SPAN_ONLY", Self::SpanOnly),
            ("EVENT_ONLY", Self::EventOnly),
            ("SPAN_AND_EVENT", Self::SpanAndEvent),
        ];
        let name = name.trim();
        let found = modes.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        found.map(|(_, mode)| mode).ok_or_else(|| UnknownCaptureMode(name.to_owned()))
    }

    /// Whether spans carry content.
    #[must_use]
    pub fn on_spans(self) -> bool {
        matches!(self, Self::SpanOnly | Self::SpanAndEvent)
    }

    /// Whether events carry content.
    #[must_use]
    pub fn on_events(self) -> bool {
        matches!(self, Self::EventOnly | Self::SpanAndEvent)
    }
}

/// Which content a text is, for a redaction hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentKind {
    /// Instructions given apart from the messages.
    SystemInstructions,
    /// A message given to the model.
    InputMessage,
    /// A message of the model.
    OutputMessage,
    /// A tool that was offered.
    ToolDefinition,
    /// What a tool was called with.
    ToolArguments,
    /// What a tool returned.
    ToolResult,
    /// A variable of a prompt template.
    PromptVariable,
    /// What a traced function was given.
    Inputs,
    /// What a traced function returned.
    Outputs,
    /// The message of an error.
    Error,
}

type Redact = Arc<dyn Fn(ContentKind, &str) -> Option<String> + Send + Sync>;

/// What may be recorded of the content of calls.
///
/// Nothing by default. Texts above [`max_part_bytes`](Self::max_part_bytes) are cut at a character
/// and marked; what stays is valid JSON. Binary content above
/// [`max_blob_bytes`](Self::max_blob_bytes) is replaced by its hash, size and type.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
///
/// let policy = CapturePolicy::new(CaptureMode::SpanOnly)
///     .max_part_bytes(16 * 1024)
///     .redact(|_, text| text.contains("@").then(|| text.replace('@', " at ")));
/// assert!(policy.mode().on_spans());
/// ```
#[derive(Clone)]
pub struct CapturePolicy {
    mode: CaptureMode,
    pub(super) max_part_bytes: usize,
    pub(super) max_content_bytes: usize,
    pub(super) max_blob_bytes: usize,
    redact: Option<Redact>,
}

impl CapturePolicy {
    /// A policy with the default limits: 256 KiB a part, 1 MiB an attribute, binary content up to 1 KiB.
    #[must_use]
    pub fn new(mode: CaptureMode) -> Self {
        Self {
            mode,
            max_part_bytes: 256 * 1024,
            max_content_bytes: 1024 * 1024,
            max_blob_bytes: 1024,
            redact: None,
        }
    }

    /// Where content is recorded.
    #[must_use]
    pub fn mode(&self) -> CaptureMode {
        self.mode
    }

    /// The same limits with another mode.
    #[must_use]
    pub fn with_mode(mut self, mode: CaptureMode) -> Self {
        self.mode = mode;
        self
    }

    /// How many bytes of a single text are kept.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: usize) -> Self {
        self.max_part_bytes = bytes;
        self
    }

    /// How many bytes all texts of one attribute may have together; later messages come first.
    #[must_use]
    pub fn max_content_bytes(mut self, bytes: usize) -> Self {
        self.max_content_bytes = bytes;
        self
    }

    /// Up to which size binary content is recorded itself.
    #[must_use]
    pub fn max_blob_bytes(mut self, bytes: usize) -> Self {
        self.max_blob_bytes = bytes;
        self
    }

    /// A hook that sees every text before it is recorded and may give another in its place. If it
    /// panics, the text is not recorded.
    #[must_use]
    pub fn redact(
        mut self,
        hook: impl Fn(ContentKind, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.redact = Some(Arc::new(hook));
        self
    }

    /// How many bytes one attribute may hold.
    #[cfg(feature = "async-openai")]
    pub(crate) fn content_limit(&self) -> usize {
        self.max_content_bytes
    }

    /// Turns content into what is recorded of it; the given secrets never are.
    #[must_use]
    pub fn recorder<'a>(&'a self, secrets: &'a [String]) -> Recorder<'a> {
        Recorder::new(self, secrets)
    }

    /// What the hook makes of the text, if anything.
    pub(super) fn redacted(&self, kind: ContentKind, text: &str) -> Option<String> {
        let hook = self.redact.as_ref()?;
        match catch_unwind(AssertUnwindSafe(|| hook(kind, text))) {
            Ok(replacement) => replacement,
            Err(_) => Some("[not recorded: the redaction hook failed]".to_owned()),
        }
    }
}

impl Default for CapturePolicy {
    fn default() -> Self {
        Self::new(CaptureMode::NoContent)
    }
}

impl fmt::Debug for CapturePolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CapturePolicy")
            .field("mode", &self.mode)
            .field("max_part_bytes", &self.max_part_bytes)
            .field("max_content_bytes", &self.max_content_bytes)
            .field("max_blob_bytes", &self.max_blob_bytes)
            .field("redact", &self.redact.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_the_names_of_the_convention() {
        assert_eq!(CaptureMode::parse(" span_and_event ").unwrap(), CaptureMode::SpanAndEvent);
        let message = CaptureMode::parse("true").unwrap_err().to_string();
        assert!(message.contains("`true`") && message.contains("SPAN_ONLY"), "{message}");
    }

    #[test]
    fn a_hook_that_panics_keeps_the_text_out() {
        let policy = CapturePolicy::new(CaptureMode::SpanOnly).redact(|_, _| panic!("broken"));
        let shown = policy.redacted(ContentKind::InputMessage, "secret").unwrap();
        assert!(!shown.contains("secret"));
    }
}
