//! Spans that are too large: cut down to a size, with a mark, or left out. Their neighbours stay as they
//! are.

mod json;

use prost::Message;

use super::model::any_value::Value;
use super::model::{AnyValue, ExportTraceServiceRequest, KeyValue, Span};
use super::refusal::{Refusal, RefusalList};

/// Attribute of a span that was cut: the size that it had, in bytes of protobuf.
pub const CUT_FROM_BYTES: &str = "otel_mlflow.cut_from_bytes";

/// What the attribute and its frame take at most.
const MARK_BYTES: usize = 64;

/// Texts are not cut further than this; lists are cut then.
const SHORTEST: usize = 256;

/// What becomes of a span that is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oversized {
    /// Its longest texts are cut, such as are JSON to JSON, then its lists.
    #[default]
    Cut,
    /// It is left out, and its sender told.
    Refuse,
}

/// What was done about spans that are too large.
#[derive(Debug, Default)]
pub struct Shrunk {
    /// Spans that were cut.
    pub cut: usize,
    /// Spans that were left out.
    pub refusals: Vec<Refusal>,
}

/// Brings every span down to `max_bytes` of protobuf, or leaves it out.
pub fn shrink(request: &mut ExportTraceServiceRequest, max_bytes: usize, oversized: Oversized) -> Shrunk {
    let (mut cut, mut refusals) = (0, RefusalList::default());
    for resource_spans in &mut request.resource_spans {
        for scope_spans in &mut resource_spans.scope_spans {
            scope_spans.spans.retain_mut(|span| {
                let bytes = span.encoded_len();
                if bytes <= max_bytes {
                    return true;
                }
                let is_cut = oversized == Oversized::Cut && shrink_span(span, bytes, max_bytes);
                if is_cut {
                    cut += 1;
                } else {
                    refusals.push(|| format!("a span has {bytes} bytes, more than {max_bytes}"));
                }
                is_cut
            });
        }
    }
    Shrunk { cut, refusals: refusals.finish() }
}

/// Cuts a span; says whether that was enough.
fn shrink_span(span: &mut Span, bytes: usize, max_bytes: usize) -> bool {
    let target = max_bytes.saturating_sub(MARK_BYTES);
    let mut longest = target / 2;
    while span.encoded_len() > target && longest >= SHORTEST {
        texts(span, longest);
        longest /= 2;
    }
    let mut over = span.encoded_len().saturating_sub(target);
    let events = drop_last(&mut span.events, &mut over);
    span.dropped_events_count = span.dropped_events_count.saturating_add(events);
    let links = drop_last(&mut span.links, &mut over);
    span.dropped_links_count = span.dropped_links_count.saturating_add(links);
    let attributes = drop_last(&mut span.attributes, &mut over);
    span.dropped_attributes_count = span.dropped_attributes_count.saturating_add(attributes);
    let value = Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX));
    span.attributes
        .push(KeyValue { key: CUT_FROM_BYTES.to_owned(), value: Some(AnyValue { value: Some(value) }) });
    span.encoded_len() <= max_bytes
}

/// Cuts every text of a span to a length.
fn texts(span: &mut Span, longest: usize) {
    cut_text(&mut span.name, longest);
    if let Some(status) = &mut span.status {
        cut_text(&mut status.message, longest);
    }
    let of_events = span.events.iter_mut().flat_map(|event| &mut event.attributes);
    let of_links = span.links.iter_mut().flat_map(|link| &mut link.attributes);
    let pairs = span.attributes.iter_mut().chain(of_events).chain(of_links);
    pairs.filter_map(|pair| pair.value.as_mut()).for_each(|value| cut_value(value, longest));
}

fn cut_value(value: &mut AnyValue, longest: usize) {
    match &mut value.value {
        Some(Value::String(text)) => cut_text(text, longest),
        Some(Value::Bytes(bytes)) => bytes.truncate(longest),
        Some(Value::Array(array)) => array.values.iter_mut().for_each(|value| cut_value(value, longest)),
        Some(Value::Kvlist(pairs)) => {
            let values = pairs.values.iter_mut().filter_map(|pair| pair.value.as_mut());
            values.for_each(|value| cut_value(value, longest));
        }
        _ => {}
    }
}

fn cut_text(text: &mut String, longest: usize) {
    if text.len() > longest {
        *text = json::cut(text, longest).unwrap_or_else(|| plain(text, longest));
    }
}

/// The beginning of a text, and how much is missing.
fn plain(text: &str, longest: usize) -> String {
    let mark = mark(text.len().saturating_sub(longest));
    let end = text.floor_char_boundary(longest.saturating_sub(mark.len()));
    format!("{}{mark}", text.get(..end).unwrap_or_default())
}

fn mark(missing: usize) -> String {
    format!("…[{missing} bytes cut]")
}

/// Drops the last elements of a list until enough is gone; says how many.
fn drop_last<M: Message>(list: &mut Vec<M>, over: &mut usize) -> u32 {
    let mut dropped = 0;
    while *over > 0
        && let Some(last) = list.pop()
    {
        // The tag before it and its length take at least a byte each.
        *over = over.saturating_sub(last.encoded_len() + 2);
        dropped += 1;
    }
    dropped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::otlp::model::span::Event;
    use crate::otlp::model::{ResourceSpans, ScopeSpans};

    fn text(key: &str, value: String) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::String(value)) }) }
    }

    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }],
        }
    }

    fn spans(request: &ExportTraceServiceRequest) -> &[Span] {
        &request.resource_spans[0].scope_spans[0].spans
    }

    fn read(pair: &KeyValue) -> &str {
        match &pair.value {
            Some(AnyValue { value: Some(Value::String(text)) }) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_the_span_that_is_too_large_is_cut() {
        let small =
            Span { name: "small".into(), attributes: vec![text("a", "x".repeat(900))], ..Span::default() };
        let messages = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "é".repeat(50_000)}]);
        let attributes =
            vec![text("gen_ai.input.messages", messages.to_string()), text("plain", "p".repeat(9_000))];
        let large = Span { attributes, ..small.clone() };
        let bytes = large.encoded_len();
        let mut whole = request(vec![small.clone(), large]);
        let shrunk = shrink(&mut whole, 4_096, Oversized::Cut);
        assert_eq!((shrunk.cut, shrunk.refusals.len()), (1, 0));
        assert_eq!(spans(&whole)[0], small);
        let cut = &spans(&whole)[1];
        assert!(cut.encoded_len() <= 4_096);
        let messages: Json = serde_json::from_str(read(&cut.attributes[0])).unwrap();
        assert_eq!(messages[0]["content"], "Be kind.");
        assert!(messages[1]["content"].as_str().unwrap().ends_with(" bytes cut]"));
        assert!(read(&cut.attributes[1]).ends_with(" bytes cut]"));
        assert_eq!(cut.attributes[2].key, CUT_FROM_BYTES);
        assert_eq!(cut.attributes[2].value, Some(AnyValue { value: Some(Value::Int(bytes as i64)) }));
    }

    #[test]
    fn what_cannot_be_cut_is_left_out_alone() {
        let large = || Span { trace_state: "t".repeat(5_000), ..Span::default() };
        let mut whole = request(vec![large(), Span::default()]);
        let shrunk = shrink(&mut whole, 1_000, Oversized::Cut);
        assert_eq!((shrunk.cut, shrunk.refusals[0].spans, spans(&whole).len()), (0, 1, 1));
        let named = Span { name: "n".repeat(5_000), ..Span::default() };
        let mut whole = request(vec![named, Span::default()]);
        let shrunk = shrink(&mut whole, 1_000, Oversized::Refuse);
        assert_eq!((shrunk.cut, shrunk.refusals[0].spans, spans(&whole).len()), (0, 1, 1));
    }

    #[test]
    fn many_small_things_are_dropped_and_counted() {
        let events = (0..1_000).map(|_| Event { name: "event".into(), ..Event::default() }).collect();
        let mut whole = request(vec![Span { events, ..Span::default() }]);
        assert_eq!(shrink(&mut whole, 2_000, Oversized::Cut).cut, 1);
        let span = &spans(&whole)[0];
        assert_eq!(span.events.len() + span.dropped_events_count as usize, 1_000);
        assert!(span.encoded_len() <= 2_000 && span.events.len() > 10);
    }

    proptest! {
        #[test]
        fn every_span_fits_or_is_reported(mut request in crate::otlp::testing::request(), max_bytes in 100_usize..400) {
            let count = |request: &ExportTraceServiceRequest| {
                let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
                scopes.map(|scope| scope.spans.len()).sum::<usize>()
            };
            let before = count(&request);
            let shrunk = shrink(&mut request, max_bytes, Oversized::Cut);
            let refused: usize = shrunk.refusals.iter().map(|refusal| refusal.spans).sum();
            prop_assert_eq!(count(&request) + refused, before);
            for resource_spans in &request.resource_spans {
                for span in resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    prop_assert!(span.encoded_len() <= max_bytes);
                }
            }
        }
    }
}
