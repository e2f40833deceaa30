//! What can be recorded on a span that is open.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use serde::Serialize;

use super::names::HANDOFF_SPAN;
use super::recording::{Recording, Side};
use super::{Span, SpanType};
use crate::genai::{Json, Message};
use crate::instrument::agent;
use crate::instrument::instrumentation::guarded;
use crate::semconv::mlflow;

/// A span that is open, to record on: a [`Span`] dereferences to one, and [`Span::current`] gives
/// the innermost, inside functions with an attribute macro too.
///
/// Cheap to clone. Does not keep the span open: what is recorded after its end is lost. Nothing here
/// fails, and on a span that is not recorded (disabled, not sampled, ended) nothing is serialised.
#[derive(Clone)]
pub struct SpanHandle(pub(super) Option<Arc<Recording>>);

impl SpanHandle {
    /// A handle of no span.
    pub(in crate::instrument) fn none() -> Self {
        Self(None)
    }

    /// Whether what is recorded goes anywhere.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.as_ref().is_some_and(|recording| recording.is_open())
    }

    /// Whether content (inputs, outputs, messages) is recorded: see
    /// [`CapturePolicy`](crate::genai::CapturePolicy). To avoid making content that nobody wants.
    #[must_use]
    pub fn records_content(&self) -> bool {
        self.0.as_ref().is_some_and(|recording| recording.takes_content())
    }

    /// Ids of the span, to link to it; invalid if there is none.
    #[must_use]
    pub fn span_context(&self) -> SpanContext {
        match &self.0 {
            Some(recording) => recording.context.span().span_context().clone(),
            None => SpanContext::NONE,
        }
    }

    /// What the operation was given, as JSON text, or as it is if it is a number or a boolean; `null`
    /// is left out. The last call counts.
    ///
    /// On tools the attribute is `gen_ai.tool.call.arguments`, and a value that is no object becomes
    /// the member `input` of one; elsewhere it is `mlflow.spanInputs`. A value that cannot be JSON is
    /// recorded as a text that says why.
    ///
    /// Also finds which tool call of the model a tool answers, if its id was not given.
    pub fn set_inputs<T: Serialize + ?Sized>(&self, inputs: &T) {
        self.content(Side::Inputs, &mut || json(inputs));
    }

    /// What the operation returned, in the same form. The last call counts.
    ///
    /// On tools the attribute is `gen_ai.tool.call.result`, and a value that is no object becomes the
    /// member `result` of one; elsewhere it is `mlflow.spanOutputs`.
    pub fn set_outputs<T: Serialize + ?Sized>(&self, outputs: &T) {
        self.content(Side::Outputs, &mut || json(outputs));
    }

    /// The messages that an agent, a workflow or a model was given (`gen_ai.input.messages`), in
    /// place of [`set_inputs`](Self::set_inputs): MLflow shows them as a chat.
    pub fn set_input_messages(&self, messages: Vec<Message<'_>>) {
        self.with(|recording| recording.messages(Side::Inputs, messages));
    }

    /// The messages that came out (`gen_ai.output.messages`), in place of
    /// [`set_outputs`](Self::set_outputs). Each needs a finish reason.
    pub fn set_output_messages(&self, messages: Vec<Message<'_>>) {
        self.with(|recording| recording.messages(Side::Outputs, messages));
    }

    /// Any other attribute; one that was set before is replaced. Not content: recorded whatever the
    /// policy says.
    pub fn set_attribute(&self, attribute: KeyValue) {
        self.with(|recording| recording.set(attribute));
    }

    /// Id of the tool call that this tool answers (`gen_ai.tool.call.id`).
    pub fn set_call_id(&self, id: impl Into<String>) {
        let id = id.into();
        self.with(|recording| recording.set_call(id));
    }

    /// Something that happened now. Not content: recorded whatever the policy says.
    pub fn add_event(&self, name: impl Into<std::borrow::Cow<'static, str>>, attributes: Vec<KeyValue>) {
        let name = name.into();
        self.with(|recording| {
            if recording.is_open() {
                recording.context.span().add_event(name, recording.instrumentation.named(attributes));
            }
        });
    }

    /// How the operation went, in place of what an error said. A failure without a recorded error has
    /// the `error.type` `_OTHER`.
    pub fn set_status(&self, status: Status) {
        self.with(|recording| recording.set_status(status));
    }

    /// Records an error: `error.type` is the name of its type (`_OTHER` where that is a text or `dyn
    /// Error`), an event `exception` holds what it
    /// says, the status is an error.
    ///
    /// The message is recorded whatever the policy for content, after its redaction hook.
    pub fn record_error<E: Error + ?Sized>(&self, error: &E) {
        self.with(|recording| recording.failed(std::any::type_name::<E>(), Some(&error)));
    }

    /// A tool call that a model asked for, where the model is not called through a client layer: the
    /// span of that tool then finds the call's id.
    pub fn offer_tool_call(&self, id: &str, name: &str, arguments: &str) {
        self.with(|recording| agent::offer_tool_call(&recording.inner_context(self), id, name, arguments));
    }

    /// Says that the agent at work hands over to another, for tools that return an agent.
    ///
    /// A span `Handoff` with both names appears, as MLflow shows hand-offs of OpenAI's Agents SDK,
    /// and the span of the other agent links to the one that handed over, if it starts inside the
    /// same outermost span. Names of agents are no content: they are recorded whatever the policy.
    ///
    /// An agent that simply starts inside another needs no call: it is noted on the outer agent's
    /// span as an event `otel_mlflow.handoff`.
    pub fn hand_off(&self, to: &str) {
        self.with(|recording| {
            let carried = recording.carried(self);
            agent::announce_handoff(&carried, to);
            let span = Span::builder(HANDOFF_SPAN)
                .span_type(SpanType::Chain)
                .parent(&recording.inner_context(self))
                .start();
            let from = carried.agent.as_ref().map(|agent| Json::from(agent.name.to_string()));
            let from = Json::object([("from_agent", from.unwrap_or_default())]);
            span.set_attribute(KeyValue::new(mlflow::SPAN_INPUTS, from.to_string()));
            let to = Json::object([("to_agent", to.into())]);
            span.set_attribute(KeyValue::new(mlflow::SPAN_OUTPUTS, to.to_string()));
        });
    }

    pub(super) fn content(&self, side: Side, make: &mut dyn FnMut() -> Json<'static>) {
        self.with(|recording| recording.content(side, make));
    }

    pub(super) fn with(&self, telemetry: impl FnOnce(&Recording)) {
        if let Some(recording) = &self.0 {
            guarded(|| telemetry(recording));
        }
    }
}

impl Recording {
    pub(super) fn carried(&self, handle: &SpanHandle) -> agent::Carried {
        agent::Carried { span: handle.clone(), agent: self.agent.clone(), shared: self.shared.clone() }
    }

    /// The context for what happens inside the span.
    pub(super) fn inner_context(&self, handle: &SpanHandle) -> Context {
        self.context.with_value(self.carried(handle))
    }
}

impl fmt::Debug for SpanHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_ref().map(|recording| recording.name.as_ref());
        formatter.debug_struct("SpanHandle").field("name", &name).finish_non_exhaustive()
    }
}

/// The value as JSON, or why it cannot be.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Json<'static> {
    Json::of(value).unwrap_or_else(|error| Json::from(format!("[not recorded: {error}]")))
}
