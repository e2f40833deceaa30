//! Runs that log in the background and end by themselves.
//!
//! ```text
//! job ── log_metric ──> queue ── thread of ours ──> MLflow
//!                                     └── server down ──> spool ── next start, otel-mlflow import ──> MLflow
//! ```
//!
//! The job never waits for MLflow but at the start and at the end, each for a few seconds at most
//! ([`RunLimits`]), and never fails because of it.

mod begin;
mod context;
mod git;
mod guard;
mod log;
mod options;
mod outcome;
mod queue;
mod thread;
mod worker;

pub use guard::ActiveRun;
pub use log::RunLog;
pub use options::{RunLimits, StartRun};
pub use outcome::Outcome;

#[cfg(test)]
mod tests;
