//! Exporters to an OTLP endpoint, over HTTP or gRPC, each working on a thread of ours.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::metrics::Temporality;
use tokio::runtime::Handle;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::environment::{Environment, unusable};
use super::error::AutologError;
use super::http::HttpExportClient;
use super::plan::Signal;
use crate::store::rest::TlsConfig;

/// What is to be known of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct OtlpSettings {
    pub(super) grpc: bool,
    /// In full; none leaves it to the environment, or the default.
    pub(super) endpoint: Option<String>,
    pub(super) headers: HashMap<String, String>,
    /// None leaves it to the environment.
    pub(super) compression: Option<Compression>,
    pub(super) timeout: Duration,
    pub(super) tls: TlsConfig,
    /// Whether the connection is encrypted.
    pub(super) https: bool,
}

/// The time that OpenTelemetry gives an export.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

impl OtlpSettings {
    /// What the environment says. Endpoint, headers and compression are left to the exporter,
    /// which reads them itself.
    ///
    /// # Errors
    ///
    /// A variable has a value that cannot be used.
    pub(super) fn from_environment(
        environment: &Environment<'_>,
        signal: Signal,
    ) -> Result<Self, AutologError> {
        let grpc = match environment.otlp(signal, "PROTOCOL") {
            None => false,
            Some((variable, name)) => match name.as_str() {
                "grpc" => true,
                "http/protobuf" => false,
                _ => return Err(unusable(&variable, name, "; there are `http/protobuf` and `grpc`")),
            },
        };
        let timeout = match environment.otlp(signal, "TIMEOUT") {
            Some((variable, _)) => environment.milliseconds(&variable)?.unwrap_or(TIMEOUT),
            None => TIMEOUT,
        };
        let file = |name| environment.otlp(signal, name).map(|(_, path)| path.into());
        let endpoint = environment.otlp(signal, "ENDPOINT").map(|(_, endpoint)| endpoint);
        let insecure =
            environment.otlp(signal, "INSECURE").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"));
        let https = match endpoint.as_deref().map(|endpoint| endpoint.split_once("://")) {
            Some(Some((scheme, _))) => scheme.eq_ignore_ascii_case("https"),
            Some(None) => grpc && !insecure,
            None => false,
        };
        let tls = TlsConfig {
            ca_file: file("CERTIFICATE"),
            cert_file: file("CLIENT_CERTIFICATE"),
            key_file: file("CLIENT_KEY"),
            insecure_skip_verify: None,
        };
        Ok(Self { grpc, endpoint: None, headers: HashMap::new(), compression: None, timeout, tls, https })
    }

    pub(super) fn spans(&self, io: &Handle) -> Result<SpanExporter, AutologError> {
        // A gRPC channel needs a runtime when it is made.
        let _inside = io.enter();
        let built = match self.grpc {
            true => self.grpc(SpanExporter::builder().with_tonic(), Signal::Traces)?.build(),
            false => self.http(SpanExporter::builder().with_http(), Signal::Traces)?.build(),
        };
        built.map_err(|error| failed(Signal::Traces, error))
    }

    pub(super) fn logs(&self, io: &Handle) -> Result<LogExporter, AutologError> {
        let _inside = io.enter();
        let built = match self.grpc {
            true => self.grpc(LogExporter::builder().with_tonic(), Signal::Logs)?.build(),
            false => self.http(LogExporter::builder().with_http(), Signal::Logs)?.build(),
        };
        built.map_err(|error| failed(Signal::Logs, error))
    }

    pub(super) fn metrics(
        &self,
        io: &Handle,
        temporality: Option<Temporality>,
    ) -> Result<MetricExporter, AutologError> {
        let _inside = io.enter();
        let mut builder = MetricExporter::builder();
        if let Some(temporality) = temporality {
            builder = builder.with_temporality(temporality);
        }
        let built = match self.grpc {
            true => self.grpc(builder.with_tonic(), Signal::Metrics)?.build(),
            false => self.http(builder.with_http(), Signal::Metrics)?.build(),
        };
        built.map_err(|error| failed(Signal::Metrics, error))
    }

    fn http<B: WithExportConfig + WithHttpConfig>(
        &self,
        builder: B,
        signal: Signal,
    ) -> Result<B, AutologError> {
        let client = HttpExportClient::new(&self.tls, self.https, self.timeout)
            .map_err(|error| failed(signal, error))?;
        let mut builder = builder
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(self.timeout)
            .with_headers(self.headers.clone())
            .with_http_client(client);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(compression) = self.compression {
            builder = WithHttpConfig::with_compression(builder, compression);
        }
        Ok(builder)
    }

    fn grpc<B: WithExportConfig + WithTonicConfig>(
        &self,
        builder: B,
        signal: Signal,
    ) -> Result<B, AutologError> {
        let mut builder = builder
            .with_protocol(Protocol::Grpc)
            .with_timeout(self.timeout)
            .with_metadata(metadata(&self.headers).map_err(|error| failed(signal, error))?);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(compression) = self.compression {
            builder = WithTonicConfig::with_compression(builder, compression);
        }
        if self.https {
            crate::tls::install_crypto_provider();
            let tls = grpc_tls(&self.tls).map_err(|error| failed(signal, error))?;
            builder = builder.with_tls_config(tls);
        }
        Ok(builder)
    }
}

fn failed(signal: Signal, reason: impl std::fmt::Display) -> AutologError {
    AutologError::Otlp { signal: signal.lower(), reason: reason.to_string() }
}

fn metadata(headers: &HashMap<String, String>) -> Result<MetadataMap, String> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let key = MetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes());
        let key = key.map_err(|_| format!("`{name}` cannot be the name of a header"))?;
        let value = value.parse().map_err(|_| format!("the value of the header `{name}` cannot be sent"))?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn grpc_tls(tls: &TlsConfig) -> Result<ClientTlsConfig, String> {
    let mut config = match &tls.ca_file {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        (None, None) => {}
        _ => {
            return Err("a client certificate needs its key, and a key its certificate: give both".to_owned());
        }
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<OtlpSettings, AutologError> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        OtlpSettings::from_environment(&Environment::new(&lookup), Signal::Traces)
    }

    #[test]
    fn the_variables_of_a_signal_win() {
        let settings = settings(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c:4317"),
        ])
        .unwrap();
        assert!(settings.grpc && settings.https);
        assert_eq!(settings.timeout, Duration::from_millis(1_500));
        assert_eq!(settings.tls.ca_file, Some("/ca.pem".into()));
    }

    #[test]
    fn what_cannot_be_used_names_its_variable() {
        for (variable, value) in
            [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s")]
        {
            let message = settings(&[(variable, value)]).unwrap_err().to_string();
            assert!(message.contains(variable) && message.contains(value), "{message}");
        }
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_without_their_value() {
        let headers = HashMap::from([("x-key".to_owned(), "secret\n".to_owned())]);
        let message = metadata(&headers).unwrap_err();
        assert!(message.contains("x-key") && !message.contains("secret"), "{message}");
    }
}
