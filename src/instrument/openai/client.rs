//! One line on an existing client.

use async_openai::Client;
use async_openai::config::Config;
use async_openai::middleware::ReqwestService;
use async_openai::middleware::retry::OpenAIRetryLayer;
use tower::Layer;

use super::layer::OpenAiLayer;
use crate::instrument::Instrumentation;

/// Traces a client.
pub trait InstrumentClient: Sized {
    /// The same client, traced: its configuration stays, and it retries as `async-openai` does by
    /// default. Records through [`Instrumentation::global`].
    ///
    /// A client that was given a `reqwest::Client` of its own does not let go of it; give it once
    /// more to [`instrumented_with`](Self::instrumented_with). One with a tower stack of its own
    /// takes [`OpenAiLayer`] into it.
    ///
    /// # Examples
    ///
    /// ```
    /// use opentelemetry_mlflow::instrument::openai::InstrumentClient;
    ///
    /// # let _ = rustls::crypto::ring::default_provider().install_default();
    /// let client = async_openai::Client::new().instrumented();
    /// ```
    #[must_use]
    fn instrumented(self) -> Self {
        #[cfg(feature = "_backend")]
        crate::tls::install_crypto_provider();
        self.instrumented_with(&Instrumentation::global(), reqwest::Client::new())
    }

    /// The same client, traced through the given instrumentation and sending through the given HTTP
    /// client.
    #[must_use]
    fn instrumented_with(self, instrumentation: &Instrumentation, http_client: reqwest::Client) -> Self;
}

impl<C: Config> InstrumentClient for Client<C> {
    fn instrumented_with(self, instrumentation: &Instrumentation, http_client: reqwest::Client) -> Self {
        let retrying = OpenAIRetryLayer::default().layer(ReqwestService::new(http_client));
        self.with_http_service(OpenAiLayer::new(instrumentation).layer(retrying))
    }
}
