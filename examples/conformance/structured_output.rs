//! An answer in JSON by a strict schema.
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

mod setup;

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let mut request = setup::chat(json!("What will the weather in Seattle be tomorrow?"));
    request["response_format"] = json!({
        "type": "json_schema",
        "json_schema": {
            "name": "forecast",
            "strict": true,
            "schema": {
                "type": "object",
                "properties": {
                    "location": {"type": "string"},
                    "temperature": {"type": "integer"},
                    "conditions": {"type": "string", "enum": ["sunny", "cloudy", "rainy"]},
                },
                "required": ["location", "temperature", "conditions"],
                "additionalProperties": false,
            },
        },
    });
    let _answer: Value = client.chat().create_byot(request).await?;
    Ok(())
}
