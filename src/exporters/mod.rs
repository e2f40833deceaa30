//! Where the spans of a pipeline go.

pub mod debug;
pub mod mlflow;
pub mod otlp;
