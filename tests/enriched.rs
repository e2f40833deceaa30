//! Enriched mapping: each repair, switched on and off, and the requests for an MLflow server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "gateway")]

use opentelemetry_mlflow::mapping::prices::PriceCatalogue;
use opentelemetry_mlflow::mapping::{
    Backend, MapContext, MapOptions, Mapped, Repairs, StoredSpan, StoredTrace, TraceUpdate, enrich_request,
    map, merge,
};
use opentelemetry_mlflow::mlflow::records::TraceRecord;
use opentelemetry_mlflow::otlp::model::{
    AnyValue, ArrayValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans,
    ScopeSpans, Span, Status, any_value, span,
};

fn text(value: &str) -> any_value::Value {
    any_value::Value::String(value.to_owned())
}

fn int(value: i64) -> any_value::Value {
    any_value::Value::Int(value)
}

fn pair(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn span(id: u8, parent: u8, name: &str, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { vec![] } else { vec![parent; 8] },
        name: name.to_owned(),
        start_time_unix_nano: 1_000_000_000 + u64::from(id) * 1_000_000,
        end_time_unix_nano: 2_000_000_000,
        attributes,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource { attributes: vec![pair("service.name", text("shop"))], ..Resource::default() };
    let scope =
        InstrumentationScope { name: "lib".to_owned(), version: "1.2".to_owned(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn options(repairs: Repairs) -> MapOptions {
    MapOptions { backend: Backend::Postgres, prices: PriceCatalogue::bundled(), repairs }
}

fn mapped(repairs: Repairs, spans: Vec<Span>) -> Mapped {
    map(&request(spans), &MapContext::default(), &options(repairs))
}

/// What all repairs, and what none, make of the spans of one trace.
fn both(spans: &[Span]) -> (TraceUpdate, TraceUpdate) {
    let only = |repairs| mapped(repairs, spans.to_vec()).updates.remove(0);
    (only(Repairs::default()), only(Repairs::NONE))
}

fn record(update: &TraceUpdate) -> TraceRecord {
    merge(None, std::slice::from_ref(update)).unwrap().record
}

fn chat(id: u8, parent: u8, more: Vec<KeyValue>) -> Span {
    let mut attributes = vec![pair("gen_ai.operation.name", text("chat"))];
    attributes.extend(more);
    span(id, parent, "chat gpt", attributes)
}

#[test]
fn span_types_fill_the_column() {
    let (enriched, strict) = both(&[chat(1, 0, vec![])]);
    assert_eq!(enriched.spans[0].span_type.as_deref(), Some("CHAT_MODEL"));
    assert_eq!(strict.spans[0].span_type, None);
}

#[test]
fn trace_names_come_from_the_root_or_the_first_genai_span() {
    let http = || span(1, 0, "POST /ask", vec![pair("http.request.method", text("POST"))]);
    let name = |spans: &[Span]| record(&both(spans).0).trace_name;
    assert_eq!(name(&[span(1, 0, "plan", vec![]), chat(2, 1, vec![])]).as_deref(), Some("plan"));
    assert_eq!(name(&[http(), chat(2, 1, vec![])]).as_deref(), Some("chat gpt"));
    assert_eq!(name(&[http()]).as_deref(), Some("POST /ask"));
    assert_eq!(record(&both(&[http()]).1).trace_name, None);
}

#[test]
fn long_names_are_cut() {
    let (enriched, _) = both(&[span(1, 0, &"n".repeat(9000), vec![])]);
    assert_eq!(record(&enriched).trace_name.unwrap().len(), 4096);
    assert_eq!(enriched.spans[0].name.len(), 9000);
}

#[test]
fn trace_names_do_not_depend_on_the_order_of_requests() {
    let http = span(1, 0, "POST /ask", vec![pair("http.request.method", text("POST"))]);
    let parts = [http, chat(2, 1, vec![])].map(|span| both(&[span]).0);
    for order in [[0, 1], [1, 0]] {
        let updates = order.map(|index| parts[index].clone());
        assert_eq!(merge(None, &updates).unwrap().record.trace_name.as_deref(), Some("chat gpt"));
    }
}

#[test]
fn previews_stay_json() {
    let query = format!(r#"{{"query": "{}"}}"#, "x".repeat(3000));
    let (enriched, strict) = both(&[span(1, 0, "search", vec![pair("input.value", text(&query))])]);
    let is_json =
        |preview: Option<String>| serde_json::from_str::<serde_json::Value>(&preview.unwrap()).is_ok();
    assert!(is_json(enriched.request_preview));
    assert!(!is_json(strict.request_preview));
}

#[test]
fn identities_are_read_in_every_dialect() {
    let attributes = vec![
        pair("session.id", text("")),
        pair("langfuse.session.id", text("s1")),
        pair("traceloop.association.properties.user_id", text("ada")),
    ];
    let (enriched, strict) = both(&[span(1, 0, "op", attributes)]);
    assert_eq!((enriched.session_id.as_deref(), enriched.user.as_deref()), (Some("s1"), Some("ada")));
    assert_eq!((strict.session_id, strict.user), (None, None));
    let source = ("mlflow.source.name".to_owned(), "shop".to_owned());
    assert_eq!(enriched.repairs.metadata, vec![source]);
}

#[test]
fn long_identities_are_shortened_not_refused() {
    let spans = vec![span(1, 0, "op", vec![pair("session.id", text(&"s".repeat(300)))])];
    let enriched = mapped(Repairs::default(), spans.clone());
    assert_eq!(enriched.updates[0].session_id.as_ref().unwrap().len(), 250);
    let strict = mapped(Repairs::NONE, spans);
    assert!(strict.updates.is_empty());
    assert!(strict.refusals[0].reason.contains("session id has 300 characters"), "{:?}", strict.refusals);
}

fn usage(input: i64, output: i64) -> Vec<KeyValue> {
    vec![pair("gen_ai.usage.input_tokens", int(input)), pair("gen_ai.usage.output_tokens", int(output))]
}

#[test]
fn repeated_spans_count_once() {
    let spans = vec![chat(1, 0, usage(10, 1)), chat(1, 0, usage(10, 1))];
    let enriched = mapped(Repairs::default(), spans.clone());
    assert_eq!(record(&enriched.updates[0]).tokens.total, Some(11));
    assert_eq!(enriched.refusals, vec![]);
    let strict = MapOptions { backend: Backend::Sqlite, ..options(Repairs::NONE) };
    let strict = map(&request(spans), &MapContext::default(), &strict);
    assert_eq!(record(&strict.updates[0]).tokens.total, Some(22));
}

#[test]
fn resent_spans_replace_what_they_counted() {
    let first = both(&[span(1, 0, "root", vec![]), chat(2, 1, usage(10, 1)), chat(3, 1, usage(5, 5))]);
    let second = both(&[chat(2, 1, vec![])]);
    for (first, second, total) in [(first.0, second.0, 10), (first.1, second.1, 21)] {
        let write = merge(None, std::slice::from_ref(&first)).unwrap();
        let spans = write.spans.iter().map(|span| StoredSpan {
            span_id: span.span_id.clone(),
            parent_span_id: span.parent_span_id.clone(),
            content: Some(span.content.clone()),
        });
        let stored = StoredTrace {
            spans: spans.filter(|_| second.needs_stored_spans(&write.record)).collect(),
            record: write.record.clone(),
            finalized: false,
            has_user: false,
            spans_location: None,
        };
        let again = merge(Some(stored), std::slice::from_ref(&second)).unwrap();
        assert_eq!(again.record.tokens.total, Some(total));
    }
}

#[test]
fn negative_counts_of_a_sender_count_nothing() {
    let stated = r#"{"input_tokens": 10, "output_tokens": -4, "total_tokens": 6}"#;
    let (enriched, strict) = both(&[chat(1, 0, vec![pair("mlflow.chat.tokenUsage", text(stated))])]);
    let (repaired, mlflow) = (record(&enriched).tokens, record(&strict).tokens);
    assert_eq!((repaired.input, repaired.output), (Some(10), Some(0)));
    assert_eq!((mlflow.input, mlflow.output), (Some(10), Some(-4)));
    assert!(record(&enriched).cost.total.is_none_or(|cost| cost >= 0.0));
}

#[test]
fn usage_totals_are_true() {
    let (enriched, strict) = both(&[chat(1, 0, vec![pair("gen_ai.usage.input_tokens", int(7))])]);
    assert_eq!(record(&enriched).tokens.total, Some(7));
    assert_eq!(record(&strict).tokens.total, Some(0));
}

#[test]
fn cached_tokens_are_part_of_the_input() {
    let mut attributes = usage(20, 5);
    attributes.push(pair("gen_ai.usage.cache_read_input_tokens", int(80)));
    let (enriched, strict) = both(&[chat(1, 0, attributes)]);
    let (enriched, strict) = (record(&enriched).tokens, record(&strict).tokens);
    assert_eq!((enriched.input, enriched.cache_read, enriched.total), (Some(100), Some(80), Some(105)));
    assert_eq!((strict.input, strict.cache_read), (Some(20), None));
}

#[test]
fn explicit_costs_win() {
    let mut attributes = usage(1000, 1000);
    attributes.push(pair("gen_ai.request.model", text("gpt-4o")));
    attributes.push(pair("gen_ai.usage.cost", any_value::Value::Double(0.5)));
    let (enriched, strict) = both(&[chat(1, 0, attributes)]);
    assert_eq!(record(&enriched).cost.total, Some(0.5));
    assert_eq!(enriched.spans[0].cost.total, Some(0.5));
    assert!(record(&strict).cost.total.unwrap() < 0.1);
}

#[test]
fn span_details_are_kept() {
    let mut root = span(1, 0, "op", vec![]);
    root.kind = 2;
    root.trace_state = "a=b".to_owned();
    root.dropped_events_count = 3;
    root.status = Some(Status { code: 1, message: "fine".to_owned() });
    let (enriched, strict) = both(&[root]);
    for part in [
        r#""span.kind": "\"server\"""#,
        r#""otel.scope.name": "\"lib\"""#,
        r#""otel.scope.version": "\"1.2\"""#,
        r#""w3c.tracestate": "\"a=b\"""#,
        r#""otel.dropped_events_count": "3""#,
        r#""otel.status_description": "\"fine\"""#,
    ] {
        assert!(enriched.spans[0].content.contains(part), "{part} in {}", enriched.spans[0].content);
        assert!(!strict.spans[0].content.contains(part));
    }
}

#[test]
fn link_ids_of_json_requests_are_hex() {
    let mut root = span(1, 0, "op", vec![]);
    root.links =
        vec![span::Link { trace_id: vec![0xab; 16], span_id: vec![0xcd; 8], ..span::Link::default() }];
    let context = MapContext { json: true, ..MapContext::default() };
    let content = |repairs| {
        map(&request(vec![root.clone()]), &context, &options(repairs))
            .updates
            .remove(0)
            .spans
            .remove(0)
            .content
    };
    assert!(content(Repairs::default()).contains(&format!("tr-{}", "ab".repeat(16))));
    assert!(!content(Repairs::NONE).contains(&format!("tr-{}", "ab".repeat(16))));
}

#[test]
fn bytes_are_base64() {
    let nested = any_value::Value::Array(ArrayValue {
        values: vec![AnyValue { value: Some(any_value::Value::Bytes(vec![0, 255])) }],
    });
    let (enriched, strict) = both(&[span(1, 0, "op", vec![pair("data", nested)])]);
    assert!(enriched.spans[0].content.contains(r#""data": "[\"AP8=\"]""#), "{}", enriched.spans[0].content);
    assert!(strict.spans[0].content.contains(r"b'\\\\x00\\\\xff'"), "{}", strict.spans[0].content);
}

#[test]
fn bookkeeping_tags_cannot_be_overwritten() {
    let attributes = vec![
        pair("mlflow.traceTag.mlflow.trace.spansLocation", text("ARCHIVE")),
        pair("mlflow.traceTag.mlflow.artifactLocation", text("s3://elsewhere")),
        pair("mlflow.traceTag.team", text("search")),
    ];
    let spans = [span(1, 0, "op", attributes)];
    let (enriched, strict) = both(&spans);
    let has = |update: &TraceUpdate, value: &str| update.tags.iter().any(|(_, known)| known == value);
    assert!(has(&strict, "ARCHIVE"));
    let sent = enrich_request(request(spans.to_vec()), &MapContext::default(), &options(Repairs::default()));
    let there = map(&sent.request, &MapContext::default(), &options(Repairs::NONE));
    for update in [&enriched, &there.updates[0]] {
        assert!(has(update, "search") && !has(update, "ARCHIVE") && !has(update, "s3://elsewhere"));
    }
}

#[test]
fn run_links_have_no_limit() {
    let spans = (0..120).map(|trace| Span { trace_id: vec![trace + 1; 16], ..span(1, 0, "op", vec![]) });
    let request = request(spans.collect());
    let context = MapContext { run_id: Some("run".to_owned()), ..MapContext::default() };
    let linked = |repairs| {
        let mapped = map(&request, &context, &options(repairs));
        mapped.updates.iter().filter(|update| update.run_ids == ["run"]).count()
    };
    assert_eq!((linked(Repairs::default()), linked(Repairs::NONE)), (120, 0));
}

#[test]
fn unusable_values_are_left_out_alone_and_reported() {
    let attributes = vec![
        pair("deep", text(&"[".repeat(5000))),
        pair("mlflow.chat.tokenUsage", text(r#"{"input_tokens": "many"}"#)),
        pair("user.id", text("nul\0l")),
        pair("kept", text("yes")),
    ];
    let spans = vec![span(1, 0, "na\0me", attributes)];
    let enriched = mapped(Repairs::default(), spans.clone());
    let update = &enriched.updates[0];
    assert!(update.spans[0].content.contains("kept"));
    assert!(!update.spans[0].content.contains("deep"));
    assert_eq!(update.spans[0].name, "na\u{fffd}me");
    assert_eq!(update.user.as_deref(), Some("nul\u{fffd}l"));
    assert!(enriched.refusals.iter().all(|refusal| refusal.spans == 0), "{:?}", enriched.refusals);
    let reasons: Vec<&str> = enriched.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("\"deep\"")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("input_tokens")), "{reasons:?}");
    let strict = mapped(Repairs::NONE, spans);
    assert!(strict.updates.is_empty() && strict.refusals[0].spans == 1);
}

#[test]
fn chat_tools_are_in_the_form_that_the_chat_view_shows() {
    let tools = r#"[{"type": "function", "name": "find", "parameters": {"type": "object"}}]"#;
    let (enriched, strict) = both(&[chat(1, 0, vec![pair("gen_ai.tool.definitions", text(tools))])]);
    let shown = |update: &TraceUpdate| {
        let content: serde_json::Value = serde_json::from_str(&update.spans[0].content).unwrap();
        let tools = content["attributes"]["mlflow.chat.tools"].as_str().unwrap();
        serde_json::from_str::<serde_json::Value>(tools).unwrap()
    };
    assert_eq!(shown(&enriched)[0]["function"]["name"], "find");
    assert_eq!(shown(&enriched)[0]["function"]["parameters"]["type"], "object");
    assert_eq!(shown(&strict)[0]["name"], "find");
}

#[test]
fn chats_with_pictures_are_given_to_the_chat_view() {
    let asked = r#"[{"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"}]}]"#;
    let answered = r#"[{"role": "assistant", "parts": [{"type": "text", "content": "A cat."}]}]"#;
    let messages =
        vec![pair("gen_ai.input.messages", text(asked)), pair("gen_ai.output.messages", text(answered))];
    let (enriched, strict) = both(&[chat(1, 0, messages)]);
    assert!(enriched.spans[0].content.contains("data:image/png;base64,AAAA"));
    let attributes = |update: &TraceUpdate| {
        let content: serde_json::Value = serde_json::from_str(&update.spans[0].content).unwrap();
        content["attributes"].as_object().unwrap().clone()
    };
    let (enriched, strict) = (attributes(&enriched), attributes(&strict));
    assert_eq!(enriched["mlflow.spanInputs"], strict["mlflow.spanInputs"]);
    assert!(enriched.contains_key("mlflow.chat.messages") && !strict.contains_key("mlflow.chat.messages"));
}

#[test]
fn messages_once_drops_the_attribute_they_came_in() {
    let messages = r#"[{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]"#;
    let spans = vec![chat(1, 0, vec![pair("gen_ai.input.messages", text(messages))])];
    let count = |repairs| {
        let update = mapped(repairs, spans.clone()).updates.remove(0);
        update.spans[0].content.matches("hello").count()
    };
    assert_eq!(count(Repairs { messages_once: true, ..Repairs::default() }), 1);
    assert_eq!(count(Repairs::default()), 2);
}

/// The rows of an enriched trace are the same however its spans are batched.
#[test]
fn batching_does_not_change_the_rows() {
    let spans = [
        span(1, 0, "POST /ask", vec![pair("http.request.method", text("POST"))]),
        chat(2, 1, usage(10, 2)),
        chat(3, 2, usage(4, 4)),
        chat(4, 1, usage(3, 1)),
    ];
    let whole = both(&spans).0;
    let expected = merge(None, std::slice::from_ref(&whole)).unwrap().record;
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let updates: Vec<TraceUpdate> = order.iter().map(|index| both(&spans[*index..=*index]).0).collect();
        let write = merge(None, &updates).unwrap();
        let record = TraceRecord { db_payload_generation: 1, ..write.record };
        let name = record.trace_name.clone();
        assert_eq!(TraceRecord { trace_name: expected.trace_name.clone(), ..record }, expected, "{order:?}");
        assert_eq!(name.as_deref(), Some("chat gpt"));
    }
}

/// A server that gets the enriched request stores, by its own mapping, what we would.
#[test]
fn a_server_stores_the_enriched_rows() {
    let messages = r#"[{"role": "user", "content": "hello"}]"#;
    let mut model_call = usage(20, 5);
    model_call.extend([
        pair("gen_ai.request.model", text("gpt-4o")),
        pair("gen_ai.input.messages", text(messages)),
        pair("langfuse.session.id", text("s1")),
        pair("gen_ai.usage.cost", any_value::Value::Double(0.5)),
        pair("deep", text(&"[".repeat(5000))),
    ]);
    let http = span(1, 0, "POST /ask", vec![pair("http.request.method", text("POST"))]);
    let sent = request(vec![http, chat(2, 1, vec![]), chat(2, 1, model_call), Span::default()]);
    let enriched = enrich_request(sent.clone(), &MapContext::default(), &options(Repairs::default()));
    assert_eq!(
        enriched.refusals.iter().map(|refusal| refusal.spans).sum::<usize>(),
        1,
        "{:?}",
        enriched.refusals
    );
    let here = map(&sent, &MapContext::default(), &options(Repairs::default()));
    let there = map(&enriched.request, &MapContext::default(), &options(Repairs::NONE));
    assert_eq!(there.refusals, vec![]);
    let (here, there) = (&here.updates[0], &there.updates[0]);
    assert_eq!(there.trace_name.as_deref(), Some("chat gpt"));
    assert_eq!((&there.session_id, &there.user), (&here.session_id, &here.user));
    assert_eq!(record(there).tokens, record(here).tokens);
    assert_eq!(record(there).cost, record(here).cost);
    for (there, here) in there.spans.iter().zip(&here.spans) {
        assert_eq!(
            (&there.span_type, &there.model_name, &there.cost),
            (&here.span_type, &here.model_name, &here.cost)
        );
    }
}
