//! OpenTelemetry-native GenAI tracing for MLflow.

pub mod semconv;

#[cfg(feature = "gateway")]
pub mod commands;
#[cfg(feature = "gateway")]
pub mod config;
#[cfg(feature = "gateway")]
pub mod exporters;
#[cfg(feature = "gateway")]
pub mod mapping;
#[cfg(feature = "gateway")]
pub mod mlflow;
#[cfg(feature = "gateway")]
pub mod otlp;
#[cfg(feature = "gateway")]
pub mod pipeline;
#[cfg(feature = "gateway")]
pub mod receivers;
#[cfg(feature = "gateway")]
pub mod store;
#[cfg(feature = "gateway")]
pub mod telemetry;
#[cfg(feature = "gateway")]
pub mod units;
