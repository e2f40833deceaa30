//! `exporters.otlp` and `exporters.otlphttp`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use crate::units;

/// Sends OTLP over gRPC. Keys that the Collector has, too, mean the same here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpExporterConfig {
    /// Where to send: `host:port`, or with `http://` or `https://` before it.
    pub endpoint: String,
    /// TLS towards the backend.
    pub tls: TlsConfig,
    /// Metadata to add to every request; the values are kept out of logs.
    #[serde(deserialize_with = "headers")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, SecretString>,
    /// Compression of requests.
    pub compression: Compression,
    /// How long one attempt may take, such as `5s`.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// When to send again what the backend does not take now; without the queue for up to five minutes.
    pub retry_on_failure: RetryOnFailure,
    /// Requests that are kept, on disk, until the backend has taken them.
    pub sending_queue: SendingQueueConfig,
    /// How many requests may be under way at once.
    pub max_concurrent_requests: usize,
}

/// Sends OTLP over HTTP, in protobuf. Keys that the Collector has, too, mean the same here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpHttpExporterConfig {
    /// Where to send, such as `https://host:4318`; `/v1/traces` is added.
    pub endpoint: String,
    /// The whole URL for traces; used instead of `endpoint`.
    pub traces_endpoint: Option<String>,
    /// TLS towards the backend.
    pub tls: TlsConfig,
    /// Headers to add to every request; the values are kept out of logs.
    #[serde(deserialize_with = "headers")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, SecretString>,
    /// Compression of requests.
    pub compression: Compression,
    /// How long one attempt may take, such as `30s`.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// When to send again what the backend does not take now; without the queue for up to five minutes.
    pub retry_on_failure: RetryOnFailure,
    /// Requests that are kept, on disk, until the backend has taken them.
    pub sending_queue: SendingQueueConfig,
    /// How many requests may be under way at once.
    pub max_concurrent_requests: usize,
}

/// TLS towards the backend. Without any key the certificates of the system are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// No TLS where the endpoint names no scheme.
    pub insecure: bool,
    /// PEM file of the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, with its chain.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key.
    pub key_file: Option<PathBuf>,
    /// Accept any certificate of the backend: anybody on the way can then read what is sent.
    pub insecure_skip_verify: bool,
}

/// Compression of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Gzip, which every receiver understands.
    #[default]
    Gzip,
    /// Zstandard.
    Zstd,
    /// None.
    None,
}

impl Default for OtlpExporterConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            tls: TlsConfig::default(),
            headers: BTreeMap::new(),
            compression: Compression::default(),
            timeout: Duration::from_secs(5),
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueueConfig::default(),
            max_concurrent_requests: 10,
        }
    }
}

impl Default for OtlpHttpExporterConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            traces_endpoint: None,
            tls: TlsConfig::default(),
            headers: BTreeMap::new(),
            compression: Compression::default(),
            timeout: Duration::from_secs(30),
            retry_on_failure: RetryOnFailure::default(),
            sending_queue: SendingQueueConfig::default(),
            max_concurrent_requests: 10,
        }
    }
}

impl OtlpExporterConfig {
    /// The endpoint with its scheme.
    pub(super) fn url(&self) -> String {
        match (self.endpoint.contains("://"), self.tls.insecure) {
            (true, _) => self.endpoint.clone(),
            (false, true) => format!("http://{}", self.endpoint),
            (false, false) => format!("https://{}", self.endpoint),
        }
    }

    /// What is wrong with the settings: keys relative to the exporter, and messages.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.endpoint.is_empty() {
            problems.push(problem("endpoint", "must be given, such as backend:4317"));
        } else if !is_url(&self.url()) {
            problems.push(problem("endpoint", "is neither host:port nor a URL with http:// or https://"));
        } else if has_user(&self.url()) {
            problems.push(problem("endpoint", NO_USER));
        }
        common(&mut problems, &self.tls, &self.headers, self.timeout, self.max_concurrent_requests);
        problems.extend(self.sending_queue.validate());
        problems.extend(self.retry_on_failure.validate());
        problems
    }
}

impl OtlpHttpExporterConfig {
    /// The URL for traces.
    pub(super) fn url(&self) -> String {
        match &self.traces_endpoint {
            Some(url) => url.clone(),
            None => format!("{}/v1/traces", self.endpoint.trim_end_matches('/')),
        }
    }

    /// What is wrong with the settings: keys relative to the exporter, and messages.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let key = if self.traces_endpoint.is_some() { "traces_endpoint" } else { "endpoint" };
        if self.traces_endpoint.is_none() && self.endpoint.is_empty() {
            problems.push(problem("endpoint", "must be given, such as https://backend:4318"));
        } else if !is_url(&self.url()) {
            problems.push(problem(key, "is not a URL with http:// or https://"));
        } else if has_user(&self.url()) {
            problems.push(problem(key, NO_USER));
        }
        common(&mut problems, &self.tls, &self.headers, self.timeout, self.max_concurrent_requests);
        problems.extend(self.sending_queue.validate());
        problems.extend(self.retry_on_failure.validate());
        problems
    }
}

fn common(
    problems: &mut Vec<(String, String)>,
    tls: &TlsConfig,
    headers: &BTreeMap<String, SecretString>,
    timeout: Duration,
    max_concurrent_requests: usize,
) {
    if tls.cert_file.is_some() != tls.key_file.is_some() {
        problems.push(problem("tls.key_file", "and tls.cert_file need each other"));
    }
    if tls.ca_file.is_some() && tls.insecure_skip_verify {
        problems.push(problem("tls.ca_file", "has no use where tls.insecure_skip_verify is true"));
    }
    for (name, value) in headers {
        let valid =
            HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value.expose_secret()).is_ok();
        if !valid {
            problems.push((format!("headers.{name}"), "is not a header".to_owned()));
        }
    }
    if timeout.is_zero() {
        problems.push(problem("timeout", "must be longer than 0"));
    }
    if max_concurrent_requests == 0 {
        problems.push(problem("max_concurrent_requests", "must be at least 1"));
    }
}

fn problem(key: &str, message: &str) -> (String, String) {
    (key.to_owned(), message.to_owned())
}

fn is_url(text: &str) -> bool {
    let uri: Option<http::Uri> = text.parse().ok();
    uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

/// An address is shown, and logged; a header is not.
const NO_USER: &str = "must not hold a user or password; give them as `headers: {Authorization: …}`";

fn has_user(text: &str) -> bool {
    let uri: Option<http::Uri> = text.parse().ok();
    uri.and_then(|uri| uri.authority().map(|authority| authority.as_str().contains('@'))).unwrap_or(false)
}

fn headers<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, SecretString>, D::Error> {
    let headers: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
    Ok(headers.into_iter().map(|(name, value)| (name, value.into())).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_endpoint_gets_its_scheme_from_tls() {
        let read = |settings| serde_json::from_value::<OtlpExporterConfig>(settings).unwrap();
        assert_eq!(read(json!({"endpoint": "a:1"})).url(), "https://a:1");
        assert_eq!(read(json!({"endpoint": "a:1", "tls": {"insecure": true}})).url(), "http://a:1");
        assert_eq!(read(json!({"endpoint": "http://a:1"})).url(), "http://a:1");
    }

    #[test]
    fn the_path_is_added_to_the_endpoint_only() {
        let read = |settings| serde_json::from_value::<OtlpHttpExporterConfig>(settings).unwrap();
        assert_eq!(read(json!({"endpoint": "https://a/otlp/"})).url(), "https://a/otlp/v1/traces");
        assert_eq!(read(json!({"traces_endpoint": "https://a/spans"})).url(), "https://a/spans");
    }

    #[test]
    fn every_problem_is_named_with_its_key_and_secrets_are_not_shown() {
        let config: OtlpHttpExporterConfig = serde_json::from_value(json!({
            "endpoint": "backend:4318",
            "tls": {"cert_file": "c.pem", "ca_file": "ca.pem", "insecure_skip_verify": true},
            "headers": {"bad name": "hush"}, "timeout": "0s", "max_concurrent_requests": 0,
        }))
        .unwrap();
        let keys: Vec<_> = config.validate().into_iter().map(|(key, _)| key).collect();
        let expected = [
            "endpoint",
            "tls.key_file",
            "tls.ca_file",
            "headers.bad name",
            "timeout",
            "max_concurrent_requests",
        ];
        assert_eq!(keys, expected);
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(OtlpExporterConfig::default().validate()[0].0, "endpoint");
    }

    #[test]
    fn an_address_with_a_password_is_refused() {
        let http = json!({"traces_endpoint": "https://user:hush@backend/v1/traces"});
        let http: OtlpHttpExporterConfig = serde_json::from_value(http).unwrap();
        assert_eq!(http.validate(), [("traces_endpoint".to_owned(), NO_USER.to_owned())]);
        let grpc: OtlpExporterConfig =
            serde_json::from_value(json!({"endpoint": "https://hush@backend:4317"})).unwrap();
        assert_eq!(grpc.validate(), [("endpoint".to_owned(), NO_USER.to_owned())]);
    }
}
