//! The spans of a trace as one JSON file, as MLflow's clients before 3.6 read it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::mapping::StoredSpan;
use crate::mapping::python::{Dict, Value, adumps, loads};
use crate::mlflow::records::SpanRecord;
use crate::semconv::mlflow::{SPAN_INPUTS, SPAN_OUTPUTS, TRACE_REQUEST_ID};
use crate::store::rest::RestError;

/// The spans in the order of the file.
#[derive(Default)]
pub(super) struct Spans {
    spans: Vec<FileSpan>,
}

struct FileSpan {
    id: String,
    parent: Option<String>,
    content: Value,
}

impl Spans {
    /// Reads a file of either schema.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RestError> {
        let unreadable = || RestError::Refused {
            status: reqwest::StatusCode::UNPROCESSABLE_ENTITY,
            code: None,
            message: "the stored spans of the trace cannot be read; delete the trace".to_owned(),
        };
        let text = std::str::from_utf8(bytes).map_err(|_| unreadable())?;
        let file = loads(text).map_err(|_| unreadable())?;
        let spans = file.as_dict().and_then(|file| file.get("spans")).and_then(Value::as_list);
        let read = spans.ok_or_else(unreadable)?.iter().map(FileSpan::read);
        Ok(Self { spans: read.collect::<Option<_>>().ok_or_else(unreadable)? })
    }

    /// What totals are computed from.
    pub(super) fn stored(&self) -> Vec<StoredSpan> {
        let stored = self.spans.iter().map(|span| StoredSpan {
            span_id: span.id.clone(),
            parent_span_id: span.parent.clone(),
            content: Some(adumps(&span.content)),
        });
        stored.collect()
    }

    /// Adds spans in the schema of MLflow 3, or replaces those of the same id.
    pub(super) fn put_v3(&mut self, records: &[&SpanRecord]) {
        for record in records {
            let content = loads(&record.content).unwrap_or(Value::None);
            self.put(record, content);
        }
    }

    /// Adds spans in the schema of MLflow 2, or replaces those of the same id.
    pub(super) fn put_v2(&mut self, records: &[&SpanRecord], request_id: &str, otel_trace_id: &str) {
        for record in records {
            let content = loads(&record.content).unwrap_or(Value::None);
            self.put(record, v2_span(record, content, request_id, otel_trace_id));
        }
    }

    fn put(&mut self, record: &SpanRecord, content: Value) {
        let span = FileSpan { id: record.span_id.clone(), parent: record.parent_span_id.clone(), content };
        match self.spans.iter_mut().find(|known| known.id == span.id) {
            Some(known) => *known = span,
            None => self.spans.push(span),
        }
    }

    /// What the root was given and what it returned, as JSON texts.
    pub(super) fn root_texts(&self) -> (Option<String>, Option<String>) {
        let root = self.spans.iter().find(|span| span.parent.is_none());
        let attributes = root.and_then(|root| root.content.as_dict()?.get("attributes")?.as_dict());
        let text = |key| attributes.and_then(|attributes| attributes.get(key)?.as_str().map(str::to_owned));
        (text(SPAN_INPUTS), text(SPAN_OUTPUTS))
    }

    /// The file; MLflow 2 has the root's texts in it once more.
    pub(super) fn into_text(self, with_root_texts: bool) -> String {
        let (request, response) = self.root_texts();
        let spans = Value::List(self.spans.into_iter().map(|span| span.content).collect());
        let mut file = Dict::new();
        file.insert("spans", spans);
        if with_root_texts {
            file.insert("request", request.map_or(Value::None, Value::from));
            file.insert("response", response.map_or(Value::None, Value::from));
        }
        adumps(&Value::Dict(file))
    }
}

impl FileSpan {
    fn read(content: &Value) -> Option<Self> {
        let span = content.as_dict()?;
        let (id, parent) = match span.get("context").and_then(Value::as_dict) {
            Some(context) => (context.get("span_id")?, span.get("parent_id")),
            None => (span.get("span_id")?, span.get("parent_span_id")),
        };
        let parent = parent.and_then(Value::as_str).filter(|parent| !parent.is_empty());
        Some(Self { id: plain_id(id.as_str()?), parent: parent.map(plain_id), content: content.clone() })
    }
}

/// A span id as 16 hex digits, whether it was written as base64, as `0x…` or plain.
fn plain_id(text: &str) -> String {
    if let Some(hex) = text.strip_prefix("0x") {
        return format!("{hex:0>16}");
    }
    match STANDARD.decode(text) {
        Ok(bytes) if bytes.len() == 8 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        _ => text.to_owned(),
    }
}

/// A span as MLflow 2 writes it, from the content that MLflow 3 writes.
fn v2_span(record: &SpanRecord, content: Value, request_id: &str, otel_trace_id: &str) -> Value {
    let mut v3 = match content {
        Value::Dict(content) => content,
        _ => Dict::new(),
    };
    let mut take = |key: &str| v3.remove(key).unwrap_or(Value::None);
    let mut attributes = match take("attributes") {
        Value::Dict(attributes) => attributes,
        _ => Dict::new(),
    };
    attributes.insert(TRACE_REQUEST_ID, Value::from(adumps(&Value::from(request_id))));
    let events = take("events").as_list().unwrap_or_default().iter().filter_map(v2_event).collect();
    let status = take("status");
    let message = status.as_dict().and_then(|status| status.get("message")).cloned();
    let hex = |id: &str| Value::from(format!("0x{id}"));
    let context: Dict =
        [("span_id", hex(&record.span_id)), ("trace_id", hex(otel_trace_id))].into_iter().collect();
    let end = record.end_time_unix_nano;
    let members = [
        ("name", Value::from(record.name.as_str())),
        ("context", Value::Dict(context)),
        ("parent_id", record.parent_span_id.as_deref().map_or(Value::None, hex)),
        ("start_time", Value::from(record.start_time_unix_nano)),
        ("end_time", if end == 0 { Value::None } else { Value::from(end) }),
        ("status_code", Value::from(record.status.as_str())),
        ("status_message", message.unwrap_or_else(|| Value::from(""))),
        ("attributes", Value::Dict(attributes)),
        ("events", Value::List(events)),
    ];
    Value::Dict(members.into_iter().collect())
}

fn v2_event(event: &Value) -> Option<Value> {
    let event = event.as_dict()?;
    let member = |key| event.get(key).cloned().unwrap_or(Value::None);
    let members = [
        ("name", member("name")),
        ("timestamp", member("time_unix_nano")),
        ("attributes", member("attributes")),
    ];
    Some(Value::Dict(members.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mlflow::records::{Cost, SpanStatus};

    fn record(id: u8, parent: Option<u8>, inputs: &str) -> SpanRecord {
        let hex = |id: u8| format!("{id:016x}");
        let base64 = |id: u8| STANDARD.encode(u64::from(id).to_be_bytes());
        let content = serde_json::json!({
            "trace_id": STANDARD.encode([1; 16]), "span_id": base64(id), "parent_span_id": parent.map(base64),
            "name": "n", "start_time_unix_nano": 5, "end_time_unix_nano": 0,
            "events": [{"name": "e", "time_unix_nano": 6, "attributes": {"k": "é"}}],
            "status": {"code": "STATUS_CODE_ERROR", "message": "broken"},
            "attributes": {"mlflow.traceRequestId": "\"tr-01\"", "mlflow.spanInputs": inputs}, "links": [],
        });
        SpanRecord {
            span_id: hex(id),
            parent_span_id: parent.map(hex),
            name: "n".to_owned(),
            span_type: None,
            status: SpanStatus::Error,
            start_time_unix_nano: 5,
            end_time_unix_nano: 0,
            content: content.to_string(),
            cost: Cost::default(),
            model_name: None,
            model_provider: None,
        }
    }

    #[test]
    fn a_span_that_is_written_again_replaces_itself() {
        let (root, child) = (record(1, None, "\"a\""), record(2, Some(1), "1"));
        let mut spans = Spans::default();
        spans.put_v3(&[&child, &root]);
        let file = spans.into_text(false);
        let mut spans = Spans::read(file.as_bytes()).unwrap();
        let ids: Vec<_> =
            spans.stored().into_iter().map(|span| (span.span_id, span.parent_span_id)).collect();
        assert_eq!(
            ids,
            [(child.span_id.clone(), child.parent_span_id.clone()), (root.span_id.clone(), None)]
        );
        spans.put_v3(&[&root]);
        assert_eq!(spans.into_text(false), file);
    }

    #[test]
    fn mlflow_2_has_its_own_schema() {
        let root = record(1, None, "\"a\"");
        let mut spans = Spans::default();
        spans.put_v2(&[&root], "server-id", &"01".repeat(16));
        let file = spans.into_text(true);
        insta::assert_json_snapshot!(serde_json::from_str::<serde_json::Value>(&file).unwrap());
        let mut again = Spans::read(file.as_bytes()).unwrap();
        again.put_v2(&[&root], "server-id", &"01".repeat(16));
        assert_eq!(again.into_text(true), file);
    }

    #[test]
    fn a_file_that_is_no_trace_is_not_overwritten() {
        for file in ["", "[]", "{}", r#"{"spans": [1]}"#, r#"{"spans": [{}]}"#] {
            assert!(Spans::read(file.as_bytes()).is_err(), "{file}");
        }
    }
}
