//! Group commit: whatever is waiting when the writer is free becomes one write.
//!
//! No timer delays a lone request, and a hundred waiting ones share a transaction. An item's
//! [`Ack`] is used after its batch is written, so a queue here is never a promise that was given.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};

use crate::pipeline::{Ack, Delivery, ExportError, TraceRequest};
use crate::telemetry::TaskGuard;

/// Where batches go.
pub(super) trait BatchSink: Send + Sync + 'static {
    /// What one request contributes.
    type Item: Send + 'static;

    /// Weight of an item, counted against [`BatchLimits`].
    fn weight(item: &Self::Item) -> Weight;

    /// Writes a batch. Answers for each item, in the order of the items. The next batch is made once `turn` is
    /// dropped, which may be before this one is written.
    fn write(&self, items: Vec<Self::Item>, turn: Turn) -> BoxFuture<'_, Vec<Delivery>>;
}

/// The right to make a batch.
pub(super) struct Turn {
    _writer: OwnedSemaphorePermit,
}

/// Size of an item or a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Number of spans.
    pub(super) spans: usize,
    /// Bytes of their content.
    pub(super) bytes: usize,
}

impl Weight {
    /// Weight of a request.
    pub(super) fn of(request: &TraceRequest) -> Self {
        Self { spans: request.span_count(), bytes: request.metadata.bytes }
    }

    /// Weight of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { spans: self.spans + other.spans, bytes: self.bytes + other.bytes }
    }
}

/// How much a batch, and the queue before it, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchLimits {
    /// A batch is closed when it holds this many spans or bytes. A single larger item still goes.
    pub(super) batch: Weight,
    /// Bytes that may wait; who submits more waits outside with it, and its sender is held back.
    pub(super) waiting_bytes: usize,
    /// Batches that have their turn at the same time.
    pub(super) writers: usize,
}

/// Requests that may wait, however small they are.
const WAITING: usize = 4_096;

/// Items that go into the same batch.
type Items<T> = Vec<(T, Ack)>;

/// Items in the queue, and their part of its room.
struct Waiting<T> {
    items: Items<T>,
    _room: OwnedSemaphorePermit,
}

/// A bounded queue with writers behind it.
pub(super) struct Batcher<S: BatchSink> {
    queue: Mutex<Option<mpsc::Sender<Waiting<S::Item>>>>,
    room: Arc<Semaphore>,
    /// All of the room, which is enough for whatever is larger.
    capacity: u32,
    writer: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl<S: BatchSink> Batcher<S> {
    /// Starts the writers on the current runtime; `alive` tells if they die.
    pub(super) fn start(sink: Arc<S>, limits: BatchLimits, alive: Option<TaskGuard>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let capacity =
            u32::try_from(limits.waiting_bytes.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let writer = tokio::spawn(async move {
            write_batches(sink, receiver, limits).await;
            if let Some(alive) = alive {
                alive.finished();
            }
        });
        Self {
            queue: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            writer: Mutex::new(Some(writer)),
        }
    }

    /// Queues items that are written in one batch; waits while the queue is full.
    pub(super) async fn submit(&self, items: Items<S::Item>) {
        if items.is_empty() {
            return;
        }
        let queue = self.queue.lock().await.clone();
        let bytes = u32::try_from(total::<S>(&items).bytes).unwrap_or(u32::MAX).min(self.capacity);
        // The room is never closed.
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok();
        match queue.zip(room) {
            // A closed channel drops the acks, which asks the senders to retry.
            Some((queue, _room)) => drop(queue.send(Waiting { items, _room }).await),
            None => {
                for (_, ack) in items {
                    ack.complete(Err(ExportError::retry("the exporter is shutting down")));
                }
            }
        }
    }

    /// Writes what is queued, then stops.
    pub(super) async fn shutdown(&self) {
        self.queue.lock().await.take();
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "a writer stopped before its queue was empty");
        }
    }
}

async fn write_batches<S: BatchSink>(
    sink: Arc<S>,
    mut queue: mpsc::Receiver<Waiting<S::Item>>,
    limits: BatchLimits,
) {
    let free_writers = Arc::new(Semaphore::new(limits.writers.max(1)));
    let mut writing = JoinSet::new();
    let mut held_over = None;
    loop {
        // The writer first, then the batch: while all writers are busy, the batch grows.
        let Ok(writer) = Arc::clone(&free_writers).acquire_owned().await else { break };
        let first = match held_over.take() {
            Some(waiting) => waiting,
            None => match queue.recv().await {
                Some(waiting) => waiting,
                None => break,
            },
        };
        let batch = fill(first, &mut queue, &mut held_over, limits.batch, total::<S>);
        writing.spawn(write_one(Arc::clone(&sink), batch, Turn { _writer: writer }));
        while let Some(done) = writing.try_join_next() {
            note(done);
        }
    }
    while let Some(done) = writing.join_next().await {
        note(done);
    }
}

/// A write that panicked has dropped its acks, so its senders try again.
fn note(done: Result<(), JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "a write panicked; its requests were not acknowledged");
    }
}

/// Takes what is waiting, up to the limit; the item that would exceed it starts the next batch.
fn fill<T>(
    first: Waiting<T>,
    queue: &mut mpsc::Receiver<Waiting<T>>,
    held_over: &mut Option<Waiting<T>>,
    limit: Weight,
    weight: fn(&[(T, Ack)]) -> Weight,
) -> Items<T> {
    let mut total = weight(&first.items);
    let mut batch = first.items;
    while let Ok(next) = queue.try_recv() {
        total = total.plus(weight(&next.items));
        if total.spans > limit.spans || total.bytes > limit.bytes {
            *held_over = Some(next);
            break;
        }
        batch.extend(next.items);
    }
    batch
}

/// Weight of items that go together.
fn total<S: BatchSink>(items: &[(S::Item, Ack)]) -> Weight {
    items.iter().fold(Weight::default(), |total, (item, _)| total.plus(S::weight(item)))
}

async fn write_one<S: BatchSink>(sink: Arc<S>, batch: Items<S::Item>, turn: Turn) {
    let (items, acks): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
    let deliveries = sink.write(items, turn).await;
    for (ack, delivery) in acks.into_iter().zip(deliveries) {
        ack.complete(delivery);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use tokio::sync::Notify;

    use super::*;
    use crate::pipeline::{Delivered, ack_channel};

    /// Records batch sizes; the first write waits until it is released.
    #[derive(Default)]
    struct Recorder {
        batches: StdMutex<Vec<Vec<usize>>>,
        release: Notify,
        started: Notify,
    }

    impl BatchSink for Recorder {
        type Item = usize;

        fn weight(item: &usize) -> Weight {
            Weight { spans: *item, bytes: *item }
        }

        fn write(&self, items: Vec<usize>, turn: Turn) -> BoxFuture<'_, Vec<Delivery>> {
            Box::pin(async move {
                let _turn = turn;
                let first = self.batches.lock().unwrap().is_empty();
                self.batches.lock().unwrap().push(items.clone());
                self.started.notify_one();
                if first {
                    self.release.notified().await;
                }
                items.iter().map(|_| Ok(Delivered::default())).collect()
            })
        }
    }

    fn limits(spans: usize) -> BatchLimits {
        BatchLimits { batch: Weight { spans, bytes: usize::MAX }, waiting_bytes: 100, writers: 1 }
    }

    #[tokio::test]
    async fn items_that_wait_for_the_writer_share_a_batch() {
        let sink = Arc::new(Recorder::default());
        let batcher = Batcher::start(Arc::clone(&sink), limits(10), None);
        let mut deliveries = Vec::new();
        for item in [1, 2, 3, 4, 5] {
            let (ack, delivery) = ack_channel();
            batcher.submit(vec![(item, ack)]).await;
            deliveries.push(delivery);
            if item == 1 {
                sink.started.notified().await;
            }
        }
        sink.release.notify_one();
        for delivery in deliveries {
            assert_eq!(delivery.await, Ok(Delivered::default()));
        }
        assert_eq!(*sink.batches.lock().unwrap(), vec![vec![1], vec![2, 3, 4], vec![5]]);
    }

    #[tokio::test]
    async fn what_is_submitted_together_is_written_together() {
        let sink = Arc::new(Recorder::default());
        sink.release.notify_one();
        let batcher = Batcher::start(Arc::clone(&sink), limits(3), None);
        let (acks, deliveries): (Vec<_>, Vec<_>) = (0..3).map(|_| ack_channel()).unzip();
        batcher.submit([2, 3, 4].into_iter().zip(acks).collect()).await;
        for delivery in deliveries {
            assert_eq!(delivery.await, Ok(Delivered::default()));
        }
        assert_eq!(*sink.batches.lock().unwrap(), vec![vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn who_submits_more_than_may_wait_waits_outside() {
        let sink = Arc::new(Recorder::default());
        let batcher = Batcher::start(Arc::clone(&sink), limits(1), None);
        let submit = |spans| {
            let (ack, delivery) = ack_channel();
            (batcher.submit(vec![(spans, ack)]), delivery)
        };
        // The first is being written, the second waits to be, and the third takes most of the room.
        for spans in [1, 1, 60] {
            submit(spans).0.await;
            if spans == 1 && sink.batches.lock().unwrap().is_empty() {
                sink.started.notified().await;
            }
        }
        let (more, delivery) = submit(60);
        let mut more = std::pin::pin!(more);
        assert!(futures_util::poll!(&mut more).is_pending());
        sink.release.notify_one();
        more.await;
        assert_eq!(delivery.await, Ok(Delivered::default()));
    }

    #[tokio::test]
    async fn shutdown_writes_what_is_queued_and_refuses_what_comes_later() {
        let sink = Arc::new(Recorder::default());
        sink.release.notify_one();
        let batcher = Batcher::start(Arc::clone(&sink), limits(1), None);
        let (ack, queued) = ack_channel();
        batcher.submit(vec![(7, ack)]).await;
        batcher.shutdown().await;
        assert_eq!(queued.await, Ok(Delivered::default()));
        let (ack, late) = ack_channel();
        batcher.submit(vec![(8, ack)]).await;
        assert!(matches!(late.await, Err(ExportError::Retry { .. })));
    }
}
