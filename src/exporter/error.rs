//! Why an exporter cannot be made.

use crate::mapping::prices::PricesError;
use crate::mapping::routing::InvalidExperiment;
use crate::mlflow::tracking_uri::TrackingUriError;
use crate::store::rest::RestError;

/// Why an exporter cannot be made. Says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExporterError {
    /// The tracking URI says nothing usable.
    #[error("the tracking URI (MLFLOW_TRACKING_URI): {0}")]
    TrackingUri(#[from] TrackingUriError),
    /// The driver for this tracking URI is not compiled in.
    #[error(
        "{uri}: this program was built without the driver; build `opentelemetry-mlflow` with the feature \
         `{feature}`, or set MLFLOW_TRACKING_URI to the http(s):// URI of an MLflow server"
    )]
    NoDriver {
        /// The tracking URI, without credentials.
        uri: String,
        /// The feature that is missing.
        feature: &'static str,
    },
    /// The experiment cannot be one.
    #[error("the experiment (MLFLOW_EXPERIMENT_NAME, MLFLOW_EXPERIMENT_ID): {0}")]
    Experiment(#[from] InvalidExperiment),
    /// The environment names an id that is none.
    #[error(
        "MLFLOW_EXPERIMENT_ID is `{0}`, which is no id; set it to a whole number, or use MLFLOW_EXPERIMENT_NAME"
    )]
    ExperimentId(String),
    /// The file of prices cannot be used.
    #[error("prices: {0}")]
    Prices(#[from] PricesError),
    /// The client of the MLflow server cannot be set up.
    #[error("MLflow's server: {0}")]
    Client(#[from] RestError),
}
