//! The attribute macros and the manual API, with in-memory exporters of the SDK.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agents;
mod content;
mod endings;
mod functions;
mod manual;
#[cfg(feature = "gateway")]
mod mlflow;
mod telemetry;
