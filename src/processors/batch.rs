//! `processors.batch`: makes larger requests of small ones, by count, by bytes and by time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use prost::Message as _;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::acks::split;
use super::matching::Problem;
use super::parts::{Outlet, Part};
use crate::otlp::footprint;
use crate::otlp::pieces::{self, Piece, Place};
use crate::pipeline::{Ack, ComponentId, RequestMetadata, TraceExporter, TraceRequest};
use crate::telemetry::{ProcessorMetrics, TaskGuard};
use crate::units;

/// Parts that may wait for the batch; more wait outside, holding their senders back.
const WAITING: usize = 64;

/// Makes larger requests of small ones. A sender hears of its request when all of it is delivered.
/// Requests of other metadata, such as another experiment, are never joined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchProcessorConfig {
    /// The longest time that a span waits for others; 0 sends everything at once.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Spans after which a batch is sent.
    pub send_batch_size: usize,
    /// The most spans of a batch; what is larger is cut. 0 is no limit.
    pub send_batch_max_size: usize,
    /// Bytes after which a batch is sent.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub send_batch_bytes: usize,
    /// The most bytes of a batch as protobuf, but for a single span that is larger; what is larger is cut.
    /// 0 is no limit.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub send_batch_max_bytes: usize,
}

impl Default for BatchProcessorConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(200),
            send_batch_size: 8_192,
            send_batch_max_size: 0,
            send_batch_bytes: 8 << 20,
            send_batch_max_bytes: 0,
        }
    }
}

impl BatchProcessorConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, target, limit) in [
            ("send_batch_max_size", self.send_batch_size, self.send_batch_max_size),
            ("send_batch_max_bytes", self.send_batch_bytes, self.send_batch_max_bytes),
        ] {
            if limit != 0 && limit < target {
                let message =
                    format!("must be at least {target}, the size after which a batch is sent, or 0");
                problems.push((key.to_owned(), message));
            }
        }
        problems
    }

    /// The processor, before the next stage; starts its task on the current runtime.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        guard: TaskGuard,
        next: Arc<dyn TraceExporter>,
    ) -> Arc<dyn TraceExporter> {
        let (input, waiting) = mpsc::channel(WAITING);
        let (outlet, hurried) = (Outlet::new(next), CancellationToken::new());
        let batch = Batch::new(self.clone(), outlet.clone(), metrics.clone(), hurried.clone());
        let worker = tokio::spawn(async move {
            batch.run(waiting).await;
            guard.finished();
        });
        Arc::new(BatchProcessor {
            config: self.clone(),
            metrics,
            outlet,
            hurried,
            input: Mutex::new(Some(input)),
            worker: Mutex::new(Some(worker)),
        })
    }
}

struct BatchProcessor {
    config: BatchProcessorConfig,
    metrics: ProcessorMetrics,
    outlet: Outlet,
    /// Cancelled when nothing is to wait any longer.
    hurried: CancellationToken,
    input: Mutex<Option<mpsc::Sender<Part>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl BatchProcessor {
    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        self.metrics.incoming(request.span_count());
        // A closed channel drops the shares, which asks the sender to try again.
        let Some(input) = self.input.lock().await.clone() else { return };
        let (max_spans, max_bytes) = (self.config.send_batch_max_size, self.config.send_batch_max_bytes);
        let spans = request.span_count();
        if is_within(max_spans, spans) && (max_bytes == 0 || is_within(max_bytes, request.body.encoded_len()))
        {
            if let Some(share) = split(ack, &[spans]).pop() {
                // A share that comes back from a closed channel is dropped, too.
                let _ = input.send(Part { request, share }).await;
            }
            return;
        }
        let places = pieces::places(&request.body);
        let packed = cut(&places, max_spans, max_bytes);
        let counts: Vec<usize> = packed.iter().map(Vec::len).collect();
        // One after the other, as each has its own copy of what may be a large resource.
        for (piece, share) in packed.iter().zip(split(ack, &counts)) {
            if input.send(Part { request: of_piece(&request, piece), share }).await.is_err() {
                return;
            }
        }
    }

    async fn stop(&self) {
        self.input.lock().await.take();
        if let Some(worker) = self.worker.lock().await.take()
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "a batch processor stopped before all was sent");
        }
        self.outlet.shutdown().await;
    }
}

impl TraceExporter for BatchProcessor {
    fn id(&self) -> &ComponentId {
        self.outlet.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.take(request, ack))
    }

    fn hurry(&self) {
        self.hurried.cancel();
        self.outlet.next.hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop())
    }
}

/// Pieces that no batch is too small for; a limit of 0 is none.
fn cut<'a>(places: &[Place<'a>], max_spans: usize, max_bytes: usize) -> Vec<Piece<'a>> {
    let limit = |limit: usize| if limit == 0 { usize::MAX } else { limit };
    let packed = pieces::pack(places, limit(max_bytes)).into_iter().flatten();
    packed.flat_map(|piece| piece.chunks(limit(max_spans)).map(<[_]>::to_vec).collect::<Vec<_>>()).collect()
}

/// A piece of a request as a request.
fn of_piece(request: &TraceRequest, piece: &[Place<'_>]) -> Arc<TraceRequest> {
    let body = pieces::request(piece);
    let metadata = RequestMetadata { bytes: body.encoded_len(), ..request.metadata.clone() };
    let held = request.held.more(footprint(&body));
    Arc::new(TraceRequest { body, encoded: None, metadata, held })
}

/// A limit of 0 is none.
fn is_within(limit: usize, size: usize) -> bool {
    limit == 0 || size <= limit
}

/// The batch that is being filled.
struct Batch {
    config: BatchProcessorConfig,
    outlet: Outlet,
    metrics: ProcessorMetrics,
    parts: Vec<Part>,
    spans: usize,
    bytes: usize,
    due: Option<Instant>,
    hurried: CancellationToken,
}

impl Batch {
    fn new(
        config: BatchProcessorConfig,
        outlet: Outlet,
        metrics: ProcessorMetrics,
        hurried: CancellationToken,
    ) -> Self {
        Self { config, outlet, metrics, parts: Vec::new(), spans: 0, bytes: 0, due: None, hurried }
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Part>) {
        loop {
            let time_is_up = async {
                match self.due {
                    None => std::future::pending().await,
                    Some(due) => {
                        let _ = self.hurried.run_until_cancelled(tokio::time::sleep_until(due)).await;
                    }
                }
            };
            // In haste, what is there already still becomes one batch.
            let received = tokio::select! {
                biased;
                part = waiting.recv() => Some(part),
                () = time_is_up => None,
            };
            match received {
                Some(Some(part)) => self.add(part).await,
                Some(None) => break self.flush(false).await,
                None => self.flush(false).await,
            }
        }
    }

    async fn add(&mut self, part: Part) {
        let (spans, bytes) = (part.share.spans(), size(&part.request));
        if !is_within(self.config.send_batch_max_size, self.spans + spans)
            || !is_within(self.config.send_batch_max_bytes, self.bytes + bytes)
        {
            self.flush(true).await;
        }
        self.parts.push(part);
        self.spans += spans;
        self.bytes += bytes;
        if self.spans >= self.config.send_batch_size || self.bytes >= self.config.send_batch_bytes {
            self.flush(true).await;
        } else if self.config.timeout.is_zero() {
            self.flush(false).await;
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + self.config.timeout);
        }
    }

    async fn flush(&mut self, is_full: bool) {
        self.due = None;
        (self.spans, self.bytes) = (0, 0);
        let parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            return;
        }
        self.metrics.batch_sent(is_full);
        self.metrics.outgoing(parts.iter().map(|part| part.share.spans()).sum());
        self.outlet.send(parts).await;
    }
}

/// The bytes of a request as protobuf.
fn size(request: &TraceRequest) -> usize {
    request.encoded.as_ref().map_or_else(|| request.body.encoded_len(), |bytes| bytes.len())
}

#[cfg(test)]
mod tests;
