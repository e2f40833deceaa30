use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::otlp::model::any_value::Value as Any;
use crate::otlp::model::{AnyValue, KeyValue, Span};

fn decode(body: &str) -> Decoded {
    decode_json(body.as_bytes()).unwrap()
}

/// A request with these spans, each given an identity.
fn request_of(spans: &[&str]) -> String {
    let ids = r#""traceId": "64be13ed3101db08dc4e82a4732016ac", "spanId": "e0251851a83197f6""#;
    let spans = spans.iter().map(|span| format!("{{{ids}, {span}}}")).collect::<Vec<_>>().join(",");
    format!(r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [{spans}]}}]}}]}}"#)
}

fn only_span(decoded: &Decoded) -> &Span {
    assert_eq!(decoded.refusals, []);
    &decoded.request.resource_spans[0].scope_spans[0].spans[0]
}

fn value_of<'a>(span: &'a Span, key: &str) -> Option<&'a Any> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key).unwrap();
    attribute.value.as_ref().and_then(|value| value.value.as_ref())
}

#[test]
fn the_golden_body_of_a_javascript_sdk_is_read() {
    let decoded = decode(include_str!("../../../tests/data/otlp/json-body-1.json"));
    let span = only_span(&decoded);
    assert_eq!(span.trace_id, b"\x64\xbe\x13\xed\x31\x01\xdb\x08\xdc\x4e\x82\xa4\x73\x20\x16\xac");
    assert_eq!((span.kind, span.status.as_ref().unwrap().code), (2, 2));
    assert_eq!(span.start_time_unix_nano, 1_735_927_200_434_251_126);
    assert_eq!(value_of(span, "i"), Some(&Any::Int(9_007_199_254_740_993)));
    assert_eq!(value_of(span, "b"), Some(&Any::Bytes(vec![1, 2])));
    assert_eq!((span.links[0].trace_id.len(), span.links[0].span_id.len()), (16, 8));
    assert_eq!(decoded.accepted_spans(), 2);
}

#[test]
fn the_golden_body_with_upper_case_ids_and_unknown_fields_is_read() {
    let decoded = decode(include_str!("../../../tests/data/otlp/json-body-2.json"));
    let span = only_span(&decoded);
    assert_eq!(span.span_id, b"\x20\x37\x84\x34\x5b\x4a\x09\xb9");
    assert_eq!(value_of(span, "u"), None);
    assert!(span.attributes[0].value.is_some(), "an unknown variant is a value that is empty");
    assert!(span.attributes[3].value.is_none());
    assert!(matches!(value_of(span, "dbl"), Some(Any::Double(double)) if double.is_nan()));
}

#[test]
fn snake_case_names_come_with_base64_ids() {
    let decoded = decode(
        r#"{"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": "ZL4T7TEB2wjcToKkcyAWrA==",
            "span_id": "4CUYUagxl_Y", "start_time_unix_nano": 5, "dropped_attributes_count": 2}]}]}]}"#,
    );
    let span = only_span(&decoded);
    assert_eq!(span.trace_id[..2], [0x64, 0xbe]);
    assert_eq!(span.span_id, b"\xe0\x25\x18\x51\xa8\x31\x97\xf6");
    assert_eq!((span.start_time_unix_nano, span.dropped_attributes_count), (5, 2));
}

#[test]
fn null_is_absent_and_unknown_enum_names_are_ignored() {
    let decoded = decode(&request_of(&[
        r#""name": null, "kind": "SPAN_KIND_NEW", "status": null, "links": null, "attributes": [{"key": "k", "value": null}]"#,
    ]));
    let span = only_span(&decoded);
    assert_eq!((span.name.as_str(), span.kind, span.status.as_ref()), ("", 0, None));
    assert_eq!(span.attributes, [KeyValue { key: "k".to_owned(), value: None }]);
}

#[test]
fn requests_without_spans_are_empty() {
    for body in ["", " \n", "{}", r#"{"resourceSpans": []}"#, r#"{"resourceSpans": null, "more": [[1]]}"#] {
        assert_eq!(decode(body), Decoded::default(), "{body}");
    }
}

#[test]
fn one_broken_span_is_refused_alone_with_its_path() {
    let deep = format!(
        r#""attributes": [{{"key": "k", "value": {}{}}}]"#,
        r#"{"arrayValue":{"values":["#.repeat(10_000),
        "]}}".repeat(10_000)
    );
    for (broken, reason) in [
        (r#""traceId": "zz""#, "spans[1].traceId: is not hexadecimal"),
        (r#""name": 7"#, "spans[1].name: expected a string"),
        (r#""startTimeUnixNano": "-1""#, "spans[1].startTimeUnixNano: the integer is out of range"),
        (r#""startTimeUnixNano": 1.5"#, "spans[1].startTimeUnixNano: expected an integer"),
        (
            r#""attributes": [{"key": "a"}, {"value": {"boolValue": "yes"}}]"#,
            "spans[1].attributes[1].value.boolValue",
        ),
        (r#""attributes": [{"value": {"bytesValue": "*"}}]"#, "bytesValue: is not base64"),
        (r#""attributes": [{"value": {"intValue": 1, "boolValue": true}}]"#, "has more than one value"),
        (r#""name": "\ud800""#, "spans[1]: "),
        (r#""events": 1"#, "spans[1].events: expected a list"),
        (&deep, "recursion limit"),
    ] {
        let decoded = decode(&request_of(&[r#""name": "a""#, broken, r#""name": "b""#]));
        assert_eq!(decoded.accepted_spans(), 2, "{reason}");
        assert_eq!(decoded.refusals.len(), 1);
        let found = &decoded.refusals[0].reason;
        assert!(found.starts_with("resourceSpans[0].scopeSpans[0].") && found.contains(reason), "{found}");
    }
}

#[test]
fn a_broken_envelope_is_an_error_that_says_where() {
    let deep = "[".repeat(10_000);
    for (body, place) in [
        ("[]", "the body"),
        ("{", "the body"),
        (&deep, "the body"),
        (r#"{"resourceSpans": {}}"#, "resourceSpans"),
        (r#"{"resourceSpans": [{"resource": 1}]}"#, "resourceSpans[0].resource"),
        (r#"{"resourceSpans": [{"scopeSpans": [3]}]}"#, "resourceSpans[0].scopeSpans[0]"),
    ] {
        match decode_json(body.as_bytes()).unwrap_err() {
            DecodeError::Json { path, .. } => assert_eq!(path, place),
            other => panic!("{other}"),
        }
    }
    assert!(decode_json(b"{\"a\": \"\xff\"}").unwrap_err().to_string().contains("utf-8"));
}

/// OTLP/JSON of a request, as the specification describes it.
fn to_json(request: &ExportTraceServiceRequest) -> Value {
    let resource_spans = request.resource_spans.iter().map(|resource| {
        let scopes = resource.scope_spans.iter().map(|scope| {
            json!({
                "scope": scope.scope.as_ref().map(|scope| json!({
                    "name": scope.name, "version": scope.version, "attributes": attributes(&scope.attributes),
                    "droppedAttributesCount": scope.dropped_attributes_count,
                })),
                "spans": scope.spans.iter().map(span).collect::<Vec<_>>(),
                "schemaUrl": scope.schema_url,
            })
        });
        json!({
            "resource": resource.resource.as_ref().map(|resource| json!({
                "attributes": attributes(&resource.attributes),
                "droppedAttributesCount": resource.dropped_attributes_count,
            })),
            "scopeSpans": scopes.collect::<Vec<_>>(),
            "schemaUrl": resource.schema_url,
        })
    });
    json!({"resourceSpans": resource_spans.collect::<Vec<_>>()})
}

fn span(span: &Span) -> Value {
    let events = span.events.iter().map(|event| {
        json!({"timeUnixNano": event.time_unix_nano, "name": event.name, "attributes": attributes(&event.attributes),
            "droppedAttributesCount": event.dropped_attributes_count})
    });
    let links = span.links.iter().map(|link| {
        json!({"traceId": hex(&link.trace_id), "spanId": hex(&link.span_id), "traceState": link.trace_state,
            "attributes": attributes(&link.attributes), "droppedAttributesCount": link.dropped_attributes_count,
            "flags": link.flags})
    });
    json!({
        "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "parentSpanId": hex(&span.parent_span_id),
        "traceState": span.trace_state, "name": span.name, "kind": span.kind, "flags": span.flags,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(), "endTimeUnixNano": span.end_time_unix_nano,
        "attributes": attributes(&span.attributes), "droppedAttributesCount": span.dropped_attributes_count,
        "events": events.collect::<Vec<_>>(), "droppedEventsCount": span.dropped_events_count,
        "links": links.collect::<Vec<_>>(), "droppedLinksCount": span.dropped_links_count.to_string(),
        "status": span.status.as_ref().map(|status| json!({"message": status.message, "code": status.code})),
    })
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let attribute = |attribute: &KeyValue| json!({"key": attribute.key, "value": attribute.value.as_ref().map(any_value)});
    attributes.iter().map(attribute).collect()
}

fn any_value(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(Any::String(text)) => json!({"stringValue": text}),
        Some(Any::Bool(boolean)) => json!({"boolValue": boolean}),
        Some(Any::Int(integer)) => json!({"intValue": integer.to_string()}),
        Some(Any::Double(double)) if double.is_infinite() => {
            json!({"doubleValue": if *double > 0.0 { "Infinity" } else { "-Infinity" }})
        }
        Some(Any::Double(double)) => json!({"doubleValue": double}),
        Some(Any::Array(array)) => {
            json!({"arrayValue": {"values": array.values.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Some(Any::Kvlist(list)) => json!({"kvlistValue": {"values": attributes(&list.values)}}),
        Some(Any::Bytes(bytes)) => json!({"bytesValue": BASE64_STANDARD.encode(bytes)}),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn the_json_of_a_request_decodes_to_the_request(request in crate::otlp::testing::request()) {
        let decoded = decode_json(to_json(&request).to_string().as_bytes()).unwrap();
        prop_assert_eq!(decoded, Decoded { request, refusals: Vec::new() });
    }

    #[test]
    fn random_texts_never_panic(body in ".{0,256}") {
        let _ = decode_json(body.as_bytes());
    }
}
