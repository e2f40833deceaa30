//! Exporters of the file.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry_otlp::Compression;
use opentelemetry_sdk::metrics::Temporality;

use super::super::otlp::{OtlpSettings, TIMEOUT};
use super::super::plan::{Exporter, Signal};
use super::exporter_model::{
    CompressionModel, GrpcTls, Header, LogExporterModel, MetricExporterModel, OtlpGrpc, OtlpHttp,
    SpanExporterModel, TemporalityModel, Tls,
};
use super::plan::Reading;
use crate::document::tree::Path;
use crate::exporter::MlflowExporterBuilder;
use crate::mlflow::tracking_uri::percent_decode;
use crate::store::rest::TlsConfig;

/// Longer than anything takes: what 0 means as a timeout.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A timeout in milliseconds.
pub(super) fn timeout(milliseconds: Option<u64>, otherwise: Duration) -> Duration {
    match milliseconds {
        None => otherwise,
        Some(0) => NO_LIMIT,
        Some(milliseconds) => Duration::from_millis(milliseconds),
    }
}

pub(super) fn of_spans(model: SpanExporterModel, path: &Path, reading: &mut Reading<'_>) -> Option<Exporter> {
    let mut found =
        plain(model.otlp_http, model.otlp_grpc, model.console.is_some(), Signal::Traces, path, reading);
    if let Some(config) = model.mlflow {
        let here = path.key("mlflow");
        for (key, message) in config.validate() {
            reading.complain(&here.dotted(&key), &message);
        }
        found.push(Exporter::Mlflow(Box::new(MlflowExporterBuilder::from_config(*config))));
    }
    reading.exactly_one(found, path, "`otlp_http`, `otlp_grpc`, `console` or `mlflow`")
}

pub(super) fn of_logs(model: LogExporterModel, path: &Path, reading: &mut Reading<'_>) -> Option<Exporter> {
    let found = plain(model.otlp_http, model.otlp_grpc, model.console.is_some(), Signal::Logs, path, reading);
    reading.exactly_one(found, path, "`otlp_http`, `otlp_grpc` or `console`")
}

/// The exporter, and which temporality it asks for.
pub(super) fn of_metrics(
    model: MetricExporterModel,
    path: &Path,
    reading: &mut Reading<'_>,
) -> Option<(Exporter, Option<Temporality>)> {
    let wanted = [
        model.otlp_http.as_ref().and_then(|http| http.temporality_preference),
        model.otlp_grpc.as_ref().and_then(|grpc| grpc.temporality_preference),
    ];
    let temporality =
        wanted.into_iter().flatten().next().map_or(Temporality::Cumulative, |wanted| match wanted {
            TemporalityModel::Cumulative => Temporality::Cumulative,
            TemporalityModel::Delta => Temporality::Delta,
            TemporalityModel::LowMemory => Temporality::LowMemory,
        });
    let http = model.otlp_http.map(|http| OtlpHttp {
        endpoint: http.endpoint,
        tls: http.tls,
        headers: http.headers,
        headers_list: http.headers_list,
        compression: http.compression,
        timeout: http.timeout,
        encoding: http.encoding,
    });
    let grpc = model.otlp_grpc.map(|grpc| OtlpGrpc {
        endpoint: grpc.endpoint,
        tls: grpc.tls,
        headers: grpc.headers,
        headers_list: grpc.headers_list,
        compression: grpc.compression,
        timeout: grpc.timeout,
    });
    let found = plain(http, grpc, model.console.is_some(), Signal::Metrics, path, reading);
    let exporter = reading.exactly_one(found, path, "`otlp_http`, `otlp_grpc` or `console`")?;
    Some((exporter, Some(temporality)))
}

/// What all signals have.
fn plain(
    http: Option<OtlpHttp>,
    grpc: Option<OtlpGrpc>,
    console: bool,
    signal: Signal,
    path: &Path,
    reading: &mut Reading<'_>,
) -> Vec<Exporter> {
    let mut found = Vec::new();
    if let Some(http) = http {
        found.push(over_http(http, signal, &path.key("otlp_http"), reading));
    }
    if let Some(grpc) = grpc {
        found.push(over_grpc(grpc, &path.key("otlp_grpc"), reading));
    }
    if console {
        found.push(Exporter::Console);
    }
    found
}

fn over_http(model: OtlpHttp, signal: Signal, path: &Path, reading: &mut Reading<'_>) -> Exporter {
    let endpoint = model.endpoint.unwrap_or_else(|| format!("http://localhost:4318/v1/{}", signal.lower()));
    let https = endpoint.starts_with("https://");
    if !https && !endpoint.starts_with("http://") {
        reading
            .complain(&path.key("endpoint"), "must begin with http:// or https://, and name the whole path");
    }
    let Tls { ca_file, cert_file, key_file } = model.tls.unwrap_or_default();
    Exporter::Otlp(Box::new(OtlpSettings {
        grpc: false,
        endpoint: Some(endpoint),
        headers: headers(model.headers, model.headers_list),
        compression: compression(model.compression),
        timeout: timeout(model.timeout, TIMEOUT),
        tls: TlsConfig { ca_file, cert_file, key_file, insecure_skip_verify: None },
        https,
    }))
}

fn over_grpc(model: OtlpGrpc, path: &Path, reading: &mut Reading<'_>) -> Exporter {
    let GrpcTls { ca_file, cert_file, key_file, insecure } = model.tls.unwrap_or_default();
    let given = model.endpoint.unwrap_or_else(|| "http://localhost:4317".to_owned());
    let endpoint = match given.split_once("://") {
        Some(("http" | "https", _)) => given,
        Some(_) => {
            reading.complain(&path.key("endpoint"), "must begin with http:// or https://, or have no scheme");
            given
        }
        None if insecure == Some(true) => format!("http://{given}"),
        None => format!("https://{given}"),
    };
    Exporter::Otlp(Box::new(OtlpSettings {
        grpc: true,
        https: endpoint.starts_with("https://"),
        endpoint: Some(endpoint),
        headers: headers(model.headers, model.headers_list),
        compression: compression(model.compression),
        timeout: timeout(model.timeout, TIMEOUT),
        tls: TlsConfig { ca_file, cert_file, key_file, insecure_skip_verify: None },
    }))
}

fn headers(headers: Vec<Header>, list: Option<String>) -> HashMap<String, String> {
    let mut all: HashMap<_, _> = pairs(list.as_deref().unwrap_or_default()).collect();
    all.extend(headers.into_iter().filter_map(|header| header.value.map(|value| (header.name, value))));
    all
}

/// `name=value,name=value`, the values percent-encoded: the form of OpenTelemetry's lists.
pub(super) fn pairs(list: &str) -> impl Iterator<Item = (String, String)> {
    list.split(',').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), percent_decode(value.trim())))
    })
}

fn compression(model: Option<CompressionModel>) -> Option<Compression> {
    match model {
        None | Some(CompressionModel::None) => None,
        Some(CompressionModel::Gzip) => Some(Compression::Gzip),
        Some(CompressionModel::Zstd) => Some(Compression::Zstd),
    }
}
