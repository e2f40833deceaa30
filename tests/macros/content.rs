//! Which content is recorded, and in which form.

use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy, ContentKind};
use opentelemetry_mlflow::instrument::Span;
use opentelemetry_mlflow::{agent, tool, traced, workflow};
use opentelemetry_sdk::trace::Sampler;
use serde::{Serialize, Serializer};

use super::telemetry::{Telemetry, attribute, attributes};

#[derive(Serialize)]
struct Place {
    city: &'static str,
}

/// Tells the weather.
/// In one word.
///
/// # Errors
/// None.
#[tool]
fn weather(place: &Place, days: u32) -> &'static str {
    let _ = (place.city, days);
    "sunny"
}

#[test]
fn a_tool_has_the_attributes_of_the_registry() {
    let telemetry = Telemetry::new();
    assert_eq!(telemetry.inside(|| weather(&Place { city: "Paris" }, 2)), "sunny");
    assert_eq!(
        attributes(&telemetry.span("execute_tool weather")),
        [
            "gen_ai.operation.name=execute_tool",
            r#"gen_ai.tool.call.arguments={"place":{"city":"Paris"},"days":2}"#,
            r#"gen_ai.tool.call.result={"result":"sunny"}"#,
            "gen_ai.tool.description=Tells the weather.\nIn one word.",
            "gen_ai.tool.name=weather",
            "gen_ai.tool.type=function",
            "mlflow.spanType=TOOL",
        ]
    );
}

#[agent(name = "Planner", description = "plans", id = "a-1", version = "3", model = "gpt-4o-mini")]
fn plan(question: &str) -> Vec<String> {
    vec![question.to_owned()]
}

#[workflow]
fn answer(question: &str) -> usize {
    question.len()
}

#[traced(span_type = "RETRIEVER", name = format!("search {index}"))]
fn search(index: u8) -> Option<u8> {
    Some(index)
}

#[traced]
fn step() {}

#[test]
fn other_types_have_their_own() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        plan("why");
        answer("why");
        search(7);
        step();
    });
    assert_eq!(
        attributes(&telemetry.span("invoke_agent Planner")),
        [
            "gen_ai.agent.description=plans",
            "gen_ai.agent.id=a-1",
            "gen_ai.agent.name=Planner",
            "gen_ai.agent.version=3",
            "gen_ai.operation.name=invoke_agent",
            "gen_ai.request.model=gpt-4o-mini",
            r#"mlflow.spanInputs={"question":"why"}"#,
            r#"mlflow.spanOutputs=["why"]"#,
            "mlflow.spanType=AGENT",
        ]
    );
    assert_eq!(
        attributes(&telemetry.span("invoke_workflow answer")),
        [
            "gen_ai.operation.name=invoke_workflow",
            "gen_ai.workflow.name=answer",
            r#"mlflow.spanInputs={"question":"why"}"#,
            "mlflow.spanOutputs=3",
            "mlflow.spanType=WORKFLOW",
        ]
    );
    assert_eq!(
        attributes(&telemetry.span("search 7")),
        [r#"mlflow.spanInputs={"index":7}"#, "mlflow.spanOutputs=7", "mlflow.spanType=RETRIEVER"]
    );
    assert_eq!(attributes(&telemetry.span("step")), ["mlflow.spanInputs={}", "mlflow.spanType=UNKNOWN"]);
}

/// Neither `Serialize` nor `Debug`.
struct Opaque;

#[derive(Debug)]
struct Shown(#[allow(dead_code, reason = "read by Debug")] u8);

#[tool]
fn plain(opaque: Opaque, shown: Shown) -> Shown {
    let Opaque = opaque;
    shown
}

#[tool(debug)]
fn debugged(opaque: Opaque, shown: Shown, text: &str) -> Shown {
    let _ = (opaque, text);
    shown
}

#[tool(debug(shown, text))]
fn chosen(shown: Shown, other: Shown, text: &str) -> Shown {
    let _ = (other, text);
    shown
}

#[tool(skip(secret), skip_result)]
fn skipping(secret: &str, open: u8) -> String {
    format!("{secret}{open}")
}

#[tool(skip_all)]
fn quiet(secret: &str) -> usize {
    secret.len()
}

#[test]
fn types_without_serialize_are_named_or_shown_on_request() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        plain(Opaque, Shown(1));
        debugged(Opaque, Shown(2), "t");
        chosen(Shown(3), Shown(4), "t");
    });
    let content = |name: &str| {
        let span = telemetry.span(name);
        (
            attribute(&span, "gen_ai.tool.call.arguments").unwrap(),
            attribute(&span, "gen_ai.tool.call.result").unwrap(),
        )
    };
    let (opaque, shown) = ("<macros::content::Opaque>", "<macros::content::Shown>");
    assert_eq!(
        content("execute_tool plain"),
        (format!(r#"{{"opaque":"{opaque}","shown":"{shown}"}}"#), format!(r#"{{"result":"{shown}"}}"#))
    );
    assert_eq!(
        content("execute_tool debugged"),
        (
            format!(r#"{{"opaque":"{opaque}","shown":"Shown(2)","text":"t"}}"#),
            r#"{"result":"Shown(2)"}"#.to_owned()
        )
    );
    assert_eq!(
        content("execute_tool chosen").0,
        format!(r#"{{"shown":"Shown(3)","other":"{shown}","text":"\"t\""}}"#)
    );
}

#[test]
fn what_is_skipped_is_not_recorded() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        skipping("hush", 1);
        quiet("hush");
    });
    let skipping = telemetry.span("execute_tool skipping");
    assert_eq!(attribute(&skipping, "gen_ai.tool.call.arguments").as_deref(), Some(r#"{"open":1}"#));
    assert_eq!(attribute(&skipping, "gen_ai.tool.call.result"), None);
    let quiet = telemetry.span("execute_tool quiet");
    assert_eq!(attribute(&quiet, "gen_ai.tool.call.arguments"), None);
    assert_eq!(attribute(&quiet, "gen_ai.tool.call.result").as_deref(), Some(r#"{"result":4}"#));
}

static SERIALISED: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is serialised.
struct Counting;

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SERIALISED.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_unit()
    }
}

#[tool]
fn counted(value: Counting) -> Counting {
    value
}

#[test]
fn what_is_not_recorded_is_not_serialised() {
    let capture = |builder: opentelemetry_mlflow::instrument::InstrumentationBuilder| {
        builder.capture(CapturePolicy::new(CaptureMode::SpanOnly))
    };
    for telemetry in [
        Telemetry::with(|builder| builder.capture(CapturePolicy::new(CaptureMode::NoContent))),
        Telemetry::with(|builder| builder.capture(CapturePolicy::new(CaptureMode::EventOnly))),
        Telemetry::with(|builder| capture(builder).disabled(true)),
        Telemetry::sampled(Sampler::AlwaysOff, capture),
    ] {
        let root = telemetry.root();
        root.set_inputs(&Counting);
        root.call(|_| counted(Counting));
        assert_eq!(SERIALISED.load(Ordering::Relaxed), 0);
        for span in telemetry.spans() {
            let names: Vec<_> = span.attributes.iter().map(|pair| pair.key.as_str()).collect();
            assert!(!names.iter().any(|name| name.contains("call.") || name.contains("puts")), "{names:?}");
        }
    }
    Telemetry::new().inside(|| counted(Counting));
    assert_eq!(SERIALISED.load(Ordering::Relaxed), 2);
}

#[test]
fn a_disabled_instrumentation_records_nothing() {
    let telemetry = Telemetry::with(|builder| builder.disabled(true));
    let span = telemetry.root();
    assert!(!span.is_recording() && !span.span_context().is_valid());
    span.call(|_| plan("why"));
    assert!(telemetry.spans().is_empty());
    assert!(telemetry.metric("gen_ai.invoke_agent.duration").is_empty());
}

#[test]
fn metrics_do_not_depend_on_sampling() {
    let telemetry = Telemetry::sampled(Sampler::AlwaysOff, |builder| builder);
    telemetry.inside(|| plan("why"));
    assert!(telemetry.spans().is_empty());
    assert_eq!(telemetry.metric("gen_ai.invoke_agent.duration").len(), 1);
}

#[test]
fn hooks_redact_and_limits_cut_to_valid_objects() {
    let hook = |kind, text: &str| (kind == ContentKind::ToolArguments).then(|| text.replace("Paris", "***"));
    let telemetry = Telemetry::with(|builder| {
        builder.capture(CapturePolicy::new(CaptureMode::SpanOnly).redact(hook).max_part_bytes(20))
    });
    telemetry.inside(|| {
        let span = Span::tool("short").start();
        span.set_inputs("in Paris");
        span.set_outputs("in Paris");
        drop(span);
        let span = Span::tool("long").start();
        span.set_inputs(&["Paris"; 10]);
    });
    let short = telemetry.span("execute_tool short");
    assert_eq!(attribute(&short, "gen_ai.tool.call.arguments").as_deref(), Some(r#"{"input":"in ***"}"#));
    assert_eq!(attribute(&short, "gen_ai.tool.call.result").as_deref(), Some(r#"{"result":"in Paris"}"#));
    let long = attribute(&telemetry.span("execute_tool long"), "gen_ai.tool.call.arguments").unwrap();
    let long: serde_json::Value = serde_json::from_str(&long).unwrap();
    assert!(long["input"].as_str().unwrap().contains("[cut: 20 of "), "{long}");
}
