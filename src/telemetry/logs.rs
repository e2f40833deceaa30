//! The collector's own logs: to standard error, as text or as one JSON object per line.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, Registry, reload};

/// `service.telemetry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector's own logs.
    pub logs: LogsConfig,
}

/// `service.telemetry.logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// The least grave messages that are written.
    pub level: LogLevel,
    /// How they are written.
    pub encoding: LogEncoding,
}

/// Gravity of a log message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What happens to each request.
    Debug,
    /// What starts, stops and changes.
    #[default]
    Info,
    /// What an operator should look at.
    Warn,
    /// What failed.
    Error,
}

/// Form of a log message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogEncoding {
    /// Text for people.
    #[default]
    Console,
    /// One JSON object per line.
    Json,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

/// Changes what of the process's logs is written.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

fn filter(level: LogLevel) -> Targets {
    // Libraries log each connection and frame: their warnings are enough.
    let others = level.filter().min(LevelFilter::WARN);
    Targets::new()
        .with_default(others)
        .with_target("opentelemetry_mlflow", level.filter())
        .with_target("otel_mlflow", level.filter())
}

/// Writes messages of this gravity and above from now on. Without [`init_logs`] before, does nothing.
pub fn set_log_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // Fails only where the logs are gone.
        let _ = handle.reload(filter(level));
    }
}

/// Starts the process's logs.
///
/// # Errors
///
/// Logs were started before.
pub fn init_logs(config: &LogsConfig) -> Result<(), TryInitError> {
    let (filter, handle) = reload::Layer::new(filter(config.level));
    let writer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match config.encoding {
        LogEncoding::Console => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            writer.with_ansi(colour).with_target(false).boxed()
        }
        LogEncoding::Json => writer.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    // Set already only if the logs were started before, which has failed above.
    let _ = LEVEL.set(handle);
    Ok(())
}
