//! What a user may say about the MLflow server: part of the `mlflow` exporter's configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::oauth::ClientCredentials;

/// Credentials for the MLflow server: a bearer token, or a user name and a password.
///
/// Without any, MLflow's own are used: `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`,
/// then `~/.mlflow/credentials`, then `MLFLOW_TRACKING_TOKEN`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Bearer token.
    #[schemars(with = "Option<String>")]
    pub token: Option<SecretString>,
    /// File with the bearer token. Read again when it changes, and after the server answered 401.
    pub token_file: Option<PathBuf>,
    /// User name for HTTP Basic authentication.
    pub username: Option<String>,
    /// Password for HTTP Basic authentication.
    #[schemars(with = "Option<String>")]
    pub password: Option<SecretString>,
}

/// TLS towards the MLflow server. Without any key the certificates of the system are trusted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file of the certificate authorities to trust instead of the system's. Default:
    /// `MLFLOW_TRACKING_SERVER_CERT_PATH`.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client certificate, with its chain. Default:
    /// `MLFLOW_TRACKING_CLIENT_CERT_PATH`.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client certificate's key; needed unless `cert_file` has it too.
    pub key_file: Option<PathBuf>,
    /// Accept any certificate of the server: anybody on the way can then read and change what is
    /// sent. Default: `MLFLOW_TRACKING_INSECURE_TLS`.
    pub insecure_skip_verify: Option<bool>,
}

/// How a failing request is sent again: after a random time below an interval that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest wait before the first retry.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub initial_interval: Duration,
    /// Longest wait before any retry, unless the server asks for more.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub max_interval: Duration,
    /// When to give up and hand the failure to the sender; `0s` means never.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub max_elapsed_time: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::ZERO,
        }
    }
}

/// Compression of what is sent to the MLflow server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None: costs the least on a fast network.
    #[default]
    None,
    /// Gzip for bodies of 1 KiB and more, where the server takes it (MLflow 3.7 and newer): for slow networks.
    Gzip,
}

/// Everything about the MLflow server but its address.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Credentials.
    pub auth: AuthConfig,
    /// A client that gets tokens from a server of its own, instead of `auth`.
    pub client_credentials: Option<ClientCredentials>,
    /// TLS.
    pub tls: TlsConfig,
    /// Headers to add to every request; their values are kept out of logs.
    pub headers: BTreeMap<String, SecretString>,
    /// Workspace for requests that name none.
    pub workspace: Option<String>,
    /// How long a request may take.
    pub timeout: Duration,
    /// How a failing request is sent again.
    pub retry_on_failure: RetryConfig,
    /// Compression of spans.
    pub compression: Compression,
    /// Above how many bytes spans are sent in several requests.
    pub max_request_bytes: usize,
    /// How many requests may be under way at once.
    pub max_concurrent_requests: usize,
}

impl Default for RestOptions {
    fn default() -> Self {
        Self {
            auth: AuthConfig::default(),
            client_credentials: None,
            tls: TlsConfig::default(),
            headers: BTreeMap::new(),
            workspace: None,
            timeout: Duration::from_secs(120),
            retry_on_failure: RetryConfig::default(),
            compression: Compression::default(),
            max_request_bytes: 16 << 20,
            max_concurrent_requests: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_in_neither_debug_output_nor_schema_defaults() {
        let auth: AuthConfig =
            serde_json::from_str(r#"{"token": "hush", "username": "u", "password": "quiet"}"#).unwrap();
        let shown = format!("{auth:?}");
        assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
        let schema = serde_json::to_string(&schemars::schema_for!(AuthConfig)).unwrap();
        assert!(schema.contains("\"token_file\""), "{schema}");
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(serde_json::from_str::<AuthConfig>(r#"{"tokn": "x"}"#).is_err());
        assert!(serde_json::from_str::<TlsConfig>(r#"{"ca": "x"}"#).is_err());
        assert!(serde_json::from_str::<RetryConfig>(r#"{"interval": "1s"}"#).is_err());
    }

    #[test]
    fn durations_are_written_as_in_the_collector() {
        let retry: RetryConfig =
            serde_json::from_str(r#"{"initial_interval": "500ms", "max_elapsed_time": "5m"}"#).unwrap();
        assert_eq!(retry.initial_interval, Duration::from_millis(500));
        assert_eq!(retry.max_interval, Duration::from_secs(30));
        assert_eq!(retry.max_elapsed_time, Duration::from_secs(300));
    }
}
