//! OTLP messages as prost structs, written by hand from `opentelemetry-proto` v1.7.0.
//!
//! Eleven messages do not earn a protobuf compiler in everybody's build. Field numbers are checked
//! by the golden requests under `tests/golden`, which the official Python package encoded.

mod common;
mod service;
mod trace;

pub use common::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, Resource, any_value};
pub use service::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
pub use trace::{ResourceSpans, ScopeSpans, Span, Status, span};
