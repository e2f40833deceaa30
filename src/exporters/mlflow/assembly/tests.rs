//! What is gathered, with a clock that moves from deadline to deadline; and the task around it, with a
//! writer that only remembers.

use std::time::Duration;

use futures_util::FutureExt as _;

use super::*;
use crate::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
use crate::pipeline::{
    ComponentId, Delivered, Delivery, DeliveryFuture, ExportError, RequestMetadata, ack_channel,
};
use crate::telemetry::Telemetry;

/// A group of pieces that are written in one go: the spans of each, as trace and span number.
type Group = Vec<Vec<(u8, u8)>>;

fn spans(request: &TraceRequest) -> Vec<(u8, u8)> {
    let scopes = request.body.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| (span.trace_id[15], span.span_id[7])).collect()
}

/// A request of spans, each trace and number; number 1 is the root of its trace.
fn request(spans: &[(u8, u8)]) -> Arc<TraceRequest> {
    let span = |&(trace, number): &(u8, u8)| Span {
        trace_id: [[0; 15].as_slice(), &[trace]].concat(),
        span_id: [[0; 7].as_slice(), &[number]].concat(),
        parent_span_id: if number == 1 { Vec::new() } else { vec![0, 0, 0, 0, 0, 0, 0, 1] },
        end_time_unix_nano: 1,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: spans.iter().map(span).collect(), ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let metadata = RequestMetadata { bytes: 100 * spans.len(), ..RequestMetadata::default() };
    let body = ExportTraceServiceRequest { resource_spans };
    Arc::new(TraceRequest { body, metadata, ..TraceRequest::default() })
}

fn config() -> TraceAssemblyConfig {
    TraceAssemblyConfig {
        enabled: true,
        idle_timeout: Duration::from_secs(30),
        root_grace: Duration::from_secs(1),
        max_wait: Duration::from_secs(60),
        ..TraceAssemblyConfig::default()
    }
}

/// Gathers, and answers what is due at once.
struct Bench {
    gathered: Gathered,
    start: Instant,
    now: Instant,
    answer: Delivery,
    /// When groups were due, in milliseconds, why, and the groups.
    written: Vec<(u128, Vec<&'static str>, Group)>,
}

impl Bench {
    fn new(config: TraceAssemblyConfig) -> Self {
        let now = Instant::now();
        let answer = Ok(Delivered::default());
        Self { gathered: Gathered::new(config), start: now, now, answer, written: Vec::new() }
    }

    fn send(&mut self, spans: &[(u8, u8)]) -> DeliveryFuture {
        let (ack, delivery) = ack_channel();
        assert!(self.gathered.add(request(spans), ack, self.now).is_none());
        if self.gathered.is_full() {
            let due = self.gathered.make_room();
            self.write(due);
        }
        delivery
    }

    /// Moves the clock, and writes what becomes due on the way.
    fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(deadline) = self.gathered.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline;
            let due = self.gathered.take_due(deadline);
            self.write(due);
        }
        self.now = until;
    }

    fn write(&mut self, due: Due) {
        let group = due.pieces.iter().map(|(request, _)| spans(request)).collect();
        let reasons = due.traces.iter().map(|(_, reason)| reason.as_str()).collect();
        self.written.push(((self.now - self.start).as_millis(), reasons, group));
        for (_, ack) in due.pieces {
            ack.complete(self.answer.clone());
        }
    }
}

/// Guarantees: the request that finds out whether MLflow is back does not wait for others of its trace first.
#[tokio::test]
async fn an_urgent_request_waits_for_nothing() {
    let mut gathered = Gathered::new(config());
    let (ack, _delivery) = ack_channel();
    let (request, now) = (request(&[(7, 2)]), Instant::now());
    assert!(gathered.add(Arc::clone(&request), ack.urgent(), now).is_some());
    let (ack, _delivery) = ack_channel();
    assert!(gathered.add(request, ack, now).is_none());
}

#[tokio::test]
async fn a_trace_is_written_once_when_its_root_and_a_grace_are_over() {
    let mut bench = Bench::new(config());
    let child = bench.send(&[(7, 2)]);
    bench.wait(10);
    let root = bench.send(&[(7, 1)]);
    let late = bench.send(&[(7, 3)]);
    bench.wait(100);
    for delivery in [child, root, late] {
        assert_eq!(delivery.await, Ok(Delivered::default()));
    }
    assert_eq!(bench.written, [(11_000, vec!["root"], vec![vec![(7, 2)], vec![(7, 1)], vec![(7, 3)]])]);
    assert_eq!(bench.gathered.size(), (0, 0));
}

#[tokio::test]
async fn a_trace_without_a_root_is_written_when_nothing_more_comes() {
    let mut bench = Bench::new(config());
    let first = bench.send(&[(7, 2)]);
    bench.wait(20);
    let second = bench.send(&[(7, 3)]);
    bench.wait(100);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(bench.written, [(50_000, vec!["idle"], vec![vec![(7, 2)], vec![(7, 3)]])]);
}

#[tokio::test]
async fn no_span_waits_for_longer_than_it_may() {
    let mut bench = Bench::new(config());
    let first = bench.send(&[(7, 2)]);
    for _ in 0..4 {
        bench.wait(19);
        drop(bench.send(&[(7, 3)]));
    }
    first.await.unwrap();
    assert_eq!((bench.written[0].0, &bench.written[0].1), (60_000, &vec!["max_wait"]));
}

#[tokio::test]
async fn a_late_span_waits_only_for_the_grace() {
    let mut bench = Bench::new(config());
    drop(bench.send(&[(7, 1)]));
    bench.wait(10);
    drop(bench.send(&[(7, 2)]));
    bench.wait(100);
    let at: Vec<_> = bench.written.iter().map(|(at, ..)| *at).collect();
    assert_eq!(at, [1_000, 11_000]);
}

#[tokio::test]
async fn traces_of_one_request_are_written_at_their_own_time() {
    let mut bench = Bench::new(config());
    let mut mixed = bench.send(&[(7, 1), (8, 2), (7, 2)]);
    let pure = bench.send(&[(7, 3)]);
    bench.wait(10);
    pure.await.unwrap();
    tokio::task::yield_now().await;
    assert!((&mut mixed).now_or_never().is_none(), "a part of it is not written yet");
    bench.wait(100);
    mixed.await.unwrap();
    assert_eq!(
        bench.written,
        [
            (1_000, vec!["root"], vec![vec![(7, 1), (7, 2)], vec![(7, 3)]]),
            (30_000, vec!["idle"], vec![vec![(8, 2)]])
        ]
    );
}

#[tokio::test]
async fn a_request_of_several_traces_that_end_together_stays_whole() {
    let mut bench = Bench::new(config());
    let sent = bench.send(&[(7, 1), (8, 1), (7, 2)]);
    bench.wait(10);
    sent.await.unwrap();
    assert_eq!(bench.written, [(1_000, vec!["root", "root"], vec![vec![(7, 1), (8, 1), (7, 2)]])]);
}

#[tokio::test]
async fn the_oldest_traces_make_room() {
    for limits in [
        TraceAssemblyConfig { max_bytes: 300, ..config() },
        TraceAssemblyConfig { max_traces: 2, ..config() },
        TraceAssemblyConfig { max_requests: 2, ..config() },
    ] {
        let mut bench = Bench::new(limits);
        let first = bench.send(&[(7, 2), (8, 2)]);
        bench.wait(1);
        let (_second, _third) = (bench.send(&[(7, 3)]), bench.send(&[(9, 2)]));
        first.await.unwrap();
        assert_eq!(
            bench.written,
            [(1_000, vec!["full", "full"], vec![vec![(7, 2), (8, 2)], vec![(7, 3)]])],
            "{limits:?}"
        );
        assert!(!bench.gathered.is_full());
    }
}

#[tokio::test]
async fn a_failed_write_is_told_to_every_request_of_the_trace() {
    let mut bench = Bench::new(config());
    bench.answer = Err(ExportError::retry("down"));
    let (first, second) = (bench.send(&[(7, 2), (8, 2)]), bench.send(&[(7, 1)]));
    bench.wait(100);
    assert!(matches!(second.await, Err(ExportError::Retry { .. })));
    assert!(matches!(first.await, Err(ExportError::Retry { .. })));
}

/// Remembers what it was given, and answers at once.
#[derive(Default)]
struct Recorder(Mutex<Vec<Group>>);

impl Deliver for Recorder {
    fn deliver(&self, pieces: Vec<Piece>) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push(pieces.iter().map(|(request, _)| spans(request)).collect());
        for (_, ack) in pieces {
            ack.complete(Ok(Delivered::default()));
        }
        Box::pin(async {})
    }
}

fn start(config: TraceAssemblyConfig) -> (Assembly, Arc<Recorder>, Telemetry) {
    let (recorder, telemetry) = (Arc::new(Recorder::default()), Telemetry::default());
    let id = ComponentId::parse("mlflow");
    let reporter = Reporter {
        metrics: telemetry.metrics.exporter(&id.to_string()),
        health: telemetry.health.register(format!("exporters.{id}")),
        losses: Arc::default(),
    };
    reporter.health.ready();
    (Assembly::start(config, Arc::clone(&recorder) as _, reporter), recorder, telemetry)
}

async fn add(assembly: &Assembly, spans: &[(u8, u8)]) -> DeliveryFuture {
    let (ack, delivery) = ack_channel();
    assembly.add(request(spans), ack).await;
    delivery
}

#[tokio::test]
async fn the_task_writes_what_becomes_due() {
    let (assembly, recorder, telemetry) =
        start(TraceAssemblyConfig { root_grace: Duration::from_millis(5), ..config() });
    let child = add(&assembly, &[(7, 2)]).await;
    add(&assembly, &[(7, 1)]).await.await.unwrap();
    child.await.unwrap();
    assert_eq!(*recorder.0.lock().unwrap(), [vec![vec![(7, 2)], vec![(7, 1)]]]);
    let metrics = telemetry.metrics.render().unwrap();
    let counted = "exporter_assembled_traces_total{component=\"mlflow\",reason=\"root\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("exporter_gathered_bytes{exporter=\"mlflow\"} 0"), "{metrics}");
}

#[tokio::test]
async fn shutdown_writes_what_is_gathered_and_what_comes_later_at_once() {
    let (assembly, recorder, telemetry) = start(config());
    let waiting = add(&assembly, &[(7, 2), (8, 1)]).await;
    assembly.shutdown().await;
    waiting.await.unwrap();
    add(&assembly, &[(9, 2)]).await.await.unwrap();
    assert_eq!(*recorder.0.lock().unwrap(), [vec![vec![(7, 2), (8, 1)]], vec![vec![(9, 2)]]]);
    assert!(telemetry.health.is_ready(), "the task has not died");
}

#[tokio::test]
async fn a_request_without_spans_does_not_wait() {
    let (assembly, recorder, _telemetry) = start(config());
    add(&assembly, &[]).await.await.unwrap();
    assert_eq!(*recorder.0.lock().unwrap(), [vec![vec![]; 1]]);
}
