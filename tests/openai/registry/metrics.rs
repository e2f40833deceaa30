//! Metrics.

use serde_json::json;

use super::Rules;
use super::attributes::{self, Carrier};
use crate::telemetry::Point;

const SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const AGENT_SECONDS: &[f64] = &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6];
const WORKFLOW_SECONDS: &[f64] = &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0];
const CALLS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// The boundaries that docs/gen-ai/gen-ai-metrics.md asks for; the files of the registry have none.
fn boundaries(metric: &str) -> Vec<f64> {
    match metric {
        "gen_ai.client.token.usage" => (0..14).map(|power| 4_f64.powi(power)).collect(),
        "gen_ai.invoke_agent.duration" => AGENT_SECONDS.to_vec(),
        "gen_ai.workflow.duration" => WORKFLOW_SECONDS.to_vec(),
        "gen_ai.invoke_agent.inference_calls" | "gen_ai.invoke_agent.tool_calls" => CALLS.to_vec(),
        _ => SECONDS.to_vec(),
    }
}

pub(super) fn check(rules: &Rules, point: &Point) -> Vec<String> {
    let metrics = &rules.registry.metrics;
    let Some(base) = metrics.get(&point.metric).filter(|_| point.metric.starts_with("gen_ai.")) else {
        return vec!["it is not in the registry".to_owned()];
    };
    let refined = attributes::refined(&point.metric, &point.attributes);
    let signal = metrics.get(refined.as_ref()).unwrap_or(base);
    let mut wrong = attributes::check(rules, signal, Carrier::Metric, &point.attributes);
    let about = &base.about;
    for (what, is, should) in [
        ("unit", json!(point.unit), &about["unit"]),
        ("instrument", json!("histogram"), &about["instrument"]),
        ("type of values", json!(point.kind), &about["annotations"]["code_generation"]["metric_value_type"]),
    ] {
        if is != *should {
            wrong.push(format!("the {what} is {is}, not {should}"));
        }
    }
    if point.bounds != boundaries(&point.metric) {
        wrong.push(format!("the boundaries are {:?}", point.bounds));
    }
    // Required of calls to a provider, which all client operations are. To fetch a response, the
    // caller names no model.
    let fetches = point.get("gen_ai.operation.name") == "fetch_response";
    for (name, applies) in [("gen_ai.provider.name", true), ("gen_ai.request.model", !fetches)] {
        if point.metric.starts_with("gen_ai.client.") && applies && point.get(name).is_null() {
            wrong.push(format!("{name} is required"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;

    use super::super::check_point;
    use super::*;
    use crate::telemetry::typed;

    fn usage() -> Point {
        Point {
            metric: "gen_ai.client.token.usage".to_owned(),
            unit: "{token}".to_owned(),
            kind: "int",
            bounds: vec![
                1.,
                4.,
                16.,
                64.,
                256.,
                1024.,
                4096.,
                16384.,
                65536.,
                262_144.,
                1_048_576.,
                4_194_304.,
                16_777_216.,
                67_108_864.,
            ],
            attributes: typed(&[
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", "openai"),
                KeyValue::new("gen_ai.request.model", "gpt-4o"),
                KeyValue::new("gen_ai.token.type", "input"),
                KeyValue::new("openai.response.service_tier", "default"),
            ]),
            count: 1,
            sum: 19.0,
        }
    }

    fn without(name: &str) -> Point {
        let mut point = usage();
        point.attributes.retain(|(known, _)| known != name);
        point
    }

    fn with(attribute: KeyValue) -> Point {
        let mut point = usage();
        point.attributes.extend(typed(&[attribute]));
        point
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        assert_eq!(check_point(&usage()), Vec::<String>::new());
        for (broken, expected) in [
            (Point { metric: "gen_ai.client.tokens".to_owned(), ..usage() }, "not in the registry"),
            (Point { metric: "openai.client.token.usage".to_owned(), ..usage() }, "not in the registry"),
            (Point { unit: "tokens".to_owned(), ..usage() }, "the unit is \"tokens\""),
            (Point { kind: "double", ..usage() }, "the type of values"),
            (Point { bounds: vec![0.0, 5.0, 10.0], ..usage() }, "the boundaries are"),
            (without("gen_ai.token.type"), "gen_ai.token.type is required"),
            (without("gen_ai.request.model"), "gen_ai.request.model is required"),
            (with(KeyValue::new("gen_ai.response.id", "x")), "does not belong here"),
            (with(KeyValue::new("gen_ai.conversation.id", "x")), "does not belong here"),
            (with(KeyValue::new("gen_ai.input.messages", "[]")), "no dimension"),
            (with(KeyValue::new("error.type", "timeout")), "does not belong here"),
            (with(KeyValue::new("otel_mlflow.stream.end", "dropped")), "not in the registry"),
            (with(KeyValue::new("server.address", "a")), "go together"),
        ] {
            let wrong = check_point(&broken);
            assert!(wrong.iter().any(|wrong| wrong.contains(expected)), "{expected}: {wrong:?}");
        }
    }
}
