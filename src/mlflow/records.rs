//! Rows of MLflow's tracking store, as of MLflow 3.17.2 (alembic revision `dc11669786a5`).

/// State of a trace: the column `trace_info.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceState {
    /// The root ended without an error.
    Ok,
    /// The root ended with an error.
    Error,
    /// The root has not arrived.
    InProgress,
    /// Written by clients that gave no state.
    Unspecified,
}

impl TraceState {
    /// The text that MLflow stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
            Self::Unspecified => "STATE_UNSPECIFIED",
        }
    }

    /// Reads the stored text; anything unknown counts as unspecified.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "OK" => Self::Ok,
            "ERROR" => Self::Error,
            "IN_PROGRESS" => Self::InProgress,
            _ => Self::Unspecified,
        }
    }
}

/// Token counts of a trace: the six `*_tokens` columns of `trace_info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// `input_tokens`.
    pub input: Option<i64>,
    /// `output_tokens`.
    pub output: Option<i64>,
    /// `total_tokens`.
    pub total: Option<i64>,
    /// `cache_read_input_tokens`.
    pub cache_read: Option<i64>,
    /// `cache_creation_input_tokens`.
    pub cache_creation: Option<i64>,
    /// `cache_creation_input_tokens_above_1hr`.
    pub cache_creation_above_1hr: Option<i64>,
}

impl TokenUsage {
    /// Whether no count is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over the counts that `newer` knows, and keeps the others.
    pub fn overwrite(&mut self, newer: Self) {
        self.input = newer.input.or(self.input);
        self.output = newer.output.or(self.output);
        self.total = newer.total.or(self.total);
        self.cache_read = newer.cache_read.or(self.cache_read);
        self.cache_creation = newer.cache_creation.or(self.cache_creation);
        self.cache_creation_above_1hr = newer.cache_creation_above_1hr.or(self.cache_creation_above_1hr);
    }
}

/// Cost in US dollars: the three `*_cost` columns of `trace_info` and `spans`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// `input_cost`.
    pub input: Option<f64>,
    /// `output_cost`.
    pub output: Option<f64>,
    /// `total_cost`.
    pub total: Option<f64>,
}

impl Cost {
    /// Whether no cost is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes over the costs that `newer` knows, and keeps the others.
    pub fn overwrite(&mut self, newer: Self) {
        self.input = newer.input.or(self.input);
        self.output = newer.output.or(self.output);
        self.total = newer.total.or(self.total);
    }
}

/// A row of `trace_info`.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceRecord {
    /// `tr-` and 32 hex digits: the column `request_id`.
    pub trace_id: String,
    /// The experiment that the trace belongs to.
    pub experiment_id: i64,
    /// Start, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Duration in milliseconds; unknown until a span with an end has arrived.
    pub execution_time_ms: Option<i64>,
    /// State of the trace.
    pub state: TraceState,
    /// What the UI's list shows as the request; at most 1,000 characters.
    pub request_preview: Option<String>,
    /// What the UI's list shows as the response; at most 1,000 characters.
    pub response_preview: Option<String>,
    /// How many writes the trace has seen; MLflow's own writers count on it.
    pub db_payload_generation: i64,
    /// Name of the trace.
    pub trace_name: Option<String>,
    /// Session that the trace belongs to.
    pub session_id: Option<String>,
    /// Tokens over the whole tree.
    pub tokens: TokenUsage,
    /// Cost over the whole tree.
    pub cost: Cost,
}

/// Status of a span: the column `spans.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanStatus {
    /// No status was set.
    Unset,
    /// The operation succeeded.
    Ok,
    /// The operation failed.
    Error,
}

impl SpanStatus {
    /// The text that MLflow stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

/// A row of `spans`; its trace and experiment are those of the [`TraceRecord`] it is written with.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or none for a root.
    pub parent_span_id: Option<String>,
    /// Name of the operation.
    pub name: String,
    /// MLflow's span type, such as `CHAT_MODEL`.
    pub span_type: Option<String>,
    /// Outcome.
    pub status: SpanStatus,
    /// Start, in nanoseconds since the Unix epoch.
    pub start_time_unix_nano: i64,
    /// End, in nanoseconds since the Unix epoch; 0 when missing.
    pub end_time_unix_nano: i64,
    /// The whole span as JSON text.
    pub content: String,
    /// Cost of this span alone.
    pub cost: Cost,
    /// Model that answered.
    pub model_name: Option<String>,
    /// Provider of the model.
    pub model_provider: Option<String>,
}
