//! Vectors of two texts.

// Shared with the programs that chat.
#[allow(dead_code, reason = "no chat here")]
mod setup;

use async_openai::types::embeddings::{CreateEmbeddingRequestArgs, EncodingFormat};
use serde_json::Value;

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let request = CreateEmbeddingRequestArgs::default()
        .model("text-embedding-3-small")
        .input(["Hello, world!", "Goodbye, world!"])
        .encoding_format(EncodingFormat::Float)
        .dimensions(256_u32)
        .build()?;
    let _answer: Value = client.embeddings().create_byot(request).await?;
    Ok(())
}
