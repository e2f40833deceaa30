//! Every operation of the API against a server that behaves as OpenAI's, with the telemetry checked
//! against the files of the registry.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says what it compared"
)]

mod cases;
mod conformance;
mod failures;
mod fake;
mod lax;
mod others;
mod registry;
mod setup;
mod streams;
mod telemetry;
mod unharmed;
