//! A store in memory that keeps rows as MLflow's tables do, to compare them with golden rows.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_mlflow::mapping::{StoredSpan, StoredTrace, TraceUpdate, TraceWrite, merge};
use opentelemetry_mlflow::mlflow::records::{SpanRecord, TraceRecord};
use opentelemetry_mlflow::otlp::Refusal;
use serde_json::{Value, json};

/// The traces of an MLflow store.
#[derive(Clone, Default)]
pub(crate) struct Store {
    traces: BTreeMap<String, Trace>,
}

#[derive(Clone)]
struct Trace {
    record: TraceRecord,
    artifact_location: String,
    tags: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    spans: BTreeMap<String, SpanRecord>,
    run_ids: BTreeSet<String>,
}

impl Store {
    /// Writes updates of one trace; gives what is refused.
    pub(crate) fn write(
        &mut self,
        updates: &[TraceUpdate],
        artifact_root: impl Fn(i64) -> String,
    ) -> Vec<Refusal> {
        let trace_id = &updates[0].trace_id;
        let stored = self.traces.get(trace_id).map(|trace| {
            trace.as_stored(updates.iter().any(|update| update.needs_stored_spans(&trace.record)))
        });
        let write = match merge(stored, updates) {
            Ok(write) => write,
            Err(refusal) => return vec![refusal],
        };
        let root = artifact_root(write.record.experiment_id);
        let trace = self.traces.entry(trace_id.clone()).or_insert_with(|| Trace {
            record: write.record.clone(),
            artifact_location: format!("{root}/traces/{trace_id}/artifacts"),
            tags: BTreeMap::new(),
            metadata: BTreeMap::new(),
            spans: BTreeMap::new(),
            run_ids: BTreeSet::new(),
        });
        trace.apply(&write);
        write.refused.into_iter().map(|(_, refusal)| refusal).collect()
    }

    /// The rows of a table that belong to a trace, as the golden files have them.
    pub(crate) fn rows(&self, table: &str, trace_id: &str) -> Vec<Value> {
        let Some(trace) = self.traces.get(trace_id) else { return vec![] };
        match table {
            "trace_info" => vec![trace.info_row()],
            "trace_tags" => trace.pairs(&trace.tags),
            "trace_request_metadata" => trace.pairs(&trace.metadata),
            "spans" => trace.spans.values().map(|span| trace.span_row(span)).collect(),
            "entity_associations" => trace.run_ids.iter().map(|run_id| trace.link_row(run_id)).collect(),
            _ => vec![],
        }
    }
}

impl Trace {
    fn as_stored(&self, with_spans: bool) -> StoredTrace {
        let spans = self.spans.values().filter(|_| with_spans).map(|span| StoredSpan {
            span_id: span.span_id.clone(),
            parent_span_id: span.parent_span_id.clone(),
            content: Some(span.content.clone()),
        });
        StoredTrace {
            record: self.record.clone(),
            finalized: self.metadata.contains_key("mlflow.trace.infoFinalized"),
            has_user: self.metadata.contains_key("mlflow.trace.user"),
            spans_location: self.tags.get("mlflow.trace.spansLocation").cloned(),
            spans: spans.collect(),
        }
    }

    fn apply(&mut self, write: &TraceWrite<'_>) {
        self.record = write.record.clone();
        if write.is_new {
            self.tags.insert("mlflow.artifactLocation".to_owned(), self.artifact_location.clone());
        }
        self.tags.extend(write.tags.iter().cloned());
        for (key, value) in &write.metadata {
            self.metadata.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for span in &write.spans {
            self.spans.insert(span.span_id.clone(), (*span).clone());
        }
        self.run_ids.extend(write.run_ids.iter().map(|run_id| (*run_id).to_owned()));
    }

    fn info_row(&self) -> Value {
        let record = &self.record;
        json!({
            "request_id": record.trace_id,
            "experiment_id": record.experiment_id,
            "timestamp_ms": record.timestamp_ms,
            "execution_time_ms": record.execution_time_ms,
            "status": record.state.as_str(),
            "client_request_id": null,
            "request_preview": record.request_preview,
            "response_preview": record.response_preview,
            "db_payload_generation": record.db_payload_generation,
            "trace_name": record.trace_name,
            "session_id": record.session_id,
            "input_tokens": record.tokens.input,
            "output_tokens": record.tokens.output,
            "total_tokens": record.tokens.total,
            "cache_read_input_tokens": record.tokens.cache_read,
            "cache_creation_input_tokens": record.tokens.cache_creation,
            "cache_creation_input_tokens_above_1hr": record.tokens.cache_creation_above_1hr,
            "input_cost": record.cost.input,
            "output_cost": record.cost.output,
            "total_cost": record.cost.total,
        })
    }

    fn pairs(&self, pairs: &BTreeMap<String, String>) -> Vec<Value> {
        let row = |(key, value)| json!({"key": key, "value": value, "request_id": self.record.trace_id});
        pairs.iter().map(row).collect()
    }

    fn span_row(&self, span: &SpanRecord) -> Value {
        json!({
            "trace_id": self.record.trace_id,
            "experiment_id": self.record.experiment_id,
            "span_id": span.span_id,
            "parent_span_id": span.parent_span_id,
            "name": span.name,
            "type": span.span_type,
            "status": span.status.as_str(),
            "start_time_unix_nano": span.start_time_unix_nano,
            "end_time_unix_nano": span.end_time_unix_nano,
            "duration_ns": span.end_time_unix_nano - span.start_time_unix_nano,
            "content": span.content,
            "input_cost": span.cost.input,
            "output_cost": span.cost.output,
            "total_cost": span.cost.total,
            "model_name": span.model_name,
            "model_provider": span.model_provider,
        })
    }

    fn link_row(&self, run_id: &str) -> Value {
        json!({
            "source_type": "trace",
            "source_id": self.record.trace_id,
            "destination_type": "run",
            "destination_id": run_id,
        })
    }
}
