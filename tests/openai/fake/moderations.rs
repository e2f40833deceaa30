//! `/moderations`.

use serde_json::{Map, Value, json};

use super::Reply;

const CATEGORIES: [&str; 13] = [
    "sexual",
    "sexual/minors",
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "violence",
    "violence/graphic",
];

pub(super) fn answer(request: &Value) -> Reply {
    let inputs = request["input"].as_array().map_or(1, Vec::len);
    let every = |value: &dyn Fn(&str) -> Value| -> Map<String, Value> {
        CATEGORIES.iter().map(|category| ((*category).to_owned(), value(category))).collect()
    };
    let result = json!({
        "flagged": true,
        "categories": every(&|category| json!(category == "violence")),
        "category_scores": every(&|category| json!(if category == "violence" { 0.96 } else { 0.000_1 })),
        "category_applied_input_types": every(&|_| json!(["text"])),
    });
    Reply::json(&json!({
        "id": "modr-970d409ef3bef3b70c73d8232df86e7d",
        "model": "omni-moderation-latest",
        "results": vec![result; inputs],
    }))
}
