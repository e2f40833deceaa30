//! Between the job and the thread that speaks to MLflow: what is logged waits here, up to a bound.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::outcome::Outcome;
use crate::mlflow::entities::{Metric, Param, RunInfo, Tag};
use crate::tracking::spool::End;

/// What one entry costs beside its text.
const ENTRY: usize = 64;

/// What is shared by a run's handles and its worker.
#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// The queue is no longer empty.
    filled: Notify,
    /// Somebody waits for the worker.
    urgent: Notify,
    /// When the end was asked for.
    ending: watch::Sender<Option<Instant>>,
    pub(super) counts: Counts,
    /// The run, once MLflow has made it.
    pub(super) run: OnceLock<RunInfo>,
    /// The run's key in spool and MLflow.
    pub(super) key: String,
    max_bytes: usize,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) metrics: Vec<Metric>,
    pub(super) params: Vec<Param>,
    pub(super) tags: Vec<Tag>,
    pub(super) flushes: Vec<oneshot::Sender<Outcome>>,
    pub(super) end: Option<End>,
    bytes: usize,
    closed: bool,
}

/// What became of the entries so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) delivered: AtomicU64,
    pub(super) spooled: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl Counts {
    pub(super) fn outcome(&self) -> Outcome {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Outcome {
            delivered: read(&self.delivered),
            spooled: read(&self.spooled),
            dropped: read(&self.dropped),
            refused: read(&self.refused),
        }
    }
}

pub(super) fn add(count: &AtomicU64, number: usize) {
    count.fetch_add(number as u64, Ordering::Relaxed);
}

impl Shared {
    pub(super) fn new(key: String, max_bytes: usize) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            urgent: Notify::new(),
            ending: watch::Sender::new(None),
            counts: Counts::default(),
            run: OnceLock::new(),
            key,
            max_bytes,
        }
    }

    /// Adds a measurement; never waits for anything but another caller at the same line.
    pub(super) fn metric(&self, metric: Metric) {
        self.push(metric.key.len(), |queue| queue.metrics.push(metric));
    }

    pub(super) fn param(&self, param: Param) {
        self.push(param.key.len() + param.value.len(), |queue| queue.params.push(param));
    }

    pub(super) fn tag(&self, tag: Tag) {
        self.push(tag.key.len() + tag.value.len(), |queue| queue.tags.push(tag));
    }

    fn push(&self, text: usize, push: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        let was_empty = queue.bytes == 0;
        let bytes = queue.bytes + ENTRY + text;
        if queue.closed || bytes > self.max_bytes {
            drop(queue);
            return self.lose();
        }
        queue.bytes = bytes;
        push(&mut queue);
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
    }

    #[cold]
    fn lose(&self) {
        if self.counts.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(
                max_bytes = self.max_bytes,
                "what is logged to the run comes faster than MLflow takes it, or after its end: some is dropped"
            );
        }
    }

    /// Asks the worker to deliver everything.
    pub(super) fn flush(&self) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.lock();
        if !queue.closed {
            queue.flushes.push(sender);
        }
        drop(queue);
        self.urgent.notify_one();
        receiver
    }

    /// Ends the run: nothing can be logged any more. The first end counts.
    pub(super) fn end(&self, end: End) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.lock();
        if !queue.closed {
            queue.closed = true;
            queue.end = Some(end);
            queue.flushes.push(sender);
        }
        drop(queue);
        self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            ending.get_or_insert_with(Instant::now);
            first
        });
        self.urgent.notify_one();
        receiver
    }

    /// Takes everything, once there is something; gathers a little before, unless somebody waits.
    pub(super) async fn take(&self, gather: std::time::Duration) -> Queue {
        if self.lock().is_idle() {
            tokio::select! {
                () = self.filled.notified() => {}
                () = self.urgent.notified() => return self.take_now(),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(gather) => {}
            () = self.urgent.notified() => {}
        }
        self.take_now()
    }

    fn take_now(&self) -> Queue {
        let mut queue = self.lock();
        let closed = queue.closed;
        std::mem::replace(&mut *queue, Queue { closed, ..Queue::default() })
    }

    pub(super) fn ending(&self) -> watch::Receiver<Option<Instant>> {
        self.ending.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.bytes == 0 && self.flushes.is_empty() && self.end.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mlflow::entities::RunStatus;

    fn metric(step: i64) -> Metric {
        Metric { key: "m".to_owned(), value: 1.0, timestamp_ms: 1, step }
    }

    #[tokio::test]
    async fn what_is_over_the_bound_is_dropped_and_counted() {
        let shared = Shared::new("k".to_owned(), 3 * (ENTRY + 1));
        for step in 0..5 {
            shared.metric(metric(step));
        }
        let taken = shared.take(Duration::ZERO).await;
        assert_eq!(taken.metrics, (0..3).map(metric).collect::<Vec<_>>());
        assert_eq!(shared.counts.outcome().dropped, 2);
        shared.metric(metric(5));
        assert_eq!(shared.take(Duration::ZERO).await.metrics, [metric(5)]);
    }

    #[tokio::test]
    async fn after_the_end_nothing_is_taken_and_the_first_end_counts() {
        let shared = Shared::new("k".to_owned(), 1 << 20);
        shared.metric(metric(0));
        let _first = shared.end(End::new(RunStatus::Failed, 7));
        let second = shared.end(End::new(RunStatus::Finished, 8));
        shared.metric(metric(1));
        let taken = shared.take(Duration::from_secs(3600)).await;
        assert_eq!((taken.metrics.len(), taken.end), (1, Some(End::new(RunStatus::Failed, 7))));
        assert!(second.await.is_err());
        assert_eq!(shared.counts.outcome().dropped, 1);
    }

    #[tokio::test]
    async fn a_flush_does_not_wait_for_more() {
        let shared = Shared::new("k".to_owned(), 1 << 20);
        shared.metric(metric(0));
        let _outcome = shared.flush();
        let taken = shared.take(Duration::from_secs(3600)).await;
        assert_eq!((taken.metrics.len(), taken.flushes.len()), (1, 1));
    }
}
