//! The OpenTelemetry protocol (OTLP) for traces: wire messages, and reading them from bytes.
//!
//! Knows the protocol and nothing else: no I/O, no async, no MLflow. What a receiver hands to the
//! pipeline is a value of [`model::ExportTraceServiceRequest`].

pub mod model;

mod refusal;

pub use refusal::Refusal;
