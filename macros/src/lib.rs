//! Attribute macros of `opentelemetry-mlflow`.
//!
//! Holds no macro yet: the crate exists so that the instrumentation layer can add
//! its attribute macros without moving the package around them.
