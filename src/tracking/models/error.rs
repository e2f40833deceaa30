//! Why a model was not logged, loaded or run.

use crate::mlflow::model::ModelError;
use crate::store::tracking::TrackingError;

/// A model that could not be logged, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// The model itself is the trouble.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// MLflow is.
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    /// The endpoint that serves the model is not known.
    #[error("{message}")]
    Endpoint {
        /// What to set.
        message: String,
    },
    /// The endpoint did not answer, or not with a prediction.
    #[error("the model did not predict: {message}")]
    Prediction {
        /// What it said.
        message: String,
        /// The error below.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl ModelsError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Tracking(error) if error.is_passing())
    }
}
