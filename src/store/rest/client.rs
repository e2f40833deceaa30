//! One MLflow server over HTTP: requests with everything that the configuration adds, and answers
//! named for what they are.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::answer::{self, Answer};
use super::credentials::Credentials;
use super::retry::Backoff;
use super::{RestError, RestOptions, RetryConfig, tls};
use crate::hints;
use crate::mlflow::tracking_uri::percent_decode;
use crate::tls::install_crypto_provider;

/// How much of an answer is read. MLflow's answers to writes are far smaller; the spans of a trace
/// are the largest thing that is ever asked for.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A request, kept so that it can be sent again.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

impl Call {
    /// Gives the call a body of JSON.
    pub(super) fn put_json(&mut self, body: &serde_json::Value) {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(body.to_string().into());
    }
}

/// What speaks to one MLflow server.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Arc<Credentials>,
    headers: HeaderMap,
    retry: RetryConfig,
    #[cfg(feature = "client")]
    timeout: Duration,
    permits: Semaphore,
}

impl Client {
    pub(super) fn new(tracking_uri: &str, options: &RestOptions) -> Result<Self, RestError> {
        let mut base = parse_base(tracking_uri)?;
        let credentials = Credentials::of(options, take_user(&mut base))?;
        Self::with_parts(base, Arc::new(credentials), options)
    }

    /// The same server and credentials, over connections of its own: those of a client are served by
    /// the runtime that opened them, and stand still with it.
    #[cfg(feature = "client")]
    pub(super) fn with_own_connections(&self, options: &RestOptions) -> Result<Self, RestError> {
        Self::with_parts(self.base.clone(), Arc::clone(&self.credentials), options)
    }

    fn with_parts(
        base: Url,
        credentials: Arc<Credentials>,
        options: &RestOptions,
    ) -> Result<Self, RestError> {
        install_crypto_provider();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("otel-mlflow/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(options.timeout);
        let http = tls::configure(builder, &options.tls, base.scheme() == "https")?
            .build()
            .map_err(|error| RestError::configuration(format!("cannot set up TLS: {error}")))?;
        Ok(Self {
            http,
            base,
            credentials,
            headers: headers(options)?,
            retry: options.retry_on_failure,
            #[cfg(feature = "client")]
            timeout: options.timeout,
            permits: Semaphore::new(options.max_concurrent_requests.max(1)),
        })
    }

    /// Address of the server, without credentials.
    pub(super) fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A request to a path below the tracking URI; each segment is percent-encoded.
    pub(super) fn call(&self, method: Method, path: &str) -> Call {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/').filter(|segment| !segment.is_empty()));
        }
        Call { method, url, headers: HeaderMap::new(), body: None }
    }

    /// How a failing request is to be sent again.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(self.retry)
    }

    /// Sends, and sends again while the trouble may pass.
    pub(super) async fn send(&self, call: &Call, mut backoff: Backoff) -> Result<Answer, RestError> {
        loop {
            match self.send_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Sends once, or twice if a 401 may be cured by a new token.
    pub(super) async fn send_once(&self, call: &Call) -> Result<Answer, RestError> {
        let first = self.attempt(call, false).await;
        match first {
            Err(RestError::Unauthorized { .. }) if self.credentials.may_change() => {
                self.attempt(call, true).await
            }
            _ => first,
        }
    }

    async fn attempt(&self, call: &Call, reread: bool) -> Result<Answer, RestError> {
        let mut request = self.request(call, reread).await?;
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        // The semaphore is never closed, so a permit always comes.
        let _permit = self.permits.acquire().await.ok();
        let began = Instant::now();
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let answer = self.checked(call, response).await?;
        Ok(Answer { took: began.elapsed(), ..answer })
    }

    /// The request without its body. Credentials go to the server's own host alone.
    pub(super) async fn request(
        &self,
        call: &Call,
        reread: bool,
    ) -> Result<reqwest::RequestBuilder, RestError> {
        let mut request = self.http.request(call.method.clone(), call.url.clone());
        if call.url.host() == self.base.host() {
            request = request.headers(self.headers.clone());
            if let Some(header) = self.credentials.header(reread, &self.http).await? {
                request = request.header(header::AUTHORIZATION, header);
            }
        }
        Ok(request.headers(call.headers.clone()))
    }

    /// Reads the whole answer, and names a failure.
    pub(super) async fn checked(
        &self,
        call: &Call,
        response: reqwest::Response,
    ) -> Result<Answer, RestError> {
        let answer = read(response).await.map_err(|error| self.failed(error))?;
        answer::check(answer, call.url.as_str(), self.server(), self.credentials.kind())
    }

    pub(super) fn failed(&self, error: reqwest::Error) -> RestError {
        RestError::from_transport(self.server(), error)
    }

    /// Whether a 401 may be cured by reading the credentials again.
    #[cfg(feature = "client")]
    pub(super) fn may_change_credentials(&self) -> bool {
        self.credentials.may_change()
    }

    /// How long a request may take.
    #[cfg(feature = "client")]
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Reads the whole answer, up to the limit.
async fn read(mut response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let text = |name: HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let mut answer = Answer {
        status: response.status(),
        location: text(header::LOCATION),
        retry_after: text(header::RETRY_AFTER).and_then(|text| hints::retry_after(&text, SystemTime::now())),
        took: Duration::ZERO,
        body: Bytes::new(),
    };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            break;
        }
    }
    answer.body = body.freeze();
    Ok(answer)
}

fn parse_base(tracking_uri: &str) -> Result<Url, RestError> {
    let url = Url::parse(tracking_uri)
        .map_err(|error| RestError::configuration(format!("the tracking URI is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RestError::configuration(format!(
            "the tracking URI has the scheme `{}`: an MLflow server has http or https",
            url.scheme()
        )));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(RestError::configuration("the tracking URI has a query or a fragment: remove it"));
    }
    Ok(url)
}

/// Takes user name and password out of the URL, so that no message can show them.
fn take_user(url: &mut Url) -> Option<(String, SecretString)> {
    let decode = |text: &str| percent_decode(text);
    let username = decode(url.username());
    let password = url.password().map(decode).unwrap_or_default();
    // Both setters fail only for URLs without a host, which http URLs always have.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (!username.is_empty()).then(|| (username, password.into()))
}

/// The headers of every request.
fn headers(options: &RestOptions) -> Result<HeaderMap, RestError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let unusable = || RestError::configuration(format!("`headers.{name}` cannot be sent as a header"));
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uri: &str) -> Client {
        Client::new(uri, &RestOptions::default()).unwrap()
    }

    #[test]
    fn paths_are_appended_to_the_prefix_and_encoded() {
        for base in ["http://localhost:5000/ml", "http://localhost:5000/ml/"] {
            let call = client(base).call(Method::GET, "/api/2.0/a b?c/d");
            assert_eq!(call.url.as_str(), "http://localhost:5000/ml/api/2.0/a%20b%3Fc/d");
        }
        let call = client("http://localhost:5000").call(Method::GET, "/version");
        assert_eq!(call.url.as_str(), "http://localhost:5000/version");
    }

    #[test]
    fn credentials_in_the_address_are_used_and_never_shown() {
        let client = client("https://us%40er:pa%3Ass@example.org/x");
        assert_eq!(client.server(), "https://example.org/x");
        assert!(matches!(*client.credentials, Credentials::Fixed { .. }));
        assert!(!format!("{client:?}").contains("ss@"), "{client:?}");
        assert_eq!(percent_decode("a%3Ab%zz%4"), "a:b%zz%4");
    }

    #[test]
    fn an_address_that_is_no_server_is_refused() {
        for uri in ["sqlite:///x.db", "not a url", "http://h/?q=1", "http://h/#f"] {
            assert!(Client::new(uri, &RestOptions::default()).is_err(), "{uri}");
        }
    }
}
