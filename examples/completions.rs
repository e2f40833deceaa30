//! A traced legacy completion: a prompt instead of messages, a text instead of an answer.
//!
//! Runs as `chat` does, with `--example completions`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use async_openai::Client;
use async_openai::types::completions::CreateCompletionRequestArgs;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();

    let request = CreateCompletionRequestArgs::default()
        .model("gpt-3.5-turbo-instruct")
        .prompt("The capital of France is")
        .max_tokens(16_u32)
        .temperature(0.25)
        .build()?;
    let answer = client.completions().create(request).await?;
    for choice in answer.choices {
        println!("{}", choice.text);
    }
    Ok(())
}
