//! Events of the GenAI conventions, which OpenTelemetry carries as log records with a name.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::trace::SpanContext;
#[cfg(feature = "async-openai")]
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry::{InstrumentationScope, Key};

#[cfg(feature = "async-openai")]
use crate::genai::Json;

/// One event of a call.
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    pub(crate) time: SystemTime,
    pub(crate) span: SpanContext,
    pub(crate) attributes: Vec<(Key, AnyValue)>,
}

/// Where events go. The API has no global logger provider, so the caller gives one.
pub(crate) type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// A sink that emits through the provider's logger.
pub(crate) fn sink<P>(provider: &P, scope: InstrumentationScope) -> EventSink
where
    P: LoggerProvider,
    P::Logger: Send + Sync + 'static,
{
    let target = scope.name().to_owned();
    let logger = provider.logger_with_scope(scope);
    Arc::new(move |event: Event| {
        if !logger.event_enabled(event.severity, &target, Some(event.name)) {
            return;
        }
        let mut record = logger.create_log_record();
        record.set_event_name(event.name);
        record.set_timestamp(event.time);
        record.set_observed_timestamp(event.time);
        record.set_severity_number(event.severity);
        record.set_severity_text(event.severity.name());
        if event.span.is_valid() {
            let span = &event.span;
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        record.add_attributes(event.attributes);
        logger.emit(record);
    })
}

/// An attribute as log records carry it.
#[cfg(feature = "async-openai")]
pub(crate) fn attribute(attribute: &KeyValue) -> (Key, AnyValue) {
    let value = match &attribute.value {
        Value::Bool(value) => AnyValue::Boolean(*value),
        Value::I64(value) => AnyValue::Int(*value),
        Value::F64(value) => AnyValue::Double(*value),
        Value::String(value) => AnyValue::String(value.clone()),
        Value::Array(Array::Bool(values)) => values.iter().copied().collect(),
        Value::Array(Array::I64(values)) => {
            AnyValue::ListAny(Box::new(values.iter().map(|value| AnyValue::Int(*value)).collect()))
        }
        Value::Array(Array::F64(values)) => values.iter().copied().collect(),
        Value::Array(Array::String(values)) => values.iter().cloned().collect(),
        other => AnyValue::String(other.to_string().into()),
    };
    (attribute.key.clone(), value)
}

/// Content as a structure, which events must carry instead of JSON text.
#[cfg(feature = "async-openai")]
pub(crate) fn structured(value: &Json<'_>) -> AnyValue {
    match value {
        // The API has no null: an empty text is the nearest that every backend takes.
        Json::Null => AnyValue::String("".into()),
        Json::Bool(value) => AnyValue::Boolean(*value),
        Json::Int(value) => AnyValue::Int(*value),
        Json::Float(value) => AnyValue::Double(*value),
        Json::String(text) => AnyValue::String(text.to_string().into()),
        Json::Array(elements) => AnyValue::ListAny(Box::new(elements.iter().map(structured).collect())),
        Json::Object(members) => AnyValue::Map(Box::new(
            members.iter().map(|(key, value)| (Key::new(key.to_string()), structured(value))).collect(),
        )),
    }
}
