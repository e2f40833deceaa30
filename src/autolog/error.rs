//! Why autolog cannot start, or could not finish.

use crate::document::problem::Problems;
use crate::exporter::ExporterError;

/// Why [`Autolog::start`](super::Autolog::start) did nothing. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutologError {
    /// There is a guard already.
    #[error("autolog runs already in this process; keep the first guard, or drop it before starting again")]
    AlreadyStarted,
    /// A variable has a value that cannot be used.
    #[error("{variable} is `{value}`{hint}")]
    Variable {
        /// Its name.
        variable: String,
        /// Its value.
        value: String,
        /// What would be right.
        hint: String,
    },
    /// The exporter to MLflow cannot be made.
    #[error(transparent)]
    Mlflow(#[from] ExporterError),
    /// The exporter to an OTLP endpoint cannot be made.
    #[error("OTLP for {signal}: {reason}")]
    Otlp {
        /// `traces`, `metrics` or `logs`.
        signal: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The configuration file cannot be used.
    #[error("the configuration file cannot be used:\n{problems}")]
    File {
        /// Everything that is wrong with it, with file, line and column.
        problems: Problems,
    },
    /// The system gives no thread.
    #[error("cannot start a thread for exports: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why telemetry was not delivered completely when it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// It takes too long.
    #[error("telemetry was not delivered in {0:?}; what waits is tried again until the guard is dropped")]
    Timeout(std::time::Duration),
    /// A destination does not take it.
    #[error("telemetry was not delivered: {0}")]
    Failed(String),
}
