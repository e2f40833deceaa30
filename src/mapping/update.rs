//! What mapping passes to a store, and what a store passes back to it.

use super::usage::Tally;
use crate::mlflow::records::{SpanRecord, TraceRecord, TraceState};
use crate::otlp::Refusal;

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
    /// Whether MLflow would fail on the request preview and, where it needs one, give neither.
    pub preview_failed: bool,
    /// Tags to set, in order; a later value of a key wins.
    pub tags: Vec<(String, String)>,
    /// Rows of the spans, in the order of the request, repeated spans included.
    pub spans: Vec<SpanRecord>,
    /// Token usage and cost of each of the spans, in the same order.
    pub usage: Vec<SpanUsage>,
    /// Runs to link the trace to.
    pub run_ids: Vec<String>,
    /// What is said beyond what MLflow reads; empty in strict mode.
    pub repairs: TraceRepairs,
}

/// What an update says about its trace beyond what MLflow reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceRepairs {
    /// Name for a trace that has none, or none but that of a plain HTTP or RPC call.
    pub fallback_name: Option<String>,
    /// Name for a trace that has none: that of its root, a plain HTTP or RPC call.
    pub plain_name: Option<String>,
    /// Metadata for keys that do not exist.
    pub metadata: Vec<(String, String)>,
    /// Compute totals over all spans, with or without usage in this update.
    pub recount: bool,
    /// Complete usage that has no total.
    pub true_totals: bool,
    /// Mark the trace until its root has come, so that it can be closed if it never does.
    pub mark_end: bool,
}

impl TraceUpdate {
    /// Whether [`merge`](super::merge) needs the stored spans of an existing trace.
    ///
    /// Totals are computed over the whole tree, so they need the spans that came before; where neither
    /// the update nor what is stored has any, there is nothing to compute.
    pub fn needs_stored_spans(&self, stored: &TraceRecord) -> bool {
        let has_totals = !stored.tokens.is_empty() || !stored.cost.is_empty();
        (self.repairs.recount && has_totals)
            || self.usage.iter().any(|span| span.tokens.is_some() || span.cost.is_some())
    }
}

/// What a span adds to the totals of its trace; nothing where a span has no usage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanUsage {
    /// Token counts.
    pub tokens: Option<Box<Tally>>,
    /// Cost in US dollars.
    pub cost: Option<Box<Tally>>,
}

impl SpanUsage {
    /// Forgets negative numbers, and fills totals that are missing.
    pub(super) fn complete(&mut self) {
        for tally in [&mut self.tokens, &mut self.cost].into_iter().flatten() {
            tally.drop_negative();
            tally.complete();
        }
    }
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

/// What a write means for the marks of a trace whose root has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndMark {
    /// The root is still awaited: the tag `otel_mlflow.end_awaited` gets the time of this write.
    Awaited,
    /// The root is there: `otel_mlflow.end_awaited` and `otel_mlflow.end_not_received` go.
    Received,
}

/// What a store has to write for one trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceWrite<'a> {
    /// The whole row of `trace_info`, to insert or to update.
    pub record: TraceRecord,
    /// Whether the row is to be inserted.
    pub is_new: bool,
    /// Rows of `spans` to upsert, ordered by span id; no span id twice.
    pub spans: Vec<&'a SpanRecord>,
    /// Tags to upsert; no key twice. The store adds `mlflow.artifactLocation` to a new trace,
    /// before these.
    pub tags: Vec<(String, String)>,
    /// Metadata to insert where the key does not exist.
    pub metadata: Vec<(String, String)>,
    /// New `assessments.trace_timestamp_ms`, if the start of an existing trace moved.
    pub moved_start_ms: Option<i64>,
    /// Runs to link the trace to, where the link does not exist; no id twice.
    pub run_ids: Vec<&'a str>,
    /// What becomes of the marks of a trace without a root; none where they stay as they are.
    pub end: Option<EndMark>,
    /// Updates that could not be folded in, by their position, although earlier ones could.
    pub refused: Vec<(usize, Refusal)>,
}
