//! The exporters of the file as structs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::model::Empty;
use crate::exporters::mlflow::MlflowConfig;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SpanExporterModel {
    pub(super) otlp_http: Option<OtlpHttp>,
    pub(super) otlp_grpc: Option<OtlpGrpc>,
    pub(super) console: Option<Empty>,
    pub(super) mlflow: Option<Box<MlflowConfig>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogExporterModel {
    pub(super) otlp_http: Option<OtlpHttp>,
    pub(super) otlp_grpc: Option<OtlpGrpc>,
    pub(super) console: Option<Empty>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MetricExporterModel {
    pub(super) otlp_http: Option<OtlpHttpMetrics>,
    pub(super) otlp_grpc: Option<OtlpGrpcMetrics>,
    pub(super) console: Option<Empty>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CompressionModel {
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GrpcTls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    /// Whether an endpoint without a scheme is not encrypted.
    pub(super) insecure: Option<bool>,
}

/// The keys of an OTLP exporter over HTTP, for one kind of signal more or less.
macro_rules! otlp {
    ($name:ident, $tls:ty { $($key:ident: $kind:ty),* }) => {
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct $name {
            pub(super) endpoint: Option<String>,
            pub(super) tls: Option<$tls>,
            pub(super) headers: Vec<Header>,
            /// As `OTEL_EXPORTER_OTLP_HEADERS`; `headers` wins.
            pub(super) headers_list: Option<String>,
            pub(super) compression: Option<CompressionModel>,
            /// In milliseconds; 0 means no limit.
            pub(super) timeout: Option<u64>,
            $(pub(super) $key: Option<$kind>,)*
        }
    };
}

otlp!(OtlpHttp, Tls { encoding: Encoding });
otlp!(OtlpGrpc, GrpcTls {});
otlp!(
    OtlpHttpMetrics,
    Tls {
        encoding: Encoding,
        temporality_preference: TemporalityModel,
        default_histogram_aggregation: DefaultAggregation
    }
);
otlp!(
    OtlpGrpcMetrics,
    GrpcTls { temporality_preference: TemporalityModel, default_histogram_aggregation: DefaultAggregation }
);

/// What the Rust exporter can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    Protobuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TemporalityModel {
    Cumulative,
    Delta,
    LowMemory,
}

/// What the Rust SDK does without views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefaultAggregation {
    ExplicitBucketHistogram,
}
