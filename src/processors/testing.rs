//! An exporter for tests that remembers what it was given.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use prometheus_client::metrics::counter::Counter;

use crate::otlp::model::any_value::Value;
use crate::otlp::model::{AnyValue, ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::{
    Ack, ComponentId, Delivered, Delivery, ExportError, TraceExporter, TraceRequest, ack_channel,
};
use crate::telemetry::{Health, TaskGuard};

type Judge = Box<dyn Fn(&TraceRequest) -> Delivery + Send + Sync>;

/// Takes requests, and answers as it was told.
pub(super) struct Recorder {
    id: ComponentId,
    taken: Mutex<Vec<Arc<TraceRequest>>>,
    failures: Mutex<Vec<ExportError>>,
    judge: Mutex<Option<Judge>>,
    pub(super) hurried: Mutex<bool>,
    pub(super) stopped: Mutex<bool>,
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: ComponentId::parse("recorder"),
            taken: Mutex::default(),
            failures: Mutex::default(),
            judge: Mutex::default(),
            hurried: Mutex::default(),
            stopped: Mutex::default(),
        })
    }

    /// Answers the next request with this.
    pub(super) fn fail_next(&self, error: ExportError) {
        self.failures.lock().unwrap().push(error);
    }

    /// Answers every request by a rule.
    pub(super) fn judge_by(&self, judge: impl Fn(&TraceRequest) -> Delivery + Send + Sync + 'static) {
        *self.judge.lock().unwrap() = Some(Box::new(judge));
    }

    /// Every request so far.
    pub(super) fn taken(&self) -> Vec<Arc<TraceRequest>> {
        self.taken.lock().unwrap().clone()
    }

    pub(super) fn forget(&self) {
        self.taken.lock().unwrap().clear();
    }

    /// The ids of the spans of every request so far.
    pub(super) fn span_ids(&self) -> Vec<Vec<u8>> {
        let ids = |request: &Arc<TraceRequest>| {
            spans(&request.body).into_iter().map(|span| span.span_id.last().copied().unwrap()).collect()
        };
        self.taken().iter().map(ids).collect()
    }

    /// Sends a request through a stage before this one, and waits for the answer.
    pub(super) async fn send(&self, stage: &dyn TraceExporter, request: Arc<TraceRequest>) -> Delivery {
        let (ack, delivery) = ack_channel();
        stage.export(request, ack).await;
        delivery.await
    }
}

impl TraceExporter for Recorder {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        let failure = self.failures.lock().unwrap().pop();
        let judged = self.judge.lock().unwrap().as_ref().map(|judge| judge(&request));
        self.taken.lock().unwrap().push(request);
        ack.complete(match failure {
            Some(error) => Err(error),
            None => judged.unwrap_or(Ok(Delivered::default())),
        });
        Box::pin(async {})
    }

    fn hurry(&self) {
        *self.hurried.lock().unwrap() = true;
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        *self.stopped.lock().unwrap() = true;
        Box::pin(async {})
    }
}

/// A guard for a task that nobody asks about.
pub(super) fn guard() -> TaskGuard {
    Health::default().task("processors.test", "task", Counter::default())
}

/// Every span of a body.
pub(super) fn spans(body: &ExportTraceServiceRequest) -> Vec<&Span> {
    let scopes = body.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).collect()
}

/// A span that has ended, with a parent.
pub(super) fn span(trace: u8, id: u8, name: &str) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![0, 0, 0, 0, 0, 0, 0, id],
        parent_span_id: vec![9; 8],
        name: name.to_owned(),
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_500_000_000,
        ..Span::default()
    }
}

/// A root span that has ended.
pub(super) fn root(trace: u8, id: u8) -> Span {
    Span { parent_span_id: Vec::new(), ..span(trace, id, "root") }
}

/// A request of these spans.
pub(super) fn request_of(spans: Vec<Span>) -> TraceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    TraceRequest { body: ExportTraceServiceRequest { resource_spans }, ..TraceRequest::default() }
}

/// An attribute with a text.
pub(super) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::String(value.to_owned()))
}

/// An attribute.
pub(super) fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
