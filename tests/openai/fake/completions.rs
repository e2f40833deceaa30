//! `/completions`, the API before chat.

use serde_json::{Value, json};

use super::{Reply, chat};

pub(super) fn answer(request: &Value) -> Reply {
    let completion = completion(request, "This is indeed a test.");
    if request["stream"] == true {
        return Reply::stream(&chunks(&completion, request["stream_options"]["include_usage"] == true));
    }
    Reply::json(&completion)
}

pub(crate) fn completion(request: &Value, text: &str) -> Value {
    let prompts = request["prompt"].as_array().map_or(1, Vec::len);
    let count = usize::try_from(request["n"].as_u64().unwrap_or(1)).unwrap() * prompts;
    let choices: Vec<_> = (0..count)
        .map(|index| json!({"text": text, "index": index, "logprobs": null, "finish_reason": "length"}))
        .collect();
    json!({
        "id": "cmpl-uqkvlQyYK7bGYrRHQ0eXlWi7",
        "object": "text_completion",
        "created": 1_589_478_378,
        "model": "gpt-3.5-turbo-instruct",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": choices,
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    })
}

/// The completion as a stream. The API sends the finish reason with an empty text.
pub(crate) fn chunks(completion: &Value, include_usage: bool) -> Vec<Value> {
    let mut frame = completion.clone();
    frame.as_object_mut().unwrap().remove("usage");
    let mut chunks = Vec::new();
    for choice in completion["choices"].as_array().unwrap() {
        let mut pieces: Vec<_> = chat::words(choice["text"].as_str().unwrap())
            .into_iter()
            .map(|word| (word, Value::Null))
            .collect();
        pieces.push((String::new(), choice["finish_reason"].clone()));
        for (text, reason) in pieces {
            frame["choices"] =
                json!([{"text": text, "index": choice["index"], "logprobs": null, "finish_reason": reason}]);
            chunks.push(frame.clone());
        }
    }
    if include_usage {
        frame["choices"] = json!([]);
        frame["usage"] = completion["usage"].clone();
        chunks.push(frame);
    }
    chunks
}
