//! From a tracking URI and the environment to a store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::{Client, TrackingError};
use crate::mlflow::tracking_uri::{TrackingUri, databricks_profile};
use crate::store::rest::{RestOptions, RestStore, RetryConfig, databricks, fill_from_environment};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::sql::{SqlOptions, SqlStore};
use crate::store::tracking::TrackingStore;

/// How long a call is repeated before it fails: what MLflow's own client comes to with its seven
/// retries, roughly.
const PATIENCE: Duration = Duration::from_secs(120);

/// The experiment of runs that name none, as it was asked for, and once it is known.
#[derive(Debug, Default)]
pub(super) struct Start {
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
    pub(super) found: OnceCell<String>,
}

/// Settings of a [`Client`]; what is not set comes from MLflow's environment variables.
#[derive(Debug, Default)]
pub struct ClientBuilder {
    tracking_uri: Option<String>,
    experiment_name: Option<String>,
    experiment_id: Option<String>,
    options: Option<RestOptions>,
}

impl ClientBuilder {
    /// Where MLflow is; else `MLFLOW_TRACKING_URI`.
    #[must_use]
    pub fn tracking_uri(mut self, tracking_uri: impl Into<String>) -> Self {
        self.tracking_uri = Some(tracking_uri.into());
        self
    }

    /// The experiment of runs that name none, created when it is first needed; else
    /// `MLFLOW_EXPERIMENT_NAME`, then `MLFLOW_EXPERIMENT_ID`, then MLflow's `Default`.
    #[must_use]
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.experiment_name = Some(name.into());
        self
    }

    /// The experiment of runs that name none, by its id.
    #[must_use]
    pub fn experiment_id(mut self, id: impl Into<String>) -> Self {
        self.experiment_id = Some(id.into());
        self
    }

    /// How to speak to a server: credentials, TLS, workspace, timeouts, retries. The environment
    /// fills what the options leave open.
    #[must_use]
    pub fn rest_options(mut self, options: RestOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect(self) -> Result<Client, TrackingError> {
        self.connect_with(&|name| std::env::var(name).ok().filter(|value| !value.is_empty())).await
    }

    pub(super) async fn connect_with(
        self,
        variable: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Client, TrackingError> {
        let uri = self.tracking_uri.or_else(|| variable("MLFLOW_TRACKING_URI")).ok_or_else(|| {
            configuration(
                "no tracking URI is given: set MLFLOW_TRACKING_URI, or use `Client::connect(\"http://…\")`",
            )
        })?;
        let store = open(&uri, self.options, variable).await?;
        let chosen = self.experiment_name.is_some() || self.experiment_id.is_some();
        let from_env = |name: &str| if chosen { None } else { variable(name) };
        let start = Start {
            name: self.experiment_name.or_else(|| from_env("MLFLOW_EXPERIMENT_NAME")),
            id: self.experiment_id.or_else(|| from_env("MLFLOW_EXPERIMENT_ID")),
            found: OnceCell::new(),
        };
        Ok(Client::starting_from(store, start))
    }
}

/// The one place where a URI becomes a store.
async fn open(
    uri: &str,
    options: Option<RestOptions>,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Arc<dyn TrackingStore>, TrackingError> {
    if let Some(profile) = databricks_profile(uri) {
        let options = match options {
            Some(options) => options,
            None => default_options(variable)?,
        };
        let (host, options) = databricks(profile, options, &variable)?;
        return Ok(Arc::new(RestStore::connect(&host, options)?));
    }
    let parsed = TrackingUri::parse(uri)
        .map_err(|error| TrackingError::Configuration { message: error.to_string(), source: None })?;
    match parsed {
        TrackingUri::Http(_) => {
            let store = RestStore::connect(uri, rest_options(options, variable)?)?;
            Ok(Arc::new(store))
        }
        TrackingUri::Sqlite(_) | TrackingUri::Postgresql(_) => database(&parsed).await,
    }
}

/// A database as a tracking store.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn database(uri: &TrackingUri) -> Result<Arc<dyn TrackingStore>, TrackingError> {
    Ok(Arc::new(SqlStore::connect(uri, SqlOptions::default()).await?))
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
async fn database(uri: &TrackingUri) -> Result<Arc<dyn TrackingStore>, TrackingError> {
    Err(TrackingError::unsupported(format!(
        "this program cannot track to {uri}: build it with `--features sqlite` or `--features postgres`, or give the \
         http:// address of an MLflow server"
    )))
}

/// The options as they are used: from the program, then the environment.
fn rest_options(
    options: Option<RestOptions>,
    variable: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<RestOptions, TrackingError> {
    let mut options = match options {
        Some(options) => options,
        None => default_options(variable)?,
    };
    fill_from_environment(&mut options, variable)?;
    Ok(options)
}

/// A program waits for the answer, so calls fail at some time, unlike those of the gateway.
fn default_options(variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<RestOptions, TrackingError> {
    let retry_on_failure = RetryConfig {
        initial_interval: Duration::from_millis(500),
        max_interval: Duration::from_secs(15),
        max_elapsed_time: PATIENCE,
    };
    let mut options = RestOptions { retry_on_failure, ..RestOptions::default() };
    if let Some(text) = variable("MLFLOW_HTTP_REQUEST_TIMEOUT") {
        let seconds: u64 = text.trim().parse().map_err(|_| {
            configuration(format!("MLFLOW_HTTP_REQUEST_TIMEOUT is `{text}`: give a whole number of seconds"))
        })?;
        options.timeout = Duration::from_secs(seconds);
    }
    Ok(options)
}

fn configuration(message: impl Into<String>) -> TrackingError {
    TrackingError::Configuration { message: message.into(), source: None }
}
