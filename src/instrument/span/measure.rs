//! The metrics of spans.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::{KeyValue, Value};

use super::kind::Kind;
use super::recording::Recording;
use crate::semconv::gen_ai;

impl Recording {
    /// The metrics of the registry, with exactly its attributes.
    pub(super) fn measure(&self, seconds: f64, error: Option<KeyValue>) {
        let named = |attributes: [Option<KeyValue>; 4]| {
            self.instrumentation.named(attributes.into_iter().flatten().collect())
        };
        let name = |key| (!self.name.is_empty()).then(|| KeyValue::new(key, self.name.clone()));
        match self.kind {
            Kind::Tool => {
                let agent = self.agent.as_ref().and_then(|it| text(gen_ai::AGENT_NAME, it.name.clone()));
                let attributes = named([name(gen_ai::TOOL_NAME), Some(tool_type()), agent, error]);
                self.instrumentation.instruments().execute_tool_duration.record(seconds, &attributes);
            }
            Kind::Agent => {
                let model = self.model.clone().and_then(|model| text(gen_ai::REQUEST_MODEL, model));
                let measured = named([name(gen_ai::AGENT_NAME), model, error, None]);
                let counted = named([name(gen_ai::AGENT_NAME), None, None, None]);
                let instruments = self.instrumentation.instruments();
                instruments.invoke_agent_duration.record(seconds, &measured);
                if let Some(agent) = &self.agent {
                    let calls = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                    instruments.invoke_agent_inference_calls.record(calls(&agent.inference_calls), &counted);
                    instruments.invoke_agent_tool_calls.record(calls(&agent.tool_calls), &counted);
                }
            }
            Kind::Workflow => {
                let attributes = named([name(gen_ai::WORKFLOW_NAME), error, None, None]);
                self.instrumentation.instruments().workflow_duration.record(seconds, &attributes);
            }
            Kind::Model | Kind::Other => {}
        }
    }
}

/// The only type of tool that runs inside the application.
pub(super) fn tool_type() -> KeyValue {
    KeyValue::new(gen_ai::TOOL_TYPE, "function")
}

/// A text attribute, unless it is empty.
pub(super) fn text(key: &'static str, value: impl Into<Value>) -> Option<KeyValue> {
    let attribute = KeyValue::new(key, value);
    (!attribute.value.as_str().is_empty()).then_some(attribute)
}
