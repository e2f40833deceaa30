//! The tower layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::{Response, ResponseBuilderExt};
use tower::{Layer, Service};

use super::body::{Answer, SentForm};
use super::call::Call;
use super::error::CallError;
use super::traced::End;
use crate::instrument::Instrumentation;

/// Traces the calls of `async-openai` clients. Put it outside the retry layer: one logical call is
/// one span, with its retries inside.
///
/// # Examples
///
/// ```
/// use async_openai::middleware::{ReqwestService, retry::OpenAIRetryLayer};
/// use opentelemetry_mlflow::instrument::{Instrumentation, openai::OpenAiLayer};
///
/// # let _ = rustls::crypto::ring::default_provider().install_default();
/// let service = tower::ServiceBuilder::new()
///     .layer(OpenAiLayer::new(&Instrumentation::global()))
///     .layer(OpenAIRetryLayer::default())
///     .service(ReqwestService::new(reqwest::Client::new()));
/// let client = async_openai::Client::new().with_http_service(service);
/// ```
#[derive(Clone, Debug)]
pub struct OpenAiLayer {
    instrumentation: Instrumentation,
}

impl OpenAiLayer {
    /// A layer that records through the given instrumentation.
    #[must_use]
    pub fn new(instrumentation: &Instrumentation) -> Self {
        Self { instrumentation: instrumentation.clone() }
    }
}

impl<S> Layer<S> for OpenAiLayer {
    type Service = OpenAiService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OpenAiService { inner, instrumentation: self.instrumentation.clone() }
    }
}

/// A service whose calls are traced, made by [`OpenAiLayer`].
#[derive(Clone, Debug)]
pub struct OpenAiService<S> {
    inner: S,
    instrumentation: Instrumentation,
}

impl<S> Service<HttpRequestFactory> for OpenAiService<S>
where
    S: Service<HttpRequestFactory, Response = Response>,
    S::Future: Send + 'static,
    S::Error: Into<OpenAIError> + 'static,
{
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        if self.instrumentation.settings().disabled
            || opentelemetry::Context::is_current_telemetry_suppressed()
        {
            let future = self.inner.call(factory);
            return Box::pin(async move { future.await.map_err(Into::into) });
        }
        let call = Call::new(self.instrumentation.clone());
        let future = self.inner.call(observed(factory.clone(), &call));
        Box::pin(async move {
            // Whatever happens from here on, also that the caller loses interest, ends the call.
            let mut unanswered = Unanswered(Some(Arc::clone(&call)));
            let outcome = future.await.map_err(Into::into);
            if !call.was_asked_for() {
                // The outcome came from a service in between: what was asked is still to be seen.
                if let Ok(mut request) = factory.build().await {
                    call.attempt(&mut request);
                }
            }
            match outcome {
                Ok(response) if call.is_traced() => {
                    let response = answered(&call, response);
                    // From here on the body ends the call.
                    unanswered.0 = None;
                    Ok(response)
                }
                Ok(response) => Ok(response),
                Err(error) => {
                    call.end(End::Failed(CallError::client(&error)));
                    Err(error)
                }
            }
        })
    }
}

/// A factory whose requests the call sees, each built once.
fn observed(factory: HttpRequestFactory, call: &Arc<Call>) -> HttpRequestFactory {
    let call = Arc::clone(call);
    HttpRequestFactory::new(move || {
        let (factory, call) = (factory.clone(), Arc::clone(&call));
        async move {
            // A form whose file cannot be read is never a request, and is not built once more to see it.
            call.asked_for();
            let mut request = factory.build().await?;
            if call.attempt(&mut request)
                && let Some(inner) = request.body_mut().take()
            {
                *request.body_mut() = Some(reqwest::Body::wrap(SentForm { inner, call }));
            }
            Ok(request)
        }
    })
}

/// A call that has no answer yet. Dropping it ends the call.
struct Unanswered(Option<Arc<Call>>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.end(End::Dropped);
        }
    }
}

/// The response, with a body that the call reads.
fn answered(call: &Arc<Call>, response: Response) -> Response {
    let url = response.url().clone();
    let mut response = http::Response::<reqwest::Body>::from(response);
    let body = std::mem::take(response.body_mut());
    let answer = Answer::new(&response, body, Arc::clone(call));
    let mut response = response.map(|_| reqwest::Body::wrap(answer));
    // The conversion forgets the address.
    if let Ok(with_url) = http::response::Builder::new().url(url).body(()) {
        response.extensions_mut().extend(with_url.into_parts().0.extensions);
    }
    response.into()
}
