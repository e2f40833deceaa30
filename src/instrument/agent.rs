//! What a span carries in the OpenTelemetry [`Context`] for what happens inside it: the agent at
//! work, how often it called models and tools, and the tool calls that models asked for.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use serde_json::Value;

use super::span::SpanHandle;
use super::span::names::{HANDOFF, HANDOFF_FROM, HANDOFF_TO};

/// How many tool calls are remembered; the oldest are forgotten first.
const MAX_CALLS: usize = 128;

/// How many bytes of arguments are remembered per call; calls with more are told by name alone.
const MAX_ARGUMENTS: usize = 16 * 1024;

/// How many hand-offs are remembered that nobody has taken up.
const MAX_HANDOFFS: usize = 16;

/// What the context carries.
#[derive(Clone)]
pub(super) struct Carried {
    /// The innermost span.
    pub(super) span: SpanHandle,
    /// The innermost agent, if any.
    pub(super) agent: Option<Arc<Agent>>,
    /// Shared by all spans inside the outermost one: whoever runs the tools is not always inside the
    /// span that called the model.
    pub(super) shared: Arc<Shared>,
}

/// An agent at work.
pub(super) struct Agent {
    pub(super) name: Cow<'static, str>,
    /// The context with the agent's span.
    pub(super) context: Context,
    pub(super) inference_calls: AtomicU64,
    pub(super) tool_calls: AtomicU64,
}

impl Agent {
    pub(super) fn new(name: Cow<'static, str>, context: Context) -> Self {
        Self { name, context, inference_calls: AtomicU64::new(0), tool_calls: AtomicU64::new(0) }
    }

    /// Notes on the agent's span that another took over.
    pub(super) fn handed_to(&self, name: &str) {
        let attributes =
            vec![KeyValue::new(HANDOFF_FROM, self.name.clone()), KeyValue::new(HANDOFF_TO, name.to_owned())];
        self.context.span().add_event(HANDOFF, attributes);
    }
}

/// What the spans of one run share.
#[derive(Default)]
pub(super) struct Shared {
    calls: Mutex<VecDeque<PendingCall>>,
    handoffs: Mutex<VecDeque<Handoff>>,
}

/// A tool call that a model asked for and that no tool has answered yet.
struct PendingCall {
    /// Identity of the agent that was at work.
    agent: Option<usize>,
    id: String,
    name: String,
    arguments: Option<Box<str>>,
}

/// A hand-off that was announced.
struct Handoff {
    to: String,
    /// Name and span of the agent that announced it.
    from: (Cow<'static, str>, SpanContext),
}

/// What the context carries, if a span of ours is in it.
pub(super) fn of(context: &Context) -> Option<&Carried> {
    context.get::<Carried>()
}

/// Counts a call of a model for the agent at work, if there is one.
pub(crate) fn count_inference(context: &Context) {
    if let Some(agent) = of(context).and_then(|carried| carried.agent.as_ref()) {
        agent.inference_calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts a call of a tool for the agent at work, if there is one.
pub(super) fn count_tool(context: &Context) {
    if let Some(agent) = of(context).and_then(|carried| carried.agent.as_ref()) {
        agent.tool_calls.fetch_add(1, Ordering::Relaxed);
    }
}

/// Remembers a tool call that a model asked for, so that the span of the tool finds its id.
///
/// `arguments` is the JSON text that the model wrote.
pub(crate) fn offer_tool_call(context: &Context, id: &str, name: &str, arguments: &str) {
    let Some(carried) = of(context).filter(|_| !id.is_empty()) else { return };
    let mut calls = lock(&carried.shared.calls);
    // A server that repeats the call, such as a fetched response, does not make it a second one.
    if calls.iter().any(|call| call.id == id) {
        return;
    }
    if calls.len() == MAX_CALLS {
        calls.pop_front();
    }
    calls.push_back(PendingCall {
        agent: identity(carried),
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: (arguments.len() <= MAX_ARGUMENTS).then(|| arguments.into()),
    });
}

/// Takes the id of the first call of that tool that no other has taken: of several one with equal
/// arguments, if there is one, and of the agent at work before those of others.
///
/// The arguments are asked for only where there are several.
pub(super) fn take_tool_call(
    context: &Context,
    name: &str,
    arguments: impl FnOnce() -> Option<Value>,
) -> Option<String> {
    let carried = of(context)?;
    let candidates = |calls: &VecDeque<PendingCall>| {
        calls.iter().enumerate().filter(|(_, call)| call.name == name).map(|(at, _)| at).collect::<Vec<_>>()
    };
    let several = candidates(&lock(&carried.shared.calls)).len() > 1;
    // Not under the lock: arguments may be anything, also code that calls tools.
    let arguments = if several { arguments() } else { None };
    let mut calls = lock(&carried.shared.calls);
    let own = identity(carried);
    let rank = |at: &usize| {
        let call = calls.get(*at);
        let equal = call.is_some_and(|call| call.has_arguments(arguments.as_ref()));
        (!equal, call.is_none_or(|call| call.agent != own))
    };
    let best = candidates(&calls).into_iter().min_by_key(rank)?;
    calls.remove(best).map(|call| call.id)
}

impl PendingCall {
    fn has_arguments(&self, arguments: Option<&Value>) -> bool {
        let offered = self.arguments.as_deref().map(|text| if text.trim().is_empty() { "{}" } else { text });
        match (arguments, offered.and_then(|text| serde_json::from_str::<Value>(text).ok())) {
            (Some(called), Some(offered)) => *called == offered,
            _ => false,
        }
    }
}

/// Forgets a call that is answered under an id the caller gave.
pub(super) fn forget_tool_call(context: &Context, id: &str) {
    if let Some(carried) = of(context) {
        lock(&carried.shared.calls).retain(|call| call.id != id);
    }
}

/// Remembers that the agent at work hands over to another, which may start later and elsewhere.
pub(super) fn announce_handoff(carried: &Carried, to: &str) {
    let Some(agent) = &carried.agent else { return };
    let mut handoffs = lock(&carried.shared.handoffs);
    if handoffs.len() == MAX_HANDOFFS {
        handoffs.pop_front();
    }
    let from = (agent.name.clone(), agent.context.span().span_context().clone());
    handoffs.push_back(Handoff { to: to.to_owned(), from });
}

/// The agent that announced a hand-off to this one, if any did.
pub(super) fn take_handoff(carried: &Carried, to: &str) -> Option<(Cow<'static, str>, SpanContext)> {
    let mut handoffs = lock(&carried.shared.handoffs);
    let at = handoffs.iter().position(|handoff| handoff.to == to)?;
    handoffs.remove(at).map(|handoff| handoff.from)
}

/// Tells agents apart while they live.
fn identity(carried: &Carried) -> Option<usize> {
    carried.agent.as_ref().map(|agent| Arc::as_ptr(agent).addr())
}

/// What is guarded stays whole when a thread panics: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(outer: &Context, agent: Option<&str>) -> Context {
        let shared = of(outer).map(|carried| carried.shared.clone()).unwrap_or_default();
        let agent = agent.map(|name| Arc::new(Agent::new(name.to_owned().into(), outer.clone())));
        outer.with_value(Carried { span: SpanHandle::none(), agent, shared })
    }

    fn take(context: &Context, name: &str, arguments: &str) -> Option<String> {
        take_tool_call(context, name, || serde_json::from_str(arguments).ok())
    }

    #[test]
    fn calls_are_taken_by_name_and_equal_arguments_first() {
        let context = inside(&Context::new(), Some("A"));
        offer_tool_call(&context, "1", "weather", r#"{"city":"Paris","days":2}"#);
        offer_tool_call(&context, "2", "weather", r#"{"days":1, "city":"Rome"}"#);
        offer_tool_call(&context, "3", "news", "");
        assert_eq!(take(&context, "weather", r#"{"city":"Rome","days":1}"#).as_deref(), Some("2"));
        assert_eq!(take(&context, "news", "{}").as_deref(), Some("3"));
        assert_eq!(take(&context, "weather", r#"{"other":1}"#).as_deref(), Some("1"));
        assert_eq!(take(&context, "weather", "{}"), None);
    }

    #[test]
    fn calls_survive_the_agent_and_its_own_come_first() {
        let workflow = inside(&Context::new(), None);
        let (a, b) = (inside(&workflow, Some("A")), inside(&workflow, Some("B")));
        offer_tool_call(&a, "a", "find", "{}");
        offer_tool_call(&b, "b", "find", "{}");
        assert_eq!(take(&b, "find", "{}").as_deref(), Some("b"));
        assert_eq!(take(&workflow, "find", "{}").as_deref(), Some("a"));
    }

    #[test]
    fn a_repeated_or_answered_call_is_no_second_one() {
        let context = inside(&Context::new(), None);
        offer_tool_call(&context, "1", "find", "{}");
        offer_tool_call(&context, "1", "find", "{}");
        assert_eq!(take(&context, "find", "{}").as_deref(), Some("1"));
        assert_eq!(take(&context, "find", "{}"), None);
        offer_tool_call(&context, "2", "find", "{}");
        forget_tool_call(&context, "2");
        assert_eq!(take(&context, "find", "{}"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let context = inside(&Context::new(), None);
        let arguments = format!("\"{}\"", "x".repeat(MAX_ARGUMENTS));
        for number in 0..2 * MAX_CALLS {
            offer_tool_call(&context, &number.to_string(), "find", &arguments);
        }
        let shared = &of(&context).unwrap().shared;
        assert_eq!(lock(&shared.calls).len(), MAX_CALLS);
        assert!(lock(&shared.calls).iter().all(|call| call.arguments.is_none()));
        assert_eq!(take(&context, "find", "{}"), Some(MAX_CALLS.to_string()));
    }

    #[test]
    fn calls_outside_of_everything_are_not_counted_and_not_kept() {
        let context = Context::new();
        count_inference(&context);
        offer_tool_call(&context, "1", "find", "{}");
        assert_eq!(take(&context, "find", "{}"), None);
    }
}
