//! Errors, panics and futures that are dropped.

use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use opentelemetry_mlflow::genai::{CapturePolicy, ContentKind};
use opentelemetry_mlflow::instrument::ToolCall;
use opentelemetry_mlflow::{tool, traced};

use super::telemetry::{Telemetry, attribute, event, failure};

#[derive(Debug, PartialEq)]
struct NoCity;

impl fmt::Display for NoCity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no such city")
    }
}

impl std::error::Error for NoCity {}

#[tool]
fn find(city: &str) -> Result<usize, NoCity> {
    if city.is_empty() {
        return Err(NoCity);
    }
    Ok(city.len())
}

#[tool]
async fn find_twice(city: &str) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let first = find(city)?;
    Ok(first * 2)
}

#[tool]
fn silent(fails: bool) -> Result<(), ()> {
    if fails { Err(()) } else { Ok(()) }
}

#[test]
fn errors_are_recorded_and_returned() {
    let telemetry = Telemetry::with(|builder| builder);
    assert_eq!(telemetry.inside(|| find("")), Err(NoCity));
    let span = telemetry.span("execute_tool find");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("macros::endings::NoCity"));
    assert_eq!(
        event(&span, "exception"),
        ["exception.type=macros::endings::NoCity", "exception.message=no such city"]
    );
    assert_eq!(failure(&span).as_deref(), Some("no such city"));
    let points = telemetry.metric("gen_ai.execute_tool.duration");
    assert_eq!(points[0].0["error.type"], "macros::endings::NoCity");
}

#[tokio::test]
async fn errors_of_any_type_are_told_from_values() {
    let telemetry = Telemetry::new();
    let root = telemetry.root();
    let (found, failed) =
        root.run(async { (find_twice("Rome").await.unwrap(), find_twice("").await.is_err()) }).await;
    assert_eq!((found, failed), (8, true));
    let spans = telemetry.spans();
    let twice: Vec<_> = spans.iter().filter(|span| span.name == "execute_tool find_twice").collect();
    assert_eq!(attribute(twice[0], "gen_ai.tool.call.result").as_deref(), Some(r#"{"result":8}"#));
    assert_eq!(attribute(twice[1], "gen_ai.tool.call.result"), None);
    assert_eq!(attribute(twice[1], "error.type").as_deref(), Some("_OTHER"));
    assert_eq!(failure(twice[1]).as_deref(), Some("no such city"));
}

#[test]
fn errors_that_say_nothing_have_their_type() {
    let telemetry = Telemetry::new();
    assert_eq!(telemetry.inside(|| (silent(true), silent(false))), (Err(()), Ok(())));
    let spans = telemetry.spans();
    assert_eq!(event(&spans[0], "exception"), ["exception.type=()"]);
    assert_eq!(attribute(&spans[0], "error.type").as_deref(), Some("_OTHER"));
    assert_eq!((failure(&spans[0]).as_deref(), failure(&spans[1])), (Some("()"), None));
}

#[test]
fn messages_pass_the_redaction_hook_without_content() {
    let hook = |kind, _: &str| (kind == ContentKind::Error).then(|| "hidden".to_owned());
    let telemetry = Telemetry::with(|builder| builder.capture(CapturePolicy::default().redact(hook)));
    telemetry.inside(|| find("")).unwrap_err();
    let span = telemetry.span("execute_tool find");
    assert_eq!(failure(&span).as_deref(), Some("hidden"));
    assert!(event(&span, "exception").contains(&"exception.message=hidden".to_owned()));
}

#[traced]
fn falls(text: &str) -> usize {
    assert!(text.is_empty(), "falls");
    0
}

#[traced]
async fn falls_later(text: &str) -> usize {
    tokio::task::yield_now().await;
    falls(text)
}

#[test]
fn panics_go_on() {
    let telemetry = Telemetry::new();
    let caught = catch_unwind(AssertUnwindSafe(|| telemetry.inside(|| falls("x"))));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"falls"));
    for name in ["falls", "root"] {
        let span = telemetry.span(name);
        assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"), "{name}");
        assert!(failure(&span).is_some());
    }
}

#[tokio::test]
async fn panics_of_futures_go_on() {
    let telemetry = Telemetry::new();
    let task = tokio::spawn(telemetry.root().run(falls_later("x")));
    assert!(task.await.unwrap_err().is_panic());
    for name in ["falls", "falls_later", "root"] {
        assert_eq!(attribute(&telemetry.span(name), "error.type").as_deref(), Some("panic"), "{name}");
    }
}

#[tool]
async fn waits() -> u8 {
    pending().await
}

/// Polls a future once.
fn poll_once<F: Future>(future: F) {
    let mut future = pin!(future);
    assert!(matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
}

#[test]
fn dropped_futures_say_so() {
    let telemetry = Telemetry::new();
    poll_once(telemetry.root().run(waits()));
    let (inner, outer) = (telemetry.span("execute_tool waits"), telemetry.span("root"));
    for span in [&inner, &outer] {
        assert_eq!(attribute(span, "error.type").as_deref(), Some("cancelled"));
        assert_eq!(failure(span).as_deref(), Some("the future was dropped before it was done"));
    }
    assert!(inner.end_time <= outer.end_time);
    assert_eq!(telemetry.metric("gen_ai.execute_tool.duration")[0].0["error.type"], "cancelled");
}

#[test]
fn a_future_that_is_dropped_while_a_panic_unwinds_was_cancelled() {
    let telemetry = Telemetry::new();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut future = Box::pin(telemetry.root().run(pending::<()>()));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        panic!("outside");
    }));
    assert!(caught.is_err());
    assert_eq!(attribute(&telemetry.span("root"), "error.type").as_deref(), Some("cancelled"));
}

#[test]
fn a_status_of_your_own_wins() {
    let telemetry = Telemetry::new();
    let span = telemetry.root();
    span.record_error(&NoCity);
    span.set_status(Status::Ok);
    span.end();
    let span = telemetry.span("root");
    assert_eq!((span.status.clone(), attribute(&span, "error.type")), (Status::Ok, None));

    let telemetry = Telemetry::new();
    telemetry.root().set_status(Status::error("bad"));
    assert_eq!(attribute(&telemetry.span("root"), "error.type").as_deref(), Some("_OTHER"));
}

#[test]
fn nothing_is_recorded_after_the_end() {
    let telemetry = Telemetry::new();
    let span = telemetry.root();
    let handle = span.handle();
    span.end();
    assert!(!handle.is_recording() && !handle.records_content());
    handle.set_attribute(KeyValue::new("late", true));
    handle.record_error(&NoCity);
    let span = telemetry.span("root");
    assert!(failure(&span).is_none() && span.attributes.iter().all(|pair| pair.key.as_str() != "late"));
}

#[test]
fn a_value_that_panics_costs_only_its_telemetry() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("broken")
        }
    }
    #[tool]
    fn broken(value: &Broken) -> u8 {
        let Broken = value;
        7
    }
    let telemetry = Telemetry::new();
    assert_eq!(telemetry.inside(|| ToolCall::new("c").enter().pipe(|_guard| broken(&Broken))), 7);
    let span = telemetry.span("execute_tool broken");
    assert_eq!(attribute(&span, "gen_ai.tool.call.result").as_deref(), Some(r#"{"result":7}"#));
}

/// Keeps a guard for the length of a call.
trait Pipe: Sized {
    fn pipe<R>(self, call: impl FnOnce(&Self) -> R) -> R {
        call(&self)
    }
}

impl<T> Pipe for T {}
