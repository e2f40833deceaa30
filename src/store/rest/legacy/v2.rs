//! The trace API of MLflow 2.14 to 3.1: the server names the trace.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::spans::Spans;
use super::trace_info::{FoundTexts, Texts, metadata, tags};
use super::{FoundTrace, refused};
use crate::mapping::{TraceUpdate, TraceWrite, merge};
use crate::mlflow::records::{TraceRecord, TraceState};
use crate::otlp::Refusal;
use crate::store::rest::{RestError, RestStore};

/// Metadata by which a trace is found again: its id in OpenTelemetry, as hex digits.
const OTEL_TRACE_ID: &str = "otel.trace_id";

#[derive(Deserialize)]
struct FoundPage {
    #[serde(default)]
    traces: Vec<FoundInfo>,
}

#[derive(Deserialize)]
struct Started {
    trace_info: FoundInfo,
}

#[derive(Deserialize)]
struct FoundInfo {
    request_id: String,
    timestamp_ms: Option<Value>,
    execution_time_ms: Option<Value>,
    status: Option<String>,
    #[serde(default)]
    request_metadata: Vec<Pair>,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

impl FoundInfo {
    fn into_trace(self, update: &TraceUpdate) -> FoundTrace {
        let texts =
            |pairs: Vec<Pair>| pairs.into_iter().map(|pair| (pair.key, pair.value)).collect::<Texts>();
        let (metadata, tags) = (texts(self.request_metadata), texts(self.tags));
        let found = FoundTexts::new(&metadata, &tags);
        let record = TraceRecord {
            trace_id: update.trace_id.clone(),
            experiment_id: update.experiment_id,
            timestamp_ms: self.timestamp_ms.as_ref().and_then(integer).unwrap_or(update.min_start_ms),
            execution_time_ms: self.execution_time_ms.as_ref().and_then(integer),
            state: TraceState::from_stored(self.status.as_deref().unwrap_or_default()),
            request_preview: None,
            response_preview: None,
            db_payload_generation: 0,
            trace_name: found.name,
            session_id: found.session,
            tokens: found.tokens,
            cost: found.cost,
        };
        FoundTrace {
            id: self.request_id,
            record,
            has_user: found.has_user,
            location: found.location,
            metadata,
            tags,
        }
    }
}

/// Protobuf's JSON writes 64-bit integers as text, MLflow's as numbers.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// What the end of a trace says.
pub(super) struct Ended {
    end_ms: i64,
    status: &'static str,
    metadata: Texts,
    tags: Texts,
}

impl Ended {
    pub(super) fn new(write: &TraceWrite<'_>, spans: &Spans, schema_version: &str) -> Self {
        let record = &write.record;
        Self {
            end_ms: record.timestamp_ms.saturating_add(record.execution_time_ms.unwrap_or(0)),
            status: match record.state {
                TraceState::Unspecified => "TRACE_STATUS_UNSPECIFIED",
                state => state.as_str(),
            },
            metadata: metadata(write, spans, schema_version),
            tags: tags(write),
        }
    }
}

impl RestStore {
    /// Writes one trace; all updates are of it.
    pub(super) async fn write_v2(
        &self,
        workspace: Option<&str>,
        first: &TraceUpdate,
        updates: &[TraceUpdate],
    ) -> Result<Vec<Refusal>, RestError> {
        let otel_id = first.trace_id.trim_start_matches("tr-");
        let mut found = self.find_v2(workspace, first, otel_id).await?;
        let existed = found.is_some();
        if found.is_none() {
            found = Some(self.start_v2(workspace, first, otel_id).await?);
        }
        let Some(trace) = found else {
            return Ok(Vec::new());
        };
        let id = trace.id.clone();
        let location = trace.location.clone().ok_or_else(|| RestError::NotMlflow {
            url: self.server().to_owned(),
            detail: format!("the trace {id} without a place for its spans"),
        })?;
        let mut spans =
            if existed { self.download_spans(workspace, &location).await? } else { Spans::default() };
        let stored = existed.then(|| trace.into_stored(&spans));
        let write = match merge(stored, updates) {
            Ok(write) => write,
            Err(refusal) => return Ok(vec![refusal]),
        };
        spans.put_v2(&write.spans, &id, otel_id);
        let ended = Ended::new(&write, &spans, "2");
        self.upload_spans(workspace, &location, spans.into_text(true)).await?;
        self.end_v2(workspace, &id, &ended).await?;
        let mut refusals = refused(&write);
        // This API knows a trace's one run only by its metadata, where the first one is.
        refusals.extend(write.run_ids.iter().skip(1).map(|run_id| Refusal {
            spans: 0,
            reason: format!(
                "trace {id} is not linked to the run {run_id}: this MLflow links a trace to one run"
            ),
        }));
        Ok(refusals)
    }

    async fn find_v2(
        &self,
        workspace: Option<&str>,
        update: &TraceUpdate,
        otel_id: &str,
    ) -> Result<Option<FoundTrace>, RestError> {
        let mut call = self.call(Method::GET, "/api/2.0/mlflow/traces", workspace)?;
        call.url
            .query_pairs_mut()
            .append_pair("experiment_ids", &update.experiment_id.to_string())
            .append_pair("filter", &format!("request_metadata.`{OTEL_TRACE_ID}` = '{otel_id}'"))
            .append_pair("max_results", "1");
        let client = &self.inner.client;
        let page: FoundPage = client.send(&call, client.backoff()).await?.json(call.url.as_str())?;
        Ok(page.traces.into_iter().next().map(|info| info.into_trace(update)))
    }

    async fn start_v2(
        &self,
        workspace: Option<&str>,
        update: &TraceUpdate,
        otel_id: &str,
    ) -> Result<FoundTrace, RestError> {
        let mut call = self.call(Method::POST, "/api/2.0/mlflow/traces", workspace)?;
        call.put_json(&json!({
            "experiment_id": update.experiment_id.to_string(),
            "timestamp_ms": update.min_start_ms,
            "request_metadata": [{"key": OTEL_TRACE_ID, "value": otel_id}],
            "tags": [],
        }));
        let client = &self.inner.client;
        let mut backoff = client.backoff();
        loop {
            match client.send_once(&call).await {
                Ok(answer) => {
                    let started: Started = answer.json(call.url.as_str())?;
                    return Ok(started.trace_info.into_trace(update));
                }
                Err(error) => backoff.pause(error).await?,
            }
            // The server may have made the trace, and only its answer was lost.
            if let Some(found) = self.find_v2(workspace, update, otel_id).await? {
                return Ok(found);
            }
        }
    }

    pub(super) async fn end_v2(
        &self,
        workspace: Option<&str>,
        id: &str,
        ended: &Ended,
    ) -> Result<(), RestError> {
        let mut call = self.call(Method::PATCH, &format!("/api/2.0/mlflow/traces/{id}"), workspace)?;
        call.put_json(&json!({
            "request_id": id,
            "timestamp_ms": ended.end_ms,
            "status": ended.status,
            "request_metadata": pairs(&ended.metadata),
            "tags": pairs(&ended.tags),
        }));
        self.inner.client.send(&call, self.inner.client.backoff()).await.map(drop)
    }
}

fn pairs(texts: &Texts) -> Vec<Value> {
    texts.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}
