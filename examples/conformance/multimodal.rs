//! A picture in, then sound in and out.
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

mod setup;

use serde_json::{Value, json};

/// A PNG picture of one red pixel.
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/// A WAV recording of silence.
const SILENCE: &str = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQgAAAAAAAAAAAAAAA==";

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let seen = setup::chat(json!([
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}},
    ]));
    let _answer: Value = client.chat().create_byot(seen).await?;

    let mut heard = setup::chat(json!([
        {"type": "text", "text": "What is in this recording?"},
        {"type": "input_audio", "input_audio": {"data": SILENCE, "format": "wav"}},
    ]));
    heard["model"] = json!("gpt-4o-audio-preview");
    heard["modalities"] = json!(["text", "audio"]);
    heard["audio"] = json!({"voice": "alloy", "format": "wav"});
    let _answer: Value = client.chat().create_byot(heard).await?;
    Ok(())
}
