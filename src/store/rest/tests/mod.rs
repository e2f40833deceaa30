//! The store against a server that misbehaves on demand. What a real MLflow says is tested with
//! real ones, in `tests/rest_store.rs`.

mod destinations;
mod failures;
mod narrowing;
mod portions;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::{Destination, RestOptions, RestStore, RetryConfig};
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};

/// Retries at once, and gives up soon.
pub(super) fn options() -> RestOptions {
    let retry_on_failure = RetryConfig {
        initial_interval: Duration::from_millis(1),
        max_interval: Duration::from_millis(1),
        max_elapsed_time: Duration::from_millis(200),
    };
    RestOptions { retry_on_failure, ..RestOptions::default() }
}

pub(super) fn destination() -> Destination {
    Destination { experiment_id: 7, workspace: None }
}

/// A server of this version that knows experiment 7, and nothing else yet.
pub(super) async fn server(version: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string(version);
    Mock::given(method("GET")).and(path("/version")).respond_with(answer).mount(&server).await;
    let experiment =
        json!({"experiment": {"experiment_id": "7", "name": "seven", "lifecycle_stage": "active"}});
    let answer = ResponseTemplate::new(200).set_body_json(experiment);
    Mock::given(method("GET"))
        .and(path("/api/2.0/mlflow/experiments/get"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// A store whose server answers every export alike.
pub(super) async fn store_answered(answer: ResponseTemplate) -> (RestStore, MockServer) {
    let server = server("3.17.2").await;
    answer_exports(&server, move |request: &Request| {
        if request.body.is_empty() { ResponseTemplate::new(422) } else { answer.clone() }
    })
    .await;
    (RestStore::connect(&server.uri(), options()).unwrap(), server)
}

pub(super) async fn answer_exports(server: &MockServer, respond: impl Respond + 'static) {
    Mock::given(method("POST")).and(path("/v1/traces")).respond_with(respond).mount(server).await;
}

/// Spans by (trace, name), in one scope; each has an id of its own.
pub(super) fn request(spans: &[(u8, &str)]) -> ExportTraceServiceRequest {
    let spans = spans.iter().enumerate().map(|(index, (trace, name))| Span {
        trace_id: vec![*trace; 16],
        span_id: (index as u64 + 1).to_be_bytes().to_vec(),
        name: (*name).to_owned(),
        ..Span::default()
    });
    let scope = ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }
}

/// Takes what has no span that `refuses` matches, as MLflow does: a whole request, or nothing.
#[derive(Clone)]
pub(super) struct Picky {
    refuses: fn(&Span) -> bool,
    refusal: ResponseTemplate,
    /// Names of the spans taken, in order.
    pub(super) taken: Arc<Mutex<Vec<String>>>,
    /// Sizes of the requests, in bytes.
    pub(super) sizes: Arc<Mutex<Vec<usize>>>,
}

impl Picky {
    pub(super) fn new(refusal: ResponseTemplate, refuses: fn(&Span) -> bool) -> Self {
        Self { refuses, refusal, taken: Arc::default(), sizes: Arc::default() }
    }

    pub(super) fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    pub(super) fn requests(&self) -> usize {
        self.sizes.lock().unwrap().len()
    }
}

impl Respond for Picky {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if request.body.is_empty() {
            return ResponseTemplate::new(422);
        }
        self.sizes.lock().unwrap().push(request.body.len());
        let decoded = ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap();
        let scopes = decoded.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
        if spans.iter().any(self.refuses) {
            return self.refusal.clone();
        }
        self.taken.lock().unwrap().extend(spans.into_iter().map(|span| span.name));
        ResponseTemplate::new(200).insert_header("content-type", "application/x-protobuf")
    }
}
