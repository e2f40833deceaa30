//! What a decoded request takes in memory.

use std::mem::size_of;

use super::model::any_value::Value;
use super::model::{
    AnyValue, ExportTraceServiceRequest, KeyValue, Resource, ResourceSpans, ScopeSpans, Span,
};

/// The bytes of a request on the heap: of every list and text what is set aside for it, used or not.
/// What the allocator adds is not in it.
pub fn footprint(request: &ExportTraceServiceRequest) -> usize {
    let resources = &request.resource_spans;
    list(resources) + resources.iter().map(of_resource_spans).sum::<usize>()
}

/// The bytes of a span on the heap, its own struct not among them.
pub fn span_footprint(span: &Span) -> usize {
    let events = span.events.iter().map(|event| event.name.capacity() + attributes(&event.attributes));
    let links = span.links.iter().map(|link| {
        let ids = link.trace_id.capacity() + link.span_id.capacity();
        ids + link.trace_state.capacity() + attributes(&link.attributes)
    });
    span.trace_id.capacity()
        + span.span_id.capacity()
        + span.parent_span_id.capacity()
        + span.trace_state.capacity()
        + span.name.capacity()
        + attributes(&span.attributes)
        + list(&span.events)
        + events.sum::<usize>()
        + list(&span.links)
        + links.sum::<usize>()
        + span.status.as_ref().map_or(0, |status| status.message.capacity())
}

fn of_resource_spans(resource: &ResourceSpans) -> usize {
    let own = resource.resource.as_ref().map_or(0, |Resource { attributes: pairs, .. }| attributes(pairs));
    let scopes = &resource.scope_spans;
    own + resource.schema_url.capacity() + list(scopes) + scopes.iter().map(of_scope_spans).sum::<usize>()
}

fn of_scope_spans(scope: &ScopeSpans) -> usize {
    let own = scope
        .scope
        .as_ref()
        .map_or(0, |scope| scope.name.capacity() + scope.version.capacity() + attributes(&scope.attributes));
    own + scope.schema_url.capacity()
        + list(&scope.spans)
        + scope.spans.iter().map(span_footprint).sum::<usize>()
}

fn attributes(pairs: &Vec<KeyValue>) -> usize {
    let contents = pairs.iter().map(|pair| pair.key.capacity() + pair.value.as_ref().map_or(0, of_value));
    list(pairs) + contents.sum::<usize>()
}

fn of_value(value: &AnyValue) -> usize {
    match &value.value {
        Some(Value::String(text)) => text.capacity(),
        Some(Value::Bytes(bytes)) => bytes.capacity(),
        Some(Value::Array(array)) => list(&array.values) + array.values.iter().map(of_value).sum::<usize>(),
        Some(Value::Kvlist(pairs)) => attributes(&pairs.values),
        _ => 0,
    }
}

/// What a list sets aside for its elements.
fn list<T>(elements: &Vec<T>) -> usize {
    elements.capacity() * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_text_and_list_counts() {
        let mut text = String::with_capacity(1_000);
        text.push('x');
        let value = Some(AnyValue { value: Some(Value::String(text)) });
        let mut span = Span { name: "abc".into(), ..Span::default() };
        assert_eq!(span_footprint(&span), 3);
        span.attributes = vec![KeyValue { key: "key".into(), value }];
        assert_eq!(span_footprint(&span), 3 + size_of::<KeyValue>() + 3 + 1_000);
        let mut request = ExportTraceServiceRequest::default();
        assert_eq!(footprint(&request), 0);
        let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
        request.resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let structs = size_of::<ResourceSpans>() + size_of::<ScopeSpans>() + size_of::<Span>();
        assert_eq!(footprint(&request), structs + 1_006 + size_of::<KeyValue>());
    }

    proptest! {
        #[test]
        fn a_clone_is_never_larger(request in crate::otlp::testing::request()) {
            prop_assert!(footprint(&request.clone()) <= footprint(&request));
        }
    }
}
