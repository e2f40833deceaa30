//! `/embeddings`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Reply;

pub(super) fn answer(request: &Value) -> Reply {
    let inputs = match &request["input"] {
        // A list of numbers is one input, in tokens.
        Value::Array(inputs) if inputs.iter().any(|input| !input.is_number()) => inputs.len(),
        _ => 1,
    };
    let dimensions = usize::try_from(request["dimensions"].as_u64().unwrap_or(1536)).unwrap();
    let data: Vec<_> = (0..inputs)
        .map(|index| {
            let embedding = match request["encoding_format"].as_str() {
                Some("base64") => json!(packed(dimensions)),
                _ => json!(vec![0.015_625; dimensions]),
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Reply::json(&json!({
        "object": "list",
        "data": data,
        "model": request["model"],
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }))
}

/// The vector as little-endian floats of four bytes, in base64.
fn packed(dimensions: usize) -> String {
    STANDARD.encode(0.015_625_f32.to_le_bytes().repeat(dimensions))
}
