//! A model that calls functions of the program. The span of a tool is linked with the model's call
//! of it: both have the same `gen_ai.tool.call.id`.
//!
//! Runs as `chat` does, with `--example tools`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use opentelemetry_mlflow::{agent, tool};
use serde_json::{Value, json};

/// Says how warm it is in a city.
#[tool]
async fn get_temperature(city: &str) -> Result<i64, String> {
    match city {
        "Paris" => Ok(21),
        "Oslo" => Ok(9),
        other => Err(format!("no thermometer in {other}")),
    }
}

/// Asks until the model needs no more tools.
#[agent(name = "weather", skip(client))]
async fn answer(client: &Client<OpenAIConfig>, question: &str) -> Result<String, Box<dyn Error>> {
    let mut messages = vec![json!({"role": "user", "content": question})];
    let tools = json!([{"type": "function", "function": {
        "name": "get_temperature",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }}]);
    for _ in 0..5 {
        let request = json!({"model": "gpt-4o-mini", "messages": messages, "tools": tools});
        let mut answer: Value = client.chat().create_byot(request).await?;
        let message = answer["choices"][0]["message"].take();
        let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
        if calls.is_empty() {
            return Ok(message["content"].as_str().unwrap_or_default().to_owned());
        }
        messages.push(message);
        for call in calls {
            let arguments: Value =
                serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or("{}"))?;
            let result = get_temperature(arguments["city"].as_str().unwrap_or_default()).await;
            let content = result.map_or_else(|error| error, |degrees| degrees.to_string());
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": content}));
        }
    }
    Err("the model asks for tools again and again".into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();
    println!("{}", answer(&client, "Is it warmer in Paris or in Oslo?").await?);
    Ok(())
}
