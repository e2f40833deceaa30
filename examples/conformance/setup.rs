//! What the six programs share: telemetry with content, a traced client, and a common request.
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use opentelemetry_mlflow::autolog::{Autolog, AutologGuard};
use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use serde_json::{Value, json};

/// What a program returns: an error makes its exit code 1.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Telemetry, which is flushed when the guard is dropped, and a client from `OPENAI_BASE_URL` and
/// `OPENAI_API_KEY`.
pub(crate) fn start() -> Result<(AutologGuard, Client<OpenAIConfig>), Box<dyn Error>> {
    let guard = Autolog::new().capture(CapturePolicy::new(CaptureMode::SpanAndEvent)).start()?;
    Ok((guard, Client::new().instrumented()))
}

/// A chat request with the user's turn. It is JSON because the client's types hide `max_tokens` and
/// `seed`, and because servers that leave members out would not fit the types of answers.
pub(crate) fn chat(user: Value) -> Value {
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

/// The same with every other option of the conventions.
#[allow(dead_code, reason = "two of the programs ask with all options")]
pub(crate) fn chat_with_options(user: Value) -> Value {
    let mut request = chat(user);
    request["top_p"] = json!(0.9);
    request["frequency_penalty"] = json!(0.1);
    request["presence_penalty"] = json!(0.2);
    request["stop"] = json!(["\n\n"]);
    request["seed"] = json!(42);
    request["service_tier"] = json!("default");
    request
}
