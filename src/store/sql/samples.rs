//! Updates for tests.

use crate::mapping::{SpanUsage, TraceRepairs, TraceUpdate};
use crate::mlflow::records::{Cost, SpanRecord, SpanStatus, TraceState};

/// An update with a root and its children, in experiment 0.
pub(super) fn update(trace_id: &str, spans: usize) -> TraceUpdate {
    TraceUpdate {
        trace_id: trace_id.to_owned(),
        experiment_id: 0,
        min_start_ms: 1_000,
        max_end_ms: 2_000,
        state: Some(TraceState::Ok),
        trace_name: Some("ask".to_owned()),
        session_id: Some("s1".to_owned()),
        user: Some("ada".to_owned()),
        request_preview: Some("why?".to_owned()),
        response_preview: Some("because".to_owned()),
        preview_failed: false,
        tags: [("mlflow.trace.spansLocation", "TRACKING_STORE"), ("service.name", "shop")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        spans: (0..spans).map(span).collect(),
        usage: vec![SpanUsage::default(); spans],
        run_ids: Vec::new(),
        repairs: TraceRepairs::default(),
    }
}

/// The span of this number; number 0 is the root.
pub(super) fn span(number: usize) -> SpanRecord {
    let span_id = format!("{:016x}", number + 1);
    SpanRecord {
        parent_span_id: (number > 0).then(|| format!("{:016x}", 1)),
        name: "chat".to_owned(),
        span_type: Some("CHAT_MODEL".to_owned()),
        status: SpanStatus::Ok,
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 2_000_000_000,
        content: format!(r#"{{"span_id": "{span_id}", "attributes": {{}}}}"#),
        cost: Cost { input: Some(0.5), output: None, total: Some(0.5) },
        model_name: Some("gpt-5".to_owned()),
        model_provider: None,
        span_id,
    }
}
