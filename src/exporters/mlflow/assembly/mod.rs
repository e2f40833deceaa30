//! Trace assembly: the spans of a trace wait for one another, and are written at once.
//!
//! ```text
//!                      ┌ the root has ended, and a grace is over ┐
//! request ─> gathered ─┤ nothing came for a while                ├─> pieces in order of arrival ─> one write
//!    ack held          └ no room, or the exporter stops          ┘                    acks used
//! ```
//!
//! Spans stay in the requests that they came in: each is mapped as if it had come alone, so the rows
//! are those that writing at once would have left. Nothing here is a promise: a request is acknowledged
//! when all of its spans are written, and what is in memory comes again from whoever sent it.

mod answer;
mod config;
mod gathered;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use config::TraceAssemblyConfig;
use gathered::{Due, Gathered};

use super::report::Reporter;
use crate::pipeline::{Ack, TraceRequest};

/// A request, or a part of one, and the ack for it.
pub(super) type Piece = (Arc<TraceRequest>, Ack);

/// Writes requests.
pub(super) trait Deliver: Send + Sync + 'static {
    /// Takes requests over, to be written together. Waits while the writer has no room.
    fn deliver(&self, pieces: Vec<Piece>) -> BoxFuture<'_, ()>;
}

/// Gathers traces before they are written.
pub(super) struct Assembly {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    gathered: Mutex<Gathered>,
    /// Held from the moment when traces are taken out until the writer has them, so that what is taken
    /// out first is written first.
    order: tokio::sync::Mutex<()>,
    /// A deadline has come that may be earlier than the others.
    changed: Notify,
    stop: CancellationToken,
    writer: Arc<dyn Deliver>,
    reporter: Reporter,
    longest_wait: Duration,
}

impl Assembly {
    /// Starts to gather, on the current runtime.
    pub(super) fn start(config: TraceAssemblyConfig, writer: Arc<dyn Deliver>, reporter: Reporter) -> Self {
        let shared = Arc::new(Shared {
            gathered: Mutex::new(Gathered::new(config)),
            order: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            stop: CancellationToken::new(),
            writer,
            reporter,
            longest_wait: config.max_wait,
        });
        let task = tokio::spawn(Arc::clone(&shared).run());
        Self { shared, task: Mutex::new(Some(task)) }
    }

    /// How long a request may wait here.
    pub(super) fn longest_wait(&self) -> Duration {
        self.shared.longest_wait
    }

    /// Takes a request over. Where there is no room for it, older ones are written first, and the caller
    /// waits until the writer has taken them.
    pub(super) async fn add(&self, request: Arc<TraceRequest>, ack: Ack) {
        let at_once = self.shared.gathered().add(request, ack, Instant::now());
        self.shared.changed.notify_one();
        if let Some(piece) = at_once {
            let _order = self.shared.order.lock().await;
            self.shared.writer.deliver(vec![piece]).await;
        }
        if self.shared.gathered().is_full() {
            let _order = self.shared.order.lock().await;
            let early = self.shared.gathered().make_room();
            self.shared.write(early).await;
        } else {
            self.shared.tell_size();
        }
    }

    /// Writes what is gathered; what comes from now on does not wait.
    pub(super) fn hurry(&self) {
        self.shared.stop.cancel();
    }

    /// Writes what is gathered. Returns when the writer has taken it.
    pub(super) async fn shutdown(&self) {
        self.hurry();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "trace assembly stopped before everything was written");
        }
    }
}

impl Drop for Assembly {
    fn drop(&mut self) {
        self.hurry();
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        let alive = self.reporter.task("trace_assembly");
        loop {
            let next = self.gathered().next_deadline();
            let deadline = async {
                match next {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.changed.notified() => continue,
                () = deadline => {}
            }
            self.write_guarded(|gathered| gathered.take_due(Instant::now())).await;
        }
        self.write_guarded(Gathered::close).await;
        alive.finished();
    }

    /// Takes traces out and writes them. A panic over them costs their acks, so that they come again,
    /// and not the task.
    async fn write_guarded(self: &Arc<Self>, take: impl FnOnce(&mut Gathered) -> Due) {
        let _order = self.order.lock().await;
        let due = take(&mut self.gathered());
        let shared = Arc::clone(self);
        if let Err(error) = tokio::spawn(async move { shared.write(due).await }).await {
            tracing::error!(%error, "gathered traces could not be written; they were not acknowledged");
        }
    }

    async fn write(&self, due: Due) {
        for (_, reason) in &due.traces {
            self.reporter.metrics.assembled_trace(reason.as_str());
        }
        self.tell_size();
        if !due.pieces.is_empty() {
            self.writer.deliver(due.pieces).await;
        }
    }

    fn tell_size(&self) {
        let (traces, bytes) = self.gathered().size();
        self.reporter.metrics.gathered(traces, bytes);
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
