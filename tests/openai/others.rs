//! The operations beside chat, and what is set around calls.

use std::time::Duration;

use async_openai::types::InputSource;
use async_openai::types::audio::{AudioInput, CreateTranscriptionRequest};
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
use opentelemetry_mlflow::instrument::{Naming, Scope};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter, SpanProcessor,
};
use serde_json::{Value, json};

use crate::cases::{question, streamed};
use crate::fake::{API_KEY, audio, images, responses};
use crate::registry;
use crate::setup::{Setup, seen_stream};
use crate::telemetry::Span;

#[tokio::test]
async fn azure_is_a_provider_and_its_deployment_a_model() {
    let setup = Setup::new().await;
    let mut request = question();
    request.as_object_mut().unwrap().remove("model");
    let _: Value = setup.azure().chat().create_byot(request).await.unwrap();
    let span = setup.telemetry.span().await;
    assert_eq!(span.name, "chat my-gpt");
    assert_eq!(span.get("gen_ai.provider.name"), "azure.ai.openai");
    assert_eq!(span.get("gen_ai.request.model"), "my-gpt");
    assert_eq!(span.get("gen_ai.response.model"), "gpt-4o-mini-2024-07-18");
    assert!(!span.json().to_string().contains(API_KEY));
    registry::assert_valid(&setup.telemetry);
}

async fn responses_span(request: Value) -> Span {
    let setup = Setup::new().await;
    let _: Value = setup.client().responses().create_byot(request).await.unwrap();
    registry::assert_valid(&setup.telemetry);
    setup.telemetry.span().await
}

#[tokio::test]
async fn responses_are_chats_with_instructions_reasoning_and_a_past() {
    let span = responses_span(json!({
        "model": "o4-mini", "instructions": "Be kind.", "previous_response_id": "resp_before",
        "input": "Hi", "max_output_tokens": 50, "reasoning": {"effort": "low", "summary": "auto"},
    }))
    .await;
    assert_eq!(span.name, "chat o4-mini");
    assert_eq!(span.get("openai.api.type"), "responses");
    assert_eq!(span.get("gen_ai.request.reasoning.level"), "low");
    assert_eq!(span.get("gen_ai.request.previous_response.id"), "resp_before");
    assert_eq!(span.get("gen_ai.request.max_tokens"), 50);
    assert_eq!(span.get("gen_ai.response.id"), responses::ID);
    assert_eq!(span.get("gen_ai.usage.reasoning.output_tokens"), 64);
    assert_eq!(span.get("gen_ai.usage.cache_read.input_tokens"), 4);
    assert_eq!(span.content("gen_ai.system_instructions"), json!([{"type": "text", "content": "Be kind."}]));
    assert_eq!(
        span.content("gen_ai.input.messages"),
        json!([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}])
    );
    let answer = span.content("gen_ai.output.messages");
    let kinds: Vec<_> =
        answer[0]["parts"].as_array().unwrap().iter().map(|part| part["type"].clone()).collect();
    assert_eq!(kinds, ["reasoning", "text"]);
}

#[tokio::test]
async fn a_fetched_response_counts_no_tokens() {
    let setup = Setup::new().await;
    setup.client().responses().retrieve(responses::ID).await.unwrap();
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    assert_eq!(span.name, "fetch_response");
    assert_eq!(span.get("gen_ai.response.id"), responses::ID);
    assert_eq!(span.get("gen_ai.response.status"), "completed");
    assert!(span.get("gen_ai.usage.input_tokens").is_null());
    assert!(setup.telemetry.points_of("gen_ai.client.token.usage").is_empty());
}

#[tokio::test]
async fn pictures_are_parts_of_messages() {
    let setup = Setup::new().await;
    let request = json!({"model": "gpt-image-1", "prompt": "A red square", "n": 2});
    let _: Value = setup.client().images().generate_byot(request).await.unwrap();
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    assert_eq!(span.name, "generate_content gpt-image-1");
    assert_eq!(span.get("gen_ai.output.type"), "image");
    assert_eq!(span.get("gen_ai.request.choice.count"), 2);
    assert_eq!(span.get("gen_ai.usage.input_tokens"), 50);
    let answer = span.content("gen_ai.output.messages");
    assert_eq!(
        answer[1]["parts"][0],
        json!({"type": "blob", "modality": "image", "mime_type": "image/png", "content": images::PIXEL})
    );
}

#[tokio::test]
async fn recordings_and_what_they_say_are_parts_of_messages() {
    let setup = Setup::new().await;
    let request = CreateTranscriptionRequest {
        file: AudioInput {
            source: InputSource::VecU8 { filename: "speech.mp3".to_owned(), vec: audio::SPEECH.to_vec() },
        },
        model: "gpt-4o-transcribe".to_owned(),
        ..CreateTranscriptionRequest::default()
    };
    setup.client().audio().transcription().create(request).await.unwrap();
    let span = setup.telemetry.span().await;
    registry::assert_valid(&setup.telemetry);
    assert_eq!(span.name, "generate_content gpt-4o-transcribe");
    assert_eq!(span.get("gen_ai.usage.output_tokens"), 45);
    let given = &span.content("gen_ai.input.messages")[0]["parts"][0];
    assert_eq!((&given["modality"], &given["size"]), (&json!("audio"), &json!(audio::SPEECH.len())));
    assert_eq!(span.content("gen_ai.output.messages")[0]["parts"][0]["content"], audio::TRANSCRIPT);
}

#[tokio::test]
async fn content_goes_where_the_policy_says() {
    for (mode, on_span, on_event) in [
        (CaptureMode::NoContent, false, false),
        (CaptureMode::SpanOnly, true, false),
        (CaptureMode::EventOnly, false, true),
        (CaptureMode::SpanAndEvent, true, true),
    ] {
        let setup = Setup::new().await;
        let client = setup.client_with(|instrumentation| instrumentation.capture(CapturePolicy::new(mode)));
        let _: Value = client.chat().create_byot(question()).await.unwrap();
        let span = setup.telemetry.span().await;
        assert_eq!(format!("{span:?}").contains("Grüße"), on_span, "{mode:?}");
        assert_eq!(format!("{:?}", setup.telemetry.events()).contains("Grüße"), on_event, "{mode:?}");
        registry::assert_valid(&setup.telemetry);
    }
}

#[tokio::test]
async fn former_names_are_there_for_old_dashboards() {
    let setup = Setup::new().await;
    let client = setup.client_with(|instrumentation| instrumentation.naming(Naming::Both));
    let _: Value = client.chat().create_byot(question()).await.unwrap();
    let span = setup.telemetry.span().await;
    assert_eq!(
        (span.get("gen_ai.system"), span.get("gen_ai.provider.name")),
        (&json!("openai"), &json!("openai"))
    );
    let points = setup.telemetry.points_of("gen_ai.client.operation.duration");
    assert_eq!(points[0].get("gen_ai.system"), "openai");
}

/// Scenario: a call inside a span and a scope of the application.
///
/// Guarantees: it is a child of the span, knows what the scope says, and tells only the hosts that
/// may know.
#[tokio::test]
async fn calls_know_what_they_are_part_of() {
    let setup = Setup::new().await;
    let tracer = setup.telemetry.tracer_provider.tracer("application");
    let client = setup.client_with(|instrumentation| instrumentation.propagate_to(["127.0.0.1"]));
    let parent = Context::new().with_span(tracer.start("handle"));
    let scope = Scope::new()
        .conversation_id("thread-7")
        .user_id("u-42")
        .prompt("greeting", "3")
        .prompt_variable("city", "Paris")
        .attribute(KeyValue::new("session.id", "s-1"))
        .within(&parent);
    let guard = scope.attach();
    let _: Value = client.chat().create_byot(question()).await.unwrap();
    drop(guard);
    let span = setup.telemetry.span().await;
    assert_eq!(span.parent, parent.span().span_context().span_id());
    assert_eq!(span.trace, parent.span().span_context().trace_id());
    assert_eq!(span.get("gen_ai.conversation.id"), "thread-7");
    assert_eq!(span.get("user.id"), "u-42");
    assert_eq!(span.get("gen_ai.prompt.variable.city"), "Paris");
    registry::assert_valid(&setup.telemetry);
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    let _: Value = client.chat().create_byot(question()).await.unwrap();
    let told = setup.fake.requests().pop().unwrap();
    assert!(told.header("traceparent").is_some());
    // The others are told nothing.
    let _: Value = setup.client().chat().create_byot(question()).await.unwrap();
    assert!(setup.fake.requests().pop().unwrap().header("traceparent").is_none());
}

/// What panics when a span starts, or when it ends.
#[derive(Debug)]
struct Broken {
    at_start: bool,
}

impl SpanProcessor for Broken {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        assert!(!self.at_start, "on_start");
    }

    fn on_end(&self, _: SpanData) {
        assert!(self.at_start, "on_end");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Scenario: what telemetry calls panics.
///
/// Guarantees: the application gets its answers, whole and streamed.
#[tokio::test]
async fn telemetry_that_panics_does_not_reach_the_application() {
    for at_start in [true, false] {
        let setup = Setup::new().await;
        let provider = SdkTracerProvider::builder().with_span_processor(Broken { at_start }).build();
        let policy = CapturePolicy::new(CaptureMode::SpanOnly).redact(|_, _| panic!("redact"));
        let broken =
            setup.client_with(|instrumentation| instrumentation.tracer_provider(&provider).capture(policy));
        let mut seen = Vec::new();
        for client in [setup.plain(), broken] {
            let answer: Value = client.chat().create_byot(question()).await.unwrap();
            let stream = client.chat().create_stream_byot::<_, Value>(streamed(question())).await;
            seen.push((answer, seen_stream(stream).await));
        }
        assert_eq!(seen[0], seen[1]);
    }
}

/// Accepts spans and never finishes with them.
#[derive(Debug)]
struct Stuck;

impl SpanExporter for Stuck {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        std::future::pending().await
    }
}

/// Scenario: the backend hangs, and the queue before it is full.
///
/// Guarantees: the application gets its answers.
#[tokio::test]
async fn telemetry_that_hangs_does_not_reach_the_application() {
    let setup = Setup::new().await;
    let full = BatchConfigBuilder::default().with_max_queue_size(1).with_max_export_batch_size(1).build();
    let processor = BatchSpanProcessor::builder(Stuck).with_batch_config(full).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let client = setup.client_with(|instrumentation| instrumentation.tracer_provider(&provider));
    for _ in 0..10 {
        let _: Value = client.chat().create_byot(question()).await.unwrap();
    }
    // To shut it down would wait for the exporter.
    std::mem::forget(provider);
}
