//! The calls that are measured: an `async-openai` client over a transport inside the process.

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

pub(crate) const CHUNKS: usize = 200;

/// Takes spans and does nothing with them, on the processor's own thread.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

/// A client for each way to record, and one without the layer.
pub(crate) struct Clients {
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    pub(crate) plain: Client<OpenAIConfig>,
}

impl Clients {
    pub(crate) fn new() -> Self {
        // The client has no cryptography of its own; fails only where one is chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tracer = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(Nowhere).build())
            .build();
        let meter = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(InMemoryMetricExporter::default()).build())
            .build();
        Self { tracer, meter, plain: client(None) }
    }

    /// Spans go to a batch processor; metrics, if wanted, are aggregated by the SDK.
    pub(crate) fn traced(&self, mode: CaptureMode, metrics: bool) -> Client<OpenAIConfig> {
        let mut builder =
            Instrumentation::builder().tracer_provider(&self.tracer).capture(CapturePolicy::new(mode));
        if metrics {
            builder = builder.meter_provider(&self.meter);
        }
        let instrumentation = builder.build();
        client(Some(OpenAiLayer::new(&instrumentation)))
    }
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

pub(crate) fn request(size: usize) -> Value {
    json!({
        "model": "gpt-4o-mini", "temperature": 0.5, "max_tokens": 100,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "x".repeat(size - 50)},
        ],
    })
}

pub(crate) async fn chat(client: &Client<OpenAIConfig>, request: &Value) {
    let answer: Value = client.chat().create_byot(request).await.unwrap();
    assert_eq!(answer.get("object").and_then(Value::as_str), Some("chat.completion"));
}

pub(crate) async fn stream(client: &Client<OpenAIConfig>) {
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
