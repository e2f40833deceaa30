//! Where the spans of a pipeline go.

pub mod mlflow;
