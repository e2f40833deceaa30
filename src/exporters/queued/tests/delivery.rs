//! What a destination's answers lead to.

use super::super::*;
use super::support::*;
use crate::otlp::Refusal;
use crate::pipeline::Pipeline;

#[tokio::test]
async fn a_sender_is_answered_before_the_destination_has_answered() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|_| Answer::Hold);
    let (queued, _) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["a", "b"]).await;
    until("both are with the destination", || inner.held() == 2).await;
    assert_eq!(queued.shared.left().records, 2);
    inner.release();
    until_empty(&queued).await;
    assert_eq!(inner.seen(), ["a", "b"]);
}

/// Also when it is tried again, for which it is read from the log again.
#[tokio::test]
async fn what_the_destination_gets_is_what_came_in() {
    let directory = tempfile::tempdir().unwrap();
    let original = request("a", 1_000);
    let given = Arc::new(Mutex::new(Vec::new()));

    struct Keep(ComponentId, Arc<Mutex<Vec<Arc<TraceRequest>>>>);
    impl TraceExporter for Keep {
        fn id(&self) -> &ComponentId {
            &self.0
        }
        fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
            let mut given = self.1.lock().unwrap();
            given.push(request);
            let is_first = given.len() == 1;
            ack.complete(if is_first {
                Err(ExportError::retry("not now"))
            } else {
                Ok(Delivered::default())
            });
            Box::pin(async {})
        }
        fn shutdown(&self) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }
    }

    let inner = Arc::new(Keep(ComponentId::parse("keep"), Arc::clone(&given)));
    let queue = on_disk(directory.path());
    let settings = QueueSettings {
        pipeline: "traces".to_owned(),
        queue,
        retry: quick(),
        watch: Watch::new("traces", &ComponentId::parse("fake/1"), quick()),
        memory: MemoryAccount::default(),
    };
    let queued = QueuedExporter::start(inner, &settings, &Telemetry::default()).await.unwrap();
    send(&queued, Arc::clone(&original)).await.unwrap();
    until_empty(&queued).await;
    let given = given.lock().unwrap();
    assert_eq!(given.len(), 2);
    for given in given.iter() {
        assert_eq!(given.body, original.body);
        assert_eq!(given.metadata, original.metadata);
        assert_eq!(given.to_protobuf(), original.to_protobuf());
    }
}

/// Scenario: the disk loses a byte of a request while the destination does not take it.
/// Guarantees: the request is counted as lost, and holds up nothing.
#[tokio::test]
async fn what_is_damaged_before_it_is_tried_again_is_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::retry("down")));
    let (queued, telemetry) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["damaged"]).await;
    until("it was tried", || !inner.seen().is_empty()).await;
    let segment = first_segment(&queued);
    let mut content = std::fs::read(&segment).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(&segment, content).unwrap();
    until_empty(&queued).await;
    inner.release();
    accepted(&queued, &["good"]).await;
    until("the next one is delivered", || inner.seen().iter().any(|name| name == "good")).await;
    let labels = "{exporter=\"fake/1\",pipeline=\"traces\",reason=\"damaged\"}";
    assert_eq!(metric(&telemetry, &format!("exporter_dropped_spans_total{labels}")), 2.0);
    assert!(letters(&queued).is_empty());
}

#[tokio::test]
async fn what_the_destination_does_not_take_now_is_tried_again_and_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut left = 7;
    let inner = Fake::new(move |name| {
        if name == "b" && left > 0 {
            left -= 1;
            return Answer::Say(Err(ExportError::retry("not now")));
        }
        Answer::Say(Ok(Delivered::default()))
    });
    let (queued, telemetry) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["a", "b", "c", "d"]).await;
    until_empty(&queued).await;
    let times = |name| inner.seen().iter().filter(|seen| *seen == name).count();
    assert_eq!(["a", "b", "c", "d"].map(times), [1, 8, 1, 1]);
    assert_eq!(letters(&queued), []);
    assert_eq!(metric(&telemetry, "exporter_retries_total{exporter=\"fake/1\"}"), 7.0);
}

#[tokio::test]
async fn what_the_destination_refuses_becomes_a_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|name| {
        Answer::Say(if name == "bad" {
            Err(ExportError::reject("too purple"))
        } else {
            Ok(Delivered::default())
        })
    });
    let (queued, telemetry) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["good", "bad"]).await;
    until_empty(&queued).await;
    let [letter] = letters(&queued).try_into().unwrap();
    assert_eq!((letter.kind.as_str(), letter.reason.as_str()), ("rejected", "too purple"));
    assert_eq!((letter.spans, letter.refused_spans, letter.run_id.as_deref()), (2, 2, Some("bad")));
    let name =
        "exporter_dead_letter_spans_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"rejected\"}";
    assert_eq!(metric(&telemetry, name), 2.0);
    assert_eq!(inner.seen().len(), 2, "a refused request was tried again");
}

#[tokio::test]
async fn refused_spans_of_a_request_become_a_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let refusals = vec![Refusal { spans: 1, reason: "no trace".to_owned() }];
    let inner = Fake::saying(Ok(Delivered { refusals }));
    let (queued, _) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    let [letter] = letters(&queued).try_into().unwrap();
    assert_eq!((letter.kind.as_str(), letter.reason.as_str()), ("partial_success", "no trace"));
    assert_eq!((letter.spans, letter.refused_spans), (2, 1));
}

#[tokio::test]
async fn a_dead_letter_goes_back_into_the_queue_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = true;
    let inner = Fake::new(move |_| {
        let refused = std::mem::take(&mut first);
        Answer::Say(if refused { Err(ExportError::reject("no")) } else { Ok(Delivered::default()) })
    });
    let (queued, _) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["a"]).await;
    until("there is a dead letter", || !letters(&queued).is_empty()).await;
    // As the command line does, from another process.
    let from_outside = DeadLetters::new(directory.path().join("traces/fake%2F1"));
    assert_eq!(from_outside.retry(|_| true).unwrap().len(), 1);
    until("it is delivered", || inner.seen().len() == 2).await;
    until_empty(&queued).await;
    assert_eq!(letters(&queued), []);
    until("the file is gone", || from_outside.to_retry().is_empty()).await;
}

#[tokio::test]
async fn nothing_is_given_up_while_the_configuration_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::fatal("set a password")));
    let retry = RetryOnFailure { max_elapsed_time: Some(Duration::from_millis(1)), ..quick() };
    let (queued, telemetry) = start(&inner, on_disk(directory.path()), retry).await;
    accepted(&queued, &["a"]).await;
    until("it was tried often", || inner.seen().len() > 5).await;
    queued.shared.report();
    let report = telemetry.health.report();
    assert!(report[0].reason.as_ref().unwrap().ends_with("set a password"), "{report:?}");
    inner.release();
    until_empty(&queued).await;
    queued.shared.report();
    assert!(telemetry.health.is_ready());
    assert_eq!(letters(&queued), []);
}

#[tokio::test]
async fn retries_end_after_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::retry("still down")));
    let retry = RetryOnFailure { max_elapsed_time: Some(Duration::from_millis(20)), ..quick() };
    let (queued, _) = start(&inner, on_disk(directory.path()), retry).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    let [letter] = letters(&queued).try_into().unwrap();
    assert_eq!((letter.kind.as_str(), letter.reason.as_str()), ("retries_exhausted", "still down"));
    assert!(inner.seen().len() > 1);
}

#[tokio::test]
async fn a_wait_beyond_all_time_is_longer_than_any_limit() {
    let directory = tempfile::tempdir().unwrap();
    let asks = ExportError::Retry { after: Some(Duration::MAX), reason: "never".to_owned() };
    let retry = RetryOnFailure { max_elapsed_time: Some(Duration::from_secs(3_600)), ..quick() };
    let (queued, _) = start(&Fake::saying(Err(asks)), on_disk(directory.path()), retry).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    assert_eq!(letters(&queued)[0].kind, "retries_exhausted");
}

#[tokio::test]
async fn a_request_over_which_the_exporter_panics_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::new(|name| match name {
        "poison" => Answer::Panic,
        _ => Answer::Say(Ok(Delivered::default())),
    });
    let (queued, _) = start(&inner, on_disk(directory.path()), quick()).await;
    accepted(&queued, &["poison", "good"]).await;
    until_empty(&queued).await;
    assert!(letters(&queued)[0].reason.contains("panicked"));
}

#[tokio::test]
async fn without_a_directory_what_is_refused_is_counted() {
    let inner = Fake::saying(Err(ExportError::reject("no")));
    let memory = SendingQueueConfig { storage: QueueStorage::Memory, ..SendingQueueConfig::default() };
    let (queued, telemetry) = start(&inner, memory, quick()).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    let name = "exporter_dropped_spans_total{exporter=\"fake/1\",pipeline=\"traces\",reason=\"rejected\"}";
    assert_eq!(metric(&telemetry, name), 2.0);
}

#[tokio::test]
async fn memory_with_a_directory_keeps_dead_letters_there() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Fake::saying(Err(ExportError::reject("no")));
    let memory = SendingQueueConfig { storage: QueueStorage::Memory, ..on_disk(directory.path()) };
    let (queued, _) = start(&inner, memory, quick()).await;
    accepted(&queued, &["a"]).await;
    until_empty(&queued).await;
    assert_eq!(letters(&queued).len(), 1);
}

#[tokio::test]
async fn a_dead_destination_holds_back_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (dead, good) = (Fake::new(|_| Answer::Hold), Fake::good());
    let (first, _) = start(&dead, on_disk(&directory.path().join("1")), quick()).await;
    let (second, _) = start(&good, on_disk(&directory.path().join("2")), quick()).await;
    let (first, second) = (Arc::new(first), Arc::new(second));
    let pipeline = Pipeline::new(vec![Arc::clone(&first) as _, Arc::clone(&second) as _]);
    for name in ["a", "b", "c"] {
        assert_eq!(pipeline.deliver(request(name, 100)).await, Ok(Delivered::default()));
    }
    until_empty(&second).await;
    assert_eq!(good.seen().len(), 3);
    assert_eq!(first.shared.left().records, 3);
}
