//! `/chat/completions`.

use serde_json::{Value, json};

use super::Reply;

/// The answer to a request that asks for something ordinary.
pub(super) fn answer(request: &Value) -> Reply {
    let completion = completion(request, &choices(request));
    if request["stream"] == true {
        return Reply::stream(&chunks(&completion, request["stream_options"]["include_usage"] == true));
    }
    Reply::json(&completion)
}

/// A message of text.
pub(crate) fn text(content: &str) -> Value {
    json!({"role": "assistant", "content": content, "refusal": null, "annotations": []})
}

/// A message that refuses.
pub(crate) fn refusal(content: &str) -> Value {
    json!({"role": "assistant", "content": null, "refusal": content, "annotations": []})
}

/// A message that asks for tools: id, name and arguments of each.
pub(crate) fn tool_calls(calls: &[(&str, &str, &str)]) -> Value {
    let calls: Vec<_> = calls
        .iter()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls, "refusal": null, "annotations": []})
}

/// A message that is spoken: no content, but sound (base64) and what is said in it.
pub(crate) fn audio(data: &str, transcript: &str) -> Value {
    json!({
        "role": "assistant", "content": null, "refusal": null, "annotations": [],
        "audio": {"id": "audio_abc123", "data": data, "expires_at": 1_741_573_552, "transcript": transcript},
    })
}

/// A whole completion of these choices: message and finish reason.
pub(crate) fn completion(request: &Value, choices: &[(Value, &str)]) -> Value {
    let choices: Vec<_> = choices
        .iter()
        .enumerate()
        .map(|(index, (message, reason))| {
            json!({"index": index, "message": message, "logprobs": null, "finish_reason": reason})
        })
        .collect();
    let tier = match request["service_tier"].as_str() {
        None | Some("auto") => "default",
        Some(tier) => tier,
    };
    json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1_741_569_952,
        "model": dated(request["model"].as_str().unwrap_or("gpt-4o-mini")),
        "choices": choices,
        "usage": usage(19, 10),
        "service_tier": tier,
        "system_fingerprint": "fp_50cad350e4",
    })
}

/// The model that answers for the one that was asked.
pub(super) fn dated(model: &str) -> String {
    match model {
        "gpt-4o-mini" => "gpt-4o-mini-2024-07-18".to_owned(),
        "gpt-4o" => "gpt-4o-2024-08-06".to_owned(),
        "gpt-4o-audio-preview" => "gpt-4o-audio-preview-2025-06-03".to_owned(),
        "o4-mini" => "o4-mini-2025-04-16".to_owned(),
        other => other.to_owned(),
    }
}

/// Counts without details of note.
pub(crate) fn usage(input: u32, output: u32) -> Value {
    detailed_usage([input, 0, 0], [output, 0, 0])
}

/// Counts: all, cached and audio tokens of the input; all, reasoning and audio tokens of the output.
pub(crate) fn detailed_usage(input: [u32; 3], output: [u32; 3]) -> Value {
    json!({
        "prompt_tokens": input[0],
        "completion_tokens": output[0],
        "total_tokens": input[0] + output[0],
        "prompt_tokens_details": {"cached_tokens": input[1], "audio_tokens": input[2]},
        "completion_tokens_details": {
            "reasoning_tokens": output[1], "audio_tokens": output[2],
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// The completion as a stream: for each choice its role, its content piece by piece and its finish
/// reason, with the choices taking turns; then the usage, if it was asked for.
pub(crate) fn chunks(completion: &Value, include_usage: bool) -> Vec<Value> {
    let mut frame = completion.clone();
    frame["object"] = json!("chat.completion.chunk");
    frame.as_object_mut().unwrap().remove("usage");
    if include_usage {
        frame["usage"] = Value::Null;
    }
    let mut queues: Vec<_> =
        completion["choices"].as_array().unwrap().iter().map(|choice| deltas(choice).into_iter()).collect();
    let mut chunks = Vec::new();
    loop {
        let before = chunks.len();
        for choice in queues.iter_mut().filter_map(Iterator::next) {
            frame["choices"] = json!([choice]);
            chunks.push(frame.clone());
        }
        if chunks.len() == before {
            break;
        }
    }
    if include_usage {
        frame["choices"] = json!([]);
        frame["usage"] = completion["usage"].clone();
        chunks.push(frame);
    }
    chunks
}

/// What a choice says, piece by piece.
fn deltas(choice: &Value) -> Vec<Value> {
    let message = &choice["message"];
    let mut deltas = vec![match message["content"].is_string() {
        true => json!({"role": "assistant", "content": "", "refusal": null}),
        false => json!({"role": "assistant", "content": null}),
    }];
    for key in ["content", "refusal"] {
        let said = message[key].as_str().unwrap_or_default();
        deltas.extend(words(said).into_iter().map(|word| json!({key: word})));
    }
    for (index, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let name = &call["function"]["name"];
        deltas.push(json!({"tool_calls": [{
            "index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""},
        }]}));
        for piece in words(call["function"]["arguments"].as_str().unwrap()) {
            deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}));
        }
    }
    if message["audio"].is_object() {
        deltas.extend(audio_deltas(&message["audio"]));
    }
    let wrap = |delta: Value, reason: Value| json!({"index": choice["index"], "delta": delta, "logprobs": null, "finish_reason": reason});
    let mut choices: Vec<_> = deltas.into_iter().map(|delta| wrap(delta, Value::Null)).collect();
    choices.push(wrap(json!({}), choice["finish_reason"].clone()));
    choices
}

/// Sound as it is streamed: its id, then what is said and the sound by turns, then when it expires.
fn audio_deltas(audio: &Value) -> Vec<Value> {
    let mut deltas = vec![json!({"audio": {"id": audio["id"], "transcript": ""}})];
    let data = audio["data"].as_str().unwrap();
    let half = data.len() / 8 * 4;
    for word in words(audio["transcript"].as_str().unwrap()) {
        deltas.push(json!({"audio": {"transcript": word}}));
    }
    deltas.push(json!({"audio": {"data": &data[..half]}}));
    deltas.push(json!({"audio": {"data": &data[half..]}}));
    deltas.push(json!({"audio": {"expires_at": audio["expires_at"]}}));
    deltas
}

/// A text in pieces as tokens are: a word with the space before it.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for character in text.chars() {
        match words.last_mut() {
            Some(word) if character != ' ' => word.push(character),
            _ => words.push(character.to_string()),
        }
    }
    words
}

/// What the model makes of the request.
fn choices(request: &Value) -> Vec<(Value, &'static str)> {
    let last = request["messages"].as_array().and_then(|messages| messages.last());
    let answers_tools = last.is_some_and(|message| message["role"] == "tool");
    if let (Some(tool), false) = (request["tools"][0]["function"]["name"].as_str(), answers_tools) {
        return vec![(
            tool_calls(&[("call_abc123", tool, r#"{"location": "Paris, France"}"#)]),
            "tool_calls",
        )];
    }
    if request["audio"].is_object() {
        return vec![(audio("UklGRiQAAABXQVZFZm10IA==", "It is a golden retriever."), "stop")];
    }
    if request["response_format"]["type"] == "json_schema" {
        let forecast = r#"{"location":"Paris","temperature":21,"conditions":"sunny"}"#;
        return vec![(text(forecast), "stop")];
    }
    let count = request["n"].as_u64().unwrap_or(1);
    (0..count).map(|_| (text("Hello! How can I assist you today?"), "stop")).collect()
}
