//! With and without trace assembly the final rows are the same: the golden requests, cut into single
//! spans and shuffled, go through the exporter into two databases, which are compared.
//!
//! The order of a trace's spans is the same in both, as it would be from one sender.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it compared"
)]
#![cfg(all(feature = "gateway", feature = "sqlite"))]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_mlflow::exporters::mlflow::{Compat, MlflowConfig, MlflowExporter, TraceAssemblyConfig};
use opentelemetry_mlflow::otlp::{Encoding, decode, pieces};
use opentelemetry_mlflow::pipeline::{
    ComponentId, RequestMetadata, TraceExporter, TraceRequest, ack_channel,
};
use opentelemetry_mlflow::telemetry::Telemetry;
use serde_json::Value;

/// The columns that a second run of the same would have in common. Marks hold the time of the write.
const QUERIES: [&str; 5] = [
    "SELECT * FROM trace_info ORDER BY request_id",
    "SELECT key, CASE WHEN key = 'otel_mlflow.end_awaited' THEN 'a time' ELSE value END, request_id
     FROM trace_tags ORDER BY request_id, key",
    "SELECT key, value, request_id FROM trace_request_metadata ORDER BY request_id, key",
    "SELECT * FROM spans ORDER BY trace_id, span_id",
    "SELECT source_type, source_id, destination_type, destination_id FROM entity_associations
     ORDER BY source_id, destination_id",
];

#[tokio::test]
async fn strict_rows_are_the_same() {
    compare(Compat::Strict).await;
}

#[tokio::test]
async fn enriched_rows_are_the_same() {
    compare(Compat::Enriched).await;
}

async fn compare(compat: Compat) {
    let folder = tempfile::tempdir().unwrap();
    let (mut cases, mut traces) = (0, 0);
    for (name, requests) in corpus() {
        let requests = shuffled(requests);
        let file = |kind: &str| folder.path().join(format!("{cases}-{kind}.db"));
        let (plain, gathered) = (file("plain"), file("gathered"));
        replay(&requests, false, compat, &plain).await;
        replay(&requests, true, compat, &gathered).await;
        for query in QUERIES {
            let expected = rows(&plain, query);
            traces += if query.contains("trace_info") { expected.len() } else { 0 };
            assert_eq!(expected, rows(&gathered, query), "{name}: {query}");
        }
        cases += 1;
    }
    println!("{cases} replays, {traces} traces");
    assert!(cases > 60 && traces > 70, "{cases} replays with {traces} traces were found");
}

/// Sends the requests one after another, without waiting for the answers.
async fn replay(requests: &[Arc<TraceRequest>], enabled: bool, compat: Compat, file: &Path) {
    let mut config = MlflowConfig {
        tracking_uri: format!("sqlite:///{}", file.display()).into(),
        compat,
        trace_assembly: TraceAssemblyConfig {
            enabled,
            root_grace: Duration::from_millis(20),
            idle_timeout: Duration::from_secs(3_600),
            max_wait: Duration::from_secs(3_600),
            // Small enough for some traces to be written early.
            max_requests: 12,
            ..TraceAssemblyConfig::default()
        },
        ..MlflowConfig::default()
    };
    // Their ids depend on which trace is written first.
    config.experiment.create = false;
    let exporter =
        MlflowExporter::start(ComponentId::parse("mlflow"), config, &Telemetry::default()).await.unwrap();
    let mut deliveries = Vec::new();
    for request in requests {
        let (ack, delivery) = ack_channel();
        exporter.export(Arc::clone(request), ack).await;
        deliveries.push(delivery);
    }
    exporter.shutdown().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

/// The requests of each golden case that can be read, cut into single spans.
fn corpus() -> Vec<(String, Vec<Arc<TraceRequest>>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
        .into_iter()
        .map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), case(&folder)))
        .collect()
}

fn case(folder: &Path) -> Vec<Arc<TraceRequest>> {
    let case: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let mut single = Vec::new();
    for request in case["requests"].as_array().unwrap() {
        let file = request["file"].as_str().unwrap();
        let headers: Vec<(String, &str)> = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap()))
            .collect();
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let json = header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let encoding = if json { Encoding::Json } else { Encoding::Protobuf };
        // Compressed bodies hold nothing else than plain ones.
        let Ok(decoded) = decode(&std::fs::read(folder.join(file)).unwrap(), encoding) else { continue };
        let metadata = RequestMetadata {
            run_id: header("x-mlflow-run-id").map(str::to_owned),
            json,
            bytes: 500,
            ..RequestMetadata::default()
        };
        single.extend(pieces::places(&decoded.request).iter().map(|place| {
            let body = pieces::request(&[*place]);
            Arc::new(TraceRequest { body, metadata: metadata.clone(), ..TraceRequest::default() })
        }));
    }
    single
}

/// Another order, the same in each run.
fn shuffled(mut requests: Vec<Arc<TraceRequest>>) -> Vec<Arc<TraceRequest>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..requests.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (at + 1);
        requests.swap(at, other);
    }
    requests
}

fn rows(file: &Path, query: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..columns)
            .map(|column| format!("{:?}", row.get_ref(column).unwrap()))
            .collect::<Vec<_>>()
            .join("|"))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
