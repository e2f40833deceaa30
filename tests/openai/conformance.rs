//! The six exchanges of the conformance suite, and what each has to carry.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::registry;
use crate::setup::Setup;
use crate::telemetry::Span;

/// What every answered chat has.
const ANSWERED: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "server.address",
    "server.port",
    "openai.api.type",
    "openai.response.service_tier",
    "openai.response.system_fingerprint",
];

/// What a chat with all options has as well.
const OPTIONS: &[&str] = &[
    "gen_ai.request.frequency_penalty",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.seed",
    "gen_ai.request.stop_sequences",
    "gen_ai.request.top_p",
    "openai.request.service_tier",
];

/// The attributes of the registry that a span has, in one set. Fails if one of those is missing.
fn carries(span: &Span, expected: &[&[&str]]) -> BTreeSet<String> {
    let found: BTreeSet<_> = span.attributes.iter().map(|(name, _)| name.clone()).collect();
    for name in expected.iter().copied().flatten() {
        assert!(found.contains(*name), "{} has no {name}", span.name);
    }
    found.into_iter().filter(|name| !name.starts_with("otel_mlflow.")).collect()
}

fn chat(user: Value) -> Value {
    json!({
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": user},
        ],
        "max_tokens": 100,
        "temperature": 0.5,
    })
}

fn chat_with_options() -> Value {
    let mut request = chat(json!("Say hello."));
    request["top_p"] = json!(0.9);
    request["frequency_penalty"] = json!(0.1);
    request["presence_penalty"] = json!(0.2);
    request["stop"] = json!(["\n\n"]);
    request["seed"] = json!(42);
    request["service_tier"] = json!("default");
    request
}

/// Runs an exchange of one call and validates it.
async fn span_of(request: Value) -> Span {
    let setup = Setup::new().await;
    let span =
        if request["stream"] == true { setup.stream(request).await } else { setup.chat(request).await };
    registry::assert_valid(&setup.telemetry);
    span
}

#[tokio::test]
async fn inference() {
    let setup = Setup::new().await;
    let span = setup.chat(chat_with_options()).await;
    registry::assert_valid(&setup.telemetry);
    let tokens = setup.telemetry.points_of("gen_ai.client.token.usage");
    let sums: Vec<_> =
        tokens.iter().map(|point| (point.get("gen_ai.token.type").clone(), point.sum)).collect();
    assert!(sums.contains(&(json!("input"), 19.0)) && sums.contains(&(json!("output"), 10.0)), "{sums:?}");
    carries(&span, &[ANSWERED, OPTIONS]);
    assert_eq!(span.get("gen_ai.usage.cache_read.input_tokens"), 0, "zero counts are counts");
    assert_eq!(span.get("gen_ai.usage.reasoning.output_tokens"), 0);
    assert_eq!(span.get("gen_ai.request.stop_sequences"), &json!(["\n\n"]));
    assert_eq!(span.get("gen_ai.request.top_p"), 0.9);
    assert_eq!(span.get("openai.request.service_tier"), "default");
}

#[tokio::test]
async fn streaming() {
    let mut request = chat_with_options();
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let span = span_of(request).await;
    let stream = ["gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"];
    carries(&span, &[ANSWERED, OPTIONS, &stream]);
}

#[tokio::test]
async fn tool_calling() {
    let setup = Setup::new().await;
    let client = setup.client();
    let mut request = chat(json!("What is the weather in Paris?"));
    request["tools"] = json!([{"type": "function", "function": {
        "name": "get_current_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    }}]);
    request["tool_choice"] = json!("auto");
    let answer: Value = client.chat().create_byot(&request).await.unwrap();
    let message = answer["choices"][0]["message"].clone();
    let result =
        json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rainy, 57°F"});
    request["messages"].as_array_mut().unwrap().extend([message, result]);
    let _: Value = client.chat().create_byot(&request).await.unwrap();

    let spans = setup.telemetry.finished(2).await;
    spans.iter().for_each(|span| drop(carries(span, &[ANSWERED, &["gen_ai.tool.definitions"]])));
    registry::assert_valid(&setup.telemetry);
    assert_eq!(spans[0].get("gen_ai.response.finish_reasons"), &json!(["tool_calls"]));
    let asked = &spans[0].content("gen_ai.output.messages")[0];
    let call = json!({
        "type": "tool_call", "id": "call_abc123", "name": "get_current_weather",
        "arguments": {"location": "Paris, France"},
    });
    assert_eq!(asked["parts"], json!([call]));
    let given = spans[1].content("gen_ai.input.messages");
    assert_eq!(given[2]["parts"], json!([call]), "what the model asked for is sent back");
    assert_eq!(
        given[3],
        json!({"role": "tool", "parts": [
            {"type": "tool_call_response", "id": "call_abc123", "response": "rainy, 57°F"},
        ]})
    );
    assert_eq!(spans[0].content("gen_ai.tool.definitions")[0]["name"], "get_current_weather");
}

#[tokio::test]
async fn structured_output() {
    let mut request = chat(json!("The weather in Paris?"));
    request["response_format"] = json!({"type": "json_schema", "json_schema": {
        "name": "forecast", "strict": true, "schema": {"type": "object", "properties": {}},
    }});
    let span = span_of(request).await;
    carries(&span, &[ANSWERED, &["gen_ai.output.type"]]);
    assert_eq!(span.get("gen_ai.output.type"), "json");
    let text = span.content("gen_ai.output.messages")[0]["parts"][0]["content"].clone();
    assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap()["conditions"], "sunny");
}

#[tokio::test]
async fn multimodal() {
    let picture = crate::fake::images::PIXEL;
    let span = span_of(chat(json!([
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{picture}")}},
    ])))
    .await;
    carries(&span, &[ANSWERED]);
    let parts = span.content("gen_ai.input.messages")[1]["parts"].clone();
    assert_eq!(
        parts[1],
        json!({"type": "blob", "modality": "image", "mime_type": "image/png", "content": picture})
    );

    let mut request = chat(json!([
        {"type": "text", "text": "What is this?"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]));
    request["model"] = json!("gpt-4o-audio-preview");
    request["modalities"] = json!(["text", "audio"]);
    request["audio"] = json!({"voice": "alloy", "format": "wav"});
    let span = span_of(request).await;
    carries(&span, &[ANSWERED, &["gen_ai.output.type"]]);
    assert_eq!(span.get("gen_ai.output.type"), "speech");
    let parts = span.content("gen_ai.input.messages")[1]["parts"].clone();
    assert_eq!(
        parts[1],
        json!({"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": "UklGRg=="})
    );
    let parts = span.content("gen_ai.output.messages")[0]["parts"].clone();
    let sound = parts.as_array().unwrap().iter().find(|part| part["type"] == "blob").unwrap();
    assert_eq!(sound["content"], "UklGRiQAAABXQVZFZm10IA==", "the sound is there");
    assert!(parts.to_string().contains("It is a golden retriever."), "and what is said in it: {parts}");
}

#[tokio::test]
async fn embeddings() {
    let setup = Setup::new().await;
    let request = json!({
        "model": "text-embedding-3-small", "input": ["Hello", "Goodbye"], "encoding_format": "float",
        "dimensions": 256,
    });
    let _: Value = setup.client().embeddings().create_byot(request).await.unwrap();
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    let all = [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.embeddings.dimension.count",
        "gen_ai.request.encoding_formats",
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "server.address",
        "server.port",
    ];
    carries(&span, &[&all]);
    assert_eq!(span.get("gen_ai.embeddings.dimension.count"), 256);
    assert_eq!(span.get("gen_ai.request.encoding_formats"), &json!(["float"]));
    assert_eq!(setup.telemetry.points_of("gen_ai.client.token.usage")[0].sum, 8.0);
}

/// The Python peer has 21 of the 37 attributes of inference over these exchanges.
#[tokio::test]
async fn all_exchanges_together_have_25_attributes_of_inference() {
    let mut streamed = chat_with_options();
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let mut with_tools = chat(json!("?"));
    with_tools["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut structured = chat(json!("?"));
    structured["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "f", "schema": {}}});
    let mut found = BTreeSet::new();
    for request in [streamed, with_tools, structured] {
        found.extend(carries(&span_of(request).await, &[ANSWERED]));
    }
    found.retain(|name| !name.starts_with("openai."));
    assert_eq!(found.len(), 25, "{found:#?}");
}
