//! Settings of an exporter: MLflow's environment variables, and what the program says.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::convert::Origin;
use super::error::ExporterError;
use super::io::LazyIo;
use super::queue::{Limits, Queue};
use super::worker::Patience;
use super::{MlflowExporter, Start, WorkerState};
use crate::exporters::mlflow::MlflowConfig;
use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use crate::mapping::prices::PriceCatalogue;
use crate::mapping::routing::Source;
use crate::mlflow::tracking_uri::TrackingUri;
use crate::store::rest::RestStore;

/// Where MLflow's own client writes when nobody says where.
const DEFAULT_URI: &str = "sqlite:///mlflow.db";

/// Builds an [`MlflowExporter`].
///
/// Read from the environment, where the program says nothing: `MLFLOW_TRACKING_URI` (else
/// `sqlite:///mlflow.db`, as MLflow's own client), `MLFLOW_EXPERIMENT_NAME`, `MLFLOW_EXPERIMENT_ID`
/// (else `Default`), and credentials and TLS as MLflow reads them (`MLFLOW_TRACKING_TOKEN`,
/// `MLFLOW_TRACKING_USERNAME`, `MLFLOW_TRACKING_PASSWORD`, `~/.mlflow/credentials`,
/// `MLFLOW_TRACKING_INSECURE_TLS`, `MLFLOW_TRACKING_SERVER_CERT_PATH`,
/// `MLFLOW_TRACKING_CLIENT_CERT_PATH`, `MLFLOW_WORKSPACE`).
///
/// A span may name its experiment itself, with the attribute `mlflow.experiment_name`.
#[derive(Clone, Debug)]
#[must_use]
pub struct MlflowExporterBuilder {
    config: MlflowConfig,
    experiment_id: Option<String>,
    limits: Limits,
    patience: Patience,
    flush_timeout: Duration,
    silent: bool,
    io: Option<Arc<LazyIo>>,
}

impl MlflowExporterBuilder {
    pub(super) fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let uri = variable("MLFLOW_TRACKING_URI").unwrap_or_else(|| DEFAULT_URI.to_owned());
        let mut config = MlflowConfig { tracking_uri: uri.into(), ..MlflowConfig::default() };
        config.experiment.name = variable("MLFLOW_EXPERIMENT_NAME");
        config.experiment.from = vec![Source::span("mlflow.experiment_name")];
        Self { experiment_id: variable("MLFLOW_EXPERIMENT_ID"), ..Self::from_config(config) }
    }

    /// Starts from a configuration of the gateway's exporter instead of the environment.
    pub fn from_config(mut config: MlflowConfig) -> Self {
        // The worker tries again by itself; what the client does on top of it only hides the trouble.
        config.sending_queue = SendingQueueConfig::disabled();
        config.retry_on_failure = RetryOnFailure {
            initial_interval: Duration::from_millis(100),
            max_interval: Duration::from_millis(500),
            max_elapsed_time: Some(Duration::from_secs(1)),
            ..RetryOnFailure::default()
        };
        config.timeout = config.timeout.min(Duration::from_secs(30));
        Self {
            config,
            experiment_id: None,
            limits: Limits { spans: 16_384, bytes: 64 << 20 },
            patience: Patience {
                retry_for: Duration::from_secs(300),
                answer_within: Duration::from_secs(30),
            },
            flush_timeout: Duration::from_secs(10),
            silent: false,
            io: None,
        }
    }

    /// Where MLflow is: `http(s)://host[:port]`, `sqlite:///file.db`, `postgresql://user@host/database`.
    pub fn tracking_uri(mut self, uri: impl Into<String>) -> Self {
        self.config.tracking_uri = SecretString::from(uri.into());
        self
    }

    /// The experiment, by name; created if it does not exist.
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.config.experiment.name = Some(name.into());
        self.config.experiment.id = None;
        self.experiment_id = None;
        self
    }

    /// The experiment, by id; it has to exist.
    pub fn experiment_id(mut self, id: i64) -> Self {
        self.config.experiment.name = None;
        self.config.experiment.id = Some(id);
        self.experiment_id = None;
        self
    }

    /// A file with model prices, in place of the built-in ones.
    pub fn prices(mut self, file: impl Into<PathBuf>) -> Self {
        self.config.prices = Some(file.into());
        self
    }

    /// How long spans are tried again before they are lost. Five minutes by default.
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.patience.retry_for = time;
        self
    }

    /// How long an export may keep the batch processor waiting. Half a minute by default.
    pub fn answer_within(mut self, time: Duration) -> Self {
        self.patience.answer_within = time;
        self
    }

    /// How long `shutdown` and `force_flush` may take where the caller does not say. Ten seconds by
    /// default.
    pub fn flush_timeout(mut self, time: Duration) -> Self {
        self.flush_timeout = time;
        self
    }

    /// How many spans may wait to be written, and how many bytes. 16 384 and 64 MiB by default.
    pub fn max_waiting(mut self, spans: usize, bytes: usize) -> Self {
        self.limits = Limits { spans, bytes };
        self
    }

    /// Whether nothing is written to the application's log. What is lost is still counted.
    pub fn silent(mut self, silent: bool) -> Self {
        self.silent = silent;
        self
    }

    /// The thread to work on.
    #[cfg(feature = "autolog")]
    pub(crate) fn io(mut self, io: Arc<LazyIo>) -> Self {
        self.io = Some(io);
        self
    }

    /// The settings of the exporter.
    #[cfg(all(feature = "autolog", feature = "client"))]
    pub(crate) fn config(&self) -> &MlflowConfig {
        &self.config
    }

    /// The experiment that things belong to which name none.
    #[cfg(all(feature = "autolog", feature = "client"))]
    pub(crate) fn home(&self) -> crate::tracking::models::Home {
        use crate::tracking::models::Home;
        let experiment = &self.config.experiment;
        match (&self.experiment_id, experiment.id, &experiment.name) {
            (Some(id), _, None) => Home::Id(id.trim().to_owned()),
            (_, Some(id), None) => Home::Id(id.to_string()),
            (_, _, name) => Home::Name(name.clone().unwrap_or_else(|| "Default".to_owned())),
        }
    }

    /// The exporter. Connects to nothing: that happens with the first span.
    ///
    /// # Errors
    ///
    /// What cannot work, whatever the state of the destination.
    pub fn build(mut self) -> Result<MlflowExporter, ExporterError> {
        if let Some(id) = self.experiment_id.take() {
            self.config.experiment.id =
                Some(id.trim().parse().map_err(|_| ExporterError::ExperimentId(id.clone()))?);
        }
        if let Some(problem) = self.config.experiment.validate().into_iter().next() {
            return Err(problem.into());
        }
        let uri = TrackingUri::parse(self.config.tracking_uri.expose_secret())?;
        check(&uri, &self.config)?;
        let batch = Limits { spans: self.config.batch.max_spans, bytes: self.config.batch.max_bytes };
        let io = self.io.unwrap_or_else(|| Arc::new(LazyIo::new(self.silent)));
        let start = Start { io, config: self.config, patience: self.patience };
        Ok(MlflowExporter {
            queue: Queue::new(self.limits, batch, self.silent),
            origin: Origin::default(),
            target: uri.to_string(),
            flush_timeout: self.flush_timeout,
            worker: Mutex::new(WorkerState::Idle(Box::new(start))),
        })
    }
}

/// What can be known before the first span.
fn check(uri: &TrackingUri, config: &MlflowConfig) -> Result<(), ExporterError> {
    let missing = match uri {
        TrackingUri::Http(_) => {
            RestStore::connect(config.tracking_uri.expose_secret(), config.rest_options()?)?;
            None
        }
        TrackingUri::Sqlite(_) => (!cfg!(feature = "sqlite")).then_some("sqlite"),
        TrackingUri::Postgresql(_) => (!cfg!(feature = "postgres")).then_some("postgres"),
    };
    if let Some(feature) = missing {
        return Err(ExporterError::NoDriver { uri: uri.to_string(), feature });
    }
    if let Some(path) = &config.prices {
        PriceCatalogue::from_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(builder: MlflowExporterBuilder) -> Result<MlflowExporter, ExporterError> {
        builder.build()
    }

    #[test]
    fn what_cannot_work_is_said_at_once_and_names_the_variable() {
        let plain = || MlflowExporterBuilder::from_config(MlflowConfig::default());
        let cases = [
            (plain().tracking_uri("ftp://x"), "MLFLOW_TRACKING_URI"),
            (plain().tracking_uri("http://"), "host"),
            (plain().experiment(" "), "MLFLOW_EXPERIMENT_NAME"),
            (plain().prices("/nonexistent/prices.json"), "prices"),
        ];
        for (builder, word) in cases {
            let message = built(builder).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn name_and_id_from_the_environment_exclude_each_other() {
        let mut both =
            MlflowExporterBuilder::from_config(MlflowConfig::default()).tracking_uri("http://localhost:1");
        both.config.experiment.name = Some("a".into());
        both.experiment_id = Some("7".into());
        let message = built(both.clone()).unwrap_err().to_string();
        assert!(message.contains("keep one"), "{message}");
        both.experiment_id = Some("seven".into());
        assert!(matches!(built(both.clone()), Err(ExporterError::ExperimentId(_))));
        assert_eq!(built(both.experiment("b")).unwrap().target(), "http://localhost:1");
    }
}
