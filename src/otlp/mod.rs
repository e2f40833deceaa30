//! The OpenTelemetry protocol (OTLP) for traces: wire messages, and reading them from bytes.
//!
//! Knows the protocol and nothing else: no I/O, no async, no MLflow. What a receiver hands to the
//! pipeline is a value of [`model::ExportTraceServiceRequest`].
//!
//! ```text
//! bytes ── decode_protobuf | decode_json ──> Decoded { request, refusals } ── answer ──> bytes
//! ```
//!
//! A span that cannot be read or has no identity is left out alone and reported as a [`Refusal`];
//! only a body whose envelope cannot be read is a [`DecodeError`].

pub mod model;
pub mod pieces;
pub mod status;

mod answer;
mod decode;
mod elements;
mod footprint;
mod json;
mod protobuf;
mod refusal;
mod shrink;
#[cfg(test)]
pub(crate) mod testing;
mod validate;

pub use answer::{Encoding, answer, partial_success};
pub use decode::{DecodeError, Decoded, decode};
pub use footprint::{footprint, span_footprint};
pub use json::decode_json;
pub use protobuf::decode_protobuf;
pub use refusal::Refusal;
pub use shrink::{CUT_FROM_BYTES, Oversized, Shrunk, shrink};
