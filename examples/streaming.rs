//! A traced stream: the caller gets each chunk when it arrives, the span holds the whole answer, and
//! an event per chunk.
//!
//! Runs as `chat` does, with `--example streaming`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;
use std::io::Write as _;

use async_openai::Client;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CreateChatCompletionRequestArgs,
};
use futures_util::StreamExt as _;
use opentelemetry_mlflow::autolog::Autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = Autolog::new().chunk_events(true).start()?;
    let client = Client::new().instrumented();

    let request = CreateChatCompletionRequestArgs::default()
        .model("gpt-4o-mini")
        .messages([ChatCompletionRequestUserMessage::from("Count from one to ten.").into()])
        // Without it the server sends no token counts, and none are recorded.
        .stream_options(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None })
        .stream(true)
        .build()?;
    let mut chunks = client.chat().create_stream(request).await?;
    while let Some(chunk) = chunks.next().await {
        for choice in chunk?.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
            std::io::stdout().flush()?;
        }
    }
    println!();
    Ok(())
}
