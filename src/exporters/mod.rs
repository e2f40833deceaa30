//! Where the spans of a pipeline go.

#[cfg(feature = "gateway")]
pub mod debug;
pub mod mlflow;
#[cfg(feature = "gateway")]
pub mod otlp;
pub mod queued;
