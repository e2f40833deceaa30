use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::testing::{Recorder, guard, request_of, root, span, text};
use super::*;
use crate::otlp::footprint;
use crate::otlp::model::{Resource, Span, Status};
use crate::pipeline::{Delivered, DeliveryFuture, ExportError, MemoryAccount, ack_channel, retire};
use crate::telemetry::{Health, Metrics};

struct Setup {
    next: Arc<Recorder>,
    stage: Arc<dyn TraceExporter>,
    metrics: Metrics,
}

/// Keeps errors; what is not said otherwise waits for ever.
fn start(settings: Json) -> Setup {
    start_with(settings, Decisions::default())
}

fn start_with(mut settings: Json, decisions: Decisions) -> Setup {
    for (key, value) in [
        ("decision_wait", json!("1h")),
        ("decision_wait_after_root_received", json!("0s")),
        (
            "policies",
            json!([{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}]),
        ),
    ] {
        settings.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    let config: TailSamplingConfig = serde_json::from_value(settings).unwrap();
    assert_eq!(config.validate(), []);
    let (next, metrics) = (Recorder::new(), Metrics::default());
    let processor = metrics.processor("tail");
    let stage = config.build(processor, guard(), decisions, Arc::clone(&next) as Arc<dyn TraceExporter>);
    Setup { next, stage: stage.unwrap(), metrics }
}

impl Setup {
    async fn give(&self, spans: Vec<Span>) -> DeliveryFuture {
        let (ack, delivery) = ack_channel();
        self.stage.export(Arc::new(request_of(spans)), ack).await;
        delivery
    }

    fn count(&self, line: &str) -> u64 {
        let text = self.metrics.render().unwrap();
        let found = text.lines().find_map(|other| other.strip_prefix(&format!("otel_mlflow_{line} ")));
        found.map_or(0, |value| value.parse().unwrap())
    }
}

fn failed(trace: u8, id: u8) -> Span {
    Span { status: Some(Status { code: 2, message: String::new() }), ..span(trace, id, "chat") }
}

const DROPPED: &str = "processor_dropped_spans_total{component=\"tail\",reason=\"not_sampled\"}";

#[tokio::test]
async fn a_trace_is_decided_on_when_its_root_has_ended() {
    let setup = start(json!({}));
    let first = setup.give(vec![failed(1, 1), span(2, 2, "chat")]).await;
    let second = setup.give(vec![span(1, 3, "chat"), root(1, 4)]).await;
    second.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1, 3, 4]]);
    // The first request also holds a part of trace 2, which waits.
    let third = setup.give(vec![root(2, 5)]).await;
    third.await.unwrap();
    first.await.unwrap();
    assert_eq!(setup.next.span_ids().len(), 1);
    assert_eq!(setup.count(DROPPED), 2);
    let sampled = "processor_tail_sampling_count_traces_sampled_total{processor=\"tail\",policy=\"errors\",sampled=\"true\"}";
    assert_eq!(setup.count(sampled), 1);
}

#[tokio::test]
async fn a_root_that_has_not_ended_or_never_comes_leaves_it_to_the_time() {
    let setup = start(json!({"decision_wait": "30ms"}));
    let open = Span { end_time_unix_nano: 0, ..root(1, 1) };
    let delivery = setup.give(vec![open, failed(1, 2)]).await;
    assert!(setup.next.taken().is_empty());
    delivery.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1, 2]]);
}

#[tokio::test]
async fn late_spans_follow_the_decision() {
    let setup = start(json!({}));
    setup.give(vec![failed(1, 1), root(1, 2)]).await.await.unwrap();
    setup.give(vec![root(2, 3)]).await.await.unwrap();
    // Neither says by itself what happened to its trace.
    setup.give(vec![span(1, 4, "late")]).await.await.unwrap();
    setup.give(vec![failed(2, 5)]).await.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1, 2], vec![4]]);
    assert_eq!(setup.count("processor_tail_sampling_late_spans_total{processor=\"tail\"}"), 2);
    assert_eq!(setup.count(DROPPED), 2);
}

#[tokio::test]
async fn a_delivery_that_failed_comes_again_and_follows_the_decision() {
    let setup = start(json!({}));
    setup.next.fail_next(ExportError::retry("later"));
    let spans = vec![failed(1, 1), root(1, 2)];
    assert!(setup.give(spans.clone()).await.await.is_err());
    setup.give(spans).await.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1, 2], vec![1, 2]]);
}

#[tokio::test]
async fn policies_that_drop_come_before_those_that_keep() {
    let setup = start(json!({"policies": [
        {"name": "all", "type": "always_sample"},
        {"name": "health", "type": "drop", "drop": {"drop_sub_policy": [
            {"name": "short", "type": "span_count", "span_count": {"min_spans": 1, "max_spans": 1}}]}},
    ]}));
    setup.give(vec![root(1, 1), span(2, 2, "chat"), root(2, 3)]).await.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![2, 3]]);
}

#[tokio::test]
async fn at_the_end_everything_is_decided_on() {
    let setup = start(json!({}));
    let kept = setup.give(vec![failed(1, 1)]).await;
    let dropped = setup.give(vec![span(2, 2, "chat")]).await;
    setup.stage.shutdown().await;
    kept.await.unwrap();
    dropped.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1]]);
    assert!(setup.give(vec![span(3, 3, "chat")]).await.await.is_err());
}

/// Scenario: a reload takes a chain out of its pipeline that begins with the sampler.
/// Guarantees: nothing of the sampler itself holds up its retirement.
#[tokio::test]
async fn a_chain_that_begins_with_the_sampler_is_retired() {
    let Setup { next, stage, .. } = start(json!({}));
    assert_eq!(Arc::strong_count(&stage), 1, "who else holds it would be waited for");
    retire(stage).await;
    assert!(*next.stopped.lock().unwrap());
}

#[tokio::test]
async fn too_many_bytes_end_the_wait_of_the_oldest() {
    let setup = start(json!({"max_bytes": "10KiB"}));
    let large = Span { name: "n".repeat(6_000), ..failed(1, 1) };
    let first = setup.give(vec![large]).await;
    let second = setup.give(vec![Span { name: "n".repeat(6_000), ..span(2, 2, "") }]).await;
    first.await.unwrap();
    assert_eq!(setup.next.span_ids(), [vec![1]]);
    assert_eq!(
        setup.count("processor_tail_sampling_sampling_trace_dropped_too_early_total{processor=\"tail\"}"),
        1
    );
    drop(second);
}

#[tokio::test]
async fn memory_of_what_waits_is_held_and_given_back() {
    let setup = start(json!({"decision_wait": "1h"}));
    let account = MemoryAccount::default();
    let mut request = request_of(vec![span(1, 1, "chat"), span(2, 2, "chat")]);
    request.held = account.hold(footprint(&request.body));
    let (ack, delivery) = ack_channel();
    setup.stage.export(Arc::new(request), ack).await;
    assert!(account.used() > 0);
    setup.stage.shutdown().await;
    delivery.await.unwrap();
    assert_eq!(account.used(), 0);
}

/// Scenario: a request of one large resource and many traces, of which the first third may wait.
/// Guarantees: the memory that it takes is about that of the request, however many traces there are.
#[tokio::test]
async fn many_traces_share_one_resource() {
    let setup = start(json!({"num_traces": 1_000, "policies": [{"name": "all", "type": "always_sample"}]}));
    let account = MemoryAccount::default();
    let mut request = request_of((0..3_000_u32).map(numbered).collect());
    let attributes = vec![text("large", &"x".repeat(1 << 20))];
    request.body.resource_spans[0].resource = Some(Resource { attributes, ..Resource::default() });
    request.held = account.hold(footprint(&request.body));
    let before = account.used();
    let largest = Arc::new(Mutex::new(0));
    setup.next.judge_by({
        let (account, largest) = (account.clone(), Arc::clone(&largest));
        move |_| {
            let mut largest = largest.lock().unwrap();
            *largest = account.used().max(*largest);
            Ok(Delivered::default())
        }
    });
    let (ack, delivery) = ack_channel();
    setup.stage.export(Arc::new(request), ack).await;
    assert_eq!(setup.next.taken().iter().map(|request| request.span_count()).sum::<usize>(), 2_000);
    setup.stage.shutdown().await;
    delivery.await.unwrap();
    let taken = setup.next.taken();
    assert_eq!(taken.iter().map(|request| request.span_count()).sum::<usize>(), 3_000);
    assert!(taken.len() < 10, "{} copies of the resource", taken.len());
    assert!(*largest.lock().unwrap() < 4 * before, "{} of {before}", largest.lock().unwrap());
}

/// A failed span of a trace of its own.
fn numbered(number: u32) -> Span {
    let trace_id = [&[7; 12], number.to_be_bytes().as_slice()].concat();
    Span { trace_id, ..failed(7, 1) }
}

#[tokio::test]
async fn a_request_whose_traces_are_all_sampled_goes_on_as_it_came_in() {
    let setup = start(json!({"policies": [{"name": "all", "type": "always_sample"}]}));
    let mut request = request_of(vec![root(1, 1), root(2, 2)]);
    request.encoded = Some("as it came".into());
    let request = Arc::new(request);
    setup.next.send(setup.stage.as_ref(), Arc::clone(&request)).await.unwrap();
    assert!(Arc::ptr_eq(&setup.next.taken()[0], &request));
}

/// Scenario: a request of a sampled trace and one that is not; its delivery fails twice.
/// Guarantees: what was dropped counts once.
#[tokio::test]
async fn dropped_spans_count_once_however_often_the_rest_is_tried() {
    let setup = start(json!({}));
    let spans = || vec![failed(1, 1), root(1, 2), root(2, 3)];
    for _ in 0..2 {
        setup.next.fail_next(ExportError::retry("later"));
        assert!(setup.give(spans()).await.await.is_err());
        assert_eq!(setup.count(DROPPED), 0);
    }
    setup.give(spans()).await.await.unwrap();
    assert_eq!(setup.count(DROPPED), 1);
    assert_eq!(setup.next.span_ids(), [[1, 2]; 3]);
}

#[tokio::test]
async fn in_haste_no_trace_waits_and_new_ones_are_still_taken() {
    let setup = start(json!({"decision_wait_after_root_received": "1h"}));
    let waiting = setup.give(vec![failed(1, 1)]).await;
    setup.stage.hurry();
    waiting.await.unwrap();
    setup.give(vec![failed(2, 2)]).await.await.unwrap();
    setup.give(vec![span(3, 3, "chat")]).await.await.unwrap();
    assert_eq!(setup.next.span_ids(), [[1], [2]]);
    assert_eq!((*setup.next.hurried.lock().unwrap(), *setup.next.stopped.lock().unwrap()), (true, false));
}

/// Scenario: a policy panics, over traces that the clock decides on.
/// Guarantees: their requests are rejected one after the other, and the clock goes on, which is seen to have died only
/// when it has.
#[tokio::test]
async fn a_panic_of_a_policy_is_the_answer_to_the_request() {
    let config: TailSamplingConfig = serde_json::from_value(json!({"decision_wait": "20ms"})).unwrap();
    let (health, metrics, died) = (Health::default(), Metrics::default(), Counter::default());
    let reporting = (metrics.processor("tail"), health.task("processors.tail", "clock", died.clone()));
    let policies = vec![Policy::panicking()];
    let sampler = Sampler::start(&config, policies, Decisions::default(), reporting, Recorder::new());
    let stage = TailSampler(sampler);
    for trace in 1..3 {
        let (ack, delivery) = ack_channel();
        stage.export(Arc::new(request_of(vec![span(trace, 1, "chat")])), ack).await;
        assert!(matches!(delivery.await, Err(ExportError::Reject { .. })));
    }
    stage.shutdown().await;
    assert_eq!((died.get(), health.report().len()), (0, 0));
}

/// Scenario: a reload puts another sampler in the place of one that has decided on a trace, and has another waiting.
/// Guarantees: what comes later of both follows the decisions of the first.
#[tokio::test]
async fn decisions_outlive_the_sampler() {
    let remembered = Remembered::default();
    let first = start_with(json!({}), remembered.of("tail"));
    first.give(vec![failed(1, 1), root(1, 2)]).await.await.unwrap();
    let waiting = first.give(vec![failed(2, 3)]).await;
    let second = start_with(json!({}), remembered.of("tail"));
    let between = second.give(vec![span(2, 4, "chat")]).await;
    first.stage.shutdown().await;
    waiting.await.unwrap();
    second.give(vec![span(1, 5, "late")]).await.await.unwrap();
    second.give(vec![span(2, 6, "late")]).await.await.unwrap();
    second.stage.shutdown().await;
    between.await.unwrap();
    assert_eq!(second.next.span_ids(), [[5], [6], [4]]);
    assert!(remembered.of("other").get(&[1; 16]).is_none());
}

#[test]
fn decisions_are_remembered_up_to_a_number_of_each_kind() {
    let sizes = DecisionCacheConfig { sampled_cache_size: 2, non_sampled_cache_size: 1 };
    let decisions = Decisions::default();
    for (trace, is_sampled) in [(1, true), (2, false), (3, true), (4, true), (5, false)] {
        decisions.add([trace; 16], is_sampled, sizes);
    }
    let known: Vec<_> = (1..=5).map(|trace| decisions.get(&[trace; 16])).collect();
    assert_eq!(known, [None, None, Some(true), Some(true), Some(false)]);
    assert_eq!(decisions.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Scenario: spans of many traces in any order and grouping, over limits that are far too small.
    /// Guarantees: no more traces wait than may; every span is passed on or counted as dropped, once;
    /// every request is answered.
    #[test]
    fn every_span_is_kept_or_counted(requests in proptest::collection::vec(
        proptest::collection::vec((0_u8..12, 0_u8..4), 1..6), 1..20), limit in 1_usize..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (setup, given) = runtime.block_on(async {
            let setup = start(json!({"num_traces": limit, "decision_cache": {"sampled_cache_size": 3, "non_sampled_cache_size": 3}}));
            let (mut id, mut deliveries) = (0_u8, Vec::new());
            for request in requests {
                let spans = request.into_iter().map(|(trace, kind)| {
                    id += 1;
                    match kind { 0 => failed(trace, id), 1 => root(trace, id), _ => span(trace, id, "chat") }
                });
                deliveries.push(setup.give(spans.collect()).await);
                let waiting = setup.count("processor_tail_sampling_sampling_traces_on_memory{processor=\"tail\"}");
                assert!(waiting <= limit as u64, "{waiting}");
            }
            setup.stage.shutdown().await;
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            (setup, u64::from(id))
        });
        let mut seen = setup.next.span_ids().concat();
        let passed = seen.len() as u64;
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len() as u64, passed);
        prop_assert_eq!(passed + setup.count(DROPPED), given);
    }
}

#[test]
fn settings_that_cannot_work_are_named() {
    let config: TailSamplingConfig = serde_json::from_value(json!({
        "decision_wait": "0s", "num_traces": 0, "max_bytes": 0,
        "decision_cache": {"sampled_cache_size": 0, "non_sampled_cache_size": 0},
        "policies": [{"name": "a", "type": "latency"}, {"name": "a", "type": "always_sample"}],
    }))
    .unwrap();
    let keys: Vec<_> = config.validate().into_iter().map(|(key, _)| key).collect();
    let expected = [
        "decision_wait",
        "num_traces",
        "max_bytes",
        "decision_cache.sampled_cache_size",
        "decision_cache.non_sampled_cache_size",
        "policies[0]",
        "policies[1]",
    ];
    assert_eq!(keys, expected);
    assert_eq!(TailSamplingConfig::default().validate()[0].0, "policies");
    assert_eq!(TailSamplingConfig::default().decision_wait, Duration::from_secs(30));
}
