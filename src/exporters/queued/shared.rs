//! What the parts of a queue share, and what it says of itself.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::RetryOnFailure;
use super::dead_letter::DeadLetters;
use super::explain;
use super::gate::Gate;
use super::window::Window;
use crate::pipeline::{Delivered, Delivery, ExportError, MemoryAccount, TraceExporter};
use crate::queue::{Acker, CursorStats, Log, QueueError, Stats};
use crate::telemetry::{ExporterMetrics, HealthHandle, QueueMetrics};

/// The part of the room, in percent, from which on a queue is nearly full.
const NEARLY_FULL: u64 = 90;

/// A queue at work.
pub(super) struct Shared {
    /// Pipeline and exporter, for logs.
    pub(super) name: String,
    pub(super) inner: Arc<dyn TraceExporter>,
    pub(super) log: Log,
    /// Where the log is; none in memory.
    pub(super) directory: Option<PathBuf>,
    pub(super) acker: Acker,
    pub(super) capacity: u64,
    pub(super) retry: RetryOnFailure,
    pub(super) memory: MemoryAccount,
    pub(super) gate: Gate,
    pub(super) window: Arc<Window>,
    /// Requests that may be decoded and handed over at a time.
    pub(super) turns: Semaphore,
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) dead_letter_bytes: u64,
    pub(super) metrics: QueueMetrics,
    pub(super) exporter_metrics: ExporterMetrics,
    pub(super) health: HealthHandle,
    pub(super) troubles: Mutex<Troubles>,
    /// Losses and dead letters so far: the first ones are logged one by one.
    pub(super) said: AtomicU64,
    /// Deliveries end where they are.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// A record was acknowledged.
    pub(super) settled: Notify,
}

/// What is wrong with the files of a queue.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    append: Option<String>,
    dead_letters: Option<String>,
}

impl Shared {
    /// What the sender of a request hears once the log has answered.
    pub(super) fn enqueued(&self, answer: Result<(), QueueError>, spans: usize) -> Delivery {
        let Err(error) = answer else {
            self.troubles().append = None;
            return Ok(Delivered::default());
        };
        let (label, ill) = match &error {
            QueueError::Full { .. } => ("full", false),
            QueueError::Busy { .. } => ("busy", false),
            QueueError::TooLarge { .. } => ("too_large", false),
            QueueError::Closed => ("closed", false),
            QueueError::DiskFull { .. } => ("disk_full", true),
            _ => ("write", true),
        };
        self.metrics.enqueue_failed(label, spans);
        if ill {
            self.troubles().append = Some(explain(&error));
        }
        Err(match error {
            QueueError::TooLarge { .. } => ExportError::reject(explain(&error)),
            _ => ExportError::Retry { after: error.retry_after(), reason: explain(&error) },
        })
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dead_letter_trouble(&self, trouble: Option<String>) {
        self.troubles().dead_letters = trouble;
    }

    /// A line for a dead letter: for the first ones each, then ever fewer.
    pub(super) fn say_dead(&self, kind: &str, spans: usize, reason: &str) {
        let total = self.said.fetch_add(1, Ordering::Relaxed) + 1;
        if total <= 8 || total.is_power_of_two() {
            tracing::warn!(
                queue = self.name,
                kind,
                spans,
                total,
                "spans became a dead letter (see `otel-mlflow dead-letter list`): {reason}"
            );
        }
    }

    /// A line for spans that are lost: for the first ones each, then ever fewer.
    pub(super) fn say_lost(&self, kind: &str, spans: usize, reason: &str, why: &str) {
        let total = self.said.fetch_add(1, Ordering::Relaxed) + 1;
        if total <= 8 || total.is_power_of_two() {
            tracing::error!(queue = self.name, kind, spans, total, "spans are lost ({why}): {reason}");
        }
    }

    /// What the log has still to deliver.
    pub(super) fn left(&self) -> CursorStats {
        self.log.stats().cursors.into_iter().next().unwrap_or_default()
    }

    /// Brings figures and readiness up to date.
    pub(super) fn report(&self) {
        let stats = self.log.stats();
        self.metrics.observe(&figures(&stats, self.capacity));
        match self.why_not_ready(&stats) {
            None => self.health.ready(),
            Some(Unready::Failing(reason)) => self.health.failing(reason),
            Some(Unready::Now(reason)) => self.health.not_ready(reason),
        }
    }

    fn why_not_ready(&self, stats: &Stats) -> Option<Unready> {
        let trouble = self.gate.trouble();
        if let Some(fatal) = trouble.as_ref().filter(|trouble| trouble.fatal) {
            return Some(Unready::Now(fatal.reason.clone()));
        }
        let troubles = self.troubles();
        if let Some(trouble) = troubles.append.as_ref().or(troubles.dead_letters.as_ref()) {
            return Some(Unready::Now(trouble.clone()));
        }
        let held = stats.bytes + stats.pending_bytes;
        // With half of its room taken, the log deletes what is delivered at once: what is left is not.
        if held.saturating_mul(100) >= self.capacity.saturating_mul(NEARLY_FULL) {
            let reason = format!("the queue is nearly full: {held} of {} bytes", self.capacity);
            return Some(Unready::Now(reason));
        }
        trouble.map(|trouble| Unready::Failing(format!("nothing is delivered: {}", trouble.reason)))
    }
}

/// Why a queue does not do its work.
enum Unready {
    /// The destination takes nothing, which may pass.
    Failing(String),
    /// It does not pass by itself, or senders are refused.
    Now(String),
}

/// The figures of a log, as the metrics have them.
fn figures(stats: &Stats, capacity: u64) -> crate::telemetry::QueueFigures {
    let cursor = stats.cursors.first().cloned().unwrap_or_default();
    crate::telemetry::QueueFigures {
        bytes: cursor.bytes + stats.pending_bytes,
        capacity,
        requests: cursor.records,
        stored_bytes: stats.bytes,
        oldest: cursor.oldest,
        in_flight: cursor.outstanding as u64,
        dropped_full: cursor.dropped_records.saturating_sub(cursor.expired_records),
        dropped_expired: cursor.expired_records,
        dropped_damaged: cursor.damaged_records,
        dropped_unwritten: stats.unwritten_records,
        write_errors: stats.write_errors,
    }
}
