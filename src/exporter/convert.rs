//! Spans of the SDK as OTLP, which is what the mapping reads.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::otlp::model;
use crate::otlp::model::any_value::Value as Any;

/// Bits of `Span.flags`: whether it is known that the parent is remote, and whether it is
/// (trace.proto, `SpanFlags`).
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// A resource, ready to go with every request.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    resource: model::Resource,
    schema_url: String,
}

impl Origin {
    pub(super) fn of(resource: &opentelemetry_sdk::Resource) -> Self {
        let attributes = resource.iter().map(|(key, value)| attribute(key.as_str(), value)).collect();
        Self {
            resource: model::Resource { attributes, dropped_attributes_count: 0 },
            schema_url: resource.schema_url().unwrap_or_default().to_owned(),
        }
    }

    /// The spans as one request, by scope, each scope's spans in their order.
    pub(super) fn request(&self, spans: Vec<SpanData>) -> model::ResourceSpans {
        let mut scopes: Vec<(InstrumentationScope, Vec<model::Span>)> = Vec::new();
        for data in spans {
            let converted = span(&data);
            match scopes.iter_mut().find(|(known, _)| *known == data.instrumentation_scope) {
                Some((_, spans)) => spans.push(converted),
                None => scopes.push((data.instrumentation_scope, vec![converted])),
            }
        }
        model::ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: scopes.into_iter().map(|(known, spans)| scope(&known, spans)).collect(),
            schema_url: self.schema_url.clone(),
        }
    }
}

fn scope(known: &InstrumentationScope, spans: Vec<model::Span>) -> model::ScopeSpans {
    model::ScopeSpans {
        scope: Some(model::InstrumentationScope {
            name: known.name().to_owned(),
            version: known.version().unwrap_or_default().to_owned(),
            attributes: attributes(known.attributes()),
            dropped_attributes_count: 0,
        }),
        spans,
        schema_url: known.schema_url().unwrap_or_default().to_owned(),
    }
}

fn span(data: &SpanData) -> model::Span {
    let parent = data.parent_span_id;
    let remote = if data.parent_span_is_remote { IS_REMOTE } else { 0 };
    model::Span {
        trace_id: data.span_context.trace_id().to_bytes().to_vec(),
        span_id: data.span_context.span_id().to_bytes().to_vec(),
        trace_state: data.span_context.trace_state().header(),
        parent_span_id: if parent == SpanId::INVALID { Vec::new() } else { parent.to_bytes().to_vec() },
        name: data.name.to_string(),
        kind: kind(&data.span_kind),
        start_time_unix_nano: nanoseconds(data.start_time),
        end_time_unix_nano: nanoseconds(data.end_time),
        attributes: attributes(&data.attributes),
        dropped_attributes_count: data.dropped_attributes_count,
        events: data.events.iter().map(event).collect(),
        dropped_events_count: data.events.dropped_count,
        links: data.links.iter().map(link).collect(),
        dropped_links_count: data.links.dropped_count,
        status: Some(status(&data.status)),
        flags: u32::from(data.span_context.trace_flags().to_u8()) | HAS_IS_REMOTE | remote,
    }
}

fn kind(kind: &SpanKind) -> i32 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn status(status: &Status) -> model::Status {
    match status {
        Status::Unset => model::Status::default(),
        Status::Ok => model::Status { code: 1, message: String::new() },
        Status::Error { description } => model::Status { code: 2, message: description.to_string() },
    }
}

fn event(event: &Event) -> model::span::Event {
    model::span::Event {
        time_unix_nano: nanoseconds(event.timestamp),
        name: event.name.to_string(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes_count,
    }
}

fn link(link: &Link) -> model::span::Link {
    let remote = if link.span_context.is_remote() { IS_REMOTE } else { 0 };
    model::span::Link {
        trace_id: link.span_context.trace_id().to_bytes().to_vec(),
        span_id: link.span_context.span_id().to_bytes().to_vec(),
        trace_state: link.span_context.trace_state().header(),
        attributes: attributes(&link.attributes),
        dropped_attributes_count: link.dropped_attributes_count,
        flags: u32::from(link.span_context.trace_flags().to_u8()) | HAS_IS_REMOTE | remote,
    }
}

fn attributes<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> Vec<model::KeyValue> {
    attributes.into_iter().map(|pair| attribute(pair.key.as_str(), &pair.value)).collect()
}

fn attribute(key: &str, value: &Value) -> model::KeyValue {
    model::KeyValue { key: key.to_owned(), value: Some(any(any_value(value))) }
}

fn any_value(value: &Value) -> Any {
    match value {
        Value::Bool(value) => Any::Bool(*value),
        Value::I64(value) => Any::Int(*value),
        Value::F64(value) => Any::Double(*value),
        Value::String(value) => Any::String(value.to_string()),
        Value::Array(Array::Bool(values)) => list(values.iter().map(|value| Any::Bool(*value))),
        Value::Array(Array::I64(values)) => list(values.iter().map(|value| Any::Int(*value))),
        Value::Array(Array::F64(values)) => list(values.iter().map(|value| Any::Double(*value))),
        Value::Array(Array::String(values)) => {
            list(values.iter().map(|value| Any::String(value.to_string())))
        }
        // The API may grow: its text is better than nothing.
        other => Any::String(other.to_string()),
    }
}

fn list(values: impl Iterator<Item = Any>) -> Any {
    Any::Array(model::ArrayValue { values: values.map(any).collect() })
}

fn any(value: Any) -> model::AnyValue {
    model::AnyValue { value: Some(value) }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use opentelemetry::trace::{SpanContext, TraceFlags, TraceId, TraceState};
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

    use super::*;

    pub(in crate::exporter) fn sample(id: u64) -> SpanData {
        SpanData {
            span_context: context(id, false),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: "chat".into(),
            start_time: UNIX_EPOCH + Duration::new(1_700_000_000, 5),
            end_time: UNIX_EPOCH + Duration::new(1_700_000_001, 0),
            attributes: vec![KeyValue::new("n", 7)],
            dropped_attributes_count: 1,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("layer").with_version("1").build(),
        }
    }

    fn context(id: u64, remote: bool) -> SpanContext {
        let state = TraceState::from_key_value([("vendor", "x")]).unwrap();
        SpanContext::new(TraceId::from(9), SpanId::from(id), TraceFlags::SAMPLED, remote, state)
    }

    #[test]
    fn a_span_keeps_all_it_has() {
        let mut data = sample(3);
        data.parent_span_id = SpanId::from(2);
        data.parent_span_is_remote = true;
        data.status = Status::error("no");
        let mut events = SpanEvents::default();
        events.events.push(Event::new("exception", data.start_time, vec![KeyValue::new("a", true)], 2));
        events.dropped_count = 4;
        data.events = events;
        let mut links = SpanLinks::default();
        links.links.push(Link::new(context(8, true), vec![KeyValue::new("w", 1.5)], 3));
        data.links = links;
        let converted = span(&data);
        assert_eq!(converted.trace_id, 9_u128.to_be_bytes());
        assert_eq!(converted.span_id, 3_u64.to_be_bytes());
        assert_eq!(converted.parent_span_id, 2_u64.to_be_bytes());
        assert_eq!((converted.trace_state.as_str(), converted.kind), ("vendor=x", 3));
        assert_eq!(converted.start_time_unix_nano, 1_700_000_000_000_000_005);
        assert_eq!(converted.end_time_unix_nano, 1_700_000_001_000_000_000);
        assert_eq!(converted.flags, 0x301);
        assert_eq!(converted.status, Some(model::Status { code: 2, message: "no".into() }));
        assert_eq!((converted.dropped_attributes_count, converted.dropped_events_count), (1, 4));
        assert_eq!(converted.events[0].attributes, [attribute("a", &Value::Bool(true))]);
        assert_eq!((converted.links[0].flags, converted.links[0].dropped_attributes_count), (0x301, 3));
    }

    #[test]
    fn every_type_of_value_has_its_own() {
        let texts = Value::Array(Array::String(vec!["a".into(), "b".into()]));
        let Any::Array(list) = any_value(&texts) else { panic!("no list") };
        assert_eq!(list.values, ["a", "b"].map(|text| any(Any::String(text.to_owned()))));
        assert_eq!(any_value(&Value::I64(-1)), Any::Int(-1));
        assert_eq!(any_value(&Value::F64(0.5)), Any::Double(0.5));
        let Any::Array(list) = any_value(&Value::Array(Array::I64(vec![1]))) else { panic!("no list") };
        assert_eq!(list.values, [any(Any::Int(1))]);
    }

    #[test]
    fn spans_are_grouped_by_scope_and_a_root_has_no_parent() {
        let mut other = sample(2);
        other.instrumentation_scope = InstrumentationScope::builder("other").build();
        let resource = opentelemetry_sdk::Resource::builder_empty()
            .with_schema_url([KeyValue::new("service.name", "s")], "https://example.org/1")
            .build();
        let request = Origin::of(&resource).request(vec![sample(1), other, sample(3)]);
        let sizes: Vec<_> = request.scope_spans.iter().map(|scope| scope.spans.len()).collect();
        assert_eq!(sizes, [2, 1]);
        assert!(request.scope_spans[0].spans[0].parent_span_id.is_empty());
        assert_eq!(request.schema_url, "https://example.org/1");
        assert_eq!(request.resource.unwrap().attributes[0].key, "service.name");
    }
}
