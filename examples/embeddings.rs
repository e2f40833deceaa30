//! Traced embeddings: the span has the counts and the dimensions, never the vectors.
//!
//! Runs as `chat` does, with `--example embeddings`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use async_openai::Client;
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();

    let request = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input(["The quick brown fox", "jumps over the lazy dog"])
        .dimensions(256_u32)
        .build()?;
    let answer = client.embeddings().create(request).await?;
    for embedding in answer.data {
        println!("{}: {} numbers", embedding.index, embedding.embedding.len());
    }
    Ok(())
}
