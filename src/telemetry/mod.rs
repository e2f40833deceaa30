//! What the collector says about itself: metrics, logs, health, and the admin server that shows them.
//!
//! Anybody may call it; it knows nobody.

#[cfg(feature = "gateway")]
mod admin;
mod health;
#[cfg(feature = "gateway")]
mod logs;
mod losses;
mod metrics;
#[cfg(feature = "gateway")]
mod panics;
mod process;
mod processors;
mod queue;

#[cfg(feature = "gateway")]
pub use admin::{AdminConfig, AdminServer, Readiness};
pub use health::{ComponentHealth, Health, HealthHandle, TaskGuard};
#[cfg(feature = "gateway")]
pub use logs::{LogEncoding, LogLevel, LogsConfig, TelemetryConfig, init_logs, set_log_level};
pub use losses::LossLog;
pub use metrics::{ExporterMetrics, InFlight, Metrics, ReceiverMetrics, Transport};
#[cfg(feature = "gateway")]
pub use panics::watch_panics;
pub use processors::ProcessorMetrics;
pub use queue::{QueueFigures, QueueLoss, QueueMetrics};

/// The handles that components need to say how they are: cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// Numbers.
    pub metrics: Metrics,
    /// Readiness.
    pub health: Health,
}

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, where the build knows it: see `build.rs`.
pub const COMMIT: Option<&str> = option_env!("OTEL_MLFLOW_COMMIT");
