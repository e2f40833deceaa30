use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::super::super::acks::split;
use super::super::super::testing::{pair, request_of, span, text};
use super::super::traces::sort;
use super::*;
use crate::otlp::model::Status;
use crate::pipeline::ack_channel;

fn wants(policy: Json, spans: Vec<Span>) -> bool {
    let mut config = json!({"name": "p"});
    config.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    let policy = Policy::new(&serde_json::from_value(config).unwrap()).unwrap();
    let (ack, _) = ack_channel();
    let share = split(ack, &[spans.len()]).pop().unwrap();
    let (trace, fragment) = sort(Arc::new(request_of(spans))).pop().unwrap();
    policy.wants(&Trace { id: trace, parts: &[(fragment, share)] })
}

fn with(attributes: Vec<KeyValue>) -> Vec<Span> {
    vec![span(7, 1, "a"), Span { attributes, ..span(7, 2, "b") }]
}

#[test]
fn errors_and_slow_traces_are_told_from_others() {
    let errors = json!({"type": "status_code", "status_code": {"status_codes": ["ERROR"]}});
    let status = Some(Status { code: 2, message: String::new() });
    assert!(wants(errors.clone(), vec![span(7, 1, "a"), Span { status, ..span(7, 2, "b") }]));
    assert!(!wants(errors, vec![span(7, 1, "a")]));
    let slow = |settings: Json| json!({"type": "latency", "latency": settings});
    // The spans take half a second each, and one begins a second later.
    let later =
        Span { start_time_unix_nano: 2_000_000_000, end_time_unix_nano: 2_500_000_000, ..span(7, 2, "b") };
    let spans = vec![span(7, 1, "a"), later];
    assert!(wants(slow(json!({"threshold_ms": 1_500})), spans.clone()));
    assert!(!wants(slow(json!({"threshold_ms": 1_501})), spans.clone()));
    assert!(!wants(slow(json!({"threshold_ms": 1, "upper_threshold_ms": 1_000})), spans));
}

#[test]
fn expensive_traces_add_up_over_their_spans() {
    let usage = |settings: Json| json!({"type": "gen_ai_usage", "gen_ai_usage": settings});
    let calls = vec![
        Span {
            attributes: vec![
                pair("gen_ai.usage.input_tokens", Value::Int(600)),
                pair("gen_ai.usage.cost", Value::Double(0.2)),
            ],
            ..span(7, 1, "a")
        },
        Span {
            attributes: vec![
                text("llm.token_count.completion", "300"),
                pair("llm.token_count.total", Value::Int(9_000)),
            ],
            ..span(7, 2, "b")
        },
        Span { attributes: vec![pair("llm.usage.total_tokens", Value::Int(100))], ..span(7, 3, "c") },
    ];
    assert!(wants(usage(json!({"min_tokens": 1_000})), calls.clone()));
    assert!(!wants(usage(json!({"min_tokens": 1_001})), calls.clone()));
    assert!(wants(usage(json!({"min_tokens": 5_000, "min_cost": 0.2})), calls.clone()));
    assert!(!wants(usage(json!({"min_cost": 0.1, "cost_attributes": ["x"]})), calls));
    let map = with(vec![text("mlflow.llm.cost", r#"{"input_cost": 0.5, "total_cost": 0.7}"#)]);
    assert!(wants(usage(json!({"min_cost": 0.7})), map.clone()));
    assert!(!wants(usage(json!({"min_cost": 0.8})), map));
}

#[test]
fn attributes_are_compared_by_their_type() {
    let string = json!({"type": "string_attribute", "string_attribute": {"key": "k", "values": ["v"]}});
    assert!(wants(string.clone(), with(vec![text("k", "v")])));
    assert!(!wants(string, with(vec![text("k", "vv")])));
    let regex = json!({"type": "string_attribute", "string_attribute": {"key": "k", "values": ["^v+$"], "enabled_regex_matching": true}});
    assert!(wants(regex, with(vec![text("k", "vv")])));
    let number = json!({"type": "numeric_attribute", "numeric_attribute": {"key": "k", "min_value": 5}});
    assert!(wants(number.clone(), with(vec![pair("k", Value::Double(5.0))])));
    assert!(!wants(number, with(vec![pair("k", Value::Int(4))])));
    let boolean = json!({"type": "boolean_attribute", "boolean_attribute": {"key": "k", "value": true}});
    assert!(wants(boolean.clone(), with(vec![pair("k", Value::Bool(true))])));
    assert!(!wants(boolean, with(vec![pair("k", Value::Bool(false))])));
}

#[test]
fn every_policy_of_an_and_must_want_the_trace() {
    let count = |least: usize| json!({"name": "c", "type": "span_count", "span_count": {"min_spans": least}});
    let both = |least: usize| json!({"type": "and", "and": {"and_sub_policy": [{"name": "a", "type": "always_sample"}, count(least)]}});
    assert!(wants(both(2), with(vec![])));
    assert!(!wants(both(3), with(vec![])));
}

#[test]
fn a_share_is_kept_by_id() {
    let share = |percentage: f64| {
        Policy::new(
            &serde_json::from_value(json!({
        "name": "p", "type": "probabilistic", "probabilistic": {"sampling_percentage": percentage}}))
            .unwrap(),
        )
        .unwrap()
    };
    let kept = |percentage: f64| {
        let policy = share(percentage);
        let ids = (0..1_000_u128)
            .map(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        ids.filter(|id| policy.wants(&Trace { id: *id, parts: &[] })).collect::<Vec<_>>()
    };
    let (none, some, all) = (kept(0.0), kept(20.0), kept(100.0));
    assert_eq!((none.len(), all.len()), (0, 1_000));
    assert!((140..260).contains(&some.len()), "{}", some.len());
    assert_eq!(some, kept(20.0));
}

#[test]
fn settings_that_are_missing_are_named() {
    let why = |policy: Json| Policy::new(&serde_json::from_value(policy).unwrap()).err().unwrap();
    assert!(why(json!({"name": "p", "type": "latency"})).contains("under `latency`"));
    let empty = json!({"name": "p", "type": "and", "and": {"and_sub_policy": []}});
    assert!(why(empty).contains("at least one policy"));
}
