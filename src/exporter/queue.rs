//! What waits to be written, bounded; and the count of what became of every span.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::sync::{Notify, oneshot, watch};

use super::report::Report;
use crate::otlp::model::ResourceSpans;

/// How much may wait, writes under way included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) spans: usize,
    pub(super) bytes: usize,
}

/// What became of the spans that an exporter was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanCounts {
    /// Spans that MLflow holds.
    pub written: u64,
    /// Spans that MLflow cannot hold, each for a reason of its own.
    pub refused: u64,
    /// Spans that could not be written in time, or for which there was no room.
    pub lost: u64,
    /// Spans that wait to be written.
    pub waiting: u64,
}

/// Some spans on their way.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) spans: Vec<ResourceSpans>,
    pub(super) count: usize,
    pub(super) bytes: usize,
    /// Who wants to hear what became of them.
    pub(super) waiters: Vec<oneshot::Sender<OTelSdkResult>>,
}

impl Parcel {
    /// Tells everybody who waits.
    pub(super) fn answer(&mut self, mut outcome: impl FnMut() -> OTelSdkResult) {
        for waiter in self.waiters.drain(..) {
            // Who does not wait any longer need not know.
            let _ = waiter.send(outcome());
        }
    }

    fn join(&mut self, other: Self) {
        self.spans.extend(other.spans);
        self.count += other.count;
        self.bytes += other.bytes;
        self.waiters.extend(other.waiters);
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Parcel>,
    /// Of all that waits or is being written.
    spans: usize,
    bytes: usize,
    counts: SpanCounts,
    /// Why the destination cannot be reached, while it cannot.
    failing: Option<String>,
    /// No worker will take what is put in.
    stopped: bool,
    report: Report,
}

/// The queue, shared by the exporter, its worker and its monitors.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    /// How much is written at once.
    batch: Limits,
    silent: bool,
    state: Mutex<State>,
    settled: Condvar,
    arrived: Notify,
    /// Until when the worker may go on; none while there is no end in sight.
    closing: watch::Sender<Option<Instant>>,
}

impl Queue {
    pub(super) fn new(limits: Limits, batch: Limits, silent: bool) -> Arc<Self> {
        Arc::new(Self {
            limits,
            batch,
            silent,
            state: Mutex::default(),
            settled: Condvar::new(),
            arrived: Notify::new(),
            closing: watch::channel(None).0,
        })
    }

    /// Puts spans in; never waits. The receiver hears what became of them.
    ///
    /// # Errors
    ///
    /// The queue is full or closed, and the spans are lost, counted; or the destination cannot be
    /// reached at the moment, and they wait.
    pub(super) fn put(
        &self,
        spans: ResourceSpans,
        count: usize,
        bytes: usize,
    ) -> Result<oneshot::Receiver<OTelSdkResult>, OTelSdkError> {
        let mut state = self.state();
        if state.stopped || self.closing.borrow().is_some() {
            self.lose(state, count, "the exporter has been shut down");
            return Err(OTelSdkError::AlreadyShutdown);
        }
        if state.spans + count > self.limits.spans || state.bytes + bytes > self.limits.bytes {
            let reason = state.failing.clone();
            let reason = reason.as_deref().unwrap_or("MLflow takes spans more slowly than they come");
            let message = format!("the queue is full: {reason}");
            self.lose(state, count, &message);
            return Err(OTelSdkError::InternalFailure(message));
        }
        let (waiter, outcome) = oneshot::channel();
        state.spans += count;
        state.bytes += bytes;
        let failing = state.failing.clone();
        // While nothing can be written, nobody is made to wait for it.
        let waiters = if failing.is_none() { vec![waiter] } else { Vec::new() };
        state.waiting.push_back(Parcel { spans: vec![spans], count, bytes, waiters });
        drop(state);
        self.arrived.notify_one();
        match failing {
            None => Ok(outcome),
            Some(reason) => Err(OTelSdkError::InternalFailure(format!("the spans wait: {reason}"))),
        }
    }

    /// What is to be written next, as much as makes a batch; none when the queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Parcel> {
        let mut closing = self.closing.subscribe();
        loop {
            if let Some(parcel) = self.take_now() {
                return Some(parcel);
            }
            if closing.borrow_and_update().is_some() {
                return None;
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                _ = closing.changed() => {}
            }
        }
    }

    fn take_now(&self) -> Option<Parcel> {
        let mut state = self.state();
        let mut batch = state.waiting.pop_front()?;
        while let Some(next) = state.waiting.front() {
            if batch.count + next.count > self.batch.spans || batch.bytes + next.bytes > self.batch.bytes {
                break;
            }
            if let Some(next) = state.waiting.pop_front() {
                batch.join(next);
            }
        }
        Some(batch)
    }

    /// A parcel was written, but for some of its spans.
    pub(super) fn written(&self, mut parcel: Parcel, refused: usize, reason: Option<&str>) {
        let mut state = self.release(&parcel);
        state.counts.written += parcel.count.saturating_sub(refused) as u64;
        state.counts.refused += refused as u64;
        let recovered = state.failing.take().is_some();
        let line = state.report.refused(refused, reason);
        self.settle(state);
        if recovered && !self.silent {
            tracing::info!("spans are written to MLflow again");
        }
        self.say(line);
        parcel.answer(|| match (refused, reason) {
            (0, _) => Ok(()),
            (_, reason) => Err(OTelSdkError::InternalFailure(format!(
                "{refused} spans were refused: {}",
                reason.unwrap_or("no reason given")
            ))),
        });
    }

    /// A parcel will never be written.
    pub(super) fn lost(&self, mut parcel: Parcel, reason: &str) {
        let state = self.release(&parcel);
        self.lose(state, parcel.count, reason);
        parcel.answer(|| Err(OTelSdkError::InternalFailure(reason.to_owned())));
    }

    /// Writing does not succeed at the moment; it is tried again.
    pub(super) fn failing(&self, reason: &str) {
        let mut state = self.state();
        state.failing = Some(reason.to_owned());
        let waiting = state.spans;
        let line = state.report.failing(waiting, reason);
        // New parcels are told by `put`; the ones that wait already must not wait for the end of the trouble.
        for parcel in &mut state.waiting {
            parcel.answer(|| Err(OTelSdkError::InternalFailure(format!("the spans wait: {reason}"))));
        }
        drop(state);
        self.say(line);
    }

    /// Everything that still waits is lost; there is no worker any more.
    pub(super) fn stop(&self, reason: &str) {
        let left: Vec<_> = self.state().waiting.drain(..).collect();
        for parcel in left {
            self.lost(parcel, reason);
        }
        let mut state = self.state();
        state.stopped = true;
        let line = state.report.rest();
        self.settle(state);
        self.say(line);
    }

    /// Takes no more, and lets the worker go on until `deadline`.
    pub(super) fn close(&self, deadline: Instant) {
        self.closing.send_replace(Some(deadline));
    }

    /// Resolves at the deadline of [`close`](Self::close).
    pub(super) async fn deadline(&self) {
        let mut closing = self.closing.subscribe();
        loop {
            let deadline = *closing.borrow_and_update();
            if let Some(deadline) = deadline {
                return tokio::time::sleep_until(deadline.into()).await;
            }
            if closing.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Resolves when the queue is being closed.
    pub(super) async fn closed(&self) {
        // The sender lives as long as this.
        let _ = self.closing.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until nothing waits any more; says whether that was in time.
    pub(super) fn wait_empty(&self, deadline: Instant) -> bool {
        self.wait(deadline, |state| state.spans == 0)
    }

    /// Waits until the worker has ended; says whether that was in time.
    pub(super) fn wait_stopped(&self, deadline: Instant) -> bool {
        self.wait(deadline, |state| state.stopped)
    }

    fn wait(&self, deadline: Instant, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state();
        loop {
            if done(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            let waited = self.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn counts(&self) -> SpanCounts {
        let state = self.state();
        SpanCounts { waiting: state.spans as u64, ..state.counts }
    }

    fn release(&self, parcel: &Parcel) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.spans = state.spans.saturating_sub(parcel.count);
        state.bytes = state.bytes.saturating_sub(parcel.bytes);
        state
    }

    fn lose(&self, mut state: MutexGuard<'_, State>, spans: usize, reason: &str) {
        state.counts.lost += spans as u64;
        let line = state.report.lost(spans, reason);
        self.settle(state);
        self.say(line);
    }

    fn settle(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.settled.notify_all();
    }

    /// Writes a line to the log; never with the lock held, as a subscriber may do anything.
    fn say(&self, line: Option<String>) {
        if let Some(line) = line.filter(|_| !self.silent) {
            tracing::warn!("{line}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(spans: usize) -> Arc<Queue> {
        let limits = Limits { spans, bytes: 1_000 };
        Queue::new(limits, Limits { spans: 4, bytes: 1_000 }, false)
    }

    fn put(queue: &Queue, count: usize) -> Result<oneshot::Receiver<OTelSdkResult>, OTelSdkError> {
        queue.put(ResourceSpans::default(), count, 10)
    }

    #[tokio::test]
    async fn what_waits_is_taken_together_up_to_a_batch() {
        let queue = queue(100);
        let first = put(&queue, 2).unwrap();
        put(&queue, 2).unwrap();
        put(&queue, 3).unwrap();
        let batch = queue.take().await.unwrap();
        assert_eq!((batch.count, batch.spans.len(), batch.bytes), (4, 2, 20));
        queue.written(batch, 1, Some("bad id"));
        assert!(first.await.unwrap().unwrap_err().to_string().contains("bad id"));
        let expected = SpanCounts { written: 3, refused: 1, lost: 0, waiting: 3 };
        assert_eq!(queue.counts(), expected);
    }

    #[tokio::test]
    async fn a_full_queue_counts_what_it_cannot_take() {
        let queue = queue(3);
        put(&queue, 3).unwrap();
        assert!(put(&queue, 1).is_err());
        assert_eq!(queue.counts(), SpanCounts { lost: 1, waiting: 3, ..SpanCounts::default() });
        let taken = queue.take().await.unwrap();
        assert!(put(&queue, 1).is_err(), "what is being written counts, too");
        queue.written(taken, 0, None);
        assert!(put(&queue, 1).is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_while_the_destination_fails_and_recovery_is_noticed() {
        let queue = queue(10);
        let taken_late = put(&queue, 1).unwrap();
        queue.failing("connection refused");
        assert!(taken_late.await.unwrap().is_err());
        assert!(put(&queue, 1).unwrap_err().to_string().contains("connection refused"));
        assert_eq!(queue.counts().waiting, 2, "both are kept");
        let batch = queue.take().await.unwrap();
        queue.written(batch, 0, None);
        assert!(put(&queue, 1).is_ok());
    }

    #[tokio::test]
    async fn a_closed_queue_gives_out_the_rest_and_then_ends() {
        let queue = queue(10);
        put(&queue, 1).unwrap();
        queue.close(Instant::now());
        assert!(matches!(put(&queue, 1), Err(OTelSdkError::AlreadyShutdown)));
        let rest = queue.take().await.unwrap();
        assert!(queue.take().await.is_none());
        queue.lost(rest, "too late");
        queue.stop("too late");
        assert!(queue.wait_stopped(Instant::now()) && queue.wait_empty(Instant::now()));
        assert_eq!(queue.counts().lost, 2);
    }
}
