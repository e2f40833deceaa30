//! One chat completion with all options, streamed with usage and read to its end.
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

mod setup;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let mut request = setup::chat_with_options(json!("Say hello."));
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let mut chunks = client.chat().create_stream_byot::<_, Value>(request).await?;
    while let Some(chunk) = chunks.next().await {
        chunk?;
    }
    Ok(())
}
