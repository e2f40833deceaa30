//! A queue before an exporter, which answers as soon as a request is safe, and delivers it when the destination can.
//!
//! ```text
//!             ┌─ answered when on the medium
//! request ─> log ── window ─┬─> exporter ── taken ────────────────> acknowledged in the log
//!             ^             │      └─ not now ─> waits ─> again
//!             └─ restart    └───────── never ──> dead-letter file ─> acknowledged in the log
//! ```
//!
//! A [`QueuedExporter`] is a [`TraceExporter`] around another one: pipelines, receivers and exporters know nothing of
//! it. Each has a log of its own, so a destination that is slow or dead holds back no other.
//!
//! What a request meets:
//!
//! - The log refuses it (full, or its disk is): the sender hears so, with a time to try again.
//! - The exporter asks for a retry: it stays in the log and is tried again, after a wait that grows, until
//!   `max_elapsed_time`. If nothing succeeds at all, one request at a time finds out whether the destination is back.
//! - The exporter refuses it, or some of its spans, for good: the request goes into the dead-letter file.
//! - Nothing works until somebody changes the configuration: it stays in the log, and readiness says so.
//! - The process ends: it is delivered by the next one. What was delivered and not yet noted down is delivered again;
//!   a span is written once all the same, as it is identified by its ids.

mod backoff;
mod config;
mod dead_letter;
mod deliver;
mod gate;
mod parcel;
mod read;
mod readiness;
mod record;
mod returning;
mod shared;
mod stranded;
mod tend;
#[cfg(test)]
mod tests;
mod watch;
mod window;

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{OnFull, QueueAck, QueueStorage, RetryOnFailure, SendingQueueConfig};
pub use dead_letter::{DeadLetter, DeadLetterError, DeadLetters, Entries};
pub use stranded::{Stranded, stranded};
pub use watch::Watch;

use crate::pipeline::{Ack, ComponentId, ExportError, MemoryAccount, TraceExporter, TraceRequest};
use crate::queue::{Log, QueueError, Reader, Recovery, SystemDisk};
use crate::telemetry::{LossLog, Telemetry};
use readiness::Troubles;
use record::StoredRequest;
use shared::Shared;
use window::Window;

/// How long a stop may take to deliver what is in the queue. Below the collector's own limit, so that the exporters
/// can finish what they were given.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// Why a queue cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueuedExporterError {
    /// The log cannot be opened.
    #[error("sending_queue: {}", explain(.0))]
    Log(#[source] QueueError),
    /// The system gives no thread.
    #[error("sending_queue: cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Where a queue stands, and how it works.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// Id of the pipeline.
    pub pipeline: String,
    /// The queue.
    pub queue: SendingQueueConfig,
    /// Retries.
    pub retry: RetryOnFailure,
    /// What stands before the destination, at the end of what is handed to [`QueuedExporter::start`].
    pub watch: Watch,
    /// Where the memory of requests under delivery counts.
    pub memory: MemoryAccount,
}

/// An exporter with a queue before it.
///
/// [`TraceExporter::shutdown`] ends the queue and not the exporter behind it, which other queues may share.
pub struct QueuedExporter {
    id: ComponentId,
    shared: Arc<Shared>,
    /// Requests that wait for the log's answer.
    enqueuing: TaskTracker,
    reader: Mutex<Option<JoinHandle<()>>>,
    drain_limit: Duration,
}

impl QueuedExporter {
    /// Opens the queue and starts to deliver what an earlier run left in it.
    ///
    /// # Errors
    ///
    /// The directory is in use by another process, or cannot be used at all.
    pub async fn start(
        inner: Arc<dyn TraceExporter>,
        settings: &QueueSettings,
        telemetry: &Telemetry,
    ) -> Result<Self, QueuedExporterError> {
        let (id, name) = (inner.id().clone(), format!("{}/{}", settings.pipeline, inner.id()));
        let directory = settings.queue.directory_of(&settings.pipeline, &id.to_string());
        let (log, recovery) = open(&settings.queue, directory.as_deref(), &id.to_string()).await?;
        report_recovery(&name, directory.as_deref(), &recovery);
        let reader = log.reader(&id.to_string()).map_err(QueuedExporterError::Log)?;
        let shared = Arc::new(Shared {
            acker: reader.acker(),
            log,
            directory: directory.clone().filter(|_| settings.queue.storage == QueueStorage::Disk),
            capacity: settings.queue.queue_size as u64,
            has_limits: settings.queue.on_full == OnFull::DropOldest || !settings.queue.max_age.is_zero(),
            retry: settings.retry,
            memory: settings.memory.clone(),
            gate: Arc::clone(&settings.watch.gate),
            window: Arc::new(Window::new(settings.queue.in_flight_size)),
            turns: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            dead_letters: directory.map(DeadLetters::new),
            dead_letter_bytes: settings.queue.queue_size as u64,
            metrics: telemetry.metrics.queue(&id.to_string(), &settings.pipeline),
            exporter_metrics: telemetry.metrics.exporter(&id.to_string()),
            health: telemetry
                .health
                .register(format!("exporters.{id}.sending_queue ({})", settings.pipeline)),
            troubles: Mutex::new(Troubles::default()),
            losses: LossLog::default(),
            said: AtomicU64::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            settled: Notify::new(),
            inner,
            name,
        });
        shared.report();
        let reader = start_reader(&shared, reader).map_err(QueuedExporterError::Thread)?;
        tend::start(&shared);
        let (enqueuing, reader) = (TaskTracker::new(), Mutex::new(Some(reader)));
        Ok(Self { id, shared, enqueuing, reader, drain_limit: DRAIN_LIMIT })
    }

    async fn enqueue(&self, request: Arc<TraceRequest>, ack: Ack) {
        if self.enqueuing.is_closed() {
            return ack.complete(Err(ExportError::retry("the collector is shutting down")));
        }
        let stored = StoredRequest::of(&request);
        drop(request);
        let amount = (stored.spans, stored.body.len());
        let ticket = self.shared.log.append(stored.encode());
        let shared = Arc::clone(&self.shared);
        // Apart, so that the log of the next exporter writes at the same time.
        self.enqueuing.spawn(async move { ack.complete(shared.enqueued(ticket.await, amount)) });
    }
}

impl TraceExporter for QueuedExporter {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.enqueue(request, ack))
    }

    fn refusal(&self, bytes: usize) -> Option<ExportError> {
        self.shared.refusal(bytes)
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.enqueuing.close();
            self.enqueuing.wait().await;
            let drained = tokio::time::timeout(self.drain_limit, tend::drain(&self.shared)).await;
            let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            tend::stop(&self.shared, reader, drained.is_err()).await;
        })
    }
}

/// Opens the log away from the runtime's workers, as it reads a file.
async fn open(
    config: &SendingQueueConfig,
    directory: Option<&Path>,
    cursor: &str,
) -> Result<(Log, Recovery), QueuedExporterError> {
    let options = config.options(cursor);
    let directory = directory.filter(|_| config.storage == QueueStorage::Disk).map(Path::to_owned);
    let opening = tokio::task::spawn_blocking(move || match directory {
        Some(directory) => Log::open(&directory, options, SystemDisk::new()),
        None => Log::memory(options).map(|log| (log, Recovery::default())),
    });
    match opening.await {
        Ok(opened) => opened.map_err(QueuedExporterError::Log),
        Err(error) => Err(QueuedExporterError::Thread(std::io::Error::other(error))),
    }
}

fn start_reader(shared: &Arc<Shared>, reader: Reader) -> std::io::Result<JoinHandle<()>> {
    let (shared, runtime) = (Arc::clone(shared), tokio::runtime::Handle::current());
    let thread = std::thread::Builder::new().name("queue-reader".to_owned());
    thread.spawn(move || read::read(&shared, reader, &runtime))
}

/// Says what an earlier run left.
fn report_recovery(name: &str, directory: Option<&Path>, recovery: &Recovery) {
    let Some(directory) = directory else { return };
    if recovery.torn_bytes + recovery.damaged_bytes > 0 || !recovery.reset_cursors.is_empty() {
        tracing::warn!(
            queue = name,
            torn_bytes = recovery.torn_bytes,
            damaged_bytes = recovery.damaged_bytes,
            reset_cursors = recovery.reset_cursors.len(),
            "the queue in {} was damaged; what was not is delivered",
            directory.display()
        );
    }
}

/// An error of the log with what the system said of it.
fn explain(error: &QueueError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
