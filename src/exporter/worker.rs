//! Takes spans out of the queue and writes them, again and again while the trouble may pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkError;
use secrecy::ExposeSecret;

use super::queue::{Parcel, Queue};
use crate::exporters::mlflow::{self, MlflowConfig};
use crate::mlflow::tracking_uri::TrackingUri;
use crate::otlp::model::ExportTraceServiceRequest;
use crate::pipeline::{
    ComponentId, Delivered, ExportError, RequestMetadata, TraceExporter, TraceRequest, ack_channel,
};
use crate::store::StoreError;
use crate::telemetry::Telemetry;

/// The longest wait between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// How patient the worker is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long a batch is tried before it is given up.
    pub(super) retry_for: Duration,
    /// How long whoever exports is made to wait for the outcome.
    pub(super) answer_within: Duration,
}

/// Runs until the queue is closed and empty, or its deadline is over.
pub(super) async fn run(queue: Arc<Queue>, config: MlflowConfig, patience: Patience) {
    let mut worker = Worker { config, patience, destination: None };
    while let Some(parcel) = queue.take().await {
        worker.deliver(&queue, parcel).await;
    }
    if let Some(destination) = worker.destination.take() {
        tokio::select! {
            () = destination.shutdown() => {}
            () = queue.deadline() => {}
        }
    }
    queue.stop("the exporter was shut down before they were written");
}

struct Worker {
    config: MlflowConfig,
    patience: Patience,
    destination: Option<Arc<mlflow::MlflowExporter>>,
}

impl Worker {
    /// Writes a parcel, or loses it.
    async fn deliver(&mut self, queue: &Queue, mut parcel: Parcel) {
        let body = ExportTraceServiceRequest { resource_spans: std::mem::take(&mut parcel.spans) };
        let metadata = RequestMetadata { bytes: parcel.bytes, ..RequestMetadata::default() };
        let request = Arc::new(TraceRequest { body, metadata, ..TraceRequest::default() });
        let give_up = Instant::now() + self.patience.retry_for;
        let mut pause = Duration::from_millis(100);
        loop {
            let outcome = tokio::select! {
                // Once the time is over, no further attempt is begun.
                biased;
                () = queue.deadline() => return queue.lost(parcel, "there was no time left to write them"),
                outcome = attempt(&mut self.destination, &self.config, &request, &mut parcel, self.patience) => outcome,
            };
            let (reason, after) = match outcome {
                Ok(delivered) => {
                    let refused = delivered.refused_spans();
                    let reason = delivered.refusals.first().map(|refusal| refusal.reason.clone());
                    return queue.written(parcel, refused, reason.as_deref());
                }
                Err(ExportError::Retry { reason, after }) if Instant::now() < give_up => (reason, after),
                Err(error) => return queue.lost(parcel, &error.to_string()),
            };
            parcel.answer(|| Err(OTelSdkError::InternalFailure(format!("the spans wait: {reason}"))));
            queue.failing(&reason);
            let wait = after.unwrap_or(pause).min(MAX_PAUSE);
            pause = (pause * 2).min(MAX_PAUSE);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // What is left of the time is for attempts, at short intervals.
                () = closing_pause(queue, wait) => {}
                () = queue.deadline() => {}
            }
        }
    }
}

/// When the queue is being closed, a short wait is enough.
async fn closing_pause(queue: &Queue, wait: Duration) {
    queue.closed().await;
    tokio::time::sleep(wait.min(Duration::from_millis(250))).await;
}

/// Tries once. Whoever waits is told when it takes long.
async fn attempt(
    destination: &mut Option<Arc<mlflow::MlflowExporter>>,
    config: &MlflowConfig,
    request: &Arc<TraceRequest>,
    parcel: &mut Parcel,
    patience: Patience,
) -> Result<Delivered, ExportError> {
    let write = write(destination, config, request);
    tokio::pin!(write);
    tokio::select! {
        outcome = &mut write => return outcome,
        () = tokio::time::sleep(patience.answer_within) => {}
    }
    parcel.answer(|| Err(OTelSdkError::Timeout(patience.answer_within)));
    write.await
}

async fn write(
    destination: &mut Option<Arc<mlflow::MlflowExporter>>,
    config: &MlflowConfig,
    request: &Arc<TraceRequest>,
) -> Result<Delivered, ExportError> {
    let exporter = match destination {
        Some(connected) => Arc::clone(connected),
        None => Arc::clone(destination.insert(Arc::new(connect(config.clone()).await?))),
    };
    let request = Arc::clone(request);
    // In a task of its own, so that a panic costs one batch and not the worker.
    let writing = tokio::spawn(async move {
        let (ack, delivery) = ack_channel();
        exporter.export(request, ack).await;
        delivery.await
    });
    match writing.await {
        Ok(delivery) => delivery,
        Err(error) => Err(ExportError::reject(format!("writing them ended early: {error}"))),
    }
}

async fn connect(config: MlflowConfig) -> Result<mlflow::MlflowExporter, ExportError> {
    let telemetry = Telemetry::default();
    let target = TrackingUri::parse(config.tracking_uri.expose_secret())
        .map_or_else(|error| error.to_string(), |uri| uri.to_string());
    let started = mlflow::MlflowExporter::start(ComponentId::parse("mlflow"), config, &telemetry).await;
    started.map_err(|error| match error {
        mlflow::StartError::Store(StoreError::Retry { after, reason, .. }) => {
            ExportError::Retry { after, reason: format!("{target}: {reason}") }
        }
        other => ExportError::fatal(format!("{target}: {other}")),
    })
}
