//! A traced chat: one line for telemetry, one on the client.
//!
//! ```sh
//! OPENAI_API_KEY=… cargo run --features full --example chat
//! mlflow ui --backend-store-uri sqlite:///mlflow.db   # look at it
//! ```
//!
//! Writes the trace itself, into `./mlflow.db`. `MLFLOW_TRACKING_URI` names another database or a
//! server; `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318` sends it to a collector, such as the one
//! that `cargo gateway` starts. `OPENAI_BASE_URL` names another server of models.
//!
//! Prompts and answers are recorded: that is what `autolog()` is called for.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use async_openai::Client;
use async_openai::types::chat::{
    ChatCompletionRequestSystemMessage, ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs,
};
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Sends what is left when it is dropped.
    let _guard = autolog()?;
    let client = Client::new().instrumented();

    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o-mini")
        .messages([
            ChatCompletionRequestSystemMessage::from("You are a helpful assistant.").into(),
            ChatCompletionRequestUserMessage::from("What does a tracer do?").into(),
        ])
        .max_completion_tokens(100_u32)
        .temperature(0.5)
        .build()?;
    let answer = client.chat().create(request).await?;
    for choice in answer.choices {
        println!("{}", choice.message.content.unwrap_or_default());
    }
    Ok(())
}
