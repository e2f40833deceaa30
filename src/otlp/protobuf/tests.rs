use proptest::prelude::*;

use super::*;
use crate::otlp::model::{ArrayValue, span};

fn good_span(id: u8) -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![id; 8], name: format!("span {id}"), ..Span::default() }
}

/// A request whose spans are given as bytes, which need not be spans.
fn request_of(spans: Vec<Vec<u8>>) -> Vec<u8> {
    let spans = spans.into_iter().map(Bytes::from).collect();
    let scope_spans = vec![RawScopeSpans { spans, ..RawScopeSpans::default() }];
    let resource_spans = vec![RawResourceSpans { scope_spans, ..RawResourceSpans::default() }];
    RawRequest { resource_spans }.encode_to_vec()
}

fn names(decoded: &Decoded) -> Vec<String> {
    let scopes = decoded.request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()).collect()
}

fn nested(levels: usize) -> Span {
    let wrap = |inner| AnyValue { value: Some(Value::Array(ArrayValue { values: vec![inner] })) };
    let value = (0..levels).fold(AnyValue::default(), |inner, _| wrap(inner));
    let attributes = vec![KeyValue { key: "deep".to_owned(), value: Some(value) }];
    Span { attributes, ..good_span(9) }
}

/// An attribute nested so deep that encoding it by recursion would overflow the stack.
fn nested_bytes(levels: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..levels {
        for field in [0x0a, 0x2a] {
            let mut outer = vec![field];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.append(&mut value);
            value = outer;
        }
    }
    let mut attribute = vec![0x12];
    prost::encoding::encode_varint(value.len() as u64, &mut attribute);
    attribute.append(&mut value);
    let mut span = good_span(9).encode_to_vec();
    span.push(0x4a);
    prost::encoding::encode_varint(attribute.len() as u64, &mut span);
    span.append(&mut attribute);
    span
}

#[test]
fn one_broken_span_is_refused_alone() {
    let mut invalid_text = good_span(2).encode_to_vec();
    let at = invalid_text.windows(4).position(|window| window == b"span").unwrap();
    invalid_text[at] = 0xff;
    let truncated = {
        let bytes = good_span(3).encode_to_vec();
        bytes[..bytes.len() - 3].to_vec()
    };
    for (broken, reason) in [
        (invalid_text, "UTF-8"),
        (truncated, "(span id 0303030303030303)"),
        (nested_bytes(10_000), "recursion"),
        (b"\xff\xff\xff\xff".to_vec(), "spans[1]"),
    ] {
        let body = request_of(vec![good_span(1).encode_to_vec(), broken, good_span(4).encode_to_vec()]);
        let decoded = decode_protobuf(&body).unwrap();
        assert_eq!(names(&decoded), ["span 1", "span 4"]);
        assert_eq!(decoded.refused_spans(), 1);
        let found = &decoded.refusals[0].reason;
        assert!(found.contains(reason) && found.contains("spans[1]"), "{found}");
    }
}

#[test]
fn the_limit_of_nesting_does_not_depend_on_the_neighbours() {
    let broken = vec![0xff];
    for (levels, kept) in [(47, true), (48, false)] {
        let alone = decode_protobuf(&request_of(vec![nested(levels).encode_to_vec()])).unwrap();
        let beside =
            decode_protobuf(&request_of(vec![nested(levels).encode_to_vec(), broken.clone()])).unwrap();
        assert_eq!(alone.accepted_spans(), usize::from(kept), "{levels}");
        assert_eq!(beside.accepted_spans(), usize::from(kept), "{levels}");
    }
}

#[test]
fn events_and_links_count_as_levels() {
    let event = span::Event { attributes: nested(48).attributes, ..span::Event::default() };
    let span = Span { events: vec![event], ..good_span(1) };
    let beside = decode_protobuf(&request_of(vec![span.encode_to_vec(), vec![0xff]])).unwrap();
    assert_eq!(beside.accepted_spans(), 0);
}

#[test]
fn a_broken_envelope_is_an_error() {
    let body = request_of(vec![good_span(1).encode_to_vec()]);
    for bad in [&body[..body.len() - 1], b"\x0a\x05hello", b"random words"] {
        assert!(matches!(decode_protobuf(bad), Err(DecodeError::Protobuf(_))), "{bad:?}");
    }
}

#[test]
fn nothing_is_a_request_without_spans() {
    assert_eq!(decode_protobuf(b"").unwrap(), Decoded::default());
}

#[test]
fn many_bad_spans_are_counted_but_not_all_described() {
    let decoded = decode_protobuf(&request_of(vec![vec![0xff]; 1000])).unwrap();
    assert_eq!(decoded.refused_spans(), 1000);
    assert!(decoded.refusals.len() < 50);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode_protobuf(&body);
    }

    #[test]
    fn damaged_requests_never_panic(at in 0usize..10_000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = request_of(vec![nested(5).encode_to_vec(), good_span(1).encode_to_vec()]);
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        let _ = decode_protobuf(&body);
    }

    #[test]
    fn lenient_equals_strict_where_all_spans_are_good(request in crate::otlp::testing::request()) {
        let body = request.encode_to_vec();
        let mut refusals = RefusalList::default();
        prop_assert_eq!(span_by_span(&body, &mut refusals).unwrap(), request);
        prop_assert!(refusals.finish().is_empty());
    }
}
