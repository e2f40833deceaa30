//! Bytes in a request as base64 texts, before anything else looks at it.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::otlp::model::{AnyValue, ExportTraceServiceRequest, KeyValue, any_value};

/// The request with base64 text in place of bytes; itself if it holds none.
pub(super) fn bytes_as_base64(request: &ExportTraceServiceRequest) -> Cow<'_, ExportTraceServiceRequest> {
    if !lists(request).any(|pairs| pairs.iter().any(|pair| pair.value.as_ref().is_some_and(holds_bytes))) {
        return Cow::Borrowed(request);
    }
    let mut request = request.clone();
    for group in &mut request.resource_spans {
        replace_all(group.resource.iter_mut().flat_map(|resource| &mut resource.attributes));
        for span in group.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
            replace_all(&mut span.attributes);
            replace_all(span.events.iter_mut().flat_map(|event| &mut event.attributes));
            replace_all(span.links.iter_mut().flat_map(|link| &mut link.attributes));
        }
    }
    Cow::Owned(request)
}

/// All lists of attributes that are stored.
fn lists(request: &ExportTraceServiceRequest) -> impl Iterator<Item = &[KeyValue]> {
    request.resource_spans.iter().flat_map(|group| {
        let resource = group.resource.iter().map(|resource| &resource.attributes[..]);
        let spans = group.scope_spans.iter().flat_map(|scope| &scope.spans);
        resource.chain(spans.flat_map(|span| {
            let events = span.events.iter().map(|event| &event.attributes[..]);
            let links = span.links.iter().map(|link| &link.attributes[..]);
            std::iter::once(&span.attributes[..]).chain(events).chain(links)
        }))
    })
}

fn holds_bytes(value: &AnyValue) -> bool {
    match &value.value {
        Some(any_value::Value::Bytes(_)) => true,
        Some(any_value::Value::Array(array)) => array.values.iter().any(holds_bytes),
        Some(any_value::Value::Kvlist(list)) => {
            list.values.iter().any(|pair| pair.value.as_ref().is_some_and(holds_bytes))
        }
        _ => false,
    }
}

fn replace_all<'v>(pairs: impl IntoIterator<Item = &'v mut KeyValue>) {
    pairs.into_iter().filter_map(|pair| pair.value.as_mut()).for_each(replace);
}

fn replace(value: &mut AnyValue) {
    match &mut value.value {
        Some(any_value::Value::Bytes(bytes)) => {
            value.value = Some(any_value::Value::String(STANDARD.encode(bytes)));
        }
        Some(any_value::Value::Array(array)) => array.values.iter_mut().for_each(replace),
        Some(any_value::Value::Kvlist(list)) => replace_all(&mut list.values),
        _ => {}
    }
}
