//! The `otel-mlflow` collector.
fn main() {}
