//! What counts as an answer of the destination, and what of what stands before it.

use super::super::*;
use super::support::*;
use crate::pipeline::{Delivery, ack_channel};

fn down() -> Delivery {
    Err(ExportError::retry("down"))
}

/// A queue before a stage before a destination that takes nothing.
async fn start_down(directory: &Path) -> (Arc<Fake>, QueuedExporter, Telemetry) {
    let (inner, telemetry) = (Fake::saying(down()), Telemetry::default());
    let destination = Arc::clone(&inner) as Arc<dyn TraceExporter>;
    let chain = |watch: &Watch| Stage::before(watch.before(destination)) as Arc<dyn TraceExporter>;
    let queued = start_with(on_disk(directory), quick(), &telemetry, chain).await;
    (inner, queued, telemetry)
}

async fn down_with(queued: &QueuedExporter, name: &str) {
    accepted(queued, &[name]).await;
    until("the destination is known to be down", || queued.shared.gate.is_down()).await;
}

#[tokio::test]
async fn what_a_processor_drops_says_nothing_of_the_destination() {
    let directory = tempfile::tempdir().unwrap();
    let (_inner, queued, _) = start_down(directory.path()).await;
    down_with(&queued, "kept").await;
    let since = queued.shared.gate.trouble().unwrap().since;
    accepted(&queued, &["drop 1", "drop 2"]).await;
    until("those are dropped", || queued.shared.left().records == 1).await;
    assert!(queued.shared.gate.is_down());
    assert_eq!(queued.shared.gate.trouble().unwrap().since, since, "trouble has begun anew");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_says_nothing_of_the_destination() {
    let directory = tempfile::tempdir().unwrap();
    let (_inner, queued, _) = start_down(directory.path()).await;
    down_with(&queued, "kept").await;
    let body = bytes::Bytes::from_static(b"no spans");
    let undecodable = StoredRequest { spans: 1, metadata: Default::default(), body };
    let unreadable = bytes::Bytes::from_static(b"\x09of a later version");
    queued.shared.log.append(undecodable.encode()).await.unwrap();
    queued.shared.log.append(unreadable).await.unwrap();
    until("both are dead letters", || letters(&queued).len() == 2).await;
    assert!(queued.shared.gate.is_down());
}

/// Scenario: a processor holds a request back until more of its trace comes, while the destination is down.
/// Guarantees: the others find out that the destination is back, and are delivered.
#[tokio::test]
async fn a_request_that_a_processor_holds_back_is_not_the_one_that_finds_out() {
    let directory = tempfile::tempdir().unwrap();
    let (inner, queued, _) = start_down(directory.path()).await;
    down_with(&queued, "a").await;
    let waiting: Vec<String> = (0..40).map(|number| format!("wait {number}")).collect();
    accepted(&queued, &waiting.iter().map(String::as_str).collect::<Vec<_>>()).await;
    accepted(&queued, &["b", "c"]).await;
    inner.release();
    until("what the processor lets through is delivered", || queued.shared.left().records == 40).await;
    assert_eq!(inner.seen_once(), ["a", "b", "c"].map(str::to_owned).into());
}

/// Guarantees: the one request that finds out need not wait for others in the exporter.
#[tokio::test]
async fn the_one_that_finds_out_is_urgent() {
    let urgent = Arc::new(Mutex::new(Vec::new()));

    struct Down(ComponentId, Arc<Mutex<Vec<bool>>>);
    impl TraceExporter for Down {
        fn id(&self) -> &ComponentId {
            &self.0
        }
        fn export(&self, _: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
            self.1.lock().unwrap().push(ack.is_urgent());
            ack.complete(down());
            Box::pin(async {})
        }
        fn shutdown(&self) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    let exporter = Arc::new(Down(ComponentId::parse("fake/1"), Arc::clone(&urgent)));
    let telemetry = Telemetry::default();
    let queued = start_with(in_memory(), quick(), &telemetry, |watch| watch.before(exporter)).await;
    accepted(&queued, &["a"]).await;
    until("it was tried often", || urgent.lock().unwrap().len() > 6).await;
    let urgent = urgent.lock().unwrap().clone();
    assert_eq!(urgent[..5], [false, false, false, true, true], "{urgent:?}");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_closed_gate() {
    let directory = tempfile::tempdir().unwrap();
    let (_inner, queued, _) = start_down(directory.path()).await;
    down_with(&queued, "a").await;
    accepted(&queued, &["b", "c", "d"]).await;
    queued.shutdown().await;
    let (ack, delivery) = ack_channel();
    queued.shared.inner.export(request("late", 100), ack).await;
    assert!(
        matches!(delivery.await, Err(ExportError::Retry { .. })),
        "the gate lets nobody wait after a stop"
    );
}
