//! Where a call's span belongs, and what reaches whom, over a transport inside the process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, global};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter};
use serde_json::{Value, json};
use tower::{Layer, service_fn};
use tracing_subscriber::layer::SubscriberExt;

use crate::instrument::openai::OpenAiLayer;
use crate::instrument::{Instrumentation, InstrumentationBuilder, Scope, in_current_context};

/// Headers of each request that was sent.
type Sent = Arc<Mutex<Vec<http::HeaderMap>>>;

struct World {
    client: Client<OpenAIConfig>,
    spans: InMemorySpanExporter,
    provider: SdkTracerProvider,
    sent: Sent,
}

fn world(settings: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder) -> World {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let (client, sent) = client(settings(Instrumentation::builder().tracer_provider(&provider)).build());
    World { client, spans, provider, sent }
}

fn client(instrumentation: Instrumentation) -> (Client<OpenAIConfig>, Sent) {
    let sent = Sent::default();
    let seen = Arc::clone(&sent);
    let transport = service_fn(move |factory: HttpRequestFactory| {
        let seen = Arc::clone(&seen);
        async move {
            let request = factory.build().await?;
            seen.lock().unwrap().push(request.headers().clone());
            let answer = json!({"id": "c", "model": "m", "choices": []}).to_string();
            let response = http::Response::builder().header("content-type", "application/json");
            Ok::<reqwest::Response, OpenAIError>(response.body(answer).unwrap().into())
        }
    });
    let service = OpenAiLayer::new(&instrumentation).layer(transport);
    (at("http://model.test/v1").with_http_service(service), sent)
}

fn at(base: &str) -> Client<OpenAIConfig> {
    // The client has no cryptography of its own; fails only where one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key("sk-0123456789"))
}

async fn ask(client: &Client<OpenAIConfig>) -> Result<Value, OpenAIError> {
    client.chat().create_byot(json!({"model": "m", "messages": []})).await
}

impl World {
    fn span(&self, name: &str) -> SpanData {
        let spans = self.spans.get_finished_spans().unwrap();
        spans
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("no {name} in {spans:?}"))
            .clone()
    }

    fn value(&self, key: &str) -> Option<String> {
        let span = self.span("chat m");
        span.attributes.iter().find(|a| a.key.as_str() == key).map(|a| a.value.to_string())
    }
}

#[tokio::test]
async fn the_parent_is_the_current_span_across_await_and_spawn() {
    let world = world(|builder| builder);
    let tracer = world.provider.tracer("test");
    let context = Context::current_with_span(tracer.start("outer"));
    let outer = context.span().span_context().span_id();
    let client = world.client.clone();
    let spawning = async move {
        tokio::task::yield_now().await;
        tokio::spawn(in_current_context(async move { ask(&client).await })).await
    };
    opentelemetry::context::FutureExt::with_context(spawning, context).await.unwrap().unwrap();
    assert_eq!(world.span("chat m").parent_span_id, outer);
}

#[tokio::test]
async fn the_parent_may_be_a_span_of_tracing() {
    use tracing::Instrument as _;
    let world = world(|builder| builder);
    let bridge = tracing_opentelemetry::layer().with_tracer(world.provider.tracer("bridge"));
    let subscriber = tracing_subscriber::registry().with(bridge);
    let _guard = tracing::subscriber::set_default(subscriber);
    ask(&world.client).instrument(tracing::info_span!("outer")).await.unwrap();
    let outer = world.span("outer");
    let call = world.span("chat m");
    assert_eq!(call.parent_span_id, outer.span_context.span_id());
    assert_eq!(call.span_context.trace_id(), outer.span_context.trace_id());
}

#[tokio::test]
async fn the_scope_is_on_the_span_without_its_variables_as_content_is_off() {
    let world = world(|builder| builder);
    let scope =
        Scope::new().conversation_id("c-1").user_id("u").prompt("p", "2").prompt_variable("x", "secret");
    scope.run(ask(&world.client)).await.unwrap();
    assert_eq!(world.value("gen_ai.conversation.id").as_deref(), Some("c-1"));
    assert_eq!(world.value("user.id").as_deref(), Some("u"));
    assert_eq!(world.value("gen_ai.prompt.name").as_deref(), Some("p"));
    assert_eq!(world.value("gen_ai.prompt.variable.x"), None);
}

#[tokio::test]
async fn only_hosts_on_the_list_are_told_of_the_trace() {
    // The propagator is the process's; no other test looks at what is sent.
    global::set_text_map_propagator(TraceContextPropagator::new());
    let silent = world(|builder| builder);
    ask(&silent.client).await.unwrap();
    assert!(!silent.sent.lock().unwrap()[0].contains_key("traceparent"));

    let telling = world(|builder| builder.propagate_to(["*.test"]));
    ask(&telling.client).await.unwrap();
    let headers = telling.sent.lock().unwrap()[0].clone();
    let header = std::collections::HashMap::from([(
        "traceparent".to_owned(),
        headers["traceparent"].to_str().unwrap().to_owned(),
    )]);
    let told = TraceContextPropagator::new().extract(&header);
    assert_eq!(told.span().span_context().span_id(), telling.span("chat m").span_context.span_id());
}

/// Fails in the worst way.
#[derive(Debug)]
struct Panicking;

impl SpanExporter for Panicking {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        panic!("the exporter is broken");
    }
}

#[tokio::test]
async fn an_exporter_that_panics_does_not_reach_the_application() {
    let provider = SdkTracerProvider::builder().with_simple_exporter(Panicking).build();
    let (client, _) = client(Instrumentation::builder().tracer_provider(&provider).build());
    assert_eq!(ask(&client).await.unwrap()["id"], "c");
    assert_eq!(ask(&client).await.unwrap()["id"], "c");
}

#[tokio::test]
async fn nothing_is_recorded_where_it_is_not_wanted() {
    let world_disabled = world(|builder| builder.disabled(true));
    ask(&world_disabled.client).await.unwrap();
    let world_suppressed = world(|builder| builder);
    let _guard = Context::enter_telemetry_suppressed_scope();
    ask(&world_suppressed.client).await.unwrap();
    for world in [world_disabled, world_suppressed] {
        assert!(world.spans.get_finished_spans().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_is_cancelled() {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    let instrumentation = Instrumentation::builder().tracer_provider(&provider).build();
    let service =
        OpenAiLayer::new(&instrumentation).layer(service_fn(|factory: HttpRequestFactory| async move {
            factory.build().await?;
            std::future::pending::<Result<reqwest::Response, OpenAIError>>().await
        }));
    let client = at("http://never.test").with_http_service(service);
    tokio::time::timeout(Duration::from_millis(20), ask(&client)).await.unwrap_err();
    let span = spans.get_finished_spans().unwrap().remove(0);
    assert!(
        span.attributes.iter().any(|a| a.key.as_str() == "error.type" && a.value.to_string() == "cancelled")
    );
}
