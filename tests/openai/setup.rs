//! A fake server, and a client that is traced next to one that is not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_openai::Client;
use async_openai::config::{AzureConfig, Config, OpenAIConfig};
use async_openai::error::OpenAIError;
use futures_util::{Stream, StreamExt as _};
use opentelemetry_mlflow::instrument::InstrumentationBuilder;
use opentelemetry_mlflow::instrument::openai::InstrumentClient as _;
use serde_json::Value;

use crate::fake::{API_KEY, Fake};
use crate::telemetry::{Span, Telemetry};

/// A client of any configuration.
pub(crate) type AnyClient = Client<Arc<dyn Config>>;

/// What a call does with a client, and what the caller sees of it.
pub(crate) type Call = fn(AnyClient) -> Pin<Box<dyn Future<Output = String> + Send>>;

pub(crate) struct Setup {
    pub(crate) fake: Fake,
    pub(crate) telemetry: Telemetry,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self { fake: Fake::start().await, telemetry: Telemetry::new() }
    }

    /// As the application has it without us.
    pub(crate) fn plain(&self) -> AnyClient {
        Client::build(http_client(), self.config())
    }

    /// The same, traced.
    pub(crate) fn client(&self) -> AnyClient {
        self.client_with(|instrumentation| instrumentation)
    }

    /// The same, traced in another way.
    pub(crate) fn client_with(
        &self,
        change: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder,
    ) -> AnyClient {
        let instrumentation = change(self.telemetry.instrumentation()).build();
        self.plain().instrumented_with(&instrumentation, http_client())
    }

    fn config(&self) -> Arc<dyn Config> {
        Arc::new(OpenAIConfig::new().with_api_base(self.fake.base_url()).with_api_key(API_KEY))
    }

    /// A client of a deployment on Azure, traced.
    pub(crate) fn azure(&self) -> AnyClient {
        let config = AzureConfig::new()
            .with_api_base(self.fake.resource_url())
            .with_deployment_id("my-gpt")
            .with_api_version("2024-10-21")
            .with_api_key(API_KEY);
        let config: Arc<dyn Config> = Arc::new(config);
        let instrumentation = self.telemetry.instrumentation().build();
        Client::build(http_client(), config).instrumented_with(&instrumentation, http_client())
    }

    /// The span of one traced chat call.
    pub(crate) async fn chat(&self, request: Value) -> Span {
        let _: Value = self.client().chat().create_byot(request).await.unwrap();
        self.telemetry.span().await
    }

    /// The span of one traced chat call whose answer is read as a stream to its end.
    pub(crate) async fn stream(&self, request: Value) -> Span {
        let stream = self.client().chat().create_stream_byot::<_, Value>(request).await.unwrap();
        let chunks: Vec<_> = stream.collect().await;
        assert!(chunks.iter().all(Result::is_ok), "{chunks:?}");
        self.telemetry.span().await
    }
}

/// Gives up soon: nothing that a test waits for takes long.
pub(crate) fn http_client() -> reqwest::Client {
    // The client has no cryptography of its own; fails only where one is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap()
}

/// What the caller sees of a result.
pub(crate) fn seen<T: std::fmt::Debug>(result: Result<T, OpenAIError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{error:?} | {error}"),
    }
}

/// What the caller sees of a stream, chunk by chunk.
pub(crate) async fn seen_stream<T, S>(result: Result<S, OpenAIError>) -> String
where
    T: std::fmt::Debug,
    S: Stream<Item = Result<T, OpenAIError>> + Unpin,
{
    match result {
        Ok(stream) => stream.map(seen).collect::<Vec<_>>().await.join("\n"),
        Err(error) => seen::<()>(Err(error)),
    }
}
