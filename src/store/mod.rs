//! Where MLflow keeps traces: its database, or its server.
//!
//! A store takes what mapping produced and makes it durable. It never decodes OTLP.

pub mod rest;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod sql;
pub mod tracking;

mod error;
mod experiments;

pub use error::{EmptyDatabase, StoreError};
pub use experiments::{
    BoxFuture, Experiment, ExperimentDirectory, ExperimentResolver, FallbackCause, ResolvedExperiment,
    ResolverOptions,
};
