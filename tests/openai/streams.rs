//! Streams: what the span of one says, and when the caller gets its chunks.

use std::time::Duration;

use futures_util::StreamExt as _;
use opentelemetry::trace::Status;
use serde_json::{Value, json};

use crate::cases::{question, streamed};
use crate::fake::reply::Gate;
use crate::fake::{Reply, chat, responses};
use crate::registry;
use crate::setup::Setup;

/// A completion with all that a choice can hold.
fn completion() -> Value {
    let calls =
        chat::tool_calls(&[("call_1", "weather", r#"{"in": "Paris, 🇫🇷"}"#), ("call_2", "time", "{}")]);
    let mut completion = chat::completion(
        &question(),
        &[
            (calls, "tool_calls"),
            (chat::text("Größe: 10 m² 🌍"), "stop"),
            (chat::refusal("I cannot."), "stop"),
            (chat::text("cut"), "content_filter"),
        ],
    );
    completion["usage"] = chat::detailed_usage([19, 4, 0], [10, 2, 0]);
    completion
}

/// Scenario: the same answer whole, and as a stream in every cut.
///
/// Guarantees: the spans say the same.
#[tokio::test]
async fn a_stream_is_recorded_as_the_whole_answer_would_be() {
    let setup = Setup::new().await;
    setup.fake.next(Reply::json(&completion()));
    let whole = setup.chat(question()).await;
    let stream = || Reply::stream(&chat::chunks(&completion(), true));
    for (name, reply) in [
        ("as it is", stream()),
        ("byte by byte", stream().split_every(1)),
        ("cut inside characters", stream().split_inside("🌍", 3)),
        ("cut inside line ends", stream().with_crlf().split_inside("\r\n", 1)),
        ("cut between lines", stream().with_crlf().split_inside("\n\r\n", 1)),
        ("with comments", stream().with_comments().split_every(5)),
        ("in one piece", stream().in_one_piece()),
    ] {
        let setup = Setup::new().await;
        setup.fake.next(reply);
        let span = setup.stream(streamed(question())).await;
        for attribute in [
            "gen_ai.output.messages",
            "gen_ai.response.finish_reasons",
            "gen_ai.response.id",
            "gen_ai.response.model",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
            "openai.response.service_tier",
            "openai.response.system_fingerprint",
        ] {
            assert!(!whole.get(attribute).is_null(), "{attribute}");
            assert_eq!(span.get(attribute), whole.get(attribute), "{attribute} {name}");
        }
        assert_eq!(span.get("otel_mlflow.stream.end"), "completed", "{name}");
        assert_eq!(span.status, Status::Unset, "{name}");
        registry::assert_valid(&setup.telemetry);
    }
}

#[tokio::test]
async fn spoken_streams_keep_their_sound() {
    let mut request = question();
    request["audio"] = json!({"voice": "alloy", "format": "pcm16"});
    request["modalities"] = json!(["text", "audio"]);
    let setup = Setup::new().await;
    let whole = setup.chat(request.clone()).await;
    let setup = Setup::new().await;
    let span = setup.stream(streamed(request)).await;
    assert_eq!(span.get("gen_ai.output.messages"), whole.get("gen_ai.output.messages"));
    assert!(span.json().to_string().contains("It is a golden retriever."));
}

#[tokio::test]
async fn streamed_responses_are_recorded_as_whole_ones_would_be() {
    let request = json!({"model": "o4-mini", "input": "Hi", "instructions": "Be kind."});
    let response = responses::response(
        &request,
        &[
            responses::reasoning("Think first."),
            responses::message("Hello there 🌍."),
            responses::function_call("call_1", "weather", r#"{"in": "Paris"}"#),
        ],
    );
    let setup = Setup::new().await;
    setup.fake.next(Reply::json(&response));
    let _: Value = setup.client().responses().create_byot(&request).await.unwrap();
    let whole = setup.telemetry.span().await;

    let setup = Setup::new().await;
    setup.fake.next(Reply::typed_stream(&responses::events(&response)).split_every(3));
    let mut request = request;
    request["stream"] = json!(true);
    let stream = setup.client().responses().create_stream_byot::<_, Value>(&request).await.unwrap();
    assert_eq!(stream.count().await, responses::events(&response).len());
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    for attribute in [
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.response.id",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "openai.api.type",
    ] {
        assert!(!whole.get(attribute).is_null(), "{attribute}");
        assert_eq!(span.get(attribute), whole.get(attribute), "{attribute}");
    }
}

/// Scenario: the server holds each chunk back until the caller has seen the one before.
///
/// Guarantees: no chunk waits for a later one.
#[tokio::test]
async fn the_caller_gets_each_chunk_when_it_arrives() {
    let setup = Setup::new().await;
    let chunks = chat::chunks(&completion(), true);
    let gate = Gate::closed();
    setup.fake.next(Reply::stream(&chunks).gated(&gate));
    let mut stream =
        setup.client().chat().create_stream_byot::<_, Value>(streamed(question())).await.unwrap();
    for chunk in &chunks {
        gate.open(1);
        assert_eq!(stream.next().await.unwrap().unwrap(), *chunk);
        assert!(setup.telemetry.spans().is_empty(), "the span lasts as long as the stream");
    }
    gate.open(1);
    assert!(stream.next().await.is_none());
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("otel_mlflow.stream.chunks"), chunks.len());
    let counts =
        |metric: &str| setup.telemetry.points_of(metric).iter().map(|point| point.count).sum::<u64>();
    assert_eq!(counts("gen_ai.client.operation.time_to_first_chunk"), 1);
    assert_eq!(
        counts("gen_ai.client.operation.time_per_output_chunk"),
        u64::try_from(chunks.len()).unwrap() - 1
    );
}

#[tokio::test]
async fn a_stream_that_is_dropped_says_so_and_keeps_what_came() {
    let setup = Setup::new().await;
    let completion = chat::completion(&question(), &[(chat::text("one two three"), "stop")]);
    let gate = Gate::closed();
    setup.fake.next(Reply::stream(&chat::chunks(&completion, true)).gated(&gate));
    let mut stream =
        setup.client().chat().create_stream_byot::<_, Value>(streamed(question())).await.unwrap();
    gate.open(3);
    for _ in 0..3 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("otel_mlflow.stream.end"), "dropped");
    assert_eq!(span.content("gen_ai.output.messages")[0]["parts"][0]["content"], "one two");
    assert_eq!(span.status, Status::Unset, "to stop reading is no error");
    registry::assert_valid(&setup.telemetry);
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_keeps_what_came() {
    let completion = chat::completion(&question(), &[(chat::text("one two three"), "stop")]);
    let reply = Reply::stream(&chat::chunks(&completion, true));
    for (reply, kind) in
        [(reply.clone().disconnect_after(3), "incomplete_response"), (reply.stall_after(3), "timeout")]
    {
        let setup = Setup::new().await;
        setup.fake.next(reply);
        let stream =
            setup.client().chat().create_stream_byot::<_, Value>(streamed(question())).await.unwrap();
        let chunks: Vec<_> = stream.collect().await;
        assert!(chunks.last().unwrap().is_err());
        let span = setup.telemetry.span().await;
        assert_eq!(span.get("otel_mlflow.stream.end"), "failed");
        assert_eq!(span.get("error.type"), kind);
        assert_eq!(span.content("gen_ai.output.messages")[0]["parts"][0]["content"], "one two");
        registry::assert_valid(&setup.telemetry);
    }
}

/// Scenario: usage is wanted in telemetry, and the caller did not ask for it.
///
/// Guarantees: the request asks for it, and the caller sees the chunks that it would see without.
#[tokio::test]
async fn usage_may_be_asked_for_behind_the_callers_back() {
    let setup = Setup::new().await;
    let mut request = question();
    request["stream"] = json!(true);
    let read = async |client: crate::setup::AnyClient| {
        let stream = client.chat().create_stream_byot::<_, Value>(request.clone()).await.unwrap();
        stream.map(|chunk| chunk.unwrap()["choices"].clone()).collect::<Vec<_>>().await
    };
    let plain = read(setup.plain()).await;
    let traced = read(setup.client_with(|instrumentation| instrumentation.stream_usage(true))).await;
    assert_eq!(plain, traced);
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("gen_ai.usage.input_tokens"), 19);
    let requests = setup.fake.requests();
    assert_eq!(requests[0].json(), request);
    assert_eq!(requests[1].json()["stream_options"]["include_usage"], true);
}

#[tokio::test]
async fn chunks_may_be_events_of_the_span() {
    let setup = Setup::new().await;
    let client = setup.client_with(|instrumentation| instrumentation.chunk_events(true));
    let stream = client.chat().create_stream_byot::<_, Value>(streamed(question())).await.unwrap();
    let chunks = stream.count().await;
    let span = setup.telemetry.span().await;
    let events: Vec<_> =
        span.events.iter().filter(|(name, _)| name.starts_with("mlflow.chunk.item.")).collect();
    assert_eq!(events.len(), chunks);
    assert_eq!(events[1].0, "mlflow.chunk.item.1");
}

/// A stream that nobody reads costs the server's patience only: the call is not over.
#[tokio::test]
async fn the_span_of_an_unread_stream_waits() {
    let setup = Setup::new().await;
    let gate = Gate::closed();
    setup.fake.next(Reply::stream(&chat::chunks(&completion(), true)).gated(&gate));
    let stream = setup.client().chat().create_stream_byot::<_, Value>(streamed(question())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(setup.telemetry.spans().is_empty());
    gate.open(1000);
    stream.count().await;
    setup.telemetry.span().await;
}
