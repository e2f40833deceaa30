//! What the end of a process leaves, and what the next one makes of it.

use super::super::*;
use super::support::*;

#[tokio::test]
async fn what_is_not_delivered_at_the_end_is_delivered_after_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let down = Fake::saying(Err(ExportError::retry("down")));
    let (queued, _) = start(&down, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["a", "b", "c", "d"]).await;
    until("the destination is known to be down", || queued.shared.gate.is_down()).await;
    queued.shutdown().await;
    let after = send(&queued, request("late", 100)).await;
    assert!(matches!(after, Err(ExportError::Retry { .. })), "{after:?}");

    let good = Fake::good();
    let (again, _) = start(&good, on_disk(directory.path()), quick()).await;
    until_empty(&again).await;
    assert_eq!(good.seen_once(), ["a", "b", "c", "d"].map(str::to_owned).into());
    again.shutdown().await;

    let later = Fake::good();
    let (third, _) = start(&later, on_disk(directory.path()), quick()).await;
    assert_eq!(third.shared.left().records, 0, "what was delivered is delivered again");
}

#[tokio::test]
async fn a_stop_delivers_what_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let good = Fake::good();
    let (queued, _) = start(&good, on_disk(directory.path()), quick()).await;
    let names: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    accepted(&queued, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    queued.shutdown().await;
    assert_eq!(good.seen_once(), names.into_iter().collect());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let stuck = Fake::new(|_| Answer::Hold);
    let (mut queued, _) = start(&stuck, on_disk(directory.path()), quick()).await;
    queued.drain_limit = Duration::from_millis(50);
    accepted(&queued, &["a"]).await;
    until("it is with the destination", || stuck.held() == 1).await;
    queued.shutdown().await;
    let good = Fake::good();
    let (again, _) = start(&good, on_disk(directory.path()), quick()).await;
    until_empty(&again).await;
    assert_eq!(good.seen(), ["a"]);
}

/// Scenario: a pipeline gets another name between two starts, while one of its queues is delivered and another is not.
/// Guarantees: the one with something in it is found; not those that are delivered, or in use.
#[tokio::test]
async fn a_queue_that_no_pipeline_opens_any_more_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let queue = on_disk(directory.path());
    let down = Fake::saying(Err(ExportError::retry("down")));
    let (left, _) = start(&down, queue.clone(), quick()).await;
    accepted(&left, &["a", "b"]).await;
    assert_eq!(stranded([(&queue, "other", "fake/1")]), [], "it is in use");
    until("the destination is known to be down", || left.shared.gate.is_down()).await;
    left.shutdown().await;
    assert_eq!(stranded([(&queue, "traces", "fake/1")]), [], "a pipeline opens it");
    let memory = SendingQueueConfig { storage: QueueStorage::Memory, ..queue.clone() };
    for other in [(&queue, "other", "fake/1"), (&memory, "traces", "fake/1")] {
        let [found] = stranded([other]).try_into().unwrap();
        assert_eq!((found.requests, found.dead_letter_bytes), (2, 0));
        assert!(found.bytes > 200 && found.directory.ends_with("traces/fake%2F1"), "{found:?}");
    }
    let (again, _) = start(&Fake::good(), queue.clone(), quick()).await;
    until_empty(&again).await;
    again.shutdown().await;
    assert_eq!(stranded([(&queue, "other", "fake/1")]), [], "all of it was delivered");
}

#[tokio::test]
async fn two_cannot_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (_first, telemetry) = start(&Fake::good(), on_disk(directory.path()), quick()).await;
    let queue = on_disk(directory.path());
    let settings = QueueSettings {
        pipeline: "traces".to_owned(),
        queue,
        retry: quick(),
        watch: Watch::new("traces", &ComponentId::parse("fake/1"), quick()),
        memory: MemoryAccount::default(),
    };
    let second = QueuedExporter::start(Fake::good(), &settings, &telemetry).await;
    let error = second.err().unwrap().to_string();
    assert!(error.contains("traces/fake%2F1 is in use by process"), "{error}");
}

#[tokio::test]
async fn a_damaged_record_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let down = Fake::saying(Err(ExportError::retry("down")));
    let (queued, _) = start(&down, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["aaaa", "bbbb", "cccc"]).await;
    until("the destination is known to be down", || queued.shared.gate.is_down()).await;
    queued.shutdown().await;
    drop(queued);
    let log = directory.path().join("traces/fake%2F1");
    let files = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let segment =
        files.into_iter().find(|path| path.extension().is_some_and(|end| end == "segment")).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(4).position(|window| window == b"bbbb").unwrap();
    bytes[at] = b'!';
    std::fs::write(&segment, bytes).unwrap();

    let good = Fake::good();
    let (again, telemetry) = start(&good, on_disk(directory.path()), quick()).await;
    until_empty(&again).await;
    assert_eq!(good.seen_once(), ["aaaa", "cccc"].map(str::to_owned).into());
    again.shared.report();
    let name =
        "exporter_queue_dropped_requests_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"damaged\"}";
    assert_eq!(metric(&telemetry, name), 1.0);
    assert_ne!(std::fs::read_dir(log.join("corrupt")).unwrap().count(), 0, "nothing was set aside");
}
