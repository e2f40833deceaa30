//! Configuration of the `mlflow` exporter.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::assembly::TraceAssemblyConfig;
use super::models::ModelsConfig;
use super::runs::RunsConfig;
use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use crate::mapping::Repairs;
use crate::mapping::prices::{PriceCatalogue, PricesError};
use crate::mapping::routing::ExperimentConfig;
use crate::mlflow::tracking_uri::TrackingUri;
use crate::store::rest::{AuthConfig, Compression, RetryConfig, TlsConfig};

/// Writes traces to MLflow: to a tracking server, or straight into its database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MlflowConfig {
    /// Where MLflow is, as MLflow's own client takes it: `http(s)://host[:port][/prefix]` for a server,
    /// `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host/database` for its database.
    #[schemars(with = "String")]
    pub tracking_uri: SecretString,
    /// Whether to repair what MLflow leaves blank or gets wrong.
    pub compat: Compat,
    /// Which repairs `compat: enriched` makes.
    pub repairs: Repairs,
    /// Which experiment a trace belongs to.
    pub experiment: ExperimentConfig,
    /// Whether the models behind the calls are logged.
    pub models: ModelsConfig,
    /// Which traces share an MLflow run, and what becomes of it.
    pub runs: RunsConfig,
    /// Folder in which a server keeps the artifacts of `mlflow-artifacts:/`, for an exporter that writes into
    /// the server's database: what the server was started with as `--artifacts-destination`. Of an SQLite
    /// file it is `mlartifacts` beside the file, unless said otherwise.
    pub artifacts_destination: Option<PathBuf>,
    /// File with model prices, instead of the built-in ones.
    pub prices: Option<PathBuf>,
    /// Credentials for an MLflow server.
    pub auth: AuthConfig,
    /// TLS towards an MLflow server.
    pub tls: TlsConfig,
    /// Headers to add to every request to an MLflow server.
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, SecretString>,
    /// Workspace on an MLflow server, where the sender names none.
    pub workspace: Option<String>,
    /// Compression towards an MLflow server.
    pub compression: Compression,
    /// How long one request to an MLflow server may take.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// How what MLflow does not take now is sent again. Without the queue: how a failing request to an MLflow
    /// server is, for up to 8 s, before its sender is told to try again.
    pub retry_on_failure: RetryOnFailure,
    /// Requests that are kept, on disk, until MLflow has taken them.
    pub sending_queue: SendingQueueConfig,
    /// How much is written at once.
    pub batch: BatchConfig,
    /// Gathering of a trace's spans before they are written, and the end of traces whose root never comes.
    pub trace_assembly: TraceAssemblyConfig,
}

impl Default for MlflowConfig {
    fn default() -> Self {
        Self {
            tracking_uri: SecretString::from("sqlite:///mlflow.db"),
            compat: Compat::default(),
            repairs: Repairs::default(),
            experiment: ExperimentConfig::default(),
            models: ModelsConfig::default(),
            runs: RunsConfig::default(),
            artifacts_destination: None,
            prices: None,
            auth: AuthConfig::default(),
            tls: TlsConfig::default(),
            headers: BTreeMap::new(),
            workspace: None,
            compression: Compression::default(),
            timeout: Duration::from_secs(60),
            retry_on_failure: default_retry(),
            sending_queue: SendingQueueConfig::default(),
            batch: BatchConfig::default(),
            trace_assembly: TraceAssemblyConfig::default(),
        }
    }
}

/// A sender waits for its answer, most of them for ten seconds: without a queue it has to hear of a failure by then.
const UNQUEUED_RETRY_LIMIT: Duration = Duration::from_secs(8);

fn default_retry() -> RetryOnFailure {
    RetryOnFailure { initial_interval: Duration::from_secs(1), ..RetryOnFailure::default() }
}

/// How close to MLflow's own mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// Row for row what MLflow 3.17.2 stores for the same bytes.
    Strict,
    /// The same, but for a documented list of repairs.
    #[default]
    Enriched,
}

/// How much is in memory to be written at once: what waits while a write is under way shares the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// The most spans of one request to a server, or of what is brought into a database at a time: two transactions
    /// together in PostgreSQL, a part of a transaction in SQLite.
    pub max_spans: usize,
    /// The most bytes of the same.
    #[serde(with = "crate::units::size")]
    #[schemars(with = "String")]
    pub max_bytes: usize,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { max_spans: 8_192, max_bytes: 4 << 20 }
    }
}

impl MlflowConfig {
    /// How the client of a server sends a failing request again. With the queue it bridges a hiccup, and finds out
    /// whether a 500 is the data's fault, which the server does not say; everything else is the queue's.
    pub(super) fn client_retry(&self) -> RetryConfig {
        let RetryOnFailure { enabled, initial_interval, max_interval, max_elapsed_time, .. } =
            self.retry_on_failure;
        if self.sending_queue.enabled {
            return RetryConfig {
                initial_interval: Duration::from_millis(100),
                max_interval: Duration::from_millis(500),
                max_elapsed_time: Duration::from_secs(1),
            };
        }
        let limit = max_elapsed_time.unwrap_or(UNQUEUED_RETRY_LIMIT);
        // Zero would mean for ever.
        let max_elapsed_time = if enabled { limit } else { Duration::from_nanos(1) };
        RetryConfig { initial_interval, max_interval, max_elapsed_time }
    }

    /// Reads the file with prices, if one is named: the number of models in it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has another form.
    pub fn read_prices(&self) -> Option<Result<usize, PricesError>> {
        self.prices.as_deref().map(|path| PriceCatalogue::from_file(path).map(|prices| prices.len()))
    }

    /// What is wrong with the settings as a whole: key, relative to the exporter, and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let experiment = self.experiment.validate().into_iter();
        let mut problems: Vec<_> =
            experiment.map(|problem| ("experiment".to_owned(), problem.to_string())).collect();
        let models = self.models.validate().into_iter();
        problems.extend(models.map(|(key, message)| (format!("models.{key}"), message)));
        let runs = self.runs.validate().into_iter();
        problems.extend(runs.map(|(key, message)| (format!("runs.{key}"), message)));
        problems.extend(self.sending_queue.validate());
        problems.extend(self.retry_on_failure.validate());
        let assembly = self.trace_assembly.validate().into_iter();
        problems.extend(assembly.map(|(key, message)| (format!("trace_assembly.{key}"), message)));
        let mut problem = |key: &str, message: String| problems.push((key.to_owned(), message));
        let (assembly, queue) = (self.trace_assembly, &self.sending_queue);
        if assembly.enabled && queue.enabled && assembly.max_bytes >= queue.in_flight_size {
            let message = format!(
                "must be less than `sending_queue.in_flight_size` ({} bytes): traces would wait for spans that the \
                 queue does not let through",
                queue.in_flight_size
            );
            problem("trace_assembly.max_bytes", message);
        }
        if let Err(error) = TrackingUri::parse(self.tracking_uri.expose_secret()) {
            problem("tracking_uri", error.to_string());
        }
        if self.batch.max_spans == 0 {
            problem("batch.max_spans", "must be at least 1".to_owned());
        }
        if self.batch.max_bytes == 0 {
            problem("batch.max_bytes", "must be at least 1 byte".to_owned());
        }
        problems
    }
}
