//! Chat and legacy completions.

use serde_json::{Value, json};

use super::{
    Api, Facts, Instrumentation, Wants, exchange, request, response, shown, stream, stream_of_texts,
};

#[test]
fn a_request_with_all_its_options() {
    let body = json!({
        "model": "gpt-4o-mini", "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 100, "n": 2, "seed": 42,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop": ["\n\n"], "service_tier": "default",
        "stream": true, "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://e.test/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "hologram", "depth": 3},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        ],
    });
    insta::assert_json_snapshot!(request(Api::Chat, &body));
}

#[test]
fn an_answer_with_two_choices() {
    let body = json!({
        "id": "chatcmpl-1", "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_1",
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "raw"}}]}},
            {"index": 1, "finish_reason": "content_filter", "message": {"role": "assistant", "refusal": "No."}},
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 0},
    });
    insta::assert_json_snapshot!(response(Api::Chat, &body));
}

#[test]
fn sound_is_kept_with_what_it_says() {
    let mut facts = super::facts();
    exchange::request(Api::Chat, br#"{"modalities":["text","audio"],"audio":{"format":"wav"}}"#, &mut facts);
    let body = json!({"choices": [{"message": {"role": "assistant", "content": null,
        "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Hello"}}, "finish_reason": "stop"}]});
    exchange::response(Api::Chat, body.to_string().as_bytes(), None, &mut facts).unwrap();
    insta::assert_json_snapshot!(shown(facts));
}

#[test]
fn a_stream_is_put_together() {
    let delta = |index: i64, delta: Value| json!({"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": null}]});
    let (facts, error) = stream(
        Api::Chat,
        &[
            delta(1, json!({"role": "assistant", "content": ""})),
            delta(0, json!({"role": "assistant", "content": "Hel"})),
            delta(
                1,
                json!({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": ""}}]}),
            ),
            delta(0, json!({"content": "lo"})),
            delta(
                1,
                json!({"tool_calls": [{"index": 1, "id": "call_2", "function": {"name": "g", "arguments": "{}"}}]}),
            ),
            delta(1, json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]})),
            delta(1, json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
            json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]}),
            json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}}),
        ],
    );
    assert_eq!(error, None);
    insta::assert_json_snapshot!(facts);
}

#[test]
fn a_stream_may_tell_of_an_error() {
    let events = [json!({"error": {"message": "overloaded", "type": "server_error", "code": null}})];
    let (_, error) = stream(Api::Chat, &events);
    let error = error.unwrap();
    assert_eq!((error.kind.as_ref(), error.message.as_str()), ("server_error", "overloaded"));
}

#[test]
fn legacy_completions_have_prompts_and_texts() {
    let asked =
        json!({"model": "gpt-3.5-turbo-instruct", "prompt": ["One", "Two"], "max_tokens": 16, "stop": "."});
    insta::assert_json_snapshot!(request(Api::Completions, &asked));
    let body = json!({"id": "cmpl-1", "model": "gpt-3.5-turbo-instruct", "choices": [
        {"text": " a", "index": 0, "finish_reason": "length"}, {"text": " b", "index": 1, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2}});
    insta::assert_json_snapshot!(response(Api::Completions, &body));
    let (facts, _) = stream(
        Api::Completions,
        &[
            json!({"id": "cmpl-1", "choices": [{"text": "a", "index": 0, "finish_reason": null}]}),
            json!({"id": "cmpl-1", "choices": [{"text": "b", "index": 0, "finish_reason": "stop"}]}),
        ],
    );
    insta::assert_json_snapshot!(facts);
}

/// Usual chunks are read without building a tree; others have to say the same.
#[test]
fn chunks_say_the_same_however_they_are_read() {
    let chunk = |piece: Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
            "service_tier": "default", "system_fingerprint": "fp_1", "choices": [piece], "usage": null})
    };
    let usual = [
        chunk(
            json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null}),
        ),
        chunk(
            json!({"index": 1, "delta": {"content": "Bon\njour", "tool_calls": null}, "finish_reason": null}),
        ),
        chunk(json!({"index": 0, "delta": {"content": "Hello"}, "finish_reason": null})),
        chunk(json!({"index": 0, "delta": {"refusal": "No."}})),
        chunk(json!({"text": " there", "finish_reason": null})),
        chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop"})),
    ];
    let odd = usual.clone().map(|mut chunk| {
        if let Some(piece) = chunk.pointer_mut("/choices/0") {
            piece.as_object_mut().unwrap().entry("delta").or_insert(json!({}))["other"] = json!(1);
        }
        chunk
    });
    let read = stream(Api::Chat, &usual);
    assert_eq!(read, stream(Api::Chat, &odd));
    let messages = read.0.to_string();
    assert!(
        messages.contains("Hello there") && messages.contains("Bon") && messages.contains("No."),
        "{messages}"
    );
}

/// A chunk that begins like the one before is read from its choices on; it has to say the same.
#[test]
fn chunks_that_begin_alike_are_read_like_others() {
    let head = r#""id":"c-1","model":"m-1","system_fingerprint":"fp_1","choices":"#;
    let rests = [
        r#"[{"index":0,"delta":{"role":"assistant","content":"One"}}]}"#,
        r#"[{"index":0,"delta":{"content":" two"},"finish_reason":null}],"usage":null,"obfuscation":"x]}"}"#,
        r#"[{"index":1,"delta":{"content":"other"}}] }"#,
        r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"[{"index":0,"delta":{"content":" three"}}],"service_tier":"flex"}"#,
        r#"[{"index":0,"delta":{"content":" four"}},{"index":1,"delta":{"content":" more"}}]}"#,
        r#"[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":0}}"#,
        r#"[],"usage":{"prompt_tokens":4,"completion_tokens":1}}"#,
    ];
    let alike: Vec<_> = rests.iter().map(|rest| format!("{{{head}{rest}")).collect();
    // Blanks before the first member, a different number in each.
    let apart: Vec<_> =
        rests.iter().enumerate().map(|(at, rest)| format!("{{{}{head}{rest}", " ".repeat(at + 1))).collect();
    let read = stream_of_texts(Api::Chat, &alike);
    assert_eq!(read, stream_of_texts(Api::Chat, &apart));
    let said = read.0.to_string();
    for part in ["One two three four", "other more", "tool_call"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// A member of another name may have choices of its own.
#[test]
fn choices_of_something_else_are_none_of_the_chunk() {
    let chunk = |said: &str| {
        format!(
            r#"{{"meta":{{"choices":[{{"delta":{{"content":"no"}}}}]}},"choices":[{{"delta":{{"content":"{said}"}}}}]}}"#
        )
    };
    let said = stream_of_texts(Api::Chat, &[chunk("a"), chunk("b")]).0.to_string();
    assert!(said.contains("ab") && !said.contains("no\""), "{said}");
}

/// Without content the usual answer is read without building a tree; others have to say the same.
#[test]
fn answers_say_the_same_however_they_are_read() {
    let usual = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default", "system_fingerprint": "fp_1", "usage": {"prompt_tokens": 10, "completion_tokens": 0},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]});
    let mut odd = usual.clone();
    odd["choices"][0]["message"]["tool_calls"] = json!([]);
    let read = |body: &Value| {
        let mut facts = Facts::new(Instrumentation::builder().build(), Wants::default(), Vec::new());
        exchange::response(Api::Chat, body.to_string().as_bytes(), None, &mut facts).unwrap();
        shown(facts)
    };
    assert_eq!(read(&usual), read(&odd));
    assert_eq!(read(&usual)["gen_ai.response.id"], "chatcmpl-1");
}
