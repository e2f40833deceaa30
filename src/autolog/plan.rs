//! What is to be set up, wherever that was written: in the environment, in code or in a file.

use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::trace::{self, SpanLimits};

use super::otlp::OtlpSettings;
use super::views::View;
use crate::exporter::MlflowExporterBuilder;

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub(super) fn lower(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    pub(super) fn upper(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }
}

/// Where a signal may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Otlp,
    Console,
    Mlflow,
}

/// How the context travels between services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Propagation {
    TraceContext,
    Baggage,
}

impl Propagation {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "tracecontext" => Some(Self::TraceContext),
            "baggage" => Some(Self::Baggage),
            _ => None,
        }
    }
}

/// An exporter that is still to be made.
#[derive(Debug)]
pub(super) enum Exporter {
    Otlp(Box<OtlpSettings>),
    Console,
    Mlflow(Box<MlflowExporterBuilder>),
}

/// When an exporter gets what it exports.
#[derive(Debug)]
pub(super) enum Mode<B> {
    Batch {
        config: B,
        /// How long an export may take.
        timeout: Duration,
    },
    /// At once, on the thread that ends the span.
    Simple,
}

#[derive(Debug)]
pub(super) struct Processor<B> {
    pub(super) mode: Mode<B>,
    pub(super) exporter: Exporter,
}

#[derive(Debug)]
pub(super) struct Reader {
    /// None is the SDK's, and its environment variable's.
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Duration,
    pub(super) temporality: Option<Temporality>,
    pub(super) exporter: Exporter,
}

#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) processors: Vec<Processor<trace::BatchConfig>>,
    /// None is the SDK's, and its environment variables'.
    pub(super) sampler: Option<Box<dyn trace::ShouldSample>>,
    pub(super) limits: Option<SpanLimits>,
    /// What the first span of a trace says of its experiment, for whoever routes by it.
    pub(super) experiment: Option<String>,
}

/// Everything. A signal without exporters is not set up at all.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) resource: Resource,
    pub(super) propagation: Vec<Propagation>,
    pub(super) traces: Traces,
    pub(super) readers: Vec<Reader>,
    pub(super) views: Vec<View>,
    pub(super) logs: Vec<Processor<logs::BatchConfig>>,
}
