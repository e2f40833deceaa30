//! Functions of every shape stay what they are.

#![deny(warnings, clippy::all)]

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;

use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry_mlflow::{agent, tool, traced, workflow};
use serde::Serialize;

use super::telemetry::{Telemetry, attribute, id, parent};

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Counter {
    value: u32,
    label: String,
}

#[derive(Serialize)]
struct Point {
    x: i32,
    y: i32,
}

impl Counter {
    #[tool]
    pub(crate) fn new(value: u32) -> Self {
        Self { value, label: String::new() }
    }

    #[tool]
    fn get(&self) -> u32 {
        self.value
    }

    #[tool]
    fn add(&mut self, by: u32) -> &mut u32 {
        self.value += by;
        &mut self.value
    }

    #[tool]
    fn label<'a, 'b: 'a>(&'a self, other: &'b str) -> &'a str {
        if self.label.is_empty() { other } else { &self.label }
    }

    #[tool]
    fn into_label(mut self) -> String {
        self.label.push('!');
        self.label
    }

    #[agent(name = format!("counter {}", self.value))]
    async fn add_later(&mut self, by: u32) -> &u32 {
        tokio::task::yield_now().await;
        self.value += by;
        &self.value
    }

    #[traced]
    fn boxed(self: Box<Self>) -> u32 {
        self.value
    }
}

#[tool]
fn patterns((a, b): (i32, i32), Point { x, y: z }: Point, [first, ..]: [u8; 2], mut sum: i32, _: u8) -> i32 {
    sum += a + b + x + z + i32::from(first);
    sum
}

#[tool]
fn raw(r#type: &str) -> usize {
    r#type.len()
}

#[tool]
fn generic<T: Serialize + Display, U>(shown: T, hidden: U, any: impl Debug) -> String
where
    U: Copy,
{
    let _ = hidden;
    format!("{shown}{any:?}")
}

#[tool]
fn opaque(count: u8) -> impl Iterator<Item = u8> {
    0..count
}

#[tool]
fn fallible_opaque(count: u8) -> Result<impl Display, std::num::TryFromIntError> {
    let small = i8::try_from(count)?;
    Ok(small)
}

#[tool]
fn dynamic(number: u8) -> Box<dyn Display> {
    if number == 0 {
        return Box::new("none");
    }
    Box::new(number)
}

#[tool]
async fn dynamic_later(number: u8) -> Box<dyn Display + Send> {
    if number == 0 {
        return Box::new("none");
    }
    Box::new(number)
}

#[tool]
async fn question(text: &str) -> Result<i32, std::num::ParseIntError> {
    let number: i32 = text.parse()?;
    Ok(number + 1)
}

#[tool]
async fn consume(text: String) -> Option<char> {
    let first = text.chars().next()?;
    drop(text);
    Some(first)
}

#[workflow]
fn by_hand(number: u8) -> impl Future<Output = u8> + Send {
    let double = number * 2;
    async move { double }
}

#[traced]
fn boxed_by_hand<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = Result<usize, ()>> + Send + 'a>> {
    Box::pin(async move {
        if text.is_empty() {
            return Err(());
        }
        Ok(text.len())
    })
}

#[traced]
fn never_returns(leave: bool) -> ! {
    let _ = leave;
    panic!("left")
}

#[tool]
#[must_use]
#[inline]
pub(crate) fn attributed(#[allow(unused_variables, reason = "for the test")] unused: u8) -> u8 {
    1
}

#[async_trait::async_trait]
trait Remote {
    async fn fetch(&self, key: &str) -> Result<String, std::fmt::Error>;

    #[tool(name = "default_fetch")]
    async fn fetch_or(&self, key: &str, other: &str) -> String {
        self.fetch(key).await.unwrap_or_else(|_| other.to_owned())
    }
}

struct Store;

#[async_trait::async_trait]
impl Remote for Store {
    #[tool]
    async fn fetch(&self, key: &str) -> Result<String, std::fmt::Error> {
        tokio::task::yield_now().await;
        if key.is_empty() {
            return Err(std::fmt::Error);
        }
        Ok(key.to_uppercase())
    }
}

mod shadowing {
    //! Names that the expanded code must not meet.
    #![allow(non_snake_case, dead_code, reason = "for the test")]

    use opentelemetry_mlflow::tool;

    fn Ok() {}
    fn Err() {}
    struct String;
    mod core {}
    mod std {}

    #[tool]
    pub(super) fn names(span: u8, result: u8, value: u8, error: u8) -> Result<u8, u8> {
        let total = span + result + value + error;
        if total > 10 { Result::Err(total) } else { Result::Ok(total) }
    }
}

#[tool]
fn once<F: FnOnce() -> String>(make: F) -> String {
    make()
}

fn arguments(telemetry: &Telemetry, tool: &str) -> String {
    attribute(&telemetry.span(&format!("execute_tool {tool}")), "gen_ai.tool.call.arguments").unwrap()
}

#[test]
fn methods_and_patterns() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        let mut counter = Counter::new(1);
        *counter.add(2) += 1;
        assert_eq!((counter.get(), counter.label("b")), (4, "b"));
        assert_eq!(Box::new(counter.clone()).boxed(), 4);
        assert_eq!(counter.into_label(), "!");
        assert_eq!(patterns((1, 2), Point { x: 3, y: 4 }, [5, 6], 7, 8), 22);
        assert_eq!(raw("abc"), 3);
        assert_eq!(attributed(1), 1);
        assert_eq!((shadowing::names(1, 2, 3, 4), shadowing::names(9, 2, 3, 4)), (Ok(10), Err(18)));
        let moved = String::from("moved");
        assert_eq!(once(move || moved), "moved");
    });
    assert_eq!(arguments(&telemetry, "add"), r#"{"by":2}"#);
    assert_eq!(arguments(&telemetry, "patterns"), r#"{"a":1,"b":2,"x":3,"z":4,"first":5,"sum":7}"#);
    assert_eq!(arguments(&telemetry, "raw"), r#"{"type":"abc"}"#);
    let result = attribute(&telemetry.span("execute_tool new"), "gen_ai.tool.call.result");
    assert_eq!(result.as_deref(), Some(r#"{"value":1,"label":""}"#));
}

#[test]
fn generics_and_opaque_types() {
    let telemetry = Telemetry::new();
    telemetry.inside(|| {
        assert_eq!(generic("a", 1, Some(2)), "aSome(2)");
        assert_eq!(opaque(3).count(), 3);
        assert_eq!(fallible_opaque(3).map(|shown| shown.to_string()), Ok("3".to_owned()));
        assert!(fallible_opaque(200).is_err());
        assert_eq!((dynamic(0).to_string(), dynamic(1).to_string()), ("none".to_owned(), "1".to_owned()));
    });
    let generic = arguments(&telemetry, "generic");
    assert_eq!(
        generic, r#"{"shown":"a","hidden":"<i32>","any":"<core::option::Option<i32>>"}"#,
        "the bounds decide"
    );
}

#[test]
#[should_panic(expected = "left")]
fn functions_that_never_return() {
    never_returns(true)
}

fn sendable<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test]
async fn futures() {
    let telemetry = Telemetry::new();
    let work = async {
        let mut counter = Counter::default();
        assert_eq!(sendable(counter.add_later(2)).await, &2);
        assert_eq!(sendable(dynamic_later(0)).await.to_string(), "none");
        assert_eq!(sendable(question("1")).await, Ok(2));
        assert!(question("x").await.is_err());
        assert_eq!(sendable(consume("xyz".to_owned())).await, Some('x'));
        assert_eq!(sendable(by_hand(2)).await, 4);
        assert_eq!(sendable(boxed_by_hand("ab")).await, Ok(2));
        assert_eq!(sendable(Store.fetch_or("", "other")).await, "other");
        assert_eq!(Store.fetch_or("a", "other").await, "A");
    };
    sendable(telemetry.root().run(work)).await;
    let spans = telemetry.spans();
    let count = |name: &str| spans.iter().filter(|span| span.name == name).count();
    for (name, times) in [
        ("invoke_agent counter 0", 1),
        ("execute_tool question", 2),
        ("invoke_workflow by_hand", 1),
        ("boxed_by_hand", 1),
        ("execute_tool fetch", 2),
        ("execute_tool default_fetch", 2),
    ] {
        assert_eq!(count(name), times, "{name}");
    }
    let by_hand = telemetry.span("invoke_workflow by_hand");
    assert_eq!(attribute(&by_hand, "mlflow.spanInputs").as_deref(), Some(r#"{"number":2}"#));
    assert_eq!(attribute(&by_hand, "mlflow.spanOutputs").as_deref(), Some("4"));
    let boxed = telemetry.span("boxed_by_hand");
    assert_eq!(attribute(&boxed, "mlflow.spanOutputs").as_deref(), Some("2"));
    let fetches: Vec<_> = spans.iter().filter(|span| span.name == "execute_tool fetch").collect();
    assert_eq!(attribute(fetches[0], "error.type").as_deref(), Some("core::fmt::Error"));
    assert_eq!(attribute(fetches[1], "gen_ai.tool.call.arguments").as_deref(), Some(r#"{"key":"a"}"#));
}

#[traced]
async fn leaf(name: &str) {
    tokio::task::yield_now().await;
    let _ = name;
}

#[traced]
async fn branches() {
    leaf("one").await;
    tokio::spawn(leaf("spawned").with_context(Context::current())).await.unwrap();
    tokio::join!(leaf("joined"), leaf("joined too"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parents_survive_await_and_are_passed_on_to_tasks() {
    let telemetry = Telemetry::new();
    telemetry.root().run(branches()).await;
    let (root, branches) = (telemetry.span("root"), telemetry.span("branches"));
    assert_eq!(parent(&branches), id(&root));
    let leaves: Vec<_> = telemetry.spans().into_iter().filter(|span| span.name == "leaf").collect();
    assert_eq!(leaves.len(), 4);
    assert!(leaves.iter().all(|leaf| parent(leaf) == id(&branches)));
}
