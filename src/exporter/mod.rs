//! MLflow as a span exporter inside the process, for services that run no collector.
//!
//! [`MlflowExporter`] is an OpenTelemetry SDK `SpanExporter`. It maps spans as the gateway does and
//! writes them to an MLflow server, or straight into MLflow's database where the features `sqlite`
//! and `postgres` are built.
//!
//! ```text
//! batch processor ── export ──> bounded queue ──> thread of its own: map, write, retry ──> MLflow
//!   (SDK's thread)                                 (runtime of its own)
//! ```
//!
//! # What it does to the application
//!
//! Nothing: all work and all waiting happen on the SDK's thread and on its own. It needs no Tokio
//! runtime and blocks none, so it works on a current-thread runtime, without a runtime, and on one
//! CPU. The thread starts with the first span.
//!
//! `export` ends when MLflow holds the spans, so that `force_flush` and `shutdown` of the provider
//! mean what they say, but never later than [`answer_within`](MlflowExporterBuilder::answer_within):
//! spans that take longer stay in the queue. While MLflow cannot be reached, nobody waits. Spans
//! are tried again for [`retry_for`](MlflowExporterBuilder::retry_for); those that are lost in the
//! end, or for which the queue had no room, are counted ([`MlflowMonitor::counts`]) and reported in
//! the log, at most once a minute.
//!
//! # Example
//!
//! ```no_run
//! use opentelemetry_mlflow::exporter::MlflowExporter;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let exporter = MlflowExporter::builder()
//!     .tracking_uri("http://localhost:5000")
//!     .experiment("checkout")
//!     .build()?;
//! let monitor = exporter.monitor();
//! let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
//! opentelemetry::global::set_tracer_provider(provider.clone());
//! // … the application …
//! provider.shutdown()?;
//! assert_eq!(monitor.counts().lost, 0);
//! # Ok(())
//! # }
//! ```

mod builder;
mod convert;
mod error;
mod io;
mod queue;
mod report;
mod worker;

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;

pub use builder::MlflowExporterBuilder;
pub use error::ExporterError;
pub use queue::SpanCounts;

#[cfg(feature = "autolog")]
pub(crate) use io::LazyIo;

use crate::exporters::mlflow::MlflowConfig;
use convert::Origin;
#[cfg(not(feature = "autolog"))]
use io::LazyIo;
use queue::Queue;
use worker::Patience;

/// Writes spans to MLflow. See the [module](self).
#[derive(Debug)]
pub struct MlflowExporter {
    queue: Arc<Queue>,
    origin: Origin,
    target: String,
    flush_timeout: Duration,
    worker: Mutex<WorkerState>,
}

/// Sees what became of an exporter's spans, and waits for them. Cheap to clone; outlives the exporter.
#[derive(Clone, Debug)]
pub struct MlflowMonitor {
    queue: Arc<Queue>,
}

#[derive(Debug)]
enum WorkerState {
    /// Starts with the first span.
    Idle(Box<Start>),
    /// Keeps the thread alive.
    Running {
        _io: Arc<LazyIo>,
    },
    Ended,
}

#[derive(Debug)]
struct Start {
    io: Arc<LazyIo>,
    config: MlflowConfig,
    patience: Patience,
}

impl MlflowExporter {
    /// Starts from MLflow's environment variables.
    pub fn builder() -> MlflowExporterBuilder {
        MlflowExporterBuilder::from_environment()
    }

    /// Where spans are written, without credentials.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Sees what becomes of the spans, after the exporter has been given away.
    #[must_use]
    pub fn monitor(&self) -> MlflowMonitor {
        MlflowMonitor { queue: Arc::clone(&self.queue) }
    }

    /// Starts the worker, if it does not run.
    fn ensure_worker(&self) -> OTelSdkResult {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let start = match &*worker {
            WorkerState::Idle(start) => start,
            WorkerState::Running { .. } => return Ok(()),
            WorkerState::Ended => return Err(OTelSdkError::AlreadyShutdown),
        };
        let handle = start.io.handle().map_err(|error| {
            OTelSdkError::InternalFailure(format!("cannot start a thread to write to MLflow: {error}"))
        })?;
        handle.spawn(worker::run(Arc::clone(&self.queue), start.config.clone(), start.patience));
        *worker = WorkerState::Running { _io: Arc::clone(&start.io) };
        Ok(())
    }
}

impl SpanExporter for MlflowExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if batch.is_empty() {
            return Ok(());
        }
        let count = batch.len();
        let spans = self.origin.request(batch);
        let bytes = spans.encoded_len();
        let outcome = self.queue.put(spans, count, bytes)?;
        if let Err(error) = self.ensure_worker() {
            self.queue.stop(&error.to_string());
            return Err(error);
        }
        let gone = |_| Err(OTelSdkError::InternalFailure("the exporter's thread has ended".to_owned()));
        outcome.await.unwrap_or_else(gone)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.monitor().flush(self.flush_timeout)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let deadline = Instant::now() + timeout;
        self.queue.close(deadline);
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *worker, WorkerState::Ended) {
            WorkerState::Idle(_) => {
                self.queue.stop("the exporter was shut down");
                Ok(())
            }
            WorkerState::Ended => Err(OTelSdkError::AlreadyShutdown),
            // The worker ends at the deadline by itself, and then has counted what is lost.
            WorkerState::Running { .. } => match self.queue.wait_stopped(deadline + GRACE) {
                true => Ok(()),
                false => Err(OTelSdkError::Timeout(timeout)),
            },
        }
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.shutdown_with_timeout(self.flush_timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.origin = Origin::of(resource);
    }
}

/// For the worker to say what it could not write.
const GRACE: Duration = Duration::from_millis(200);

impl MlflowMonitor {
    /// What became of the spans until now.
    #[must_use]
    pub fn counts(&self) -> SpanCounts {
        self.queue.counts()
    }

    /// Waits until nothing waits to be written, on the calling thread.
    ///
    /// # Errors
    ///
    /// Some spans were not written in this time; they stay in the queue.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        match self.queue.wait_empty(Instant::now() + timeout) {
            true => Ok(()),
            false => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}
