//! `/responses`.

use serde_json::{Value, json};

use super::{Reply, chat};

/// The id of every response.
pub(crate) const ID: &str = "resp_67ccd3a9da748190baa7f1570fe91ac604becb25c45c1d41";

pub(super) fn answer(request: &Value) -> Reply {
    let response = response(request, &output(request));
    if request["stream"] == true {
        return Reply::typed_stream(&events(&response));
    }
    Reply::json(&response)
}

/// A response that was made before and stored.
pub(super) fn retrieved(id: &str, target: &str) -> Reply {
    let request = json!({"model": "gpt-4o", "instructions": "You are a helpful assistant."});
    let mut stored = response(&request, &[message("Hello! How can I assist you today?")]);
    stored["id"] = json!(id);
    if target.contains("stream=true") {
        return Reply::typed_stream(&events(&stored));
    }
    Reply::json(&stored)
}

/// What the model says.
pub(crate) fn message(text: &str) -> Value {
    json!({
        "id": "msg_67ccd3acc8d48190a77525dc6de64b4104becb25c45c1d41", "type": "message", "status": "completed",
        "role": "assistant", "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}],
    })
}

/// A message that refuses.
pub(crate) fn refusal(text: &str) -> Value {
    let mut message = message("");
    message["content"] = json!([{"type": "refusal", "refusal": text}]);
    message
}

/// What the model shows of its reasoning.
pub(crate) fn reasoning(summary: &str) -> Value {
    json!({
        "id": "rs_6820f383d7c08191846711c5df8233bc0ac5ba57aafcbac7", "type": "reasoning",
        "summary": [{"type": "summary_text", "text": summary}],
    })
}

/// A call of a function.
pub(crate) fn function_call(call_id: &str, name: &str, arguments: &str) -> Value {
    json!({
        "id": "fc_67ca09c6bedc8190a7abfec07b1a1332096610f474011cc0", "type": "function_call", "status": "completed",
        "call_id": call_id, "name": name, "arguments": arguments,
    })
}

/// A whole response with these items.
pub(crate) fn response(request: &Value, output: &[Value]) -> Value {
    let or = |key: &str, default: Value| if request[key].is_null() { default } else { request[key].clone() };
    json!({
        "id": ID,
        "object": "response",
        "created_at": 1_741_476_777,
        "status": "completed",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": request["instructions"],
        "max_output_tokens": request["max_output_tokens"],
        "model": chat::dated(request["model"].as_str().unwrap_or("gpt-4o")),
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": request["previous_response_id"],
        "reasoning": {"effort": request["reasoning"]["effort"], "summary": request["reasoning"]["summary"]},
        "service_tier": or("service_tier", json!("default")),
        "store": true,
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)),
        "truncation": "disabled",
        "usage": {
            "input_tokens": 36, "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 87, "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 123,
        },
        "user": null,
        "metadata": {},
    })
}

/// The same response, cut off by the limit of its tokens.
pub(crate) fn incomplete(mut response: Value) -> Value {
    response["status"] = json!("incomplete");
    response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    response
}

/// The same response, failed.
pub(crate) fn failed(mut response: Value) -> Value {
    response["status"] = json!("failed");
    response["output"] = json!([]);
    response["usage"] = Value::Null;
    response["error"] =
        json!({"code": "server_error", "message": "The model failed to generate a response."});
    response
}

/// The response as a stream of events, which ends as its status says.
pub(crate) fn events(response: &Value) -> Vec<Value> {
    let mut started = response.clone();
    started["status"] = json!("in_progress");
    started["output"] = json!([]);
    started["usage"] = Value::Null;
    started["error"] = Value::Null;
    started["incomplete_details"] = Value::Null;
    let mut events = vec![
        json!({"type": "response.created", "response": started}),
        json!({"type": "response.in_progress", "response": started}),
    ];
    for (index, item) in response["output"].as_array().unwrap().iter().enumerate() {
        events.extend(item_events(index, item));
    }
    let status = response["status"].as_str().unwrap();
    events.push(json!({"type": format!("response.{status}"), "response": response}));
    numbered(events)
}

/// The event that ends a stream when the server gives up.
pub(crate) fn error_event(sequence_number: usize) -> Value {
    json!({
        "type": "error", "code": "server_error", "message": "The server had an error while processing your request.",
        "param": null, "sequence_number": sequence_number,
    })
}

fn numbered(mut events: Vec<Value>) -> Vec<Value> {
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

fn item_events(index: usize, item: &Value) -> Vec<Value> {
    let mut empty = item.clone();
    empty["status"] = json!("in_progress");
    let inner = match item["type"].as_str() {
        Some("message") => {
            empty["content"] = json!([]);
            message_events(item)
        }
        Some("reasoning") => {
            empty["summary"] = json!([]);
            empty.as_object_mut().unwrap().remove("status");
            reasoning_events(item)
        }
        Some("function_call") => {
            empty["arguments"] = json!("");
            call_events(item)
        }
        other => panic!("no events for items of type {other:?}"),
    };
    let mut events = vec![json!({"type": "response.output_item.added", "item": empty})];
    events.extend(inner.into_iter().map(|mut event| {
        event["item_id"] = item["id"].clone();
        event
    }));
    events.push(json!({"type": "response.output_item.done", "item": item}));
    for event in &mut events {
        event["output_index"] = json!(index);
    }
    events
}

fn message_events(item: &Value) -> Vec<Value> {
    let part = &item["content"][0];
    let (kind, key) = match part["type"] == "refusal" {
        true => ("refusal", "refusal"),
        false => ("output_text", "text"),
    };
    let whole = part[key].as_str().unwrap();
    let mut empty = part.clone();
    empty[key] = json!("");
    let mut events = vec![json!({"type": "response.content_part.added", "part": empty})];
    events.extend(
        chat::words(whole)
            .into_iter()
            .map(|word| json!({"type": format!("response.{kind}.delta"), "delta": word, "logprobs": []})),
    );
    events.push(json!({"type": format!("response.{kind}.done"), key: whole, "logprobs": []}));
    events.push(json!({"type": "response.content_part.done", "part": part}));
    for event in &mut events {
        event["content_index"] = json!(0);
    }
    events
}

fn reasoning_events(item: &Value) -> Vec<Value> {
    let part = &item["summary"][0];
    let whole = part["text"].as_str().unwrap();
    let mut events = vec![json!({
        "type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""},
    })];
    events.extend(
        chat::words(whole)
            .into_iter()
            .map(|word| json!({"type": "response.reasoning_summary_text.delta", "delta": word})),
    );
    events.push(json!({"type": "response.reasoning_summary_text.done", "text": whole}));
    events.push(json!({"type": "response.reasoning_summary_part.done", "part": part}));
    for event in &mut events {
        event["summary_index"] = json!(0);
    }
    events
}

fn call_events(item: &Value) -> Vec<Value> {
    let arguments = item["arguments"].as_str().unwrap();
    let mut events: Vec<_> = chat::words(arguments)
        .into_iter()
        .map(|word| json!({"type": "response.function_call_arguments.delta", "delta": word}))
        .collect();
    events.push(json!({
        "type": "response.function_call_arguments.done", "arguments": arguments, "name": item["name"],
    }));
    events
}

/// What the model makes of the request.
fn output(request: &Value) -> Vec<Value> {
    let mut items = Vec::new();
    if !request["reasoning"].is_null() {
        items.push(reasoning("**Answering a simple question** The user greets."));
    }
    let answers_tools = request["input"]
        .as_array()
        .is_some_and(|input| input.iter().any(|item| item["type"] == "function_call_output"));
    match request["tools"][0]["name"].as_str().filter(|_| !answers_tools) {
        Some(tool) => items.push(function_call("call_abc123", tool, r#"{"location": "Paris, France"}"#)),
        None => items.push(message("Hello! How can I assist you today?")),
    }
    items
}
