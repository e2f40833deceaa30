//! The client: one connection to MLflow, for everything that is tracked.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::TrackingError;
use super::connect::{ClientBuilder, Start};
use crate::store::tracking::TrackingStore;

/// A connection to MLflow. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    store: Arc<dyn TrackingStore>,
    start: Arc<Start>,
}

impl Client {
    /// A client over a store that is open already.
    pub fn new(store: Arc<dyn TrackingStore>) -> Self {
        Self::starting_from(store, Start::default())
    }

    pub(super) fn starting_from(store: Arc<dyn TrackingStore>, start: Start) -> Self {
        Self { store, start: Arc::new(start) }
    }

    /// Connects to a tracking URI: `http(s)://…` of an MLflow server, `databricks`, or
    /// `databricks://profile`. Credentials, TLS and workspace come from MLflow's environment
    /// variables. A server is not asked anything yet, so that one that is down is no error here.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Configuration`] if the address or the environment cannot be used, and
    /// [`TrackingError::Unsupported`] for what is no tracking store of this build.
    pub async fn connect(tracking_uri: &str) -> Result<Self, TrackingError> {
        Self::builder().tracking_uri(tracking_uri).connect().await
    }

    /// Connects to `MLFLOW_TRACKING_URI`, and takes `MLFLOW_EXPERIMENT_NAME` or
    /// `MLFLOW_EXPERIMENT_ID` as the experiment of runs that name none.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub async fn from_env() -> Result<Self, TrackingError> {
        Self::builder().connect().await
    }

    /// A client with settings of its own.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn TrackingStore> {
        &self.store
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("start", &self.start).finish_non_exhaustive()
    }
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
