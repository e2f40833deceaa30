//! The trace API of MLflow 3.2 and newer: the client names the trace.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::spans::Spans;
use super::trace_info::{FoundTexts, Texts, metadata, tags};
use super::{FoundTrace, refused, v2};
use crate::dates;
use crate::mapping::{TraceUpdate, TraceWrite, merge};
use crate::mlflow::records::{TraceRecord, TraceState};
use crate::otlp::Refusal;
use crate::semconv::mlflow::ARTIFACT_LOCATION;
use crate::store::rest::{RestError, RestStore};

#[derive(Deserialize)]
struct Envelope {
    trace: FoundEnvelope,
}

#[derive(Deserialize)]
struct FoundEnvelope {
    trace_info: FoundInfo,
}

#[derive(Deserialize)]
struct FoundInfo {
    trace_id: String,
    request_preview: Option<String>,
    response_preview: Option<String>,
    request_time: Option<String>,
    execution_duration: Option<String>,
    state: Option<String>,
    #[serde(default)]
    trace_metadata: Texts,
    #[serde(default)]
    tags: Texts,
}

impl FoundInfo {
    fn into_trace(self, experiment_id: i64) -> FoundTrace {
        let texts = FoundTexts::new(&self.trace_metadata, &self.tags);
        let record = TraceRecord {
            trace_id: self.trace_id.clone(),
            experiment_id,
            timestamp_ms: self.request_time.as_deref().and_then(dates::from_rfc3339).unwrap_or(0),
            execution_time_ms: self.execution_duration.as_deref().and_then(dates::from_duration),
            state: TraceState::from_stored(self.state.as_deref().unwrap_or_default()),
            request_preview: self.request_preview,
            response_preview: self.response_preview,
            db_payload_generation: 0,
            trace_name: texts.name,
            session_id: texts.session,
            tokens: texts.tokens,
            cost: texts.cost,
        };
        FoundTrace {
            id: self.trace_id,
            record,
            has_user: texts.has_user,
            location: texts.location,
            metadata: self.trace_metadata,
            tags: self.tags,
        }
    }
}

impl RestStore {
    /// Writes one trace; all updates are of it.
    pub(super) async fn write_v3(
        &self,
        workspace: Option<&str>,
        first: &TraceUpdate,
        updates: &[TraceUpdate],
    ) -> Result<Vec<Refusal>, RestError> {
        let found = self.find_v3(workspace, first).await?;
        let exists = found.is_some();
        let mut spans = match found.as_ref().and_then(|found| found.location.as_deref()) {
            Some(location) => self.download_spans(workspace, location).await?,
            None => Spans::default(),
        };
        let known =
            found.as_ref().map(|found| (found.metadata.clone(), found.tags.clone())).unwrap_or_default();
        let write = match merge(found.map(|found| found.into_stored(&spans)), updates) {
            Ok(write) => write,
            Err(refusal) => return Ok(vec![refusal]),
        };
        spans.put_v3(&write.spans);
        let started = match self.start_v3(workspace, &write, &spans, known).await {
            // Before 3.4 a trace cannot be started again, but ended again.
            Err(RestError::Refused { .. } | RestError::Internal { .. }) if exists => {
                let ended = v2::Ended::new(&write, &spans, "3");
                self.end_v2(workspace, &write.record.trace_id, &ended).await?;
                self.find_v3(workspace, first).await?
            }
            started => Some(started?),
        };
        let location = started.and_then(|trace| trace.location).ok_or_else(|| RestError::NotMlflow {
            url: self.server().to_owned(),
            detail: format!("the trace {} without a place for its spans", write.record.trace_id),
        })?;
        self.upload_spans(workspace, &location, spans.into_text(false)).await?;
        let mut refusals = refused(&write);
        refusals.extend(self.link_written(workspace, &write.record.trace_id, &write).await?);
        Ok(refusals)
    }

    async fn find_v3(
        &self,
        workspace: Option<&str>,
        update: &TraceUpdate,
    ) -> Result<Option<FoundTrace>, RestError> {
        let call =
            self.call(Method::GET, &format!("/api/3.0/mlflow/traces/{}", update.trace_id), workspace)?;
        match self.inner.client.send(&call, self.inner.client.backoff()).await {
            Ok(answer) => {
                let found: Envelope = answer.json(call.url.as_str())?;
                Ok(Some(found.trace.trace_info.into_trace(update.experiment_id)))
            }
            Err(RestError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a trace, or starts it again: then MLflow fails if a key that the trace has is left
    /// out, so the `known` metadata and tags are sent with the new ones.
    async fn start_v3(
        &self,
        workspace: Option<&str>,
        write: &TraceWrite<'_>,
        spans: &Spans,
        known: (Texts, Texts),
    ) -> Result<FoundTrace, RestError> {
        let record = &write.record;
        let (mut all_metadata, mut all_tags) = known;
        all_metadata.extend(metadata(write, spans, "3"));
        all_tags.extend(tags(write));
        // The server adds this one itself, and must not find it twice.
        all_tags.remove(ARTIFACT_LOCATION);
        let mut info = json!({
            "trace_id": record.trace_id,
            "trace_location": {
                "type": "MLFLOW_EXPERIMENT",
                "mlflow_experiment": {"experiment_id": record.experiment_id.to_string()},
            },
            "request_time": dates::to_rfc3339(record.timestamp_ms),
            "state": record.state.as_str(),
            "trace_metadata": all_metadata,
            "tags": all_tags,
        });
        let optional = [
            ("request_preview", record.request_preview.clone()),
            ("response_preview", record.response_preview.clone()),
            ("execution_duration", record.execution_time_ms.map(dates::to_duration)),
        ];
        for (key, value) in optional {
            if let (Some(info), Some(value)) = (info.as_object_mut(), value) {
                info.insert(key.to_owned(), value.into());
            }
        }
        let mut call = self.call(Method::POST, "/api/3.0/mlflow/traces", workspace)?;
        call.put_json(&json!({"trace": {"trace_info": info}}));
        let client = &self.inner.client;
        let answer = client.send(&call, client.backoff()).await?;
        let started: Envelope = answer.json(call.url.as_str())?;
        Ok(started.trace.trace_info.into_trace(record.experiment_id))
    }
}
