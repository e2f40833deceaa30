//! When a queue says that it does not do its work.

use tokio::time::Instant;

use super::super::readiness::SILENCE;
use super::super::*;
use super::support::*;

fn reason(telemetry: &Telemetry) -> Option<String> {
    telemetry.health.report()[0].reason.clone()
}

fn look(queued: &QueuedExporter, now: Instant) {
    queued.shared.say_health(&queued.shared.log.stats(), now);
}

/// Scenario: the disk is full for a moment; who balances the load asks for readiness, and sends nothing meanwhile.
/// Guarantees: unready at once, and ready again without any request.
#[tokio::test]
async fn a_full_disk_is_over_when_it_takes_something_again() {
    let (queued, telemetry) = start(&Fake::good(), in_memory(), quick()).await;
    let source = Arc::new(std::io::Error::other("no space"));
    let refused = Err(QueueError::DiskFull { retry_after: Duration::from_secs(1), source });
    assert!(queued.shared.enqueued(refused, (1, 10)).is_err());
    let now = Instant::now();
    look(&queued, now);
    assert!(reason(&telemetry).unwrap().contains("no space"), "{:?}", reason(&telemetry));
    queued.shared.try_disk().await;
    look(&queued, now);
    assert_eq!(reason(&telemetry), None);
}

#[tokio::test]
async fn a_destination_with_which_nothing_is_tried_any_more_is_no_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::retry("down")));
    let retry = RetryOnFailure { enabled: false, ..quick() };
    let (queued, telemetry) = start(&inner, on_disk(directory.path()), retry).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    queued.shared.report();
    assert_eq!(reason(&telemetry), None);
}

#[tokio::test]
async fn a_destination_that_answers_nothing_is_not_ready() {
    let inner = Fake::new(|_| Answer::Hold);
    let (queued, telemetry) = start(&inner, in_memory(), quick()).await;
    accepted(&queued, &["a"]).await;
    until("it is with the destination", || inner.held() == 1).await;
    look(&queued, Instant::now() + SILENCE / 2);
    assert_eq!(reason(&telemetry), None);
    look(&queued, Instant::now() + SILENCE);
    assert!(reason(&telemetry).unwrap().contains("answered nothing"), "{:?}", reason(&telemetry));
    inner.release();
    until_empty(&queued).await;
    look(&queued, Instant::now() + SILENCE);
    assert_eq!(reason(&telemetry), None);
}

#[tokio::test]
async fn a_task_that_dies_is_counted_and_makes_the_process_unready() {
    let (queued, telemetry) = start(&Fake::good(), in_memory(), quick()).await;
    let shared = Arc::clone(&queued.shared);
    shared.watch_over("queue_delivery", async {}).await;
    assert!(telemetry.health.is_ready());
    let task =
        tokio::spawn(
            async move { shared.watch_over("queue_delivery", async { panic!("on purpose") }).await },
        );
    assert!(task.await.is_err());
    queued.shared.report();
    assert!(!telemetry.health.is_ready());
    let name = "tasks_died_total{component=\"fake/1\",reason=\"queue_delivery\"}";
    assert_eq!(metric(&telemetry, name), 1.0);
}

/// Scenario: the disk fails to give a part of the queue.
#[tokio::test]
async fn a_queue_that_cannot_be_read_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let queue = SendingQueueConfig { queue_size: 1 << 20, in_flight_size: 1, ..on_disk(directory.path()) };
    let (queued, telemetry) = start(&inner, queue, quick()).await;
    for name in ["a", "b", "c", "d", "e"] {
        send(&queued, request(name, 50_000)).await.unwrap();
    }
    until("the first is with the destination", || inner.held() == 1).await;
    let files = std::fs::read_dir(directory.path().join("traces/fake%2F1")).unwrap();
    let mut segments: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "segment"))
        .collect();
    segments.sort();
    // It can be opened and not read.
    std::fs::remove_file(&segments[1]).unwrap();
    std::fs::create_dir(&segments[1]).unwrap();
    inner.release();
    until("it says so", || {
        queued.shared.report();
        reason(&telemetry).is_some_and(|reason| reason.contains("failed to give a record"))
    })
    .await;
}
