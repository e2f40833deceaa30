//! The manual API.

use opentelemetry::trace::{SpanKind, TraceContextExt};
use opentelemetry::{KeyValue, Value};
use opentelemetry_mlflow::genai::{Message, Part};
use opentelemetry_mlflow::instrument::{Instrumentation, Naming, Span, SpanType};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::telemetry::{Telemetry, attribute, attributes, event, id, parent};

#[test]
fn the_last_value_of_everything_counts() {
    let telemetry = Telemetry::new();
    let span = telemetry.root();
    for value in [1, 2] {
        span.set_inputs(&value);
        span.set_outputs(&[value]);
        span.set_attribute(KeyValue::new("mine", value));
    }
    span.add_event("halfway", vec![KeyValue::new("left", 3)]);
    span.end();
    let span = telemetry.span("root");
    assert_eq!(
        attributes(&span),
        ["mine=2", "mlflow.spanInputs=2", "mlflow.spanOutputs=[2]", "mlflow.spanType=UNKNOWN"]
    );
    assert_eq!(event(&span, "halfway"), ["left=3"]);
    assert_eq!(span.span_kind, SpanKind::Internal);
}

#[test]
fn messages_stand_in_for_inputs_and_outputs() {
    let telemetry = Telemetry::new();
    let span = Span::agent("A").instrumentation(&telemetry.instrumentation).start();
    span.set_input_messages(vec![Message::new("user", vec![Part::Text("hello".into())])]);
    span.set_output_messages(vec![Message::new("assistant", vec![Part::Text("hi".into())]).finished("stop")]);
    span.end();
    let span = telemetry.span("invoke_agent A");
    let given = r#"[{"role":"user","parts":[{"type":"text","content":"hello"}]}]"#;
    assert_eq!(attribute(&span, "gen_ai.input.messages").as_deref(), Some(given));
    assert!(attribute(&span, "gen_ai.output.messages").unwrap().contains(r#""finish_reason":"stop""#));
    assert_eq!(attribute(&span, "mlflow.spanInputs"), None);
}

#[test]
fn a_guard_makes_the_span_current_and_leaves_it_open() {
    let telemetry = Telemetry::new();
    let outer = telemetry.root();
    let entered = outer.enter();
    let inner = Span::builder("inner").span_type(SpanType::Parser).start();
    Span::current().set_attribute(KeyValue::new("where", "outer"));
    drop(entered);
    assert!(!Span::current().is_recording());
    assert!(telemetry.spans().is_empty());
    drop(inner);
    outer.end();
    let (outer, inner) = (telemetry.span("root"), telemetry.span("inner"));
    assert_eq!(parent(&inner), id(&outer));
    assert_eq!(attribute(&outer, "where").as_deref(), Some("outer"));
}

#[tokio::test]
async fn a_future_can_record_on_its_span() {
    let telemetry = Telemetry::new();
    let answer = telemetry
        .root()
        .run_with(async |span| {
            tokio::task::yield_now().await;
            span.set_outputs("done");
            42
        })
        .await;
    assert_eq!(answer, 42);
    let span = telemetry.span("root");
    assert_eq!(attribute(&span, "mlflow.spanOutputs").as_deref(), Some(r#""done""#));
}

#[test]
fn parents_links_and_tool_ids_can_be_given() {
    let telemetry = Telemetry::new();
    let (first, second) = (telemetry.root(), telemetry.root());
    let tool = Span::tool("t").parent(&first.context()).link(second.span_context()).start();
    tool.set_call_id("call_9");
    tool.end();
    let tool = telemetry.span("execute_tool t");
    assert_eq!(parent(&tool), first.span_context().span_id());
    assert_eq!(tool.links.links[0].span_context, second.span_context());
    assert_eq!(attribute(&tool, "gen_ai.tool.call.id").as_deref(), Some("call_9"));
}

#[test]
fn names_are_the_chosen_ones() {
    let telemetry = Telemetry::with(|builder| builder.naming(Naming::Both));
    telemetry.root().set_attribute(KeyValue::new("gen_ai.provider.name", "openai"));
    let span = telemetry.span("root");
    assert_eq!(attribute(&span, "gen_ai.provider.name"), attribute(&span, "gen_ai.system"));
    assert!(attribute(&span, "gen_ai.system").is_some());
}

#[test]
fn numbers_and_booleans_are_not_texts() {
    let telemetry = Telemetry::new();
    let span = telemetry.root();
    span.set_inputs(&true);
    span.set_outputs(&1.5);
    span.end();
    let span = telemetry.span("root");
    for value in [Value::Bool(true), Value::F64(1.5)] {
        assert!(span.attributes.iter().any(|pair| pair.value == value), "{value:?}");
    }
    let span = telemetry.root();
    span.set_outputs(&None::<u8>);
    span.end();
    assert_eq!(attribute(&telemetry.spans()[1], "mlflow.spanOutputs"), None);
}

#[test]
fn values_that_are_no_json_say_why() {
    let telemetry = Telemetry::new();
    telemetry.root().set_inputs(&std::collections::BTreeMap::from([((1, 2), 3)]));
    let inputs = attribute(&telemetry.span("root"), "mlflow.spanInputs").unwrap();
    assert!(inputs.starts_with(r#""[not recorded: key must be a string"#), "{inputs}");
}

#[test]
fn spans_that_a_context_outlives_can_be_passed_on() {
    let provider = SdkTracerProvider::default();
    let instrumentation = Instrumentation::builder().tracer_provider(&provider).build();
    let span = Span::builder("s").instrumentation(&instrumentation).start();
    let context = span.context();
    assert_eq!(context.span().span_context(), &span.span_context());
    span.end();
    let _entered = context.attach();
    let late = Span::builder("late").start();
    assert_eq!(late.span_context().trace_id(), Span::current().span_context().trace_id());
}
