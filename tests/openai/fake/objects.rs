//! `/models` and `/files`: calls that are no GenAI operations.

use serde_json::{Value, json};

use super::Reply;

pub(super) fn models() -> Reply {
    Reply::json(&json!({"object": "list", "data": [model("gpt-4o-mini"), model("gpt-4o")]}))
}

pub(super) fn one_model(id: &str) -> Reply {
    Reply::json(&model(id))
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_721_172_741, "owned_by": "system"})
}

pub(super) fn files() -> Reply {
    Reply::json(&json!({
        "object": "list", "data": [file()], "first_id": "file-abc123", "last_id": "file-abc123", "has_more": false,
    }))
}

pub(super) fn one_file() -> Reply {
    Reply::json(&file())
}

pub(super) fn file_content() -> Reply {
    Reply::bytes(200, "application/octet-stream", b"{\"prompt\": \"\xf0\x9f\x92\xa1\"}\n".as_slice())
}

fn file() -> Value {
    json!({
        "id": "file-abc123", "object": "file", "bytes": 175, "created_at": 1_613_677_385,
        "expires_at": 1_677_614_202, "filename": "salesOverview.jsonl", "purpose": "fine-tune", "status": "processed",
    })
}
