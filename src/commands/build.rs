//! From configured components to running ones: one arm for each row of the tables in `config`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::lifecycle::{Change, Receiver, ReceiverControl, RunError};
use super::summary::Destination;
use crate::config::{ComponentKind, Config, Configured};
use crate::exporters::debug::{DebugExporter, DebugExporterConfig};
use crate::exporters::mlflow::{MlflowConfig, MlflowExporter};
use crate::exporters::otlp::{OtlpExporter, OtlpExporterConfig, OtlpHttpExporterConfig};
use crate::exporters::queued::{
    QueueSettings, QueuedExporter, RetryOnFailure, SendingQueueConfig, Stranded, Watch, stranded,
};
use crate::pipeline::{MemoryAccount, Pipeline, TraceExporter};
use crate::processors::{
    AttributesConfig, BatchProcessorConfig, FilterConfig, MemoryLimiterConfig, ProbabilisticSamplerConfig,
    Problem, RedactConfig, Remembered, TailSamplingConfig,
};
use crate::receivers::otlp::{Bound, Control, OtlpReceiver, OtlpReceiverConfig};
use crate::telemetry::{AdminConfig, AdminServer, Telemetry};

/// An exporter that is connected, and what to tell about it.
pub(super) struct BuiltExporter {
    pub(super) exporter: Arc<dyn TraceExporter>,
    pub(super) destination: Destination,
}

impl BuiltExporter {
    fn new(exporter: impl TraceExporter, view: Option<String>, target: String) -> Self {
        Self { exporter: Arc::new(exporter), destination: Destination { target, view } }
    }
}

/// Takes the addresses of a receiver.
///
/// # Errors
///
/// An address is in use, or is none of this machine.
pub(super) async fn bind_receiver(
    receiver: &Configured,
    pipeline: Pipeline,
    telemetry: &Telemetry,
) -> Result<Box<dyn Receiver>, RunError> {
    let kind = ComponentKind::Receiver;
    match receiver.id.kind() {
        "otlp" => {
            let settings: OtlpReceiverConfig = settings(kind, receiver)?;
            let bound = OtlpReceiver::bind(&receiver.id, settings, pipeline, &telemetry.metrics).await;
            let bound = bound.map_err(|error| cannot_start(kind, receiver, error.to_string()))?;
            Ok(Box::new(BoundOtlp { id: receiver.id.to_string(), bound }))
        }
        _ => Err(not_built(kind, receiver)),
    }
}

struct BoundOtlp {
    id: String,
    bound: Bound,
}

impl Receiver for BoundOtlp {
    fn id(&self) -> &str {
        &self.id
    }

    fn addresses(&self) -> Vec<String> {
        let grpc = self.bound.grpc_address().map(|address| format!("OTLP over gRPC on {address}"));
        let http = self.bound.http_address().map(|address| format!("OTLP over HTTP on {address}"));
        grpc.into_iter().chain(http).collect()
    }

    fn control(&self) -> Arc<dyn ReceiverControl> {
        Arc::new(self.bound.control())
    }

    fn serve(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(self.bound.serve(stop))
    }
}

impl ReceiverControl for Control {
    fn prepare<'a>(
        &'a self,
        receiver: &'a Configured,
        pipeline: Pipeline,
    ) -> BoxFuture<'a, Result<Change, RunError>> {
        Box::pin(async move {
            let kind = ComponentKind::Receiver;
            let changed = Self::prepare(self, settings(kind, receiver)?, &pipeline).await;
            changed.map_err(|error| cannot_start(kind, receiver, error.to_string()))
        })
    }
}

/// Connects an exporter.
///
/// # Errors
///
/// The exporter says that nothing will succeed until somebody changes the configuration.
pub(super) async fn build_exporter(
    exporter: &Configured,
    telemetry: &Telemetry,
) -> Result<BuiltExporter, RunError> {
    let kind = ComponentKind::Exporter;
    let id = exporter.id.clone();
    match exporter.id.kind() {
        "mlflow" => {
            let started = MlflowExporter::start(id, settings(kind, exporter)?, telemetry).await;
            let started = started.map_err(|error| cannot_start(kind, exporter, error.to_string()))?;
            let target = started.target().to_owned();
            Ok(BuiltExporter::new(started, Some(how_to_look(&target)), target))
        }
        "otlp" => {
            let settings: OtlpExporterConfig = settings(kind, exporter)?;
            let made = OtlpExporter::grpc(id, &settings, telemetry);
            let made = made.map_err(|error| cannot_start(kind, exporter, error.to_string()))?;
            Ok(BuiltExporter::new(made, None, format!("OTLP over gRPC to {}", settings.endpoint)))
        }
        "otlphttp" => {
            let settings: OtlpHttpExporterConfig = settings(kind, exporter)?;
            let made = OtlpExporter::http(id, &settings, telemetry);
            let made = made.map_err(|error| cannot_start(kind, exporter, error.to_string()))?;
            let target = settings.traces_endpoint.as_ref().unwrap_or(&settings.endpoint);
            // What follows may be a key of the backend's.
            let target = target.split('?').next().unwrap_or_default();
            Ok(BuiltExporter::new(made, None, format!("OTLP over HTTP to {target}")))
        }
        "debug" => {
            let settings: DebugExporterConfig = settings(kind, exporter)?;
            let made = DebugExporter::new(id, &settings, telemetry);
            Ok(BuiltExporter::new(made, None, "standard error".to_owned()))
        }
        _ => Err(not_built(kind, exporter)),
    }
}

/// The queue that an exporter is to have, and its retries.
///
/// # Errors
///
/// The settings do not fit their struct.
pub(super) fn queue_of(exporter: &Configured) -> Result<(SendingQueueConfig, RetryOnFailure), RunError> {
    let kind = ComponentKind::Exporter;
    Ok(match exporter.id.kind() {
        "mlflow" => {
            let settings: MlflowConfig = settings(kind, exporter)?;
            (settings.sending_queue, settings.retry_on_failure)
        }
        "otlp" => {
            let settings: OtlpExporterConfig = settings(kind, exporter)?;
            (settings.sending_queue, settings.retry_on_failure)
        }
        "otlphttp" => {
            let settings: OtlpHttpExporterConfig = settings(kind, exporter)?;
            (settings.sending_queue, settings.retry_on_failure)
        }
        "debug" => {
            let settings: DebugExporterConfig = settings(kind, exporter)?;
            (settings.sending_queue, RetryOnFailure::default())
        }
        _ => return Err(not_built(kind, exporter)),
    })
}

/// The queue of a pipeline before an exporter.
///
/// # Errors
///
/// The queue's directory is in use, or cannot be used at all.
pub(super) async fn build_queue(
    pipeline: &str,
    exporter: &Configured,
    (queue, retry): &(SendingQueueConfig, RetryOnFailure),
    watch: &Watch,
    inner: Arc<dyn TraceExporter>,
    memory: &MemoryAccount,
    telemetry: &Telemetry,
) -> Result<Arc<dyn TraceExporter>, RunError> {
    let settings = QueueSettings {
        pipeline: pipeline.to_owned(),
        queue: queue.clone(),
        retry: *retry,
        watch: watch.clone(),
        memory: memory.clone(),
    };
    match QueuedExporter::start(inner, &settings, telemetry).await {
        Ok(queued) => Ok(Arc::new(queued)),
        Err(error) => Err(cannot_start(ComponentKind::Exporter, exporter, error.to_string())),
    }
}

/// Says which queues an earlier run left that no pipeline opens: what they hold was accepted, and nobody delivers it.
///
/// # Errors
///
/// The settings of an exporter do not fit their struct.
pub(super) async fn tell_stranded(config: &Config) -> Result<(), RunError> {
    let mut queues = Vec::new();
    for (pipeline, parts) in &config.service.pipelines {
        for id in &parts.exporters {
            if let Some(exporter) = config.component(ComponentKind::Exporter, id) {
                queues.push((queue_of(exporter)?.0, pipeline.clone(), id.clone()));
            }
        }
    }
    let looking = tokio::task::spawn_blocking(move || {
        stranded(
            queues.iter().map(|(queue, pipeline, exporter)| (queue, pipeline.as_str(), exporter.as_str())),
        )
    });
    // A panic there was logged and counted; nothing depends on it.
    for Stranded { directory, requests, bytes, dead_letter_bytes } in looking.await.unwrap_or_default() {
        tracing::warn!(
            requests,
            bytes,
            dead_letter_bytes,
            "nobody delivers the queue that an earlier run left in {}: start with the pipeline and exporter that it \
             is named after, or delete it",
            directory.display()
        );
    }
    Ok(())
}

/// What the processors of a chain share with what is around it.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) memory: &'a MemoryAccount,
    pub(super) telemetry: &'a Telemetry,
    pub(super) remembered: &'a Remembered,
}

/// Puts a processor before the next stage.
///
/// # Errors
///
/// Its settings cannot be used.
pub(super) fn build_processor(
    processor: &Configured,
    next: Arc<dyn TraceExporter>,
    around: Surroundings<'_>,
) -> Result<Arc<dyn TraceExporter>, RunError> {
    let kind = ComponentKind::Processor;
    let id = processor.id.to_string();
    let Telemetry { metrics: all, health, .. } = around.telemetry;
    let metrics = all.processor(&id);
    let task =
        |name: &'static str| health.task(&format!("processors.{id}"), name, all.task_deaths(&id, name));
    let built = match processor.id.kind() {
        "attributes" => settings::<AttributesConfig>(kind, processor)?.build(metrics, next),
        "batch" => {
            Ok(settings::<BatchProcessorConfig>(kind, processor)?.build(metrics, task("worker"), next))
        }
        "filter" => settings::<FilterConfig>(kind, processor)?.build(metrics, next),
        "memory_limiter" => {
            settings::<MemoryLimiterConfig>(kind, processor)?.build(around.memory.clone(), metrics, next)
        }
        "probabilistic_sampler" => {
            Ok(settings::<ProbabilisticSamplerConfig>(kind, processor)?.build(metrics, next))
        }
        "redact" => settings::<RedactConfig>(kind, processor)?.build(metrics, next),
        "tail_sampling" => settings::<TailSamplingConfig>(kind, processor)?.build(
            metrics,
            task("clock"),
            around.remembered.of(&id),
            next,
        ),
        _ => return Err(not_built(kind, processor)),
    };
    built.map_err(|(key, message): Problem| cannot_start(kind, processor, format!("{key}: {message}")))
}

/// The command or the address that shows what is in MLflow.
fn how_to_look(target: &str) -> String {
    if target.starts_with("http") {
        target.to_owned()
    } else {
        format!("mlflow ui --backend-store-uri {target}")
    }
}

/// Takes the address of the admin server, if the service has one.
///
/// # Errors
///
/// The address is in use, or is none of this machine.
pub(super) async fn bind_admin(config: &Config) -> Result<Option<AdminServer>, RunError> {
    let Some(extension) = admin(config) else { return Ok(None) };
    let settings: AdminConfig = settings(ComponentKind::Extension, extension)?;
    let endpoint = settings.endpoint.clone();
    AdminServer::bind(&settings).await.map(Some).map_err(|error| RunError::Start {
        component: format!("extensions.{}", extension.id),
        reason: format!(
            "cannot listen on {endpoint}: {error}; change `endpoint`, or stop what uses the port"
        ),
    })
}

fn admin(config: &Config) -> Option<&Configured> {
    let extensions = config.running(ComponentKind::Extension);
    extensions.into_iter().find(|extension| extension.id.kind() == "admin")
}

/// How long exports may fail before `/readyz` says so, if the service has an admin server.
pub(super) fn recovery_duration(config: &Config) -> Option<Duration> {
    let settings: AdminConfig = admin(config)?.settings().ok()?;
    Some(settings.recovery_duration)
}

/// Where the admin server listens, if the service has one.
pub(super) fn admin_endpoint(config: &Config) -> Option<String> {
    let (_, endpoint) = admin(config)?.endpoints.first()?;
    Some(endpoint.clone())
}

/// The settings of a component as its struct.
fn settings<C: DeserializeOwned>(kind: ComponentKind, component: &Configured) -> Result<C, RunError> {
    let misfit = |error| cannot_start(kind, component, format!("its settings do not fit: {error}"));
    component.settings().map_err(misfit)
}

/// A row of the table without its arm here: a mistake in this program.
fn not_built(kind: ComponentKind, component: &Configured) -> RunError {
    cannot_start(kind, component, "this build cannot make it; please report it".to_owned())
}

fn cannot_start(kind: ComponentKind, component: &Configured, reason: String) -> RunError {
    RunError::Start { component: format!("{}.{}", kind.section(), component.id), reason }
}
