//! The rest store against real MLflow servers, read back with their own Python clients.
//!
//! `OTEL_MLFLOW_TEST_MLFLOW` lists Python environments with MLflow in them, separated by `:`.
//! `scripts/test-rest-store` makes them and runs this.
#![cfg(feature = "gateway")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says which server it talked to"
)]

mod server;

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_mlflow::mapping::{SpanUsage, TraceRepairs, TraceUpdate};
use opentelemetry_mlflow::mlflow::records::{Cost, SpanRecord, SpanStatus, TraceState};
use opentelemetry_mlflow::otlp::model::{
    AnyValue, ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span, Status, any_value, span,
};
use opentelemetry_mlflow::store::ExperimentDirectory;
use opentelemetry_mlflow::store::rest::{
    Destination, Protocol, RestOptions, RestStore, RetryConfig, RunLink,
};
use serde_json::{Value, json};
use server::MlflowServer;

const START: u64 = 1_700_000_000_000_000_000;
const READ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rest_store/read.py");

fn environments() -> Vec<PathBuf> {
    let list = std::env::var("OTEL_MLFLOW_TEST_MLFLOW").expect("OTEL_MLFLOW_TEST_MLFLOW is not set");
    list.split(':').map(PathBuf::from).collect()
}

async fn connect(server: &MlflowServer) -> RestStore {
    let retry_on_failure = RetryConfig {
        initial_interval: Duration::from_millis(200),
        max_interval: Duration::from_secs(1),
        max_elapsed_time: Duration::from_secs(300),
    };
    let store =
        RestStore::connect(&server.uri, RestOptions { retry_on_failure, ..RestOptions::default() }).unwrap();
    // The server is still starting: the store waits for it.
    store.protocol().await.unwrap();
    store
}

#[tokio::test]
#[ignore = "needs OTEL_MLFLOW_TEST_MLFLOW"]
async fn what_is_written_is_what_mlflow_reads() {
    for environment in environments() {
        let server = MlflowServer::start(&environment, false);
        check(&server, &environment).await;
    }
}

#[tokio::test]
#[ignore = "needs OTEL_MLFLOW_TEST_MLFLOW"]
async fn a_file_store_gets_its_traces_through_the_trace_api() {
    let environment = environments().pop().unwrap();
    let server = MlflowServer::start(&environment, true);
    let store = connect(&server).await;
    let info = store.probe().await.unwrap();
    if info.protocol != Protocol::Otlp {
        return;
    }
    let destination = Destination { experiment_id: 0, workspace: None };
    store.send(&destination, &otlp(&spans(1)), &[]).await.unwrap_err();
    assert_eq!(store.protocol().await.unwrap(), Protocol::TracesV3);
    assert_eq!(store.write(None, vec![update(1, 0, &spans(1), &[])]).await.unwrap(), []);
    let read = server.python(&[READ, &server.uri, "0"]);
    assert_eq!(read["traces"][0]["spans"].as_array().unwrap().len(), 3, "{read:#}");
}

async fn check(server: &MlflowServer, environment: &std::path::Path) {
    let store = connect(server).await;
    let info = store.probe().await.unwrap();
    eprintln!("{}: MLflow {}, {:?}", environment.display(), info.version, info.protocol);
    let experiment = experiments(&store).await;
    let run_id = create_run(server, experiment);
    for round in 0..2 {
        match info.protocol {
            Protocol::Otlp => write_otlp(&store, experiment, &run_id).await,
            protocol => write_mapped(&store, protocol, experiment, &run_id).await,
        }
        let read = server.python(&[READ, &server.uri, &experiment.to_string()]);
        assert_traces(&read, &run_id, round);
    }
}

/// Created once, found by name and by id.
async fn experiments(store: &RestStore) -> i64 {
    assert_eq!(store.find("genai/täst & co").await.unwrap(), None);
    let created = store.create("genai/täst & co").await.unwrap();
    assert_eq!(store.create("genai/täst & co").await.unwrap(), created);
    assert_eq!(store.find("genai/täst & co").await.unwrap().as_ref(), Some(&created));
    assert_eq!(store.get(created.id).await.unwrap().as_ref(), Some(&created));
    assert_eq!(store.get(987_654).await.unwrap(), None);
    created.id
}

fn create_run(server: &MlflowServer, experiment: i64) -> String {
    let script = "import json, sys, mlflow; c = mlflow.MlflowClient(sys.argv[1]); \
                  print(json.dumps(c.create_run(sys.argv[2]).info.run_id))";
    let created = server.python(&["-c", script, &server.uri, &experiment.to_string()]);
    created.as_str().unwrap().to_owned()
}

/// The first trace in two requests, root last; one span of the batch is not MLflow's to keep.
async fn write_otlp(store: &RestStore, experiment: i64, run_id: &str) {
    let destination = Destination { experiment_id: experiment, workspace: None };
    let links = [RunLink { trace_id: mlflow_id(1), run_id: run_id.to_owned() }];
    let first = spans(1);
    assert_eq!(store.send(&destination, &otlp(&first[1..]), &[]).await.unwrap(), []);
    // Every version fails on an id that is too long.
    let bad = Span { trace_id: vec![9; 16], span_id: vec![9; 9], name: "bad".into(), ..Span::default() };
    let mut rest = vec![first[0].clone(), bad];
    rest.extend(spans(2));
    let refusals = store.send(&destination, &otlp(&rest), &links).await.unwrap();
    assert_eq!(refusals.iter().map(|refusal| refusal.spans).collect::<Vec<_>>(), [1], "{refusals:?}");
    assert!(refusals[0].reason.contains("\"bad\""), "{refusals:?}");
}

/// The first trace in two requests. Before MLflow 3.2 a trace keeps the start that it began with,
/// so its root cannot come last.
async fn write_mapped(store: &RestStore, protocol: Protocol, experiment: i64, run_id: &str) {
    let runs = [run_id.to_owned()];
    let spans_of_first = spans(1);
    let (early, late) = match protocol {
        Protocol::TracesV2 => (&spans_of_first[..2], &spans_of_first[2..]),
        _ => (&spans_of_first[1..], &spans_of_first[..1]),
    };
    assert_eq!(store.write(None, vec![update(1, experiment, early, &[])]).await.unwrap(), []);
    let both = vec![update(1, experiment, late, &runs), update(2, experiment, &spans(2), &[])];
    assert_eq!(store.write(None, both).await.unwrap(), []);
}

fn assert_traces(read: &Value, run_id: &str, round: usize) {
    let traces = read["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 2, "round {round}: {read:#}");
    for (trace, seed) in traces.iter().zip([1_i64, 2]) {
        assert_eq!(trace["state"], "ERROR", "{trace:#}");
        assert_eq!(trace["timestamp_ms"], 1_700_000_000_000 + seed, "{trace:#}");
        assert_eq!(trace["execution_time_ms"], 90, "{trace:#}");
        let spans = trace["spans"].as_array().unwrap();
        let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["chat", "root", "tool"], "{trace:#}");
        let (chat, root, tool) = (&spans[0], &spans[1], &spans[2]);
        assert_eq!((&chat["parent"], &tool["parent"]), (&json!("root"), &json!("chat")), "{trace:#}");
        assert_eq!(root["parent"], Value::Null);
        assert_eq!(plain(&root["inputs"]), json!({"question": "wie geht's, Käthe?"}), "{trace:#}");
        assert_eq!(plain(&root["outputs"]), json!("gut"), "{trace:#}");
        assert_eq!((&root["status"], &root["message"]), (&json!("ERROR"), &json!("broken")), "{trace:#}");
        assert_eq!(plain(&chat["type"]), "CHAT_MODEL", "{trace:#}");
        assert_eq!(chat["events"], json!(["first token"]), "{trace:#}");
        let start = START as i64 + seed * 1_000_000;
        assert_eq!((&chat["start"], &chat["end"]), (&json!(start + 1_000_000), &json!(start + 80_000_000)));
    }
    assert_eq!(read["linked"], json!({run_id: [traces[0]["id"]]}), "{read:#}");
}

/// MLflow 3.6 leaves the JSON text of an OTLP attribute as it came.
fn plain(value: &Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone())
}

fn mlflow_id(trace: u8) -> String {
    format!("tr-{}", format!("{trace:02x}").repeat(16))
}

fn attribute(key: &str, json: &Value) -> KeyValue {
    let value = any_value::Value::String(json.to_string());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// A root, a child and a grandchild.
fn spans(trace: u8) -> Vec<Span> {
    let start = START + u64::from(trace) * 1_000_000;
    let span = |id: u8, parent: u8, name: &str, from_ms: u64, to_ms: u64| Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        start_time_unix_nano: start + from_ms * 1_000_000,
        end_time_unix_nano: start + to_ms * 1_000_000,
        ..Span::default()
    };
    let mut root = span(1, 0, "root", 0, 90);
    root.attributes = vec![
        attribute("mlflow.spanInputs", &json!({"question": "wie geht's, Käthe?"})),
        attribute("mlflow.spanOutputs", &json!("gut")),
    ];
    root.status = Some(Status { code: 2, message: "broken".to_owned() });
    let mut chat = span(2, 1, "chat", 1, 80);
    chat.attributes = vec![attribute("mlflow.spanType", &json!("CHAT_MODEL"))];
    chat.events = vec![span::Event {
        name: "first token".to_owned(),
        time_unix_nano: start + 2_000_000,
        ..span::Event::default()
    }];
    vec![root, chat, span(3, 2, "tool", 2, 3)]
}

fn otlp(spans: &[Span]) -> ExportTraceServiceRequest {
    let scope = ScopeSpans { spans: spans.to_vec(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }
}

/// What mapping makes of these spans, as far as a server without OTLP keeps it.
fn update(trace: u8, experiment_id: i64, spans: &[Span], run_ids: &[String]) -> TraceUpdate {
    let milliseconds = |nanoseconds: u64| (nanoseconds / 1_000_000) as i64;
    TraceUpdate {
        trace_id: mlflow_id(trace),
        experiment_id,
        min_start_ms: spans.iter().map(|span| milliseconds(span.start_time_unix_nano)).min().unwrap(),
        max_end_ms: spans.iter().map(|span| milliseconds(span.end_time_unix_nano)).max().unwrap(),
        state: spans.iter().any(|span| span.parent_span_id.is_empty()).then_some(TraceState::Error),
        trace_name: Some("root".to_owned()),
        session_id: Some("s".to_owned()),
        user: Some("u".to_owned()),
        request_preview: None,
        response_preview: None,
        preview_failed: false,
        tags: vec![("service.name".to_owned(), "test".to_owned())],
        usage: spans.iter().map(|_| SpanUsage::default()).collect(),
        spans: spans.iter().map(|span| record(trace, span)).collect(),
        run_ids: run_ids.to_vec(),
        repairs: TraceRepairs::default(),
    }
}

fn record(trace: u8, span: &Span) -> SpanRecord {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parent = Some(&span.parent_span_id).filter(|parent| !parent.is_empty());
    let mut attributes = serde_json::Map::new();
    attributes.insert("mlflow.traceRequestId".to_owned(), json!(format!("\"{}\"", mlflow_id(trace))));
    for attribute in &span.attributes {
        if let Some(any_value::Value::String(text)) =
            attribute.value.as_ref().and_then(|any| any.value.as_ref())
        {
            attributes.insert(attribute.key.clone(), json!(text));
        }
    }
    let status = span.status.clone().unwrap_or_default();
    let code = if status.code == 2 { "STATUS_CODE_ERROR" } else { "STATUS_CODE_UNSET" };
    let events = span.events.iter();
    let content = json!({
        "trace_id": STANDARD.encode(&span.trace_id), "span_id": STANDARD.encode(&span.span_id),
        "parent_span_id": parent.map(|parent| STANDARD.encode(parent)), "name": span.name,
        "start_time_unix_nano": span.start_time_unix_nano, "end_time_unix_nano": span.end_time_unix_nano,
        "events": events.map(|event| json!({
            "name": event.name, "time_unix_nano": event.time_unix_nano, "attributes": {},
        })).collect::<Vec<_>>(),
        "status": {"code": code, "message": status.message}, "attributes": attributes, "links": [],
    });
    SpanRecord {
        span_id: hex(&span.span_id),
        parent_span_id: parent.map(|parent| hex(parent)),
        name: span.name.clone(),
        span_type: None,
        status: if status.code == 2 { SpanStatus::Error } else { SpanStatus::Unset },
        start_time_unix_nano: span.start_time_unix_nano as i64,
        end_time_unix_nano: span.end_time_unix_nano as i64,
        content: content.to_string(),
        cost: Cost::default(),
        model_name: None,
        model_provider: None,
    }
}
