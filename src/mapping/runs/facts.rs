//! What one stored trace adds to its run.

use std::collections::HashSet;

use serde_json::Value;

use super::content::Content;
use crate::mlflow::records::{Cost, TokenUsage, TraceState};
use crate::semconv::gen_ai::{
    REQUEST_PREVIOUS_RESPONSE_ID, REQUEST_STREAM_CURSOR, RESPONSE_TIME_TO_FIRST_CHUNK,
};
use crate::semconv::mlflow::{LLM_MODEL, SPAN_TYPE};
use crate::semconv::otel::{
    DEPLOYMENT_ENVIRONMENT, DEPLOYMENT_ENVIRONMENT_NAME, GIT_COMMIT_SHA, SERVICE_INSTANCE_ID, SERVICE_NAME,
    SERVICE_VERSION, VCS_REF_HEAD_NAME, VCS_REF_HEAD_REVISION, VCS_REPOSITORY_URL_FULL,
};

/// Prefix of the attributes that are parameters of a model call.
const REQUEST_PREFIX: &str = "gen_ai.request.";
/// Types of spans that are calls to a model.
const MODEL_CALLS: [&str; 4] = ["CHAT_MODEL", "LLM", "EMBEDDING", "RERANKER"];
/// Type of spans that are calls to a tool.
const TOOL: &str = "TOOL";
/// Request attributes that identify one request, and are no parameters.
const NO_PARAMS: [&str; 2] = [REQUEST_PREVIOUS_RESPONSE_ID, REQUEST_STREAM_CURSOR];

/// Tags of a trace that a run takes over; a store need not give others.
pub const TRACE_TAGS: [&str; 9] = [
    SERVICE_NAME,
    SERVICE_VERSION,
    SERVICE_INSTANCE_ID,
    DEPLOYMENT_ENVIRONMENT,
    DEPLOYMENT_ENVIRONMENT_NAME,
    VCS_REF_HEAD_REVISION,
    GIT_COMMIT_SHA,
    VCS_REF_HEAD_NAME,
    VCS_REPOSITORY_URL_FULL,
];

/// A trace of a run, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceVersion {
    /// `tr-` and 32 hex digits.
    pub trace_id: String,
    /// Another one whenever the trace was written to, as far as its store tells.
    pub version: u64,
}

/// A trace of a run as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRunTrace {
    /// `tr-` and 32 hex digits.
    pub trace_id: String,
    /// Start, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// Duration in milliseconds, if known.
    pub duration_ms: Option<i64>,
    /// State.
    pub state: TraceState,
    /// What MLflow's list shows as the request.
    pub request: Option<String>,
    /// What MLflow's list shows as the response.
    pub response: Option<String>,
    /// Tokens of the trace.
    pub tokens: TokenUsage,
    /// Cost of the trace.
    pub cost: Cost,
    /// Tags of the trace, the resource's attributes among them.
    pub tags: Vec<(String, String)>,
    /// The spans: each as the database's JSON text, or as the server's.
    pub spans: Vec<Value>,
}

/// What one trace adds to its run.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFacts {
    /// `tr-` and 32 hex digits.
    pub trace_id: String,
    /// Start, in milliseconds since the Unix epoch.
    pub start_ms: i64,
    /// End, in milliseconds since the Unix epoch.
    pub end_ms: i64,
    /// Duration in milliseconds, if known.
    pub duration_ms: Option<i64>,
    /// State.
    pub state: TraceState,
    /// Tokens.
    pub tokens: TokenUsage,
    /// Cost in US dollars.
    pub cost: Option<f64>,
    /// Calls to a model.
    pub requests: u64,
    /// Operations that failed by themselves, not through one that they called.
    pub errors: u64,
    /// Calls to tools.
    pub tool_calls: u64,
    /// When each model call that streamed ended, and how long its first chunk took; milliseconds both.
    pub first_chunks: Vec<(i64, f64)>,
    /// Parameters of the model calls, one pair for each call and parameter.
    pub params: Vec<(String, String)>,
    /// Model of the last call.
    pub model: Option<String>,
    /// The request.
    pub prompt: Option<String>,
    /// The response.
    pub response: Option<String>,
    /// Tags of the trace that say something about the run.
    pub tags: Vec<(String, String)>,
}

impl TraceFacts {
    /// Reads a trace.
    pub fn read(trace: StoredRunTrace) -> Self {
        let end_ms = trace.start_ms.saturating_add(trace.duration_ms.unwrap_or(0));
        let mut facts = Self {
            trace_id: trace.trace_id,
            start_ms: trace.start_ms,
            end_ms,
            duration_ms: trace.duration_ms,
            state: trace.state,
            tokens: trace.tokens,
            cost: trace.cost.total,
            requests: 0,
            errors: 0,
            tool_calls: 0,
            first_chunks: Vec::new(),
            params: Vec::new(),
            model: None,
            prompt: trace.request,
            response: trace.response,
            tags: trace.tags.into_iter().filter(|(key, _)| TRACE_TAGS.contains(&key.as_str())).collect(),
        };
        let mut spans: Vec<Content<'_>> = trace.spans.iter().map(Content).collect();
        // Stores give spans in an order of their own.
        spans.sort_by_key(|span| (span.end_ms(), span.ids().0));
        let failed_parents: HashSet<&str> =
            spans.iter().filter(|span| span.failed()).filter_map(|span| span.ids().1).collect();
        for span in &spans {
            let passed_on = span.ids().0.is_some_and(|id| failed_parents.contains(id));
            facts.errors += u64::from(span.failed() && !passed_on);
            facts.add(span);
        }
        facts.params.sort();
        facts
    }

    /// Whether the trace is over.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, TraceState::Ok | TraceState::Error)
    }

    fn add(&mut self, span: &Content<'_>) {
        let kind = span.text(SPAN_TYPE).unwrap_or_default();
        if kind == TOOL {
            self.tool_calls += 1;
        }
        if !MODEL_CALLS.contains(&kind.as_str()) {
            return;
        }
        self.requests += 1;
        let end_ms = span.end_ms().unwrap_or(self.end_ms);
        let first = span.attribute(RESPONSE_TIME_TO_FIRST_CHUNK).and_then(|seconds| seconds.as_f64());
        self.first_chunks.extend(first.map(|seconds| (end_ms, seconds * 1_000.0)));
        let mut params = span.with_prefix(REQUEST_PREFIX);
        params.retain(|(name, _)| !NO_PARAMS.iter().any(|no| no.strip_prefix(REQUEST_PREFIX) == Some(name)));
        let model = span.text(LLM_MODEL);
        if !params.iter().any(|(name, _)| name == "model") {
            params.extend(model.clone().map(|model| ("model".to_owned(), model)));
        }
        self.params.append(&mut params);
        self.model = model.or(self.model.take());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// A trace of one call to a model, which took from `start_ms` to `start_ms + 10`.
    pub(in crate::mapping::runs) fn trace(id: &str, start_ms: i64, input: i64) -> StoredRunTrace {
        StoredRunTrace {
            trace_id: id.to_owned(),
            start_ms,
            duration_ms: Some(10),
            state: TraceState::Ok,
            request: Some("q".to_owned()),
            response: Some("a".to_owned()),
            tokens: TokenUsage {
                input: Some(input),
                output: Some(2),
                total: Some(input + 2),
                ..TokenUsage::default()
            },
            cost: Cost { total: Some(0.5), ..Cost::default() },
            tags: vec![("service.version".to_owned(), "1".to_owned())],
            spans: vec![json!({"span_id": "r", "end_time_unix_nano": (start_ms + 10) * 1_000_000,
                "attributes": {"mlflow.spanType": "\"CHAT_MODEL\"", "gen_ai.request.model": "\"m\"",
                    "gen_ai.request.temperature": "0.5", "mlflow.llm.model": "\"m-1\"",
                    "gen_ai.request.previous_response.id": "\"resp_1\"",
                    "gen_ai.response.time_to_first_chunk": "0.25"}})],
        }
    }

    #[test]
    fn a_call_gives_its_parameters_and_its_first_chunk() {
        let facts = TraceFacts::read(trace("tr-1", 100, 3));
        let param = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(facts.params, [param("model", "m"), param("temperature", "0.5")]);
        assert_eq!(facts.first_chunks, [(110, 250.0)]);
        assert_eq!((facts.requests, facts.tool_calls, facts.errors), (1, 0, 0));
        assert_eq!(facts.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn an_error_counts_where_it_began() {
        let span = |id: &str, parent: &str, kind: &str, failed: bool| {
            let code = if failed { "STATUS_CODE_ERROR" } else { "STATUS_CODE_OK" };
            let kind = format!("\"{kind}\"");
            json!({"span_id": id, "parent_span_id": parent, "status": {"code": code},
                "attributes": {"mlflow.spanType": kind}})
        };
        let spans = vec![
            span("root", "", "AGENT", true),
            span("chat", "root", "CHAT_MODEL", false),
            span("tool", "root", "TOOL", true),
            span("inner", "tool", "TOOL", true),
        ];
        let facts = TraceFacts::read(StoredRunTrace { spans, ..trace("tr-1", 100, 3) });
        assert_eq!((facts.requests, facts.tool_calls, facts.errors), (1, 2, 1));
    }
}
