//! The exporter before a server that does not take everything at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use serde_json::json;
use wiremock::matchers::{method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::super::{MlflowConfig, MlflowExporter};
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::otlp::pieces;
use crate::pipeline::{ComponentId, ExportError, RequestMetadata, TraceExporter, TraceRequest, ack_channel};
use crate::telemetry::Telemetry;

/// What the server takes at a time: three of our requests.
const TAKES: usize = 70_000;

/// What became of the requests to a server.
#[derive(Default)]
struct Taken {
    /// The traces that it holds.
    traces: BTreeSet<Vec<u8>>,
    /// How often its proxy gave up.
    given_up: usize,
    /// The traces of each request that it took.
    requests: Vec<Vec<Vec<u8>>>,
}

/// A server with the experiments 0 and 7, whose proxy gives up on what is larger than it takes.
async fn server() -> (MockServer, Arc<Mutex<Taken>>) {
    let server = MockServer::start().await;
    let version = ResponseTemplate::new(200).set_body_string("3.17.2");
    Mock::given(path("/version")).respond_with(version).mount(&server).await;
    for id in ["0", "7"] {
        let experiment =
            json!({"experiment": {"experiment_id": id, "name": "e", "lifecycle_stage": "active"}});
        Mock::given(path("/api/2.0/mlflow/experiments/get"))
            .and(query_param("experiment_id", id))
            .respond_with(ResponseTemplate::new(200).set_body_json(experiment))
            .mount(&server)
            .await;
    }
    let unknown = json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with that id"});
    Mock::given(path("/api/2.0/mlflow/experiments/get"))
        .respond_with(ResponseTemplate::new(404).set_body_json(&unknown))
        .mount(&server)
        .await;
    let taken = Arc::<Mutex<Taken>>::default();
    let taking = Arc::clone(&taken);
    let answer = move |request: &Request| {
        if request.body.is_empty() {
            return ResponseTemplate::new(422);
        }
        if request.headers["x-mlflow-experiment-id"] == "999" {
            return ResponseTemplate::new(404).set_body_json(&unknown);
        }
        // Long enough for others to queue up behind it.
        let answer = |status| ResponseTemplate::new(status).set_delay(Duration::from_millis(20));
        let mut taking = taking.lock().unwrap();
        if request.body.len() > TAKES {
            taking.given_up += 1;
            return answer(504);
        }
        let decoded = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
        let traces: Vec<_> =
            pieces::places(&decoded).into_iter().map(|place| place.span.trace_id.clone()).collect();
        taking.traces.extend(traces.iter().cloned());
        taking.requests.push(traces);
        answer(200)
    };
    Mock::given(method("POST")).and(path("/v1/traces")).respond_with(answer).mount(&server).await;
    (server, taken)
}

async fn exporter(server: &MockServer) -> MlflowExporter {
    let config: MlflowConfig = serde_json::from_value(json!({
        "tracking_uri": server.uri(),
        "experiment": {"id": 7},
        // As with the queue, which does the retries itself.
        "retry_on_failure": {"enabled": false},
    }))
    .unwrap();
    MlflowExporter::start(ComponentId::parse("mlflow"), config, &Telemetry::default()).await.unwrap()
}

/// One span of 20 kB, its trace of this number.
fn request(trace: u8, metadata: RequestMetadata) -> Arc<TraceRequest> {
    let span = Span {
        trace_id: [[0; 15].as_slice(), &[trace]].concat(),
        span_id: vec![1; 8],
        name: "n".repeat(20_000),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let body = ExportTraceServiceRequest { resource_spans };
    let metadata = RequestMetadata { bytes: body.encoded_len(), ..metadata };
    Arc::new(TraceRequest { body, metadata, ..TraceRequest::default() })
}

/// Gives all requests at once; gives back those to be sent again.
async fn export(exporter: &MlflowExporter, requests: Vec<Arc<TraceRequest>>) -> Vec<Arc<TraceRequest>> {
    let mut waiting = Vec::new();
    for request in requests {
        let (ack, delivery) = ack_channel();
        exporter.export(Arc::clone(&request), ack).await;
        waiting.push((request, delivery));
    }
    let mut again = Vec::new();
    for (request, delivery) in waiting {
        match delivery.await {
            Ok(delivered) => assert_eq!(delivered.refusals, []),
            Err(ExportError::Retry { .. }) => again.push(request),
            Err(error) => panic!("{error}"),
        }
    }
    again
}

/// Scenario: an outage is over, and its backlog, joined, is more than the server takes before its proxy gives up.
#[tokio::test]
async fn a_backlog_goes_to_the_server_in_portions_that_it_takes() {
    let (server, taken) = server().await;
    let exporter = exporter(&server).await;
    let mut waiting: Vec<_> = (1..=60).map(|trace| request(trace, RequestMetadata::default())).collect();
    let mut rounds = 0;
    while !waiting.is_empty() {
        waiting = export(&exporter, waiting).await;
        rounds += 1;
        assert!(rounds < 20, "{} requests are still refused", waiting.len());
    }
    exporter.shutdown().await;
    let taken = taken.lock().unwrap();
    assert!(taken.given_up > 0, "the server did not give up on anything: there was no backlog");
    assert_eq!(taken.traces.len(), 60);
}

/// Scenario: a sender missed the answer and repeats its request, and both wait while the server is busy.
#[tokio::test]
async fn a_request_that_is_repeated_does_not_go_together_with_its_repetition() {
    let (server, taken) = server().await;
    let exporter = exporter(&server).await;
    let traces = [1, 2, 2, 3];
    let requests = traces.map(|trace| request(trace, RequestMetadata::default())).to_vec();
    assert_eq!(export(&exporter, requests).await.len(), 0);
    exporter.shutdown().await;
    let requests = &taken.lock().unwrap().requests;
    assert_eq!(requests.concat().len(), traces.len());
    assert!(requests.iter().any(|traces| traces.len() > 1), "nothing was joined: {requests:?}");
    for traces in requests {
        assert_eq!(BTreeSet::from_iter(traces).len(), traces.len(), "{requests:?}");
    }
}

/// Scenario: one client names an experiment that was deleted for good, or of another server.
#[tokio::test]
async fn an_experiment_that_does_not_exist_is_no_trouble_of_others() {
    let (server, taken) = server().await;
    let exporter = exporter(&server).await;
    let unknown = Some("999".to_owned());
    let named = RequestMetadata { experiment_id: unknown.clone(), ..RequestMetadata::default() };
    let elsewhere = RequestMetadata { workspace: Some("team".to_owned()), ..named.clone() };
    let mut requests: Vec<_> = (1..=3).map(|trace| request(trace, RequestMetadata::default())).collect();
    requests.push(request(4, named));
    assert_eq!(export(&exporter, requests).await.len(), 0);
    assert_eq!(taken.lock().unwrap().traces.len(), 4, "one of them in the fallback experiment");
    let (ack, delivery) = ack_channel();
    exporter.export(request(5, elsewhere), ack).await;
    let delivered = delivery.await.unwrap();
    assert_eq!(delivered.refused_spans(), 1, "whether it exists in that workspace is the server's to say");
    exporter.shutdown().await;
}
