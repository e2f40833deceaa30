//! What mapping passes to a store, and what a store passes back to it.

use crate::mlflow::records::{SpanRecord, TraceRecord, TraceState};

/// What one export request says about one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceUpdate {
    /// `tr-` and 32 hex digits.
    pub trace_id: String,
    /// Experiment for the trace if it does not exist yet; an existing trace stays where it is.
    pub experiment_id: i64,
    /// Earliest start of the request's spans, in milliseconds since the Unix epoch.
    pub min_start_ms: i64,
    /// Latest end of the request's spans, in milliseconds since the Unix epoch; 0 if none has one.
    pub max_end_ms: i64,
    /// State that the request's root span gives; none without a root.
    pub state: Option<TraceState>,
    /// Name of the trace.
    pub trace_name: Option<String>,
    /// Session of the trace.
    pub session_id: Option<String>,
    /// User of the trace.
    pub user: Option<String>,
    /// What the list shows as the request.
    pub request_preview: Option<String>,
    /// What the list shows as the response.
    pub response_preview: Option<String>,
    /// Tags to set, in order; a later value of a key wins.
    pub tags: Vec<(String, String)>,
    /// Token usage and cost of each span, in the order of the request, repeated spans included.
    pub nodes: Vec<UsageNode>,
    /// Rows of the spans, in the order of the request, repeated spans included.
    pub spans: Vec<SpanRecord>,
    /// Runs to link the trace to.
    pub run_ids: Vec<String>,
}

/// What a span adds to the totals of its trace.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageNode {
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or none for a root.
    pub parent_span_id: Option<String>,
    // The mapping step defines what it carries here.
}

/// A trace as the store holds it before a write, read and locked inside the transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTrace {
    /// The row of `trace_info`.
    pub record: TraceRecord,
    /// Whether the metadata key `mlflow.trace.infoFinalized` exists.
    pub finalized: bool,
    /// Whether the metadata key `mlflow.trace.user` exists.
    pub has_user: bool,
    /// Value of the tag `mlflow.trace.spansLocation`.
    pub spans_location: Option<String>,
    /// The stored spans, if [`TraceUpdate::needs_stored_spans`] asked for them.
    pub spans: Vec<StoredSpan>,
}

/// The part of a stored span that totals are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSpan {
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits, or none for a root.
    pub parent_span_id: Option<String>,
    /// The span as JSON text; may be left out where it holds neither usage nor cost.
    pub content: Option<String>,
}

/// What a store has to write for one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceWrite {
    /// The whole row of `trace_info`, to insert or to update.
    pub record: TraceRecord,
    /// Whether the row is to be inserted.
    pub is_new: bool,
    /// Rows of `spans` to upsert; no span id twice.
    pub spans: Vec<SpanRecord>,
    /// Tags to upsert; no key twice. The store adds `mlflow.artifactLocation` to a new trace,
    /// before these.
    pub tags: Vec<(String, String)>,
    /// Metadata to insert where the key does not exist.
    pub metadata: Vec<(String, String)>,
    /// New `assessments.trace_timestamp_ms`, if the start of an existing trace moved.
    pub moved_start_ms: Option<i64>,
    /// Runs to link the trace to, where the link does not exist.
    pub run_ids: Vec<String>,
}
