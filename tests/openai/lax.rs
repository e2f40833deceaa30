//! Servers that bend the rules: what they answer is called what it is.

use async_openai::types::audio::CreateTranscriptionRequestArgs;
use opentelemetry::trace::Status;
use serde_json::{Value, json};

use crate::cases::{question, streamed};
use crate::fake::Reply;
use crate::registry;
use crate::setup::{Setup, seen_stream};
use crate::telemetry::Span;

fn chunk(piece: &Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": [piece]})
}

/// The span of a stream that the caller reads to its end.
async fn streamed_from(reply: Reply) -> Span {
    let setup = Setup::new().await;
    setup.fake.next(reply);
    let stream = setup.client().chat().create_stream_byot::<_, Value>(streamed(question())).await;
    assert!(seen_stream(stream).await.contains("Hel"));
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    span
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_an_error() {
    let setup = Setup::new().await;
    setup.fake.next(Reply::json(&json!({"error": {"message": "out of memory", "code": "oom"}})));
    let _ = setup.client().chat().create_byot::<_, Value>(question()).await;
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("error.type"), "oom");
    assert_eq!(span.status, Status::error("out of memory"));
    registry::assert_valid(&setup.telemetry);
}

#[tokio::test]
async fn an_answer_without_choices_is_invalid() {
    let setup = Setup::new().await;
    setup.fake.next(Reply::json(&json!({"id": "chatcmpl-1", "model": "gpt-4o-mini"})));
    let _ = setup.client().chat().create_byot::<_, Value>(question()).await;
    assert_eq!(setup.telemetry.span().await.get("error.type"), "invalid_response");
}

/// The connection ends as if all were said, in the middle of the answer.
#[tokio::test]
async fn a_stream_that_ends_too_early_has_failed() {
    let begun =
        chunk(&json!({"index": 0, "delta": {"role": "assistant", "content": "Hel"}, "finish_reason": null}));
    let span = streamed_from(Reply::frames(vec![format!("data: {begun}\n\n")])).await;
    assert_eq!(span.get("error.type"), "incomplete_response");
    assert_eq!(span.get("otel_mlflow.stream.end"), "failed");
    assert_eq!(span.content("gen_ai.output.messages")[0]["finish_reason"], "error");
}

/// Not all servers send `[DONE]`.
#[tokio::test]
async fn a_stream_whose_choices_are_finished_is_complete() {
    let whole = chunk(&json!({"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}));
    let span = streamed_from(Reply::frames(vec![format!("data: {whole}\n\n")])).await;
    assert_eq!(span.get("otel_mlflow.stream.end"), "completed");
    assert_eq!(span.status, Status::Unset);
}

/// The client reads a stream whatever it is called.
#[tokio::test]
async fn a_stream_under_another_name_is_read_as_one() {
    let whole = chunk(&json!({"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}));
    let reply = Reply::bytes(200, "application/json", format!("data: {whole}\n\ndata: [DONE]\n\n"));
    let span = streamed_from(reply).await;
    assert_eq!(span.get("otel_mlflow.stream.end"), "completed");
    assert_eq!(span.content("gen_ai.output.messages")[0]["parts"][0]["content"], "Hello");
}

/// The request is never made, so there is nothing to trace; the caller learns why.
#[tokio::test]
async fn a_form_whose_file_is_missing_is_no_call() {
    let setup = Setup::new().await;
    let request =
        CreateTranscriptionRequestArgs::default().file("/no/such/file").model("whisper-1").build().unwrap();
    let error = setup.client().audio().transcription().create(request).await.unwrap_err();
    assert!(error.to_string().contains("failed to read file"), "{error}");
    assert!(setup.fake.requests().is_empty() && setup.telemetry.spans().is_empty());
}
