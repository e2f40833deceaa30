//! Requests for property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::model::any_value::Value;
use super::model::span::{Event, Link};
use super::model::{
    AnyValue, ArrayValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, KeyValueList, Resource,
    ResourceSpans, ScopeSpans, Span, Status,
};

/// Any request whose spans have usable ids.
pub(crate) fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource = (attributes(), any::<u32>())
        .prop_map(|(attributes, dropped)| Resource { attributes, dropped_attributes_count: dropped });
    (option::of(resource), vec(scope_spans(), 0..3), ".{0,8}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope = (".{0,8}", ".{0,8}", attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    (option::of(scope), vec(span(), 0..4), ".{0,8}").prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope,
        spans,
        schema_url,
    })
}

fn span() -> impl Strategy<Value = Span> {
    let identity = (vec(any::<u8>(), 1..=16), vec(any::<u8>(), 1..=8), vec(any::<u8>(), 0..=8));
    let texts = (".{0,8}", ".{0,8}");
    let numbers = any::<(i32, u64, u64, u32, u32, u32, u32)>();
    let status = (".{0,8}", any::<i32>()).prop_map(|(message, code)| Status { message, code });
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3), option::of(status));
    (identity, texts, numbers, lists).prop_map(|(identity, texts, numbers, lists)| Span {
        trace_id: identity.0,
        span_id: identity.1,
        parent_span_id: identity.2,
        trace_state: texts.0,
        name: texts.1,
        kind: numbers.0,
        start_time_unix_nano: numbers.1,
        end_time_unix_nano: numbers.2,
        dropped_attributes_count: numbers.3,
        dropped_events_count: numbers.4,
        dropped_links_count: numbers.5,
        flags: numbers.6,
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
        status: lists.3,
    })
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), ".{0,8}", attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (vec(any::<u8>(), 0..=16), vec(any::<u8>(), 0..=8), ".{0,8}", attributes(), any::<(u32, u32)>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, numbers)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count: numbers.0,
            flags: numbers.1,
        },
    )
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(key_value(any_value()), 0..4)
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (".{0,8}", option::of(value)).prop_map(|(key, value)| KeyValue { key, value })
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let scalar = prop_oneof![
        Just(None),
        ".{0,8}".prop_map(|text| Some(Value::String(text))),
        any::<bool>().prop_map(|boolean| Some(Value::Bool(boolean))),
        any::<i64>().prop_map(|integer| Some(Value::Int(integer))),
        // NaN is not equal to itself, so it has a test of its own.
        (any::<f64>().prop_filter("NaN", |double| !double.is_nan()))
            .prop_map(|double| Some(Value::Double(double))),
        vec(any::<u8>(), 0..8).prop_map(|bytes| Some(Value::Bytes(bytes))),
    ];
    let leaf = scalar.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| Value::Array(ArrayValue { values })),
            vec(key_value(inner), 0..4).prop_map(|values| Value::Kvlist(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}
