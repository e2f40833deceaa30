//! The gateway's own receiver, keeping what it gets.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use opentelemetry_mlflow::otlp::model::any_value::Value;
use opentelemetry_mlflow::otlp::model::{KeyValue, Span};
use opentelemetry_mlflow::pipeline::{Ack, ComponentId, Delivered, Pipeline, TraceExporter, TraceRequest};
use opentelemetry_mlflow::receivers::otlp::{OtlpReceiver, OtlpReceiverConfig};
use opentelemetry_mlflow::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

type Seen = Arc<Mutex<Vec<String>>>;

struct Keep {
    id: ComponentId,
    seen: Seen,
}

impl TraceExporter for Keep {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.seen.lock().unwrap().extend(lines(&request));
            ack.complete(Ok(Delivered::default()));
        })
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {})
    }
}

/// `<experiment header> <service> <span> <attributes>`.
fn lines(request: &TraceRequest) -> Vec<String> {
    let experiment = request.metadata.experiment_id.clone().unwrap_or_default();
    let mut lines = Vec::new();
    for group in &request.body.resource_spans {
        let resource = group.resource.clone().unwrap_or_default();
        let service = text(&resource.attributes, "service.name");
        for Span { name, attributes, .. } in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let pairs: String = attributes
                .iter()
                .filter(|pair| pair.key.contains('.') && !pair.key.starts_with("thread"))
                .filter(|pair| !pair.key.starts_with("code"))
                .map(|pair| format!(" {}={}", pair.key, text(attributes, &pair.key)))
                .collect();
            lines.push(format!("{experiment} {service} {name}{pairs}"));
        }
    }
    lines
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found =
        attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_ref()?.value.as_ref());
    match found {
        Some(Value::String(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// A receiver on free ports, on a runtime of its own.
pub(crate) struct Collector {
    seen: Seen,
    http: SocketAddr,
    grpc: SocketAddr,
    stop: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let seen = Seen::default();
        let id = ComponentId::parse("keep");
        let keep = Keep { id, seen: Arc::clone(&seen) };
        let mut config = OtlpReceiverConfig::default();
        config.protocols.http.as_mut().unwrap().endpoint = "127.0.0.1:0".to_owned();
        config.protocols.grpc.as_mut().unwrap().endpoint = "127.0.0.1:0".to_owned();
        let pipeline = Pipeline::new(vec![Arc::new(keep)]);
        let metrics = Metrics::default();
        let id = ComponentId::parse("otlp");
        let bound = runtime.block_on(OtlpReceiver::bind(&id, config, pipeline, &metrics)).unwrap();
        let (http, grpc) = (bound.http_address().unwrap(), bound.grpc_address().unwrap());
        let stop = CancellationToken::new();
        runtime.spawn(bound.serve(stop.clone()));
        Self { seen, http, grpc, stop, _runtime: runtime }
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// What came since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
