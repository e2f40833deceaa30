//! A receiver on free ports, whose pipeline ends in an exporter that remembers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use opentelemetry_mlflow::otlp::model::any_value::Value;
use opentelemetry_mlflow::otlp::model::{
    AnyValue, ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span,
};
use opentelemetry_mlflow::pipeline::{
    Ack, ComponentId, Delivered, Delivery, ExportError, Pipeline, TraceExporter, TraceRequest,
};
use opentelemetry_mlflow::receivers::otlp::{
    Control, GrpcConfig, HttpConfig, OtlpReceiver, OtlpReceiverConfig, Protocols,
};
use opentelemetry_mlflow::telemetry::Metrics;
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Answers every request as told, and keeps it.
pub(super) struct Recorder {
    id: ComponentId,
    pub(super) requests: Mutex<Vec<Arc<TraceRequest>>>,
    pub(super) delivery: Mutex<Delivery>,
    /// What is said before a request is read.
    pub(super) refusal: Mutex<Option<ExportError>>,
    /// One permit lets one request be answered.
    pub(super) gate: Semaphore,
}

impl TraceExporter for Recorder {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.requests.lock().unwrap().push(request);
            self.gate.acquire().await.unwrap().forget();
            ack.complete(self.delivery.lock().unwrap().clone());
        })
    }

    fn refusal(&self, _bytes: usize) -> Option<ExportError> {
        self.refusal.lock().unwrap().clone()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A running receiver.
pub(super) struct Server {
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) recorder: Arc<Recorder>,
    pub(super) metrics: Metrics,
    pub(super) control: Control,
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

pub(super) const LIMIT: usize = 1 << 20;

/// Small limits, so that exceeding them is cheap.
pub(super) fn config() -> OtlpReceiverConfig {
    let endpoint = "127.0.0.1:0".to_owned();
    let grpc = GrpcConfig { endpoint: endpoint.clone(), max_recv_msg_size_mib: 1, ..GrpcConfig::default() };
    let http = HttpConfig { endpoint, max_request_body_size: LIMIT, ..HttpConfig::default() };
    OtlpReceiverConfig {
        protocols: Protocols { grpc: Some(grpc), http: Some(http) },
        ..OtlpReceiverConfig::default()
    }
}

pub(super) fn with_http(change: impl FnOnce(&mut HttpConfig)) -> OtlpReceiverConfig {
    let mut config = config();
    change(config.protocols.http.as_mut().unwrap());
    config
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: ComponentId::parse("recorder"),
            requests: Mutex::default(),
            delivery: Mutex::new(Ok(Delivered::default())),
            refusal: Mutex::default(),
            gate: Semaphore::new(1_000_000),
        })
    }

    pub(super) fn kept(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A pipeline that ends in the recorder.
pub(super) fn pipeline(recorder: &Arc<Recorder>) -> Pipeline {
    Pipeline::new(vec![Arc::clone(recorder) as Arc<dyn TraceExporter>])
}

impl Server {
    pub(super) async fn start(config: OtlpReceiverConfig) -> Self {
        let recorder = Recorder::new();
        let pipeline = pipeline(&recorder);
        let metrics = Metrics::default();
        let bound =
            OtlpReceiver::bind(&ComponentId::parse("otlp"), config, pipeline, &metrics).await.unwrap();
        let (http, grpc) = (bound.http_address().unwrap(), bound.grpc_address().unwrap());
        let (shutdown, control) = (CancellationToken::new(), bound.control());
        let task = tokio::spawn(bound.serve(shutdown.clone()));
        Self { http, grpc, recorder, metrics, control, shutdown, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1/traces", self.http)
    }

    /// Sends a body in protobuf.
    pub(super) async fn post(&self, body: Vec<u8>) -> reqwest::Response {
        self.request(body).send().await.unwrap()
    }

    pub(super) fn request(&self, body: Vec<u8>) -> reqwest::RequestBuilder {
        client().post(self.url()).header("content-type", "application/x-protobuf").body(body)
    }

    /// Shows that the receiver is in good health: a good request is kept.
    pub(super) async fn assert_healthy(&self) {
        let before = self.recorder.requests.lock().unwrap().len();
        let response = self.post(good_body()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.unwrap().len(), 0);
        assert_eq!(self.recorder.requests.lock().unwrap().len(), before + 1);
    }

    /// The last request that reached the pipeline.
    pub(super) fn last(&self) -> Arc<TraceRequest> {
        Arc::clone(self.recorder.requests.lock().unwrap().last().unwrap())
    }

    pub(super) fn kept(&self) -> usize {
        self.recorder.kept()
    }

    /// Lets requests reach the exporter but not be answered until the gate gets permits.
    pub(super) fn hold(&self) {
        self.recorder.gate.forget_permits(usize::MAX);
    }

    /// Waits until that many requests have reached the exporter.
    pub(super) async fn reached(&self, count: usize) {
        while self.kept() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(super) fn client() -> reqwest::Client {
    // Fails where another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

pub(super) fn span(name: &str) -> Span {
    Span { trace_id: vec![7; 16], span_id: vec![8; 8], name: name.to_owned(), ..Span::default() }
}

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::String(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value) }
}

pub(super) fn request_of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

pub(super) fn good_request() -> ExportTraceServiceRequest {
    request_of(vec![span("good")])
}

pub(super) fn good_body() -> Vec<u8> {
    good_request().encode_to_vec()
}

/// A request with one good span and one whose name is not UTF-8.
pub(super) fn half_bad_body() -> Vec<u8> {
    let mut body = request_of(vec![span("good"), span("BROKEN")]).encode_to_vec();
    let at = body.windows(6).position(|window| window == b"BROKEN").unwrap();
    body[at] = 0xff;
    body
}

/// A protobuf field that holds `payload`.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encoding::encode_varint(payload.len() as u64, &mut field);
    field.extend_from_slice(payload);
    field
}

/// A request whose only span has an attribute nested `levels` deep.
pub(super) fn nested_body(levels: usize) -> Vec<u8> {
    let value = (0..levels).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    let mut bytes = span("deep").encode_to_vec();
    bytes.extend(field(9, &field(2, &value)));
    field(1, &field(2, &field(2, &bytes)))
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
