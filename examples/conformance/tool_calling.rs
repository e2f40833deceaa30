//! A question that needs a tool, and the answer once the tool's results are there.
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

mod setup;

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let mut request = setup::chat(json!("What is the weather in Seattle?"));
    request["tools"] = json!([{
        "type": "function",
        "function": {
            "name": "get_current_weather",
            "description": "Get the current weather in a given location",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "The city and state, e.g. Seattle, WA"},
                },
                "required": ["location"],
                "additionalProperties": false,
            },
        },
    }]);
    request["tool_choice"] = json!("auto");
    let answer: Value = client.chat().create_byot(&request).await?;
    let message = &answer["choices"][0]["message"];
    let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();

    // Nothing goes back but what the request has a place for.
    let mut asked = json!({"role": "assistant", "content": message["content"]});
    if !calls.is_empty() {
        asked["tool_calls"] = json!(calls);
    }
    let results = calls
        .iter()
        .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "50 degrees and raining"}));
    if let Some(messages) = request["messages"].as_array_mut() {
        messages.push(asked);
        messages.extend(results);
    }
    if let Some(request) = request.as_object_mut() {
        request.remove("tool_choice");
    }
    let _answer: Value = client.chat().create_byot(request).await?;
    Ok(())
}
