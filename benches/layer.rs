//! What the layer costs a call: the same client over an in-process transport, with and without the
//! layer, in one run. Prints microseconds and allocations a call, and a streamed chunk.
//!
//! `cargo bench --bench layer --features async-openai`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints what it measured, and stops at what it did not expect"
)]

use std::time::{Duration, Instant};

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures_util::StreamExt;
use opentelemetry_mlflow::genai::{CaptureMode, CapturePolicy};
use opentelemetry_mlflow::instrument::Instrumentation;
use opentelemetry_mlflow::instrument::openai::OpenAiLayer;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use serde_json::{Value, json};
use tower::{Layer, service_fn};

const CALLS: u32 = 2_000;
const CHUNKS: usize = 200;
const ROUNDS: usize = 15;

/// Takes spans and does nothing with them, on the processor's own thread.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn main() {
    // The client has no cryptography of its own; fails only where one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tracer = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(Nowhere).build())
        .build();
    let meter = SdkMeterProvider::builder()
        .with_reader(PeriodicReader::builder(InMemoryMetricExporter::default()).build())
        .build();
    let layer = |mode| {
        let instrumentation = Instrumentation::builder()
            .tracer_provider(&tracer)
            .meter_provider(&meter)
            .capture(CapturePolicy::new(mode))
            .build();
        OpenAiLayer::new(&instrumentation)
    };
    let plain = client(None);
    let cases = [
        ("no content", 300, CaptureMode::NoContent),
        ("1 KB of content on spans", 512, CaptureMode::SpanOnly),
    ];
    for (name, size, mode) in cases {
        let traced = client(Some(layer(mode)));
        let request = request(size);
        let without = || runtime.block_on(chat(&plain, &request));
        let with = || runtime.block_on(chat(&traced, &request));
        report(&format!("chat call, {name}"), CALLS, 1, without, with);
    }
    for (name, mode) in [("no content", CaptureMode::NoContent), ("content on spans", CaptureMode::SpanOnly)]
    {
        let traced = client(Some(layer(mode)));
        let without = || runtime.block_on(stream(&plain));
        let with = || runtime.block_on(stream(&traced));
        report(&format!("streamed chunk, {name}"), 50, CHUNKS, without, with);
    }
}

/// Alternates the two, and compares the best of each: what disturbs a machine only ever adds.
fn report(name: &str, calls: u32, parts: usize, without: impl Fn(), with: impl Fn()) {
    let (mut fast_without, mut fast_with) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        fast_without = fast_without.min(timed(calls, &without));
        fast_with = fast_with.min(timed(calls, &with));
    }
    let allocations = |call: &dyn Fn()| allocation_counter::measure(call).count_total as f64 / parts as f64;
    let micros = |total: Duration| total.as_secs_f64() * 1e6 / f64::from(calls) / parts as f64;
    println!(
        "{name}: {:.2} us more ({:.2} with, {:.2} without), {:.1} allocations more",
        micros(fast_with) - micros(fast_without),
        micros(fast_with),
        micros(fast_without),
        allocations(&with) - allocations(&without),
    );
}

fn timed(calls: u32, call: &impl Fn()) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed()
}

fn client(layer: Option<OpenAiLayer>) -> Client<OpenAIConfig> {
    let client = Client::with_config(
        OpenAIConfig::new().with_api_base("http://model.test/v1").with_api_key("sk-none-at-all"),
    );
    let transport = service_fn(answer);
    match layer {
        Some(layer) => client.with_http_service(layer.layer(transport)),
        None => client.with_http_service(transport),
    }
}

fn request(size: usize) -> Value {
    json!({
        "model": "gpt-4o-mini", "temperature": 0.5, "max_tokens": 100,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "x".repeat(size - 50)},
        ],
    })
}

async fn chat(client: &Client<OpenAIConfig>, request: &Value) {
    let answer: Value = client.chat().create_byot(request).await.unwrap();
    assert_eq!(answer.get("object").and_then(Value::as_str), Some("chat.completion"));
}

async fn stream(client: &Client<OpenAIConfig>) {
    let request =
        json!({"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut stream = client.chat().create_stream_byot::<_, Value>(request).await.unwrap();
    let mut seen = 0;
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
        seen += 1;
    }
    assert_eq!(seen, CHUNKS);
}

async fn answer(factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
    let request = factory.build().await?;
    let streams = request
        .body()
        .and_then(|body| body.as_bytes())
        .is_some_and(|body| body.windows(13).any(|window| window == br#""stream":true"#));
    let (kind, body) =
        if streams { ("text/event-stream", sse()) } else { ("application/json", completion()) };
    let response = http::Response::builder().header("content-type", kind);
    Ok(response.body(body).unwrap().into())
}

fn completion() -> reqwest::Body {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "y".repeat(500)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
        "service_tier": "default", "system_fingerprint": "fp_44709d6fcb",
    });
    answer.to_string().into()
}

/// Each chunk a frame of its own, as it comes from a server.
fn sse() -> reqwest::Body {
    let chunk = Bytes::from(format!(
        "data: {}\n\n",
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18",
            "system_fingerprint": "fp_44709d6fcb", "service_tier": "default",
            "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": null, "finish_reason": null}],
        })
    ));
    let chunks = std::iter::repeat_n(chunk, CHUNKS).chain([Bytes::from_static(b"data: [DONE]\n\n")]);
    let frames = futures_util::stream::iter(
        chunks.map(|chunk| Ok::<_, std::io::Error>(http_body::Frame::data(chunk))),
    );
    reqwest::Body::wrap(http_body_util::StreamBody::new(frames))
}
