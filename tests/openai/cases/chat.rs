//! Chats.

use serde_json::{Value, json};

use super::{Case, answered, question, streamed, traced};
use crate::fake::{Reply, chat};
use crate::setup::{Call, seen, seen_stream};

/// Asks a question in the types of the caller.
pub(super) const ASK: Call =
    |client| Box::pin(async move { seen(client.chat().create_byot::<_, Value>(question()).await) });

/// Asks a question in the types of the client.
pub(super) const ASK_TYPED: Call = |client| {
    Box::pin(async move {
        let request = serde_json::from_value(question()).unwrap();
        seen(client.chat().create(request).await)
    })
};

/// Asks for a stream.
pub(super) const ASK_STREAM: Call = |client| {
    Box::pin(async move {
        seen_stream(client.chat().create_stream_byot::<_, Value>(streamed(question())).await).await
    })
};

/// Asks for a stream without usage.
pub(super) const ASK_BARE_STREAM: Call = |client| {
    Box::pin(async move {
        let mut request = question();
        request["stream"] = json!(true);
        seen_stream(client.chat().create_stream_byot::<_, Value>(request).await).await
    })
};

/// Chats that go well, whatever the network does to them.
pub(super) fn chat_cases() -> Vec<Case> {
    let request = question();
    let completion = |choices: &[(Value, &str)]| Reply::json(&chat::completion(&request, choices));
    let calls = chat::tool_calls(&[("call_1", "weather", r#"{"in": "Paris"}"#), ("call_2", "time", "{}")]);
    let several = chat::completion(
        &request,
        &[(calls.clone(), "tool_calls"), (chat::text("Größe 🌍"), "stop"), (chat::refusal("No."), "stop")],
    );
    let stream = || Reply::stream(&chat::chunks(&several, true));
    vec![
        traced("chat", ASK),
        traced("chat in the client's types", ASK_TYPED),
        traced("chat streamed", ASK_STREAM),
        traced("chat streamed without usage", ASK_BARE_STREAM),
        answered("several choices", [Reply::json(&several)], ASK),
        answered("tool calls", [completion(&[(calls, "tool_calls")])], ASK),
        answered("a refusal", [completion(&[(chat::refusal("I cannot."), "stop")])], ASK),
        answered("filtered content", [completion(&[(chat::text(""), "content_filter")])], ASK),
        answered("sound", [completion(&[(chat::audio("UklGRg==", "A dog."), "stop")])], ASK),
        answered(
            "an answer of several megabytes",
            [completion(&[(chat::text(&"ö".repeat(2 << 20)), "stop")])],
            ASK,
        ),
        answered("a stream of several choices", [stream()], ASK_STREAM),
        answered("a stream byte by byte", [stream().split_every(1)], ASK_STREAM),
        answered("a stream cut inside characters", [stream().split_inside("🌍", 1)], ASK_STREAM),
        answered("a stream cut inside line ends", [stream().with_crlf().split_inside("\r\n", 1)], ASK_STREAM),
        answered(
            "a stream cut inside fields",
            [stream().with_comments().split_inside("data:", 2)],
            ASK_STREAM,
        ),
        answered("a stream in one piece", [stream().in_one_piece()], ASK_STREAM),
        answered(
            "a lax server",
            [Reply::json(&json!({"choices": [{"message": {"content": "Hi"}}], "extra": 1}))],
            ASK,
        ),
        answered("an empty object", [Reply::json(&json!({}))], ASK),
        answered("a stream with usage on its last chunk", [lax_stream()], ASK_BARE_STREAM),
    ]
}

/// What some servers send: no fingerprint, usage on the last chunk without being asked, no mark of
/// the end.
fn lax_stream() -> Reply {
    Reply::frames(vec![
        "data: {\"id\":\"1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n"
            .to_owned(),
        "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
         \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":0}}\n\n"
            .to_owned(),
    ])
}
