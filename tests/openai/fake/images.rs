//! `/images/generations`, `/images/edits`, `/images/variations`.

use serde_json::{Value, json};

use super::Reply;
use super::http::Received;

/// A picture of one pixel, in base64.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The answer to a request in JSON.
pub(super) fn generated(request: &Value) -> Reply {
    if request["stream"] == true {
        return streamed("image_generation");
    }
    let count = request["n"].as_u64().unwrap_or(1);
    let model = request["model"].as_str().unwrap_or("dall-e-2");
    pictures(model, count, request["response_format"] == "b64_json")
}

/// The answer to a form.
pub(super) fn from_form(request: &Received) -> Reply {
    let form = String::from_utf8_lossy(&request.body);
    if form.contains("name=\"stream\"\r\n\r\ntrue\r\n") {
        return streamed("image_edit");
    }
    let model = if form.contains("gpt-image-1") { "gpt-image-1" } else { "dall-e-2" };
    pictures(model, 1, form.contains("b64_json"))
}

/// A picture that becomes clearer: one sketch, then the whole.
fn streamed(kind: &str) -> Reply {
    let mut picture = json!({
        "type": format!("{kind}.partial_image"), "b64_json": PIXEL, "created_at": 1_713_833_628,
        "size": "1024x1024", "quality": "high", "background": "opaque", "output_format": "png",
        "partial_image_index": 0,
    });
    let sketch = picture.clone();
    picture["type"] = json!(format!("{kind}.completed"));
    picture.as_object_mut().unwrap().remove("partial_image_index");
    picture["usage"] = usage();
    Reply::typed_stream(&[sketch, picture])
}

fn usage() -> Value {
    json!({
        "total_tokens": 100, "input_tokens": 50, "output_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    })
}

/// `gpt-image-1` always answers with the bytes, and counts tokens; the older models give addresses
/// unless they are asked for the bytes, and count nothing.
fn pictures(model: &str, count: u64, bytes: bool) -> Reply {
    let by_token = model.starts_with("gpt-image");
    let picture = match bytes || by_token {
        true => json!({"b64_json": PIXEL}),
        false => json!({"url": "https://images.example/one.png", "revised_prompt": "A small red square."}),
    };
    let mut answer =
        json!({"created": 1_713_833_628, "data": vec![picture; usize::try_from(count).unwrap()]});
    if by_token {
        answer["background"] = json!("opaque");
        answer["output_format"] = json!("png");
        answer["quality"] = json!("high");
        answer["size"] = json!("1024x1024");
        answer["usage"] = usage();
    }
    Reply::json(&answer)
}
