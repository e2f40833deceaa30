//! Tests of the fold: its result depends on what is stored, and on nothing else.

use proptest::prelude::*;

use super::super::facts::StoredRunTrace;
use super::super::facts::tests::trace;
use super::*;
use crate::mlflow::entities::{RunData, RunInfo, RunInputs};

fn run() -> Run {
    Run {
        info: RunInfo {
            run_id: "r".to_owned(),
            experiment_id: "1".to_owned(),
            name: "n".to_owned(),
            user_id: String::new(),
            status: RunStatus::Running,
            start_time_ms: 100,
            end_time_ms: None,
            artifact_uri: String::new(),
            lifecycle: crate::mlflow::entities::Lifecycle::Active,
        },
        data: RunData::default(),
        inputs: RunInputs::default(),
    }
}

/// Logs as MLflow does: the history grows, the latest value is that of the greatest step, time and value.
fn log(run: &mut Run, batch: LogBatch) {
    for metric in batch.metrics {
        let order = |metric: &Metric| (metric.step, metric.timestamp_ms);
        match run.data.metrics.iter_mut().find(|known| known.key == metric.key) {
            Some(known) => {
                let newer = order(&metric).cmp(&order(known)).then(metric.value.total_cmp(&known.value));
                if newer.is_gt() {
                    *known = metric;
                }
            }
            None => run.data.metrics.push(metric),
        }
    }
    run.data.params.extend(batch.params);
    for tag in batch.tags {
        run.data.tags.retain(|known| known.key != tag.key);
        run.data.tags.push(tag);
    }
}

fn facts(traces: &[(u32, i64, i64)]) -> Vec<TraceFacts> {
    let traces = traces.iter().map(|(id, start, input)| trace(&format!("tr-{id}"), *start, *input));
    traces.map(TraceFacts::read).collect()
}

fn view(facts: &[TraceFacts]) -> RunView {
    RunView::fold(facts.iter(), false)
}

#[test]
fn the_last_point_of_a_total_is_the_total() {
    let view = view(&facts(&[(2, 200, 30), (1, 100, 4), (3, 300, 500)]));
    let input = view.totals.iter().find(|series| series.key == "input_tokens").unwrap();
    let values: Vec<_> = input.points.iter().map(|point| (point.timestamp_ms, point.value)).collect();
    assert_eq!(values, [(110, 4.0), (210, 34.0), (310, 534.0)]);
    assert!(view.totals.iter().all(|series| series.key != "cache_read_input_tokens"));
    assert_eq!((view.end(), view.end_ms), (RunStatus::Finished, Some(310)));
}

#[test]
fn a_correction_wins_over_what_was_logged_before() {
    let mut run = run();
    let batch = view(&facts(&[(1, 100, 40), (2, 200, 2)])).log(&run, false, true);
    log(&mut run, batch);
    assert_eq!(run.metric("input_tokens"), Some(42.0));
    // The first trace was sent again, with fewer tokens.
    let corrected = view(&facts(&[(1, 100, 1), (2, 200, 2)]));
    let batch = corrected.log(&run, false, true);
    log(&mut run, batch);
    assert_eq!(run.metric("input_tokens"), Some(3.0));
    let rest = corrected.log(&run, false, true);
    assert!(rest.metrics.iter().all(|metric| metric.key.ends_with("_ms")), "{rest:?}");
    assert!(rest.params.is_empty() && rest.tags.is_empty(), "{rest:?}");
}

#[test]
fn params_are_logged_at_the_end_and_varying_ones_are_listed() {
    let mut other = trace("tr-2", 200, 1);
    for span in &mut other.spans {
        span["attributes"]["gen_ai.request.temperature"] = "0.9".into();
    }
    let mut all = facts(&[(1, 100, 1), (3, 300, 1)]);
    all.push(TraceFacts::read(other));
    let batch = view(&all).log(&run(), false, true);
    assert_eq!(batch.params, []);
    let tag = |key: &str| batch.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.clone());
    assert_eq!(tag(RUN_PARAMS).as_deref(), Some(r#"{"model":"m"}"#));
    assert_eq!(tag(RUN_VARYING).as_deref(), Some(r#"{"temperature":{"0.5":2,"0.9":1}}"#));
    assert_eq!(tag("service.version").as_deref(), Some("1"));
    let batch = view(&all).log(&run(), true, false);
    let params: Vec<_> =
        batch.params.iter().map(|param| (param.key.as_str(), param.value.as_str())).collect();
    assert_eq!(params, [("model", "m"), ("temperature", VARYING)]);
    assert!(batch.tags.iter().all(|tag| tag.key.starts_with(EXISTING_TAGS)), "{:?}", batch.tags);
}

#[test]
fn a_trace_that_never_ended_counts_in_the_end_and_kills_the_run() {
    let open = TraceFacts::read(StoredRunTrace { state: TraceState::InProgress, ..trace("tr-2", 200, 7) });
    let all = [TraceFacts::read(trace("tr-1", 100, 1)), open];
    let requests = |view: &RunView| view.totals.first().map(|series| series.points.len());
    assert_eq!(requests(&view(&all)), Some(1));
    let ended = RunView::fold(all.iter(), true);
    assert_eq!((requests(&ended), ended.end()), (Some(2), RunStatus::Killed));
}

#[test]
fn the_last_trace_decides_whether_a_run_failed() {
    let failed =
        |id, start| TraceFacts::read(StoredRunTrace { state: TraceState::Error, ..trace(id, start, 1) });
    let good = |id, start| TraceFacts::read(trace(id, start, 1));
    assert_eq!(view(&[failed("tr-1", 100), good("tr-2", 200)]).end(), RunStatus::Finished);
    assert_eq!(view(&[good("tr-1", 100), failed("tr-2", 200)]).end(), RunStatus::Failed);
}

#[test]
fn many_points_at_once_are_thinned_and_the_total_stays() {
    let many: Vec<_> = (0..2_500).map(|id| (id, i64::from(id) * 10, 1)).collect();
    let view = view(&facts(&many));
    let requests = view.totals.iter().find(|series| series.key == "requests").unwrap();
    let points = next_points(requests, None);
    assert!(points.len() <= POINTS_AT_ONCE, "{}", points.len());
    assert_eq!(points.last().map(|point| (point.step, point.value)), Some((2_500, 2_500.0)));
}

proptest! {
    /// Scenario: traces arrive in any order, in any number of steps, some are corrected later; two
    /// gateways log in turn, each after every step or not. Guarantees: the last values are the totals.
    #[test]
    fn totals_do_not_depend_on_order_steps_or_gateways(
        traces in proptest::collection::vec((0_i64..50, 0_i64..1_000, 0_i64..1_000), 1..30),
        cuts in proptest::collection::vec(0_usize..30, 0..6),
    ) {
        let mut run = run();
        let numbered = || traces.iter().zip(0_u32..);
        let mut steps: Vec<Vec<(u32, i64, i64)>> = cuts.iter().map(|cut| {
            numbered().take(*cut).map(|((start, first, _), id)| (id, *start, *first)).collect()
        }).collect();
        steps.push(numbered().map(|((start, _, last), id)| (id, *start, *last)).collect());
        for step in &steps {
            let view = view(&facts(step));
            let (mine, others) = (view.log(&run, false, true), view.log(&run, false, true));
            log(&mut run, mine);
            log(&mut run, others);
        }
        let input: i64 = traces.iter().map(|(_, _, last)| last).sum();
        prop_assert_eq!(run.metric("input_tokens"), Some(input as f64));
        prop_assert_eq!(run.metric("requests"), Some(traces.len() as f64));
    }
}
