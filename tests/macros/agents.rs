//! Agents: counts, tool calls, hand-offs, metrics.

use std::collections::BTreeMap;

use opentelemetry_mlflow::instrument::{Scope, Span, SpanType, ToolCall};
use opentelemetry_mlflow::{agent, tool, workflow};

use super::telemetry::{Telemetry, attribute, event, id, parent};

/// A model that asks for tools, traced by hand.
fn model(calls: &[(&str, &str, &str)]) {
    let span = Span::builder("chat").span_type(SpanType::ChatModel).start();
    for (id, name, arguments) in calls {
        span.offer_tool_call(id, name, arguments);
    }
}

#[tool]
fn weather(city: &str) -> usize {
    city.len()
}

#[tool(call_id = call)]
fn named_call(call: &str) -> u8 {
    1
}

#[agent(name = "Forecaster")]
fn forecast() {
    model(&[
        ("call_1", "weather", r#"{"city": "Rome"}"#),
        ("call_2", "weather", r#"{"city": "Paris"}"#),
        ("call_3", "named_call", "{}"),
    ]);
    weather("Paris");
    weather("Rome");
    weather("Oslo");
    model(&[]);
}

#[test]
fn tools_get_the_id_of_the_call_that_the_model_made() {
    for telemetry in [Telemetry::new(), Telemetry::with(|builder| builder)] {
        telemetry.inside(forecast);
        let spans = telemetry.spans();
        let tools: Vec<_> = spans.iter().filter(|span| span.name == "execute_tool weather").collect();
        let ids: Vec<_> = tools.iter().map(|span| attribute(span, "gen_ai.tool.call.id")).collect();
        assert_eq!(ids, [Some("call_2".to_owned()), Some("call_1".to_owned()), None]);
        assert_eq!(attribute(tools[0], "gen_ai.agent.name").as_deref(), Some("Forecaster"));
    }
}

#[test]
fn an_id_that_is_given_wins() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        model(&[("call_1", "weather", "{}"), ("call_2", "weather", "{}"), ("call_3", "named_call", "{}")]);
        let _call = ToolCall::new("call_2").enter();
        weather("a");
        weather("b");
        named_call("mine");
    });
    let ids: Vec<_> =
        telemetry.spans().iter().filter_map(|span| attribute(span, "gen_ai.tool.call.id")).collect();
    assert_eq!(ids, ["call_2", "call_1", "mine"]);
}

fn point(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[workflow]
fn report() {
    forecast();
    forecast();
}

#[test]
fn metrics_have_the_attributes_of_the_registry() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        report();
        weather("alone");
        Span::agent("Idle").model("m").start().end();
    });
    let named = point(&[("gen_ai.agent.name", "Forecaster")]);
    let idle = point(&[("gen_ai.agent.name", "Idle")]);
    let sorted = |name| {
        let mut points = telemetry.metric(name);
        points.sort_by(|one, other| one.0.cmp(&other.0));
        points
    };
    let calls = |name| sorted(name).into_iter().map(|(key, count, sum)| (key, count, sum.to_string()));
    assert!(
        calls("gen_ai.invoke_agent.inference_calls")
            .eq([(named.clone(), 2, "4".to_owned()), (idle.clone(), 1, "0".to_owned())])
    );
    assert!(
        calls("gen_ai.invoke_agent.tool_calls")
            .eq([(named.clone(), 2, "6".to_owned()), (idle, 1, "0".to_owned())])
    );
    let counted = |name| sorted(name).into_iter().map(|(key, count, _)| (key, count)).collect::<Vec<_>>();
    let model = point(&[("gen_ai.agent.name", "Idle"), ("gen_ai.request.model", "m")]);
    assert_eq!(counted("gen_ai.invoke_agent.duration"), [(named, 2), (model, 1)]);
    let tool = [("gen_ai.tool.name", "weather"), ("gen_ai.tool.type", "function")];
    let inside = [("gen_ai.agent.name", "Forecaster"), tool[0], tool[1]];
    assert_eq!(counted("gen_ai.execute_tool.duration"), [(point(&inside), 6), (point(&tool), 1)]);
    let workflow = point(&[("gen_ai.workflow.name", "report")]);
    assert_eq!(counted("gen_ai.workflow.duration"), [(workflow, 1)]);
}

#[test]
fn durations_of_metric_and_span_are_the_same() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| weather("x"));
    let span = telemetry.span("execute_tool weather");
    let took = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64();
    let (_, _, measured) = telemetry.metric("gen_ai.execute_tool.duration")[0];
    assert!((took - measured).abs() < 1e-6, "{took} and {measured}");
}

#[agent(name = "Agent B")]
fn agent_b(question: &str) -> String {
    question.to_uppercase()
}

#[tool]
fn ask_b(question: &str) -> String {
    agent_b(question)
}

#[agent(name = "Agent A")]
fn agent_a(question: &str) -> String {
    ask_b(question)
}

#[test]
fn an_agent_inside_another_is_a_hand_off() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| agent_a("why"));
    let (a, b) = (telemetry.span("invoke_agent Agent A"), telemetry.span("invoke_agent Agent B"));
    assert_eq!(
        event(&a, "otel_mlflow.handoff"),
        ["otel_mlflow.handoff.from=Agent A", "otel_mlflow.handoff.to=Agent B"]
    );
    assert_eq!(b.links.links.len(), 1);
    assert_eq!(b.links.links[0].span_context.span_id(), id(&a));
}

#[tool]
fn transfer_to_b() -> &'static str {
    Span::current().hand_off("Agent B");
    "Agent B"
}

#[agent(name = "Agent A")]
fn swarm_a() -> &'static str {
    model(&[("call_1", "transfer_to_b", "{}")]);
    transfer_to_b()
}

#[workflow]
fn swarm(question: &str) -> String {
    match swarm_a() {
        "Agent B" => agent_b(question),
        other => other.to_owned(),
    }
}

#[test]
fn a_swarm_shows_its_hand_offs() {
    let telemetry = Telemetry::new();
    assert_eq!(telemetry.inside(|| swarm("why")), "WHY");
    let workflow = telemetry.span("invoke_workflow swarm");
    let (a, b) = (telemetry.span("invoke_agent Agent A"), telemetry.span("invoke_agent Agent B"));
    assert_eq!([parent(&a), parent(&b)], [id(&workflow); 2]);
    let tool = telemetry.span("execute_tool transfer_to_b");
    assert_eq!(attribute(&tool, "gen_ai.tool.call.id").as_deref(), Some("call_1"));
    let handoff = telemetry.span("Handoff");
    assert_eq!(parent(&handoff), id(&tool));
    assert_eq!(attribute(&handoff, "mlflow.spanType").as_deref(), Some("CHAIN"));
    assert_eq!(attribute(&handoff, "mlflow.spanInputs").as_deref(), Some(r#"{"from_agent":"Agent A"}"#));
    assert_eq!(attribute(&handoff, "mlflow.spanOutputs").as_deref(), Some(r#"{"to_agent":"Agent B"}"#));
    assert_eq!(b.links.links[0].span_context.span_id(), id(&a));
    assert!(a.events.is_empty(), "told once");
    assert_eq!(attribute(&workflow, "mlflow.spanOutputs").as_deref(), Some(r#""WHY""#));
}

#[test]
fn scopes_are_on_every_span() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        let _scope = Scope::new().conversation_id("thread-7").user_id("u").enter();
        swarm("why");
    });
    let spans = telemetry.spans();
    for span in spans.iter().filter(|span| span.name != "root") {
        assert_eq!(attribute(span, "gen_ai.conversation.id").as_deref(), Some("thread-7"), "{}", span.name);
        assert_eq!(attribute(span, "user.id").as_deref(), Some("u"), "{}", span.name);
    }
}
