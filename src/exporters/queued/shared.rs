//! What the parts of a queue share, and what it counts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::RetryOnFailure;
use super::dead_letter::DeadLetters;
use super::explain;
use super::gate::Gate;
use super::readiness::Troubles;
use super::window::Window;
use crate::pipeline::{Delivered, Delivery, ExportError, MemoryAccount, TraceExporter};
use crate::queue::{Acker, CursorStats, Log, QueueError, Stats};
use crate::telemetry::{ExporterMetrics, HealthHandle, LossLog, QueueMetrics};

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
    /// Whether the log gives requests up by itself, by room or by age.
    pub(super) has_limits: bool,
    pub(super) retry: RetryOnFailure,
    pub(super) memory: MemoryAccount,
    pub(super) gate: Arc<Gate>,
    pub(super) window: Arc<Window>,
    /// Requests that may be decoded and handed over at a time.
    pub(super) turns: Semaphore,
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) dead_letter_bytes: u64,
    pub(super) metrics: QueueMetrics,
    pub(super) exporter_metrics: ExporterMetrics,
    pub(super) health: HealthHandle,
    pub(super) troubles: Mutex<Troubles>,
    pub(super) losses: LossLog,
    /// Dead letters so far: the first ones are logged one by one.
    pub(super) said: AtomicU64,
    /// Deliveries end where they are.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// A record was acknowledged, or needs no delivery any more.
    pub(super) settled: Notify,
}

impl Shared {
    /// What the sender of a request of at least so many bytes hears without its request being read, if it would be
    /// refused.
    pub(super) fn refusal(&self, bytes: usize) -> Option<ExportError> {
        let error = self.log.refusal(bytes)?;
        // What never fits is told after a look at it: the size before decompression says little.
        let after = error.retry_after()?;
        self.metrics.refused_unread(label(&error));
        Some(ExportError::Retry { after: Some(after), reason: explain(&error) })
    }

    /// What the sender of a request hears once the log has answered.
    pub(super) fn enqueued(
        &self,
        answer: Result<(), QueueError>,
        (spans, bytes): (usize, usize),
    ) -> Delivery {
        let Err(error) = answer else {
            self.troubles().appended();
            return Ok(Delivered::default());
        };
        let label = label(&error);
        self.metrics.enqueue_failed(label, spans, bytes);
        if matches!(label, "disk_full" | "write") {
            self.troubles().not_appended(explain(&error));
        }
        Err(match error {
            QueueError::TooLarge { .. } => ExportError::reject(explain(&error)),
            _ => ExportError::Retry { after: error.retry_after(), reason: explain(&error) },
        })
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

    /// Says that spans are lost; of many, a sum.
    pub(super) fn say_lost(&self, kind: &'static str, spans: usize, reason: &str, why: &str) {
        self.losses.lost(&self.name, kind, spans, &format!("{why}: {reason}"));
    }

    /// What the log has still to deliver.
    pub(super) fn left(&self) -> CursorStats {
        self.log.stats().cursors.into_iter().next().unwrap_or_default()
    }

    /// Brings figures and readiness up to date, and tells what was lost.
    pub(super) fn report(&self) {
        let stats = self.log.stats();
        for loss in self.metrics.observe(&figures(&stats, self.capacity)) {
            self.losses.lost_requests(&self.name, loss, why_lost(loss.reason));
        }
        self.say_health(&stats, Instant::now());
    }
}

/// Why the log lost requests, for a person.
fn why_lost(reason: &str) -> &'static str {
    match reason {
        "full" => "the queue was full, and the oldest made room (sending_queue.on_full: drop_oldest)",
        "expired" => "they were older than sending_queue.max_age",
        "damaged" => {
            "they were damaged on the disk; what is left of them is in `corrupt` in the queue's directory"
        }
        _ => "they could not be written before the end (sending_queue.ack: memory)",
    }
}

/// Why the log does not take a request, in one of a few fixed words.
fn label(error: &QueueError) -> &'static str {
    match error {
        QueueError::Full { .. } => "full",
        QueueError::Busy { .. } => "busy",
        QueueError::TooLarge { .. } => "too_large",
        QueueError::Closed => "closed",
        QueueError::DiskFull { .. } => "disk_full",
        _ => "write",
    }
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
        accepted_bytes: stats.appended_bytes,
        dropped_bytes: cursor.dropped_bytes,
        full_spans: cursor.dropped_weight.saturating_sub(cursor.expired_weight),
        expired_spans: cursor.expired_weight,
        unwritten_spans: stats.unwritten_weight,
        damaged_bytes: stats.damaged_bytes,
    }
}
