//! The `otlp` (gRPC) and `otlphttp` exporters: spans to any OTLP backend.
//!
//! A request is answered when the backend has answered. What passes by itself is sent again with
//! backoff, by the queue before the exporter or, without one, here; what the backend refuses in `partial_success` is handed back as a refusal.

mod answer;
mod config;
mod grpc;
mod http;
mod retry;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Compression, OtlpExporterConfig, OtlpHttpExporterConfig, TlsConfig};

use crate::exporters::queued::RetryOnFailure;
use crate::otlp::Refusal;
use crate::pipeline::{Ack, ComponentId, Delivered, Delivery, ExportError, TraceExporter, TraceRequest};
use crate::telemetry::{ExporterMetrics, HealthHandle, Telemetry};
use retry::{Backoff, own_retries};

/// Why an exporter cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpExporterError {
    /// A setting is unusable.
    #[error("exporters.{id}.{key}: {reason}")]
    Setting {
        /// The exporter.
        id: String,
        /// The key, relative to the exporter.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// A setting that is unusable: its key and what is wrong.
type BadSetting = (&'static str, String);

/// One way to bring an encoded request to a backend. Errors say whether to try again.
trait Transport: Send + Sync + 'static {
    fn send(&self, body: Bytes) -> impl Future<Output = Result<Vec<Refusal>, ExportError>> + Send;
}

/// An exporter of OTLP.
pub struct OtlpExporter {
    id: ComponentId,
    shared: Arc<dyn Deliver>,
    tasks: TaskTracker,
    stop: CancellationToken,
    slots: Arc<Semaphore>,
}

/// Hides the transport.
trait Deliver: Send + Sync + 'static {
    fn deliver(
        self: Arc<Self>,
        request: Arc<TraceRequest>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Delivery>;
}

struct Sender<T> {
    transport: T,
    retry: RetryOnFailure,
    metrics: ExporterMetrics,
    health: HealthHandle,
}

impl OtlpExporter {
    /// An exporter over gRPC. Connects with the first request.
    ///
    /// # Errors
    ///
    /// A setting is unusable, such as a file of certificates that cannot be read.
    pub fn grpc(
        id: ComponentId,
        config: &OtlpExporterConfig,
        telemetry: &Telemetry,
    ) -> Result<Self, OtlpExporterError> {
        match grpc::GrpcTransport::new(config) {
            Ok(transport) => Ok(Self::new(
                id,
                transport,
                own_retries(config.retry_on_failure, &config.sending_queue),
                config.max_concurrent_requests,
                telemetry,
            )),
            Err((key, reason)) => Err(OtlpExporterError::Setting { id: id.to_string(), key, reason }),
        }
    }

    /// An exporter over HTTP in protobuf. Connects with the first request.
    ///
    /// # Errors
    ///
    /// A setting is unusable, such as a file of certificates that cannot be read.
    pub fn http(
        id: ComponentId,
        config: &OtlpHttpExporterConfig,
        telemetry: &Telemetry,
    ) -> Result<Self, OtlpExporterError> {
        match http::HttpTransport::new(config) {
            Ok(transport) => Ok(Self::new(
                id,
                transport,
                own_retries(config.retry_on_failure, &config.sending_queue),
                config.max_concurrent_requests,
                telemetry,
            )),
            Err((key, reason)) => Err(OtlpExporterError::Setting { id: id.to_string(), key, reason }),
        }
    }

    fn new(
        id: ComponentId,
        transport: impl Transport,
        retry: RetryOnFailure,
        max_concurrent_requests: usize,
        telemetry: &Telemetry,
    ) -> Self {
        let metrics = telemetry.metrics.exporter(&id.to_string());
        let health = telemetry.health.register(format!("exporters.{id}"));
        // Whether the backend answers shows with the first request; until then nothing is wrong.
        health.ready();
        Self {
            id,
            shared: Arc::new(Sender { transport, retry, metrics, health }),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            slots: Arc::new(Semaphore::new(max_concurrent_requests.min(Semaphore::MAX_PERMITS))),
        }
    }
}

impl TraceExporter for OtlpExporter {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Closed never; if it were, the dropped ack asks for a retry.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let delivery = Arc::clone(&self.shared).deliver(request, self.stop.clone());
            self.tasks.spawn(async move {
                ack.complete(delivery.await);
                drop(slot);
            });
        })
    }

    /// Lets the attempts that are under way end, and makes no more.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        })
    }
}

impl<T: Transport> Deliver for Sender<T> {
    fn deliver(
        self: Arc<Self>,
        request: Arc<TraceRequest>,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Delivery> {
        Box::pin(async move {
            let _in_flight = self.metrics.in_flight(request.metadata.bytes);
            let delivery = self.send_until_settled(&request, &stop).await;
            self.count(request.span_count(), &delivery);
            delivery
        })
    }
}

impl<T: Transport> Sender<T> {
    async fn send_until_settled(&self, request: &TraceRequest, stop: &CancellationToken) -> Delivery {
        let body = request.to_protobuf();
        let mut backoff = Backoff::new(self.retry);
        loop {
            let started = Instant::now();
            let result = self.transport.send(body.clone()).await;
            self.metrics.wrote(started.elapsed());
            let error = match result {
                Ok(refusals) => {
                    self.health.ready();
                    return Ok(Delivered { refusals });
                }
                Err(error) => error,
            };
            match &error {
                ExportError::Reject { .. } => {}
                ExportError::Retry { .. } => self.health.failing(error.to_string()),
                ExportError::Fatal { .. } => self.health.not_ready(error.to_string()),
            }
            let Some(pause) = backoff.pause_after(&error) else { return Err(error) };
            tracing::debug!(%error, ?pause, "a request failed and is sent again");
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Err(error);
            }
            self.metrics.retried();
        }
    }

    fn count(&self, spans: usize, delivery: &Delivery) {
        match delivery {
            Ok(delivered) => {
                let refused = delivered.refused_spans().min(spans);
                self.metrics.sent_spans(spans - refused);
                if refused > 0 {
                    self.metrics.refused_spans("partial_success", refused);
                }
            }
            Err(_) => self.metrics.send_failed_spans(spans),
        }
    }
}
