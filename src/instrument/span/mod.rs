//! Spans around the application's own code: tools, agents, workflows, and any other step.
//!
//! The attribute macros `#[tool]`, `#[agent]`, `#[workflow]` and `#[traced]` (feature `macros`) do
//! this for whole functions; here is what they cannot say.
//!
//! # What a span holds
//!
//! | type | name of the span | attributes beside `mlflow.spanType` | inputs and outputs |
//! |---|---|---|---|
//! | [`Span::tool`] | `execute_tool {name}` | `gen_ai.operation.name`, `gen_ai.tool.name`, `.type`, `.description`, `.call.id`, `gen_ai.agent.name` of the agent around it | `gen_ai.tool.call.arguments`, `gen_ai.tool.call.result` |
//! | [`Span::agent`] | `invoke_agent {name}` | `gen_ai.operation.name`, `gen_ai.agent.name`, `.id`, `.version`, `.description`, `gen_ai.request.model` | `mlflow.spanInputs`, `mlflow.spanOutputs`, or messages |
//! | [`Span::workflow`] | `invoke_workflow {name}` | `gen_ai.operation.name`, `gen_ai.workflow.name` | the same |
//! | any other | the name | none | the same |
//!
//! The first three are spans of the GenAI conventions (kind `INTERNAL`), with their metrics:
//! `gen_ai.execute_tool.duration`, `gen_ai.invoke_agent.duration`,
//! `gen_ai.invoke_agent.inference_calls`, `gen_ai.invoke_agent.tool_calls`,
//! `gen_ai.workflow.duration`; these do not depend on sampling. Every span also has the attributes of
//! the [`Scope`](super::Scope) around it. Each input and output is under one name only, the one that
//! MLflow reads for that type of span.
//!
//! Inputs, outputs and messages are content: recorded where the policy of the
//! [`Instrumentation`](super::Instrumentation) says so ([`CapturePolicy`](crate::genai::CapturePolicy)), which by default is
//! nowhere. Names, descriptions, attributes, events and the messages of errors are recorded always.
//!
//! # How a span ends
//!
//! When its future is done, when its guard's scope is left and the [`Span`] is dropped, or with
//! [`Span::end`]. A future that is dropped before it is done has the `error.type` `cancelled`, code
//! that panics `panic`; the panic goes on. An `Err` is recorded by the macros, and by
//! [`SpanHandle::record_error`].
//!
//! # Agents, their tools, and hand-offs
//!
//! A span carries in the context what happens inside: calls of models and tools are counted for the
//! innermost agent, and the tool calls that models ask for are kept (128 of them) until a tool of
//! that name runs, so that its span gets `gen_ai.tool.call.id`. This needs a span around both the
//! call of the model and the tool. An id that is given ([`SpanBuilder::call_id`], [`ToolCall`]) wins.
//!
//! An agent that starts inside another, or inside a tool of another, is a hand-off: the outer agent's
//! span gets an event `otel_mlflow.handoff` with both names, the inner one's a link to the outer.
//! Where a tool returns the agent that goes on (as in OpenAI's Swarm), say so:
//! [`SpanHandle::hand_off`].
//!
//! # Context
//!
//! The parent is the current OpenTelemetry [`Context`], which `tracing-opentelemetry` sets too. It
//! follows `await`, but not into spawned tasks and threads; pass it on:
//!
//! ```
//! use opentelemetry::Context;
//! use opentelemetry::context::FutureExt;
//! # async fn fetch() {}
//! # async fn example() {
//! # struct Tokio; impl Tokio { fn spawn<F>(&self, _: F) {} } let tokio = Tokio;
//! tokio.spawn(fetch().with_context(Context::current()));
//! # }
//! ```
//!
//! # Examples
//!
//! A step, with what goes in and comes out:
//!
//! ```
//! use opentelemetry_mlflow::instrument::{Span, SpanType};
//!
//! # async fn search(query: &str) -> Vec<String> { vec![] }
//! # async fn example() {
//! let span = Span::builder("search documents").span_type(SpanType::Retriever).start();
//! span.set_inputs("OpenTelemetry");
//! let documents = span
//!     .run_with(async |span| {
//!         let documents = search("OpenTelemetry").await;
//!         span.set_outputs(&documents);
//!         documents
//!     })
//!     .await;
//! # }
//! ```
//!
//! A tool on a thread, which may fail:
//!
//! ```
//! use opentelemetry_mlflow::instrument::Span;
//!
//! fn parse(text: &str) -> Result<i64, std::num::ParseIntError> {
//!     let span = Span::tool("parse").description("Reads a number").start();
//!     let _entered = span.enter();
//!     span.set_inputs(text);
//!     let number = text.parse().inspect_err(|error| span.record_error(error))?;
//!     span.set_outputs(&number);
//!     Ok(number)
//! }
//! # assert!(parse("x").is_err());
//! ```

mod builder;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod function;
mod handle;
mod kind;
mod measure;
pub(super) mod names;
mod recording;
mod run;
mod tool_call;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::context::ContextGuard;

pub use builder::SpanBuilder;
pub use handle::SpanHandle;
pub use kind::SpanType;
use recording::{Ending, Recording};
use run::Run;
pub use tool_call::ToolCall;

use super::agent;

/// A span around a piece of the application. Ends when it is dropped.
///
/// See the [module](self) for what it records, and for examples. What can be recorded on it is on
/// [`SpanHandle`], to which it dereferences.
pub struct Span {
    handle: SpanHandle,
    /// The context for what happens inside; none where nothing is recorded at all.
    context: Option<Context>,
}

impl Span {
    /// A span of any type; [`SpanType::Unknown`] unless said otherwise.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        SpanBuilder::new(name.into())
    }

    /// A tool of that name at work.
    pub fn tool(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        Self::builder(name).span_type(SpanType::Tool)
    }

    /// An agent of that name at work.
    pub fn agent(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        Self::builder(name).span_type(SpanType::Agent)
    }

    /// A workflow of that name: several agents, or other steps, that work together.
    pub fn workflow(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        Self::builder(name).span_type(SpanType::Workflow)
    }

    /// The innermost span of this crate that is current, to record on; one that records nothing if
    /// there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_mlflow::instrument::Span;
    ///
    /// // Inside a function with `#[tool]`:
    /// Span::current().hand_off("Agent B");
    /// ```
    #[must_use]
    pub fn current() -> SpanHandle {
        Context::map_current(|context| {
            agent::of(context).map_or_else(SpanHandle::none, |carried| carried.span.clone())
        })
    }

    /// Runs a future inside the span. The span ends when the future is done, or is dropped, which
    /// counts as an error (`cancelled`).
    pub fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        Run::new(self, future, |_: &SpanHandle, _: &F::Output| ())
    }

    /// Runs a future that records on the span, as [`run`](Self::run) does.
    pub fn run_with<F: Future, M: FnOnce(SpanHandle) -> F>(
        self,
        make: M,
    ) -> impl Future<Output = F::Output> + use<F, M> {
        let future = make(self.handle.clone());
        self.run(future)
    }

    /// Runs a closure inside the span, which ends with it.
    pub fn call<R>(self, code: impl FnOnce(&SpanHandle) -> R) -> R {
        let handle = self.handle.clone();
        run::call(self, || code(&handle), |_, _| ())
    }

    /// Makes the span current on this thread until the guard is dropped. The span stays open. For
    /// futures, use [`run`](Self::run): a guard must not be kept across `await`.
    #[must_use = "the span is current until the guard is dropped"]
    pub fn enter(&self) -> Entered {
        Entered(self.context.clone().map(Context::attach))
    }

    /// A handle that can be moved where the span cannot.
    #[must_use]
    pub fn handle(&self) -> SpanHandle {
        self.handle.clone()
    }

    /// The context for what happens inside the span, to pass on to tasks and threads.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone().unwrap_or_else(Context::current)
    }

    /// Ends the span.
    pub fn end(self) {
        self.finish(Ending::Done);
    }

    fn new(recording: Recording) -> Self {
        let recording = Arc::new(recording);
        let handle = SpanHandle(Some(recording.clone()));
        let context = recording.inner_context(&handle);
        Self { handle, context: Some(context) }
    }

    /// A span that is nowhere recorded.
    fn none() -> Self {
        Self { handle: SpanHandle::none(), context: None }
    }

    fn finish(&self, ending: Ending) {
        if let Some(recording) = &self.handle.0 {
            recording.end(ending);
        }
    }
}

impl Deref for Span {
    type Target = SpanHandle;

    fn deref(&self) -> &SpanHandle {
        &self.handle
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Code that runs in `run` or `call` was told apart before: this is a span kept by hand.
        self.finish(if std::thread::panicking() { Ending::Panicked } else { Ending::Done });
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(formatter)
    }
}

/// Keeps a span current on this thread: see [`Span::enter`].
#[must_use = "the span is current until the guard is dropped"]
pub struct Entered(#[expect(dead_code, reason = "what counts is its drop")] Option<ContextGuard>);

impl fmt::Debug for Entered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Entered")
    }
}
