//! The end of a call as telemetry: the span's rest, metrics, events.

use std::time::{Duration, SystemTime};

use opentelemetry::logs::Severity;
use opentelemetry::trace::{Span, SpanContext, Status};
use opentelemetry::{Context, KeyValue, StringValue};

use super::error::CallError;
use super::traced::{End, Traced};
use crate::instrument::agent;
use crate::instrument::event::{self, Event};
use crate::instrument::instrumentation::Instrumentation;
use crate::semconv::gen_ai::{self, event as name, token_type};
use crate::semconv::{openai, otel, otel_mlflow};

/// Ends the span of a call, and records its metrics and events.
pub(super) fn report(
    instrumentation: &Instrumentation,
    parent: &Context,
    mut traced: Traced,
    end: End,
    duration: Duration,
) {
    traced.read_form();
    let (error, streamed) = settle(&mut traced, end);
    if traced.api.is_inference() {
        for (id, name, arguments) in &traced.facts.tool_calls {
            agent::offer_tool_call(parent, id, name, arguments);
        }
    }
    if traced.resends > 0 {
        traced.facts.int(otel::HTTP_REQUEST_RESEND_COUNT, Some(traced.resends));
    }
    traced.facts.constant(otel_mlflow::STREAM_END, streamed);
    let kind =
        error.as_ref().map(|error| KeyValue::new(otel::ERROR_TYPE, traced.facts.error_kind(&error.kind)));
    traced.facts.attributes.extend(kind.clone());
    answer(&mut traced);
    let message = error.as_ref().map(|error| traced.facts.error_text(&error.message));

    metrics(instrumentation, &traced, kind, duration);
    let span = traced.span.span_context().clone();
    if let (Some(error), Some(message)) = (&error, &message) {
        exception(instrumentation, &mut traced, error, message, &span);
    }
    details(instrumentation, &mut traced, &span);
    let rest = instrumentation.named(traced.facts.for_span());
    traced.span.set_attributes(rest);
    traced.span.set_attributes(std::mem::take(&mut traced.facts.span_content));
    if let Some(message) = message {
        traced.span.set_status(Status::error(message));
    }
    traced.span.end();
    // A call that failed says nothing of a model that works.
    if let Some(call) = traced.model_call.filter(|_| error.is_none()) {
        instrumentation.saw_model(call);
    }
}

/// How the call ended, and how its stream did.
fn settle(traced: &mut Traced, end: End) -> (Option<CallError>, Option<&'static str>) {
    let Some(stream) = traced.stream.take() else {
        return match end {
            End::Complete => (None, None),
            End::Failed(error) => (Some(error), None),
            // Nothing of the answer has reached the caller.
            End::Dropped => (Some(CallError::cancelled()), None),
        };
    };
    let complete = stream.is_complete();
    let failure = stream.finish(complete, &mut traced.facts);
    match (end, failure) {
        (End::Failed(error), _) | (_, Some(error)) => (Some(error), Some("failed")),
        (End::Dropped, None) if !complete => (None, Some("dropped")),
        (End::Complete, None) if !complete => (Some(CallError::unfinished()), Some("failed")),
        _ => (None, Some("completed")),
    }
}

/// What the answer says about itself.
fn answer(traced: &mut Traced) {
    let facts = &mut traced.facts;
    let shared = [
        (gen_ai::RESPONSE_MODEL, &facts.response_model),
        (openai::RESPONSE_SERVICE_TIER, &facts.service_tier),
        (openai::RESPONSE_SYSTEM_FINGERPRINT, &facts.system_fingerprint),
    ];
    facts
        .attributes
        .extend(shared.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value.clone()?))));
    if traced.api.reports_usage() {
        facts.attributes.extend(facts.usage.attributes());
    }
}

fn metrics(instrumentation: &Instrumentation, traced: &Traced, error: Option<KeyValue>, duration: Duration) {
    let instruments = instrumentation.instruments();
    let facts = &traced.facts;
    let mut attributes = traced.dimensions();
    let text =
        |key: &'static str, value: &Option<StringValue>| value.clone().map(|value| KeyValue::new(key, value));
    attributes.extend(text(openai::RESPONSE_SERVICE_TIER, &facts.service_tier));
    attributes.extend(text(openai::RESPONSE_SYSTEM_FINGERPRINT, &facts.system_fingerprint));
    let mut attributes = instrumentation.named(attributes);
    let usage = [(facts.usage.input, token_type::INPUT), (facts.usage.output, token_type::OUTPUT)];
    for (count, kind) in usage {
        if let Some(count) =
            count.and_then(|count| u64::try_from(count).ok()).filter(|_| traced.api.reports_usage())
        {
            attributes.push(KeyValue::new(gen_ai::TOKEN_TYPE, kind));
            instruments.token_usage.record(count, &attributes);
            attributes.pop();
        }
    }
    attributes.extend(error);
    instruments.operation_duration.record(duration.as_secs_f64(), &attributes);
}

/// The error as an event: on the span, where MLflow shows it, and as the conventions' log event.
fn exception(
    instrumentation: &Instrumentation,
    traced: &mut Traced,
    error: &CallError,
    message: &str,
    span: &SpanContext,
) {
    let attributes = vec![
        KeyValue::new(otel::EXCEPTION_TYPE, error.exception),
        KeyValue::new(otel::EXCEPTION_MESSAGE, message.to_owned()),
    ];
    if instrumentation.has_events() {
        instrumentation.emit(Event {
            name: name::CLIENT_OPERATION_EXCEPTION,
            severity: Severity::Warn,
            time: SystemTime::now(),
            span: span.clone(),
            attributes: attributes.iter().map(event::attribute).collect(),
        });
    }
    traced.span.add_event(otel::EXCEPTION, attributes);
}

/// The details of the call as an event, where content is wanted on events.
fn details(instrumentation: &Instrumentation, traced: &mut Traced, span: &SpanContext) {
    let wanted = instrumentation.settings().capture.mode().on_events() && instrumentation.has_events();
    // The conventions define the event for inference, and its attributes.
    if !wanted || !traced.api.is_inference() {
        return;
    }
    let attributes = instrumentation.named(traced.facts.attributes.clone());
    let content = std::mem::take(&mut traced.facts.event_content);
    instrumentation.emit(Event {
        name: name::CLIENT_INFERENCE_OPERATION_DETAILS,
        severity: Severity::Info,
        time: SystemTime::now(),
        span: span.clone(),
        attributes: attributes.iter().map(event::attribute).chain(content).collect(),
    });
}
