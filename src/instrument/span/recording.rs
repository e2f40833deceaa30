//! A span while it is open: what is recorded on it, and what is measured when it ends.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::kind::Kind;
use super::names::{CANCELLED, OTHER_ERROR, PANIC};
use crate::genai::{ContentKind, Json, Message};
use crate::instrument::agent::{self, Agent, Shared};
use crate::instrument::secrets;
use crate::instrument::{Instrumentation, instrumentation};
use crate::semconv::otel::{ERROR_TYPE, EXCEPTION, EXCEPTION_MESSAGE, EXCEPTION_TYPE};
use crate::semconv::{gen_ai, mlflow};

/// A span while it is open.
pub(in crate::instrument) struct Recording {
    pub(super) instrumentation: Instrumentation,
    pub(super) kind: Kind,
    pub(super) name: Cow<'static, str>,
    pub(super) model: Option<String>,
    /// The context with the span in it, and what was around it.
    pub(super) context: Context,
    /// The agent that the span is, or the one around it.
    pub(super) agent: Option<Arc<Agent>>,
    pub(super) shared: Arc<Shared>,
    pub(super) is_recording: bool,
    pub(super) started: (SystemTime, Instant),
    pub(super) ended: AtomicBool,
    pub(super) state: Mutex<State>,
}

/// What is set at the end, because a span keeps both of two attributes of one name.
#[derive(Default)]
pub(super) struct State {
    pub(super) attributes: Vec<KeyValue>,
    pub(super) error_type: Option<Cow<'static, str>>,
    /// Whether the span knows the id of its tool call, or has looked for one.
    pub(super) has_call: bool,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Panicked,
    Cancelled,
}

/// What was given, or what came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Inputs,
    Outputs,
}

impl Recording {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything that is set now would be recorded.
    pub(super) fn is_open(&self) -> bool {
        self.is_recording && !self.ended.load(Ordering::Relaxed)
    }

    /// Whether content would be recorded.
    pub(super) fn takes_content(&self) -> bool {
        self.is_open() && self.instrumentation.settings().capture.mode().on_spans()
    }

    /// Whether inputs are of use: as content, or to tell which call of the model this is.
    pub(super) fn takes_inputs(&self) -> bool {
        self.takes_content() || (self.is_open() && self.kind == Kind::Tool && !self.state().has_call)
    }

    pub(super) fn set(&self, attribute: KeyValue) {
        if self.is_open() {
            put(&mut self.state().attributes, attribute);
        }
    }

    /// Records what the operation was given or returned. The value is made only where it is of use.
    pub(super) fn content(&self, side: Side, make: &mut dyn FnMut() -> Json<'static>) {
        if !(self.takes_content() || side == Side::Inputs && self.takes_inputs()) {
            return;
        }
        let mut made = None;
        if side == Side::Inputs {
            self.find_call(|| serde_json::to_value(made.insert(make())).ok());
        }
        if self.takes_content() {
            let value = made.unwrap_or_else(make);
            if let Some(attribute) = self.content_attribute(side, value) {
                self.set(attribute);
            }
        }
    }

    fn content_attribute(&self, side: Side, value: Json<'_>) -> Option<KeyValue> {
        let (kind, key) = match (self.kind, side) {
            (Kind::Tool, Side::Inputs) => (ContentKind::ToolArguments, gen_ai::TOOL_CALL_ARGUMENTS),
            (Kind::Tool, Side::Outputs) => (ContentKind::ToolResult, gen_ai::TOOL_CALL_RESULT),
            (_, Side::Inputs) => (ContentKind::Inputs, mlflow::SPAN_INPUTS),
            (_, Side::Outputs) => (ContentKind::Outputs, mlflow::SPAN_OUTPUTS),
        };
        let secrets = secrets::known();
        let recorded = self.instrumentation.settings().capture.recorder(&secrets).value(kind, value);
        let wrapped = match (self.kind, side, &recorded) {
            // The registry's schemas of both are objects.
            (Kind::Tool, Side::Inputs, other) if other.members().is_none() => {
                Json::object([("input", recorded)])
            }
            (Kind::Tool, Side::Outputs, other) if other.members().is_none() => {
                Json::object([("result", recorded)])
            }
            _ => recorded,
        };
        // MLflow takes lists, objects and quoted texts for JSON, but puts numbers that come as text in
        // quotes.
        Some(match wrapped {
            Json::Null => return None,
            Json::Bool(value) => KeyValue::new(key, value),
            Json::Int(value) => KeyValue::new(key, value),
            Json::Float(value) => KeyValue::new(key, value),
            other => KeyValue::new(key, other.to_string()),
        })
    }

    /// Records messages, in the registry's form.
    pub(super) fn messages(&self, side: Side, messages: Vec<Message<'_>>) {
        if !self.takes_content() {
            return;
        }
        let (kind, key) = match side {
            Side::Inputs => (ContentKind::InputMessage, gen_ai::INPUT_MESSAGES),
            Side::Outputs => (ContentKind::OutputMessage, gen_ai::OUTPUT_MESSAGES),
        };
        let secrets = secrets::known();
        let recorded = self.instrumentation.settings().capture.recorder(&secrets).messages(kind, messages);
        self.set(KeyValue::new(key, recorded.to_string()));
    }

    /// Looks once for the call of the model that this tool answers.
    fn find_call(&self, arguments: impl FnOnce() -> Option<serde_json::Value>) {
        if self.kind != Kind::Tool || std::mem::replace(&mut self.state().has_call, true) {
            return;
        }
        if let Some(id) = agent::take_tool_call(&self.context, &self.name, arguments) {
            put(&mut self.state().attributes, KeyValue::new(gen_ai::TOOL_CALL_ID, id));
        }
    }

    /// Sets the id of the tool call, in place of looking for one.
    pub(super) fn set_call(&self, id: String) {
        if self.is_open() {
            self.state().has_call = true;
            agent::forget_tool_call(&self.context, &id);
            self.set(KeyValue::new(gen_ai::TOOL_CALL_ID, id));
        }
    }

    /// Records an error of the type of that name, with what it says.
    pub(super) fn failed(&self, error: &'static str, message: Option<&dyn Display>) {
        self.failed_as(class(error), error, message);
    }

    fn failed_as(&self, class: &'static str, exception: &'static str, message: Option<&dyn Display>) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        self.state().error_type = Some(Cow::Borrowed(class));
        if !self.is_recording {
            return;
        }
        let mut attributes = vec![KeyValue::new(EXCEPTION_TYPE, exception)];
        let said = message.map(|message| {
            let policy = &self.instrumentation.settings().capture;
            policy
                .recorder(&secrets::known())
                .text(ContentKind::Error, message.to_string().into())
                .into_owned()
        });
        if let Some(said) = &said {
            attributes.push(KeyValue::new(EXCEPTION_MESSAGE, said.clone()));
        }
        let span = self.context.span();
        span.add_event(EXCEPTION, attributes);
        span.set_status(Status::error(said.unwrap_or_else(|| exception.to_owned())));
    }

    pub(super) fn set_status(&self, status: Status) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        let failed = matches!(status, Status::Error { .. });
        let mut state = self.state();
        match (failed, &state.error_type) {
            (true, None) => state.error_type = Some(Cow::Borrowed(OTHER_ERROR)),
            (false, _) => state.error_type = None,
            _ => {}
        }
        drop(state);
        self.context.span().set_status(status);
    }

    /// Ends the span; the second time nothing happens.
    pub(super) fn end(&self, ending: Ending) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        instrumentation::guarded(|| self.before_end(ending));
        if !self.ended.swap(true, Ordering::Relaxed) {
            instrumentation::guarded(|| self.finish());
        }
    }

    fn before_end(&self, ending: Ending) {
        if self.is_recording {
            self.find_call(|| None);
        }
        match ending {
            Ending::Done => {}
            Ending::Panicked => self.failed_as(PANIC, PANIC, Some(&"the code panicked")),
            Ending::Cancelled => {
                self.failed_as(CANCELLED, CANCELLED, Some(&"the future was dropped before it was done"));
            }
        }
    }

    fn finish(&self) {
        let State { mut attributes, error_type, .. } = std::mem::take(&mut *self.state());
        let error = error_type.map(|class| KeyValue::new(ERROR_TYPE, class));
        let (began, clock) = self.started;
        // One duration for span and metrics, and none that a change of the system's time bends.
        let duration = clock.elapsed();
        let span = self.context.span();
        if self.is_recording {
            attributes.extend(error.clone());
            span.set_attributes(self.instrumentation.named(attributes));
        }
        span.end_with_timestamp(began + duration);
        self.measure(duration.as_secs_f64(), error);
    }
}

/// The class of errors that a type stands for: none, where it is a text or may hold any error.
fn class(error: &'static str) -> &'static str {
    let is_of_its_own = error.contains("::") && !error.contains("dyn ");
    let is_text = ["alloc::string::String", "alloc::borrow::Cow<"].iter().any(|text| error.starts_with(text));
    if is_of_its_own && !is_text { error } else { OTHER_ERROR }
}

/// Sets an attribute, in place of the one that has the name.
fn put(attributes: &mut Vec<KeyValue>, attribute: KeyValue) {
    match attributes.iter_mut().find(|known| known.key == attribute.key) {
        Some(known) => *known = attribute,
        None => attributes.push(attribute),
    }
}

#[cfg(test)]
mod tests {
    use std::any::type_name;
    use std::error::Error;

    use super::*;

    #[test]
    fn a_class_of_errors_is_a_type_that_says_what_failed() {
        let own = type_name::<std::num::ParseIntError>();
        assert_eq!(class(own), own);
        for any in [
            type_name::<String>(),
            type_name::<&str>(),
            type_name::<Cow<'_, str>>(),
            type_name::<()>(),
            type_name::<Box<dyn Error>>(),
            type_name::<dyn Error>(),
        ] {
            assert_eq!(class(any), OTHER_ERROR, "{any}");
        }
    }
}
