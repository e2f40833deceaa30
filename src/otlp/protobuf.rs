//! OTLP in protobuf.

use prost::Message;
use prost::bytes::Bytes;

use super::decode::brief;
use super::model::{AnyValue, any_value::Value};
use super::model::{
    ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans, Span,
};
use super::refusal::RefusalList;
use super::validate::validate;
use super::{DecodeError, Decoded, elements};

/// Decodes a protobuf body.
///
/// The fast path decodes everything at once. Where that fails, the spans are decoded one by one, and
/// those that are broken inside (text that is not UTF-8, values nested too deep, a cut-off field) are
/// refused alone.
///
/// # Errors
///
/// The envelope around the spans cannot be read, or has too many parts.
pub fn decode_protobuf(body: &[u8]) -> Result<Decoded, DecodeError> {
    elements::check_protobuf(body)?;
    let mut refusals = RefusalList::default();
    let mut request = match ExportTraceServiceRequest::decode(body) {
        Ok(request) => request,
        Err(_) => span_by_span(body, &mut refusals)?,
    };
    validate(&mut request, &mut refusals);
    Ok(Decoded { request, refusals: refusals.finish() })
}

/// [`ExportTraceServiceRequest`] with the spans left as bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct RawRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<RawResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<RawScopeSpans>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

fn span_by_span(body: &[u8], refusals: &mut RefusalList) -> Result<ExportTraceServiceRequest, DecodeError> {
    let raw = RawRequest::decode(Bytes::copy_from_slice(body)).map_err(DecodeError::Protobuf)?;
    let resources = raw.resource_spans.into_iter().enumerate();
    let resource_spans = resources
        .map(|(index, raw)| {
            let scopes = raw.scope_spans.into_iter().enumerate();
            let place = |scope| format!("resource_spans[{index}].scope_spans[{scope}]");
            ResourceSpans {
                resource: raw.resource,
                scope_spans: scopes.map(|(scope, raw)| scope_spans(raw, || place(scope), refusals)).collect(),
                schema_url: raw.schema_url,
            }
        })
        .collect();
    Ok(ExportTraceServiceRequest { resource_spans })
}

fn scope_spans(raw: RawScopeSpans, place: impl Fn() -> String, refusals: &mut RefusalList) -> ScopeSpans {
    let mut spans = Vec::with_capacity(raw.spans.len());
    for (index, bytes) in raw.spans.into_iter().enumerate() {
        let mut span = Span::default();
        match span.merge(bytes) {
            Ok(()) if SPAN_DEPTH + depth_of_span(&span) <= MAX_DEPTH => spans.push(span),
            Ok(()) => refusals.push(|| describe(&place(), index, &span, "values are nested too deep")),
            Err(error) => refusals.push(|| describe(&place(), index, &span, &brief(&error))),
        }
    }
    ScopeSpans { scope: raw.scope, spans, schema_url: raw.schema_url }
}

/// Names the span by its id, too, if that was read before the decoder failed.
fn describe(place: &str, index: usize, span: &Span, problem: &str) -> String {
    let id: String = span.span_id.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let id = if id.is_empty() { id } else { format!(" (span id {id})") };
    format!("{place}.spans[{index}]{id}: {problem}")
}

/// How deep protobuf messages may be nested inside the request, in every protobuf library by default.
const MAX_DEPTH: usize = 100;
/// The depth of a span inside the request: resource spans, scope spans, span.
const SPAN_DEPTH: usize = 3;

/// The levels of messages inside a span. A span that is decoded alone starts at the top, where the
/// decoder allows it three levels more than inside the request; without this check the same span
/// would be kept or not depending on its neighbours.
fn depth_of_span(span: &Span) -> usize {
    let events = span.events.iter().map(|event| 1 + depth_of_attributes(&event.attributes));
    let links = span.links.iter().map(|link| 1 + depth_of_attributes(&link.attributes));
    events.chain(links).max().unwrap_or(0).max(depth_of_attributes(&span.attributes))
}

fn depth_of_attributes(attributes: &[KeyValue]) -> usize {
    attributes
        .iter()
        .map(|attribute| 1 + attribute.value.as_ref().map_or(0, depth_of_value))
        .max()
        .unwrap_or(0)
}

fn depth_of_value(value: &AnyValue) -> usize {
    1 + match &value.value {
        Some(Value::Array(array)) => 1 + array.values.iter().map(depth_of_value).max().unwrap_or(0),
        Some(Value::Kvlist(list)) => 1 + depth_of_attributes(&list.values),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
