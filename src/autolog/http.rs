//! The HTTP client of OTLP exports: async, so that nothing blocks, with the process's own TLS.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

use crate::store::rest::{RestError, TlsConfig, configure_tls};

/// How much of an answer is read: it says little.
const MAX_ANSWER_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct HttpExportClient(reqwest::Client);

impl HttpExportClient {
    /// A client. Has to be used within a runtime.
    ///
    /// # Errors
    ///
    /// A certificate cannot be used.
    pub(super) fn new(tls: &TlsConfig, https: bool, timeout: Duration) -> Result<Self, RestError> {
        crate::tls::install_crypto_provider();
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout);
        let client = configure_tls(builder, tls, https)?.build();
        client.map(Self).map_err(|error| RestError::configuration(format!("cannot set up TLS: {error}")))
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.execute(request.try_into()?).await?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = std::mem::take(answer.headers_mut());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(format!("the answer is larger than {MAX_ANSWER_BYTES} bytes").into());
            }
        }
        Ok(response.body(body.into())?)
    }
}

impl HttpClient for HttpExportClient {
    fn send_bytes<'client, 'future>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'client: 'future,
        Self: 'future,
    {
        Box::pin(self.send(request))
    }
}
