//! Calls of the Responses API as chat completions: MLflow's `openai` flavor loads no other.

use serde_json::{Map, Value, json};

/// Puts the parameters of a request to the Responses API in the place of `all`, which holds those that
/// both APIs share. Tools that only the Responses API has are noted in the metadata.
pub(super) fn as_chat(
    request: &Map<String, Value>,
    all: &mut Map<String, Value>,
    metadata: &mut Map<String, Value>,
) {
    metadata.insert("openai_api".to_owned(), "responses".into());
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            all.insert(name.to_owned(), value);
        }
    };
    let text = request.get("text");
    set("max_completion_tokens", request.get("max_output_tokens").cloned());
    set("reasoning_effort", request.get("reasoning").and_then(|known| known.get("effort")).cloned());
    set("verbosity", text.and_then(|known| known.get("verbosity")).cloned());
    set("response_format", text.and_then(|known| known.get("format")).and_then(response_format));
    let tools = request.get("tools").and_then(Value::as_array).cloned().unwrap_or_default();
    let (functions, others): (Vec<_>, Vec<_>) =
        tools.into_iter().partition(|tool| tool.get("type").and_then(Value::as_str) == Some("function"));
    all.remove("tools");
    if !functions.is_empty() {
        all.insert("tools".to_owned(), functions.into_iter().map(nested_function).collect());
    }
    if !others.is_empty() {
        metadata.insert("openai_responses_tools".to_owned(), Value::Array(others));
    }
    if all.get("tool_choice").is_some_and(|choice| !choice.is_string()) {
        all.remove("tool_choice");
    }
}

/// A function of the Responses API, which has its members at the top.
fn nested_function(tool: Value) -> Value {
    let Value::Object(mut function) = tool else { return tool };
    function.remove("type");
    json!({"type": "function", "function": function})
}

/// The format of the Responses API's text, as chat completions take it.
fn response_format(format: &Value) -> Option<Value> {
    match format.get("type").and_then(Value::as_str)? {
        "json_schema" => {
            let mut schema = format.as_object()?.clone();
            schema.remove("type");
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        "json_object" => Some(json!({"type": "json_object"})),
        _ => None,
    }
}
