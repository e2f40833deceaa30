//! A call that fails: the program gets the error as ever, and the trace is in the state `ERROR`, with
//! the API's code and an event `exception` on the spans that failed.
//!
//! Runs as `chat` does, with `--example errors`.
#![allow(clippy::print_stdout, reason = "an example shows the error")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use opentelemetry_mlflow::traced;
use serde_json::{Value, json};

/// A step of the program. An error that it returns is recorded on its span, too.
#[traced(span_type = "CHAIN", skip(client))]
async fn answer(client: &Client<OpenAIConfig>, question: &str) -> Result<Value, OpenAIError> {
    let request = json!({"model": "no-such-model", "messages": [{"role": "user", "content": question}]});
    client.chat().create_byot(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();
    match answer(&client, "Is there anybody?").await {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("no answer: {error}"),
    }
    Ok(())
}
