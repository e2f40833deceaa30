//! What is read from requests and answers: golden texts of every API.

mod chat;
mod context;
mod media;
mod responses;

use http::StatusCode;
use opentelemetry::{KeyValue, StringValue};
use serde_json::{Value, json};

use super::error::CallError;
use super::exchange::{self, StreamReader};
use super::facts::{Facts, Wants};
use super::multipart;
use super::route::Api;
use crate::genai::{CaptureMode, CapturePolicy};
use crate::instrument::Instrumentation;

/// Facts of a call whose content goes on spans.
fn facts() -> Facts {
    let policy = CapturePolicy::new(CaptureMode::SpanOnly).max_blob_bytes(8);
    let instrumentation = Instrumentation::builder().capture(policy).build();
    Facts::new(instrumentation, Wants { spans: true, events: false }, Vec::new())
}

/// Everything that is known, in the order of the names.
fn shown(mut facts: Facts) -> Value {
    let usage: Vec<_> = facts.usage.attributes().collect();
    facts.attributes.extend(usage);
    let model =
        |key: &'static str, model: &Option<StringValue>| model.clone().map(|model| KeyValue::new(key, model));
    facts.attributes.extend(model("(request model)", &facts.request_model));
    facts.attributes.extend(model("(response model)", &facts.response_model));
    let attributes = facts.attributes.iter().map(|a| (a.key.to_string(), json!(a.value.to_string())));
    let content = facts.span_content.iter().map(|content| {
        let text = content.value.as_str();
        // A variable of a prompt is a text, everything else JSON.
        (content.key.to_string(), serde_json::from_str(&text).unwrap_or_else(|_| json!(text)))
    });
    attributes.chain(content).collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
}

fn request(api: Api, body: &Value) -> Value {
    let mut facts = facts();
    exchange::request(api, body.to_string().as_bytes(), &mut facts);
    shown(facts)
}

fn response(api: Api, body: &Value) -> Value {
    let mut facts = facts();
    exchange::response(api, body.to_string().as_bytes(), None, &mut facts).unwrap();
    shown(facts)
}

/// The facts of a stream, and its failure.
fn stream(api: Api, events: &[Value]) -> (Value, Option<CallError>) {
    let events: Vec<_> = events.iter().map(Value::to_string).collect();
    stream_of_texts(api, &events)
}

/// The facts of a stream whose events are given to the byte, and its failure.
fn stream_of_texts(api: Api, events: &[String]) -> (Value, Option<CallError>) {
    let mut facts = facts();
    let mut reader = StreamReader::new(api, &facts);
    let mut error = None;
    for event in events {
        error = error.or(reader.event(event.as_bytes(), &mut facts).error);
    }
    let failure = reader.finish(true, &mut facts);
    (shown(facts), error.or(failure))
}

fn form(api: Api, parts: &str) -> Value {
    let mut facts = facts();
    let mut reader = multipart::Reader::new("multipart/form-data; boundary=b").unwrap();
    reader.push(parts.replace('\n', "\r\n").as_bytes());
    exchange::form(api, &reader.finish(), &mut facts);
    shown(facts)
}

#[test]
fn what_is_no_json_is_read_as_nothing() {
    let mut facts = facts();
    exchange::request(Api::Chat, b"<html>", &mut facts);
    assert_eq!(shown(facts), json!({}));
    let error = exchange::response(Api::Chat, b"{\"id\":", None, &mut self::facts()).unwrap_err();
    assert_eq!(error.kind, "invalid_response");
    let error = CallError::status(StatusCode::BAD_GATEWAY, b"");
    assert_eq!(error.kind, "502");
}

#[test]
fn shapes_that_no_api_has_break_nothing() {
    let odd = [
        json!(null),
        json!([]),
        json!("text"),
        json!({"messages": "x", "choices": {"a": 1}, "data": "x"}),
        json!({"messages": [null, 1, {"role": 5, "content": {"a": []}, "tool_calls": [1, {"function": 3}]}],
            "input": [[], {"type": 7, "content": [1]}], "tools": [1, {"function": []}], "stop": 4, "n": "x",
            "choices": [1, {"message": 3, "finish_reason": 9}], "usage": [1], "output": [1, {"type": "message"}],
            "results": ["x"], "prompt": [1], "conversation": 3, "incomplete_details": 1, "error": null}),
    ];
    let all = [
        Api::Chat,
        Api::Completions,
        Api::Embeddings,
        Api::Responses,
        Api::FetchResponse,
        Api::ImageGeneration,
        Api::Speech,
        Api::Transcription,
        Api::Moderation,
    ];
    for api in all {
        for body in &odd {
            let mut facts = facts();
            exchange::request(api, body.to_string().as_bytes(), &mut facts);
            let _ = exchange::response(api, body.to_string().as_bytes(), None, &mut facts);
            let mut reader = StreamReader::new(api, &facts);
            reader.event(body.to_string().as_bytes(), &mut facts);
            reader.finish(true, &mut facts);
            for content in &facts.span_content {
                serde_json::from_str::<Value>(&content.value.as_str()).unwrap();
            }
        }
    }
}
