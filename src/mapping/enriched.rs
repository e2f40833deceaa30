//! A request as an MLflow server should get it: with what the mapping found out, as attributes.

use std::borrow::Cow;
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
use crate::otlp::model::{AnyValue, ExportTraceServiceRequest, KeyValue, Span, any_value};
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

/// What the mapping changes in a span.
struct Edit {
    name: String,
    /// For each attribute that came in, whether it stays, unless it is set.
    stays: Vec<bool>,
    /// Attributes to set.
    set: Vec<KeyValue>,
}

/// Prepares a request for an MLflow server that maps OTLP itself, so that it stores what
/// [`map`](super::map) would, as far as the server lets it.
///
/// Type, inputs, outputs, usage, cost, model and provider of each span are set under MLflow's names,
/// name, session and user of each trace on one of its spans. What the server takes from nowhere in a
/// span cannot be given: previews that differ from the inputs, and metadata.
pub fn enrich_request(
    request: ExportTraceServiceRequest,
    context: &MapContext,
    options: &MapOptions,
) -> EnrichedRequest {
    let repaired = match prepare(&request, options) {
        Cow::Owned(repaired) => Some(repaired),
        Cow::Borrowed(_) => None,
    };
    let mut request = repaired.unwrap_or(request);
    let mut refusals = Vec::new();
    // The spans are changed where they are: a copy of all their texts would cost a good part of what the mapping costs.
    let mut edits = edits(&request, context, options, &mut refusals).into_iter();
    request.resource_spans.retain_mut(|group| {
        group.scope_spans.retain_mut(|scope| {
            scope.spans.retain_mut(|span| edits.next().flatten().map(|edit| edit.apply(span)).is_some());
            !scope.spans.is_empty()
        });
        !group.scope_spans.is_empty()
    });
    EnrichedRequest { request, refusals }
}

/// What to change in each span of a request, in their order; none for a span that is left out.
fn edits(
    request: &ExportTraceServiceRequest,
    context: &MapContext,
    options: &MapOptions,
    refusals: &mut Vec<Refusal>,
) -> Vec<Option<Edit>> {
    let surroundings =
        Surroundings { backend: options.backend, repairs: &options.repairs, run_id: None, rows_before: 0 };
    let mut edits = HashMap::new();
    for mut trace in group(request, context, options, refusals) {
        let kept = trace.settle(&surroundings, refusals).is_some();
        if kept {
            edits.extend(edits_of(&trace, &surroundings, options));
        }
    }
    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    spans.map(|span| edits.remove(&std::ptr::from_ref(span))).collect()
}

/// What to change in the spans of a trace, by their place in memory.
fn edits_of(
    trace: &TraceSpans<'_>,
    surroundings: &Surroundings<'_>,
    options: &MapOptions,
) -> Vec<(*const Span, Edit)> {
    let mut edits: Vec<(*const Span, Edit)> = trace
        .spans
        .iter()
        .map(|mapped| (std::ptr::from_ref(mapped.span), Edit::of(mapped, options)))
        .collect();
    let Ok(facts) = facts(&trace.spans, surroundings) else { return edits };
    // The server takes session and user from the first span that has them.
    if let Some((_, first)) = edits.first_mut() {
        for (key, text) in [(SESSION_ID, facts.session_id), (USER_ID, facts.user)] {
            if let Some(text) = text {
                first.set(key, text_value(&text));
            }
        }
    }
    let name = facts.trace_name.or(facts.repairs.fallback_name).or(facts.repairs.plain_name);
    let root = trace.spans.iter().rposition(|mapped| mapped.ids.parent.is_none());
    if let (Some((_, root)), Some(name)) = (root.and_then(|place| edits.get_mut(place)), name) {
        root.set(&format!("{TRACE_TAG_PREFIX}{TRACE_NAME}"), text_value(&name));
    }
    edits
}

impl Edit {
    /// The span's own attributes stay, less those that are left out, and MLflow's are set.
    fn of(mapped: &MappedSpan<'_>, options: &MapOptions) -> Self {
        let is_bookkeeping = |key: &str| {
            options.repairs.bookkeeping_tags && key.strip_prefix(TRACE_TAG_PREFIX).is_some_and(is_bookkeeping)
        };
        let own = &mapped.span.attributes;
        let stays = |pair: &KeyValue| mapped.attributes.contains(&pair.key) && !is_bookkeeping(&pair.key);
        let stays: Vec<bool> = own.iter().map(stays).collect();
        let mut edit = Self { name: mapped.record.name.clone(), stays, set: Vec::new() };
        for (key, content) in mapped.attributes.iter().filter(|(key, _)| !is_bookkeeping(key)) {
            let is_known = own.iter().zip(&edit.stays).any(|(pair, stays)| *stays && pair.key == key);
            if !is_known || (key.starts_with(PREFIX) && !key.starts_with(TRACE_TAG_PREFIX)) {
                let value = match content {
                    // The server takes the column from this text as it is.
                    Content::Text(text) if key == SPAN_TYPE => {
                        AnyValue { value: Some(any_value::Value::String(text.plain_lossy().into_owned())) }
                    }
                    content => value(content),
                };
                edit.set(key, value);
            }
        }
        edit
    }

    fn set(&mut self, key: &str, value: AnyValue) {
        self.set.retain(|pair| pair.key != key);
        self.set.push(KeyValue { key: key.to_owned(), value: Some(value) });
    }

    fn apply(self, span: &mut Span) {
        span.name = self.name;
        let mut stays = self.stays.into_iter();
        span.attributes
            .retain(|pair| stays.next().unwrap_or(true) && !self.set.iter().any(|set| set.key == pair.key));
        span.attributes.extend(self.set);
    }
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
    // Most are objects, lists and texts, and long.
    if json.starts_with(['{', '[', '"']) {
        return None;
    }
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
