//! What MLflow shows of the spans, by the mapping that writes to it.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Value;
use opentelemetry_mlflow::genai::{Message, Part};
use opentelemetry_mlflow::instrument::Span;
use opentelemetry_mlflow::mapping::prices::PriceCatalogue;
use opentelemetry_mlflow::mapping::{Backend, MapContext, MapOptions, Repairs, map};
use opentelemetry_mlflow::otlp::model::{
    AnyValue, ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span as OtlpSpan, any_value,
};
use opentelemetry_mlflow::{agent, tool, traced, workflow};
use opentelemetry_sdk::trace::SpanData;

use super::telemetry::Telemetry;

#[tool]
fn weather(city: &str) -> String {
    format!("{city}: sunny")
}

#[traced(span_type = "RETRIEVER")]
fn search(query: &str) -> usize {
    query.len()
}

#[agent]
fn planner(question: &str) -> Vec<String> {
    search(question);
    vec![weather("Rome")]
}

#[workflow]
fn answer(question: &str) -> Option<String> {
    planner(question).pop()
}

/// Name, type, inputs and outputs as MLflow has them, and all names of attributes.
type Row = (String, String, String, String, Vec<String>);

fn rows(telemetry: &Telemetry, repairs: Repairs) -> Vec<Row> {
    let spans = telemetry.spans().iter().map(otlp).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let options = MapOptions { backend: Backend::Postgres, prices: PriceCatalogue::bundled(), repairs };
    let mapped = map(&ExportTraceServiceRequest { resource_spans }, &MapContext::default(), &options);
    assert!(mapped.refusals.is_empty(), "{:?}", mapped.refusals);
    let spans = mapped.updates.into_iter().flat_map(|update| update.spans);
    spans
        .map(|span| {
            let content: serde_json::Value = serde_json::from_str(&span.content).unwrap();
            let attributes = content["attributes"].as_object().unwrap();
            let text = |key: &str| {
                attributes.get(key).map_or("", |value| value.as_str().unwrap()).replace("\": \"", "\":\"")
            };
            let keys = attributes.keys().cloned().collect();
            let [inputs, outputs] = ["mlflow.spanInputs", "mlflow.spanOutputs"].map(text);
            (span.name, span.span_type.unwrap_or_default(), inputs, outputs, keys)
        })
        .collect()
}

fn otlp(span: &SpanData) -> OtlpSpan {
    let nanos =
        |time: SystemTime| u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let value = |value: &Value| match value {
        Value::Bool(value) => any_value::Value::Bool(*value),
        Value::I64(value) => any_value::Value::Int(*value),
        Value::F64(value) => any_value::Value::Double(*value),
        other => any_value::Value::String(other.to_string()),
    };
    let pair = |pair: &opentelemetry::KeyValue| KeyValue {
        key: pair.key.to_string(),
        value: Some(AnyValue { value: Some(value(&pair.value)) }),
    };
    OtlpSpan {
        trace_id: span.span_context.trace_id().to_bytes().to_vec(),
        span_id: span.span_context.span_id().to_bytes().to_vec(),
        parent_span_id: span.parent_span_id.to_bytes().to_vec(),
        name: span.name.to_string(),
        start_time_unix_nano: nanos(span.start_time),
        end_time_unix_nano: nanos(span.end_time),
        attributes: span.attributes.iter().map(pair).collect(),
        ..OtlpSpan::default()
    }
}

fn row<'r>(rows: &'r [Row], name: &str) -> &'r Row {
    rows.iter().find(|row| row.0 == name).unwrap()
}

#[test]
fn mlflow_shows_type_inputs_and_outputs_of_every_kind() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| answer("why"));
    let rows = rows(&telemetry, Repairs::default());
    for (name, span_type, inputs, outputs) in [
        ("invoke_workflow answer", "WORKFLOW", r#"{"question":"why"}"#, r#""Rome: sunny""#),
        ("invoke_agent planner", "AGENT", r#"{"question":"why"}"#, r#"["Rome: sunny"]"#),
        ("execute_tool weather", "TOOL", r#"{"city":"Rome"}"#, r#"{"result":"Rome: sunny"}"#),
        ("search", "RETRIEVER", r#"{"query":"why"}"#, "3"),
    ] {
        let row = row(&rows, name);
        assert_eq!((row.1.as_str(), row.2.as_str(), row.3.as_str()), (span_type, inputs, outputs), "{name}");
    }
}

#[test]
fn messages_are_the_inputs_and_outputs_of_agents() {
    let telemetry = Telemetry::new();
    let span = Span::agent("A").instrumentation(&telemetry.instrumentation).start();
    span.set_input_messages(vec![Message::new("user", vec![Part::Text("a long enough question".into())])]);
    span.set_output_messages(vec![
        Message::new("assistant", vec![Part::Text("a long enough answer".into())]).finished("stop"),
    ]);
    span.end();
    for (messages_once, stored) in [(false, 2), (true, 0)] {
        let rows = rows(&telemetry, Repairs { messages_once, ..Repairs::default() });
        let (_, _, inputs, outputs, keys) = row(&rows, "invoke_agent A");
        assert!(inputs.contains("a long enough question"), "{inputs}");
        assert!(outputs.contains("a long enough answer"), "{outputs}");
        assert_eq!(keys.iter().filter(|key| key.ends_with(".messages")).count(), stored, "{keys:?}");
    }
}
