//! OpenTelemetry-native GenAI tracing for [MLflow](https://mlflow.org).
//!
//! Most users want the collector: `cargo gateway` runs the binary `otel-mlflow`, which takes OTLP
//! in and writes MLflow traces. The README says how to plug it in.
//!
//! A service that calls OpenAI wants `autolog`: one call sets providers and exporters up. `exporter` is
//! the part of it that writes to MLflow inside the process, without a collector.
//!
//! As a library, the default features give the names of the GenAI and MLflow conventions
//! ([`semconv`]) and nothing else. The feature `gateway` gives the parts of the collector, which
//! stand on their own: `otlp` decodes requests, `mapping` turns them into MLflow's rows without
//! any I/O, `store` writes those to a server or, with the features `sqlite` and `postgres`, into a
//! database.

pub mod semconv;

#[cfg(feature = "instrument")]
pub mod genai;
#[cfg(feature = "instrument")]
pub mod instrument;

#[cfg(feature = "autolog")]
pub mod autolog;

#[cfg(feature = "macros")]
pub use opentelemetry_mlflow_macros::{agent, tool, traced, workflow};

/// What the attribute macros expand to; no interface.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use crate::instrument::span::function::*;
}

#[cfg(feature = "gateway")]
pub mod commands;
#[cfg(feature = "gateway")]
pub mod config;
#[cfg(any(feature = "autolog", feature = "gateway"))]
mod document;
#[cfg(feature = "exporter")]
pub mod exporter;
#[cfg(feature = "_backend")]
pub mod exporters;
#[cfg(feature = "_backend")]
pub mod mapping;
#[cfg(feature = "_backend")]
pub mod mlflow;
#[cfg(feature = "_backend")]
pub mod otlp;
#[cfg(feature = "_backend")]
pub mod pipeline;
#[cfg(feature = "gateway")]
pub mod receivers;
#[cfg(feature = "_backend")]
pub mod store;
#[cfg(feature = "_backend")]
pub mod telemetry;
#[cfg(feature = "_backend")]
mod tls;
#[cfg(feature = "_backend")]
pub mod units;
