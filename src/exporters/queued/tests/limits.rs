//! What happens when there is no room.

use super::super::*;
use super::support::*;

/// The smallest queue that the configuration allows.
const SMALL: usize = 1 << 20;

/// Such a queue, of which the oldest make room, and which delivers one at a time.
fn dropping_oldest(directory: &Path) -> SendingQueueConfig {
    SendingQueueConfig {
        queue_size: SMALL,
        on_full: OnFull::DropOldest,
        in_flight_size: 1,
        ..on_disk(directory)
    }
}

#[tokio::test]
async fn the_exporter_gets_no_more_at_once_than_it_may() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let queue = SendingQueueConfig { in_flight_size: 25_000, ..on_disk(directory.path()) };
    let (queued, _) = start(&inner, queue, quick()).await;
    for number in 0..10 {
        send(&queued, request(&number.to_string(), 10_000)).await.unwrap();
    }
    until("the window is full", || inner.held() == 3).await;
    // Were there no limit, the others would follow now.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(inner.held(), 3);
    inner.release();
    until_empty(&queued).await;
    assert_eq!(inner.seen_once().len(), 10);
}

#[tokio::test]
async fn a_full_queue_refuses_with_a_hint_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let queue = SendingQueueConfig { queue_size: SMALL, ..on_disk(directory.path()) };
    let (queued, telemetry) = start(&inner, queue, quick()).await;
    let mut kept = 0;
    let refused = loop {
        match send(&queued, request(&kept.to_string(), 50_000)).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 30, "the queue grows beyond its size");
    };
    assert!(matches!(&refused, ExportError::Retry { after: Some(_), .. }), "{refused}");
    let name = "exporter_enqueue_failed_spans_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"full\"}";
    assert_eq!(metric(&telemetry, name), 2.0);
    assert_eq!(queued.refusal(50_000), Some(refused), "the same is said before a request is read");
    let name =
        "exporter_enqueue_failed_requests_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"full\"}";
    assert_eq!(metric(&telemetry, name), 2.0, "one that was read, one that was not");
    queued.shared.report();
    let report = telemetry.health.report();
    assert!(report[0].reason.as_ref().unwrap().contains("nearly full"), "{report:?}");
    inner.release();
    until_empty(&queued).await;
    assert_eq!(inner.seen_once().len(), kept, "what was taken before is delivered");
    // The first try makes room.
    let _ = send(&queued, request("later", 50_000)).await;
    until("there is room again", || queued.shared.log.stats().bytes < SMALL as u64 / 2).await;
    assert_eq!(queued.refusal(50_000), None);
    send(&queued, request("last", 50_000)).await.unwrap();
    queued.shared.report();
    assert!(telemetry.health.is_ready());
}

#[tokio::test]
async fn a_request_larger_than_the_queue_is_refused_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let queue = SendingQueueConfig { queue_size: SMALL, ..on_disk(directory.path()) };
    let (queued, _) = start(&Fake::good(), queue, quick()).await;
    let refused = send(&queued, request("large", 2 * SMALL)).await.unwrap_err();
    assert_eq!(queued.refusal(2 * SMALL), None, "to be told after a look at the request");
    assert!(matches!(refused, ExportError::Reject { .. }), "{refused}");
}

#[tokio::test]
async fn the_oldest_make_room_if_they_are_to() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let (queued, telemetry) = start(&inner, dropping_oldest(directory.path()), quick()).await;
    for number in 0..60 {
        send(&queued, request(&format!("{number:02}"), 50_000)).await.unwrap();
    }
    queued.shared.report();
    let name =
        "exporter_queue_dropped_requests_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"full\"}";
    let dropped = metric(&telemetry, name);
    assert!((30.0..60.0).contains(&dropped), "{dropped}");
    inner.release();
    until_empty(&queued).await;
    let seen = inner.seen_once();
    assert!(seen.contains("59") && !seen.contains("10"), "{seen:?}");
    // The one that the exporter had when it was dropped was delivered all the same.
    assert!(
        seen.len() as f64 + dropped >= 60.0 && seen.len() as f64 + dropped <= 61.0,
        "{seen:?}, {dropped}"
    );
}

/// Scenario: the destination refuses a request whose file a limit has deleted meanwhile.
/// Guarantees: it is counted as lost, and the others are delivered.
#[tokio::test]
async fn what_is_refused_after_it_made_room_is_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let (queued, telemetry) = start(&inner, dropping_oldest(directory.path()), quick()).await;
    send(&queued, request("first", 50_000)).await.unwrap();
    let segment = first_segment(&queued);
    until("the first is with the destination", || inner.held() == 1).await;
    for number in 0..60 {
        send(&queued, request(&format!("{number:02}"), 50_000)).await.unwrap();
    }
    until("its file is deleted", || !segment.exists()).await;
    inner.release_with(&Err(ExportError::reject("no")));
    until_empty(&queued).await;
    assert!(inner.seen_once().contains("59"));
    let gone = "exporter_dropped_spans_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"gone\"}";
    assert_eq!(metric(&telemetry, gone), 2.0);
    assert!(letters(&queued).is_empty());
}

#[tokio::test]
async fn what_is_too_old_is_dropped_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let max_age = Duration::from_millis(1_500);
    let queue = SendingQueueConfig { max_age, in_flight_size: 1, ..on_disk(directory.path()) };
    let (queued, telemetry) = start(&inner, queue, quick()).await;
    accepted(&queued, &["first", "second"]).await;
    until("the first is with the destination", || inner.held() == 1).await;
    tokio::time::sleep(max_age * 2).await;
    inner.release();
    until_empty(&queued).await;
    assert_eq!(inner.seen(), ["first"]);
    queued.shared.report();
    let name =
        "exporter_queue_dropped_requests_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"expired\"}";
    assert!(metric(&telemetry, name) >= 1.0);
}

/// Scenario: requests grow too old while the exporter has them and the destination is down.
/// Guarantees: each is counted as expired, and not delivered as well when the destination is back.
#[tokio::test]
async fn what_grows_too_old_in_flight_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::retry("down")));
    let queue = SendingQueueConfig { max_age: Duration::from_millis(300), ..on_disk(directory.path()) };
    let (queued, telemetry) = start(&inner, queue, quick()).await;
    accepted(&queued, &["a", "b", "c"]).await;
    until("all were given up", || queued.shared.log.stats().cursors[0].expired_records == 3).await;
    inner.release();
    until_empty(&queued).await;
    queued.shared.report();
    let labels = "{exporter=\"fake/1\",pipeline=\"traces\"";
    let dropped =
        metric(&telemetry, &format!("exporter_queue_dropped_requests_total{labels},reason=\"expired\"}}"));
    let bytes =
        metric(&telemetry, &format!("exporter_queue_dropped_bytes_total{labels},reason=\"expired\"}}"));
    assert_eq!(dropped, 3.0);
    let spans = metric(&telemetry, &format!("exporter_dropped_spans_total{labels},reason=\"expired\"}}"));
    assert_eq!(spans, 6.0, "two in each request");
    assert!(bytes > 300.0, "{bytes}");
    assert_eq!(metric(&telemetry, &format!("exporter_queue_delivered_bytes_total{labels}}}")), 0.0);
}
