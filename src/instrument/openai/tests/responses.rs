//! Responses.

use serde_json::{Value, json};

use super::{Api, request, response, stream};

#[test]
fn a_request_with_items() {
    let body = json!({
        "model": "gpt-4.1", "instructions": "Be brief.", "max_output_tokens": 50, "temperature": 1, "top_p": 0.5,
        "previous_response_id": "resp_0", "reasoning": {"effort": "high"}, "text": {"format": {"type": "text"}},
        "conversation": {"id": "conv_1"}, "service_tier": "auto",
        "prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Paris"}},
        "tools": [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "https://e.test/a.png"}, {"type": "input_file", "file_id": "file-1"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Thinking"}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
            {"type": "item_reference", "id": "msg_1"},
        ],
    });
    insta::assert_json_snapshot!(request(Api::Responses, &body));
    let simple = request(Api::Responses, &json!({"model": "m", "input": "Hi"}));
    assert_eq!(simple["gen_ai.input.messages"][0]["parts"][0]["content"], "Hi");
}

fn answer() -> Value {
    json!({
        "id": "resp_1", "object": "response", "model": "gpt-4.1-2025-04-14", "status": "completed", "service_tier": "default",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": [
                {"type": "output_text", "text": "Hello", "annotations": []}, {"type": "refusal", "refusal": "No"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
        ],
        "usage": {"input_tokens": 4, "output_tokens": 6, "input_tokens_details": {"cached_tokens": 1},
            "output_tokens_details": {"reasoning_tokens": 2}},
        "error": null, "incomplete_details": null,
    })
}

#[test]
fn an_answer_is_one_message() {
    insta::assert_json_snapshot!(response(Api::Responses, &answer()));
}

#[test]
fn a_fetched_response_has_its_status() {
    let facts = response(
        Api::FetchResponse,
        &json!({"id": "resp_1", "status": "in_progress", "output": [],
        "instructions": "Be brief.", "tools": [{"type": "web_search"}]}),
    );
    insta::assert_json_snapshot!(facts);
}

#[test]
fn a_stream_ends_with_the_whole_answer() {
    let (facts, error) = stream(
        Api::Responses,
        &[
            json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-4.1", "status": "in_progress"}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}),
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"}),
            json!({"type": "response.completed", "response": answer()}),
        ],
    );
    assert_eq!((facts, error), (response(Api::Responses, &answer()), None));
}

#[test]
fn a_stream_that_breaks_off_leaves_what_came() {
    let (facts, error) = stream(
        Api::Responses,
        &[
            json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-4.1", "status": "in_progress"}}),
            json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}),
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"}),
            json!({"type": "response.output_item.added", "output_index": 1,
            "item": {"type": "function_call", "call_id": "call_1", "name": "f"}}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"a\""}),
        ],
    );
    assert_eq!(error, None);
    insta::assert_json_snapshot!(facts);
}

#[test]
fn failures_inside_an_answer_are_errors() {
    let failed = json!({"type": "response.failed", "response": {"id": "r", "status": "failed",
        "error": {"code": "server_error", "message": "broke"}}});
    assert_eq!(stream(Api::Responses, &[failed]).1.unwrap().kind, "server_error");
    let error = json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down"});
    assert_eq!(stream(Api::Responses, &[error]).1.unwrap().message, "slow down");
    let cut = response(
        Api::Responses,
        &json!({"id": "r", "status": "incomplete", "output": [],
        "incomplete_details": {"reason": "max_output_tokens"}}),
    );
    assert_eq!(cut["gen_ai.response.finish_reasons"], r#"["length"]"#);
}

#[test]
fn compacted_conversations_say_so_once() {
    let asked =
        json!({"model": "gpt-5", "input": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}]});
    let read = request(Api::Responses, &asked);
    assert_eq!(read["gen_ai.conversation.compacted"], "true");
    assert_eq!(read["gen_ai.input.messages"][0]["parts"][0], json!({"type": "compaction", "id": "cmp_1"}));
    let plain = response(Api::Responses, &json!({"status": "completed", "output": []}));
    assert!(plain.get("gen_ai.conversation.compacted").is_none());
}
