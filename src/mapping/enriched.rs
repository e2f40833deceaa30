//! A request as an MLflow server should get it: with what the mapping found out, as attributes.

use std::collections::HashMap;

use super::attributes::Content;
use super::facts::facts;
use super::map::{MapContext, group, prepare};
use super::options::MapOptions;
use super::python::{Value, adumps, dumps, loads};
use super::span::MappedSpan;
use super::tags::is_bookkeeping;
use super::text::Text;
use super::trace::{Surroundings, TraceSpans};
use crate::otlp::Refusal;
use crate::otlp::model::{
    AnyValue, ExportTraceServiceRequest, KeyValue, ResourceSpans, ScopeSpans, Span, any_value,
};
use crate::semconv::mlflow::{PREFIX, SPAN_TYPE, TRACE_NAME, TRACE_TAG_PREFIX};
use crate::semconv::otel::{SESSION_ID, USER_ID};

/// A request, and what was left out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnrichedRequest {
    /// The request to send.
    pub request: ExportTraceServiceRequest,
    /// Spans that are left out because the server would refuse the whole request for them.
    pub refusals: Vec<Refusal>,
}

/// Prepares a request for an MLflow server that maps OTLP itself, so that it stores what
/// [`map`](super::map) would, as far as the server lets it.
///
/// Type, inputs, outputs, usage, cost, model and provider of each span are set under MLflow's names,
/// name, session and user of each trace on one of its spans. What the server takes from nowhere in a
/// span cannot be given: previews that differ from the inputs, and metadata.
pub fn enrich_request(
    request: &ExportTraceServiceRequest,
    context: &MapContext,
    options: &MapOptions,
) -> EnrichedRequest {
    let mut refusals = Vec::new();
    let prepared = prepare(request, options);
    let traces = group(&prepared, context, options, &mut refusals);
    let surroundings =
        Surroundings { backend: options.backend, repairs: &options.repairs, run_id: None, rows_before: 0 };
    let mut spans = HashMap::new();
    for mut trace in traces {
        let kept = trace.settle(&surroundings, &mut refusals).is_some();
        if kept {
            spans.extend(rewrite(&trace, &surroundings, options));
        }
    }
    let resource_spans = prepared.resource_spans.iter().filter_map(|group| {
        let scope_spans = group.scope_spans.iter().filter_map(|scope| {
            let kept = scope.spans.iter().filter_map(|span| spans.remove(&std::ptr::from_ref(span)));
            let spans: Vec<Span> = kept.collect();
            let (scope, schema_url) = (scope.scope.clone(), scope.schema_url.clone());
            (!spans.is_empty()).then_some(ScopeSpans { scope, spans, schema_url })
        });
        let scope_spans: Vec<ScopeSpans> = scope_spans.collect();
        let (resource, schema_url) = (group.resource.clone(), group.schema_url.clone());
        (!scope_spans.is_empty()).then_some(ResourceSpans { resource, scope_spans, schema_url })
    });
    EnrichedRequest {
        request: ExportTraceServiceRequest { resource_spans: resource_spans.collect() },
        refusals,
    }
}

/// The spans of a trace with their new attributes, by the place of the original.
fn rewrite<'a>(
    trace: &TraceSpans<'a>,
    surroundings: &Surroundings<'_>,
    options: &MapOptions,
) -> Vec<(*const Span, Span)> {
    let mut spans: Vec<(*const Span, Span)> = trace
        .spans
        .iter()
        .map(|mapped| (std::ptr::from_ref(mapped.span), with_attributes(mapped, options)))
        .collect();
    let Ok(facts) = facts(&trace.spans, surroundings) else { return spans };
    // The server takes session and user from the first span that has them.
    if let Some((_, first)) = spans.first_mut() {
        for (key, text) in [(SESSION_ID, facts.session_id), (USER_ID, facts.user)] {
            if let Some(text) = text {
                set(&mut first.attributes, key, text_value(&text));
            }
        }
    }
    let name = facts.trace_name.or(facts.repairs.fallback_name).or(facts.repairs.plain_name);
    let roots = spans
        .iter_mut()
        .map(|(_, span)| span)
        .filter(|span| span.parent_span_id.iter().all(|byte| *byte == 0));
    if let (Some(root), Some(name)) = (roots.last(), name) {
        set(&mut root.attributes, &format!("{TRACE_TAG_PREFIX}{TRACE_NAME}"), text_value(&name));
    }
    spans
}

/// The span with its own attributes, less those that are left out, and MLflow's.
fn with_attributes(mapped: &MappedSpan<'_>, options: &MapOptions) -> Span {
    let mut span = mapped.span.clone();
    span.name.clone_from(&mapped.record.name);
    span.attributes.retain(|pair| mapped.attributes.contains(&pair.key));
    if options.repairs.bookkeeping_tags {
        let name = |pair: &KeyValue| pair.key.strip_prefix(TRACE_TAG_PREFIX).is_some_and(is_bookkeeping);
        span.attributes.retain(|pair| !name(pair));
    }
    for (key, content) in mapped.attributes.iter() {
        let is_known = span.attributes.iter().any(|pair| pair.key == key);
        if !is_known || (key.starts_with(PREFIX) && !key.starts_with(TRACE_TAG_PREFIX)) {
            let value = match content {
                // The server takes the column from this text as it is.
                Content::Text(text) if key == SPAN_TYPE => {
                    AnyValue { value: Some(any_value::Value::String(text.plain_lossy().into_owned())) }
                }
                content => value(content),
            };
            set(&mut span.attributes, key, value);
        }
    }
    span
}

fn value(content: &Content<'_>) -> AnyValue {
    let text = match content {
        Content::Text(Text::Quoted(text)) => return text_value(text),
        Content::Text(Text::Verbatim(json)) => match scalar(json) {
            Some(value) => return AnyValue { value: Some(value) },
            None => json.clone().into_owned(),
        },
        Content::Native(value) => dumps(value).unwrap_or_else(|_| adumps(value)),
    };
    AnyValue { value: Some(any_value::Value::String(text)) }
}

/// A number or a boolean, which the server would quote if it came as a text.
fn scalar(json: &str) -> Option<any_value::Value> {
    match loads(json).ok()? {
        Value::Bool(value) => Some(any_value::Value::Bool(value)),
        Value::Int(value) => value.as_i64().map(any_value::Value::Int),
        Value::Float(value) => Some(any_value::Value::Double(value)),
        _ => None,
    }
}

/// A text, in the quotes of JSON where the server would take it for JSON without them.
fn text_value(text: &str) -> AnyValue {
    let text = match Text::of_string(text) {
        Ok(Text::Quoted(text)) => text.into_owned(),
        _ => Text::Quoted(text.into()).json().into_owned(),
    };
    AnyValue { value: Some(any_value::Value::String(text)) }
}

fn set(attributes: &mut Vec<KeyValue>, key: &str, value: AnyValue) {
    attributes.retain(|pair| pair.key != key);
    attributes.push(KeyValue { key: key.to_owned(), value: Some(value) });
}
