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

use super::acks::split;
use super::matching::Problem;
use super::parts::{Outlet, Part};
use crate::otlp::footprint;
use crate::otlp::pieces::{self, Piece};
use crate::pipeline::{Ack, ComponentId, RequestMetadata, TraceExporter, TraceRequest};
use crate::telemetry::ProcessorMetrics;
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
    pub fn build(&self, metrics: ProcessorMetrics, next: Arc<dyn TraceExporter>) -> Arc<dyn TraceExporter> {
        let (input, waiting) = mpsc::channel(WAITING);
        let outlet = Outlet::new(next);
        let batch = Batch::new(self.clone(), outlet.clone(), metrics.clone());
        let worker = tokio::spawn(batch.run(waiting));
        Arc::new(BatchProcessor {
            config: self.clone(),
            metrics,
            outlet,
            input: Mutex::new(Some(input)),
            worker: Mutex::new(Some(worker)),
        })
    }
}

struct BatchProcessor {
    config: BatchProcessorConfig,
    metrics: ProcessorMetrics,
    outlet: Outlet,
    input: Mutex<Option<mpsc::Sender<Part>>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl BatchProcessor {
    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        self.metrics.incoming(request.span_count());
        // A closed channel drops the shares, which asks the sender to try again.
        let Some(input) = self.input.lock().await.clone() else { return };
        for part in cut(request, ack, &self.config) {
            if input.send(part).await.is_err() {
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

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop())
    }
}

/// A request as parts that no batch is too small for.
fn cut(request: Arc<TraceRequest>, ack: Ack, config: &BatchProcessorConfig) -> Vec<Part> {
    let (max_spans, max_bytes) = (config.send_batch_max_size, config.send_batch_max_bytes);
    let spans = request.span_count();
    let is_small = |limit: usize, size: usize| limit == 0 || size <= limit;
    if is_small(max_spans, spans) && (max_bytes == 0 || is_small(max_bytes, request.body.encoded_len())) {
        return split(ack, &[spans])
            .into_iter()
            .map(|share| Part { request: Arc::clone(&request), share })
            .collect();
    }
    let places = pieces::places(&request.body);
    let max_bytes = if max_bytes == 0 { usize::MAX } else { max_bytes };
    let max_spans = if max_spans == 0 { usize::MAX } else { max_spans };
    let packed: Vec<Piece<'_>> = pieces::pack(&places, max_bytes).into_iter().flatten().collect();
    let packed: Vec<_> = packed.iter().flat_map(|piece| piece.chunks(max_spans)).collect();
    let counts: Vec<usize> = packed.iter().map(|piece| piece.len()).collect();
    let requests = packed.into_iter().map(|piece| {
        let body = pieces::request(piece);
        let metadata = RequestMetadata { bytes: body.encoded_len(), ..request.metadata.clone() };
        let held = request.held.more(footprint(&body));
        Arc::new(TraceRequest { body, encoded: None, metadata, held })
    });
    requests.zip(split(ack, &counts)).map(|(request, share)| Part { request, share }).collect()
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
}

impl Batch {
    fn new(config: BatchProcessorConfig, outlet: Outlet, metrics: ProcessorMetrics) -> Self {
        Self { config, outlet, metrics, parts: Vec::new(), spans: 0, bytes: 0, due: None }
    }

    async fn run(mut self, mut waiting: mpsc::Receiver<Part>) {
        loop {
            let received = match self.due {
                None => Some(waiting.recv().await),
                Some(due) => tokio::time::timeout_at(due, waiting.recv()).await.ok(),
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
        let is_over = |limit: usize, size: usize| limit != 0 && size > limit;
        if is_over(self.config.send_batch_max_size, self.spans + spans)
            || is_over(self.config.send_batch_max_bytes, self.bytes + bytes)
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
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{Recorder, request_of, span};
    use super::*;
    use crate::pipeline::{DeliveryFuture, ack_channel};
    use crate::telemetry::Metrics;

    fn config(config: serde_json::Value) -> BatchProcessorConfig {
        let config: BatchProcessorConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate(), []);
        config
    }

    fn start(settings: serde_json::Value) -> (Arc<Recorder>, Arc<dyn TraceExporter>) {
        let next = Recorder::new();
        let metrics = Metrics::default().processor("batch");
        let stage = config(settings).build(metrics, Arc::clone(&next) as Arc<dyn TraceExporter>);
        (next, stage)
    }

    async fn give(stage: &Arc<dyn TraceExporter>, ids: std::ops::Range<u8>) -> DeliveryFuture {
        let (ack, delivery) = ack_channel();
        let request = request_of(ids.map(|id| span(id, id, "chat")).collect());
        stage.export(Arc::new(request), ack).await;
        delivery
    }

    #[tokio::test]
    async fn a_batch_is_sent_when_it_is_full() {
        let (next, stage) = start(json!({"send_batch_size": 3, "timeout": "1h"}));
        let deliveries = [give(&stage, 1..2).await, give(&stage, 2..4).await];
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert_eq!(next.span_ids(), [vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_batch_is_sent_when_it_is_time() {
        for timeout in ["20ms", "0s"] {
            let (next, stage) = start(json!({"timeout": timeout}));
            give(&stage, 1..3).await.await.unwrap();
            assert_eq!(next.span_ids(), [vec![1, 2]]);
        }
    }

    #[tokio::test]
    async fn a_batch_is_sent_when_it_has_the_bytes() {
        let (next, stage) = start(json!({"send_batch_bytes": 100, "timeout": "1h"}));
        let first = give(&stage, 1..2).await;
        let second = give(&stage, 2..3).await;
        first.await.unwrap();
        second.await.unwrap();
        assert_eq!(next.span_ids(), [vec![1, 2]]);
    }

    #[tokio::test]
    async fn what_waits_is_sent_at_the_end() {
        let (next, stage) = start(json!({"timeout": "1h"}));
        let delivery = give(&stage, 1..3).await;
        stage.shutdown().await;
        delivery.await.unwrap();
        assert_eq!(next.span_ids(), [vec![1, 2]]);
        assert!(*next.stopped.lock().unwrap());
        assert!(give(&stage, 3..4).await.await.is_err());
    }

    #[tokio::test]
    async fn stages_that_wait_end_one_after_the_other() {
        let (next, second) = start(json!({"timeout": "1h"}));
        let first = config(json!({"timeout": "1h"})).build(Metrics::default().processor("first"), second);
        let delivery = give(&first, 1..3).await;
        first.shutdown().await;
        delivery.await.unwrap();
        assert_eq!(next.span_ids(), [vec![1, 2]]);
    }

    #[test]
    fn limits_below_the_target_are_named() {
        let config: BatchProcessorConfig =
            serde_json::from_value(json!({"send_batch_max_size": 10})).unwrap();
        assert_eq!(config.validate()[0].0, "send_batch_max_size");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Every span goes on once, no batch is above its limits, and every request is answered.
        #[test]
        fn batches_hold_every_span_once_and_keep_the_limits(
            sizes in proptest::collection::vec(1_u8..20, 1..12),
            max_spans in 5_usize..15,
            max_bytes in 300_usize..900,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let (next, expected) = runtime.block_on(async {
                let (next, stage) = start(json!({
                    "timeout": "2ms", "send_batch_size": 5, "send_batch_max_size": max_spans,
                    "send_batch_bytes": 300, "send_batch_max_bytes": max_bytes,
                }));
                let (mut id, mut deliveries) = (0, Vec::new());
                for size in sizes {
                    deliveries.push(give(&stage, id..id + size).await);
                    id += size;
                }
                for delivery in deliveries {
                    delivery.await.unwrap();
                }
                (next, (0..id).collect::<Vec<_>>())
            });
            let mut seen: Vec<u8> = next.span_ids().concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, expected);
            for request in next.taken() {
                prop_assert!(request.span_count() <= max_spans);
                prop_assert!(request.body.encoded_len() <= max_bytes);
            }
        }
    }
}
