use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{Recorder, guard, request_of, span, text};
use super::*;
use crate::otlp::model::Resource;
use crate::pipeline::{DeliveryFuture, MemoryAccount, ack_channel};
use crate::telemetry::Metrics;

fn config(config: serde_json::Value) -> BatchProcessorConfig {
    let config: BatchProcessorConfig = serde_json::from_value(config).unwrap();
    assert_eq!(config.validate(), []);
    config
}

fn start(settings: serde_json::Value) -> (Arc<Recorder>, Arc<dyn TraceExporter>) {
    let next = Recorder::new();
    let metrics = Metrics::default().processor("batch");
    let stage = config(settings).build(metrics, guard(), Arc::clone(&next) as Arc<dyn TraceExporter>);
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
    let first =
        config(json!({"timeout": "1h"})).build(Metrics::default().processor("first"), guard(), second);
    let delivery = give(&first, 1..3).await;
    first.shutdown().await;
    delivery.await.unwrap();
    assert_eq!(next.span_ids(), [vec![1, 2]]);
}

#[tokio::test]
async fn in_haste_nothing_waits_and_new_requests_are_still_taken() {
    let (next, stage) = start(json!({"timeout": "1h"}));
    let waiting = give(&stage, 1..2).await;
    stage.hurry();
    waiting.await.unwrap();
    give(&stage, 2..3).await.await.unwrap();
    assert_eq!(next.span_ids(), [[1], [2]]);
    assert_eq!((*next.hurried.lock().unwrap(), *next.stopped.lock().unwrap()), (true, false));
}

/// A next stage that never takes anything over.
struct Stuck(ComponentId);

impl TraceExporter for Stuck {
    fn id(&self) -> &ComponentId {
        &self.0
    }

    fn export(&self, _: Arc<TraceRequest>, _: Ack) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Scenario: a request of a large resource and many spans is cut, and the destination takes nothing.
/// Guarantees: the copies of the resource are made one after the other, as there is room for them.
#[tokio::test]
async fn a_request_is_cut_as_it_is_taken() {
    let limits = config(json!({"send_batch_size": 1, "send_batch_max_size": 1}));
    let next = Arc::new(Stuck(ComponentId::parse("stuck")));
    let stage = limits.build(Metrics::default().processor("batch"), guard(), next);
    let account = MemoryAccount::default();
    let mut request = request_of((0..250).map(|id| span(id, id, "chat")).collect());
    let attributes = vec![text("large", &"x".repeat(1 << 20))];
    request.body.resource_spans[0].resource = Some(Resource { attributes, ..Resource::default() });
    request.held = account.hold(footprint(&request.body));
    let before = account.used();
    let (ack, delivery) = ack_channel();
    let exporting = tokio::spawn(async move { stage.export(Arc::new(request), ack).await });
    // There is one thread: after so many turns all that can be done is done.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let copies = (account.used() - before) >> 20;
    assert!((WAITING..WAITING + 5).contains(&copies), "{copies}");
    exporting.abort();
    drop(delivery);
}

#[test]
fn limits_below_the_target_are_named() {
    let config: BatchProcessorConfig = serde_json::from_value(json!({"send_batch_max_size": 10})).unwrap();
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
