//! A destination that does what a test tells it to.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::super::*;
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::{Delivery, RequestMetadata, ack_channel};

/// What the destination does with a request.
pub(super) enum Answer {
    Say(Delivery),
    /// Nothing, until `release`.
    Hold,
    Panic,
}

type Script = Box<dyn FnMut(&str) -> Answer + Send>;

/// A destination; requests are told apart by their run id.
pub(super) struct Fake {
    id: ComponentId,
    script: Mutex<Script>,
    seen: Mutex<Vec<String>>,
    held: Mutex<Vec<Ack>>,
}

impl Fake {
    pub(super) fn new(script: impl FnMut(&str) -> Answer + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            id: ComponentId::parse("fake/1"),
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
            held: Mutex::default(),
        })
    }

    /// One that takes everything.
    pub(super) fn good() -> Arc<Self> {
        Self::new(|_| Answer::Say(Ok(Delivered::default())))
    }

    /// One that gives the same answer to everything.
    pub(super) fn saying(delivery: Delivery) -> Arc<Self> {
        Self::new(move |_| Answer::Say(delivery.clone()))
    }

    /// What it was given, in order, repetitions included.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn seen_once(&self) -> BTreeSet<String> {
        self.seen().into_iter().collect()
    }

    pub(super) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Takes what it holds, and everything from now on.
    pub(super) fn release(&self) {
        self.release_with(&Ok(Delivered::default()));
    }

    /// Answers to what it holds, and takes everything from now on.
    pub(super) fn release_with(&self, delivery: &Delivery) {
        *self.script.lock().unwrap() = Box::new(|_| Answer::Say(Ok(Delivered::default())));
        for ack in self.held.lock().unwrap().drain(..) {
            ack.complete(delivery.clone());
        }
    }
}

impl TraceExporter for Fake {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let name = request.metadata.run_id.clone().unwrap();
            self.seen.lock().unwrap().push(name.clone());
            let answer = (self.script.lock().unwrap())(&name);
            match answer {
                Answer::Say(delivery) => ack.complete(delivery),
                Answer::Hold => self.held.lock().unwrap().push(ack),
                Answer::Panic => panic!("told to"),
            }
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

pub(super) use crate::pipeline::Delivered;

/// Two spans of that size, under that name.
pub(super) fn request(name: &str, bytes: usize) -> Arc<TraceRequest> {
    let span = |id: u8| Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        name: "x".repeat(bytes / 2),
        ..Span::default()
    };
    let scope = ScopeSpans { spans: vec![span(1), span(2)], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    let body = ExportTraceServiceRequest { resource_spans: vec![resource] };
    let metadata = RequestMetadata { run_id: Some(name.to_owned()), ..RequestMetadata::default() };
    Arc::new(TraceRequest { body, encoded: None, metadata, ..TraceRequest::default() })
}

/// Retries at once.
pub(super) fn quick() -> RetryOnFailure {
    RetryOnFailure {
        initial_interval: Duration::from_millis(1),
        max_interval: Duration::from_millis(5),
        ..RetryOnFailure::default()
    }
}

pub(super) fn on_disk(directory: &Path) -> SendingQueueConfig {
    SendingQueueConfig { directory: Some(directory.to_owned()), ..SendingQueueConfig::default() }
}

pub(super) fn in_memory() -> SendingQueueConfig {
    SendingQueueConfig { storage: QueueStorage::Memory, ..SendingQueueConfig::default() }
}

/// A queue before the destination, and what it says of itself.
pub(super) async fn start(
    inner: &Arc<Fake>,
    queue: SendingQueueConfig,
    retry: RetryOnFailure,
) -> (QueuedExporter, Telemetry) {
    let telemetry = Telemetry::default();
    let queued = start_with(queue, retry, &telemetry, |watch| watch.before(Arc::clone(inner) as _)).await;
    (queued, telemetry)
}

/// A queue before whatever `chain` makes.
pub(super) async fn start_with(
    queue: SendingQueueConfig,
    retry: RetryOnFailure,
    telemetry: &Telemetry,
    chain: impl FnOnce(&Watch) -> Arc<dyn TraceExporter>,
) -> QueuedExporter {
    let watch = Watch::new("traces", &ComponentId::parse("fake/1"), retry);
    let settings = QueueSettings {
        pipeline: "traces".to_owned(),
        queue,
        retry,
        watch: watch.clone(),
        memory: MemoryAccount::default(),
    };
    QueuedExporter::start(chain(&watch), &settings, telemetry).await.unwrap()
}

/// Hands a request to the queue; its answer.
pub(super) async fn send(queued: &QueuedExporter, request: Arc<TraceRequest>) -> Delivery {
    let (ack, delivery) = ack_channel();
    queued.export(request, ack).await;
    delivery.await
}

/// Hands requests of 100 bytes to the queue, which takes them.
pub(super) async fn accepted(queued: &QueuedExporter, names: &[&str]) {
    for name in names {
        assert_eq!(send(queued, request(name, 100)).await, Ok(Delivered::default()), "{name}");
    }
}

/// Waits until something is so; the test fails if it never is.
pub(super) async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not so within 20 s: {what}");
}

/// The first of the files that hold requests.
pub(super) fn first_segment(queued: &QueuedExporter) -> std::path::PathBuf {
    let directory = queued.shared.directory.clone().unwrap();
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "segment")).min().unwrap()
}

/// Waits until nothing is left to deliver.
pub(super) async fn until_empty(queued: &QueuedExporter) {
    until("the queue is empty", || queued.shared.left().records == 0).await;
}

pub(super) fn letters(queued: &QueuedExporter) -> Vec<DeadLetter> {
    queued.shared.dead_letters.as_ref().unwrap().list().unwrap().letters
}

/// The value of a metric with its labels.
pub(super) fn metric(telemetry: &Telemetry, name: &str) -> f64 {
    let text = telemetry.metrics.render().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("otel_mlflow_{name} ")));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

/// A stage between a queue and its destination that takes some requests for itself: it drops those named `drop…`, and
/// waits for ever for more before it passes those on that are named `wait…`.
pub(super) struct Stage {
    pub(super) next: Arc<dyn TraceExporter>,
    waiting: Mutex<Vec<Ack>>,
}

impl Stage {
    pub(super) fn before(next: Arc<dyn TraceExporter>) -> Arc<Self> {
        Arc::new(Self { next, waiting: Mutex::default() })
    }
}

impl TraceExporter for Stage {
    fn id(&self) -> &ComponentId {
        self.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let name = request.metadata.run_id.clone().unwrap();
            if name.starts_with("drop") {
                ack.complete(Ok(Delivered::default()));
            } else if name.starts_with("wait") {
                self.waiting.lock().unwrap().push(ack);
            } else {
                self.next.export(request, ack).await;
            }
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.next.shutdown()
    }
}
