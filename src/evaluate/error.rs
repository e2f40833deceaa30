//! Why an evaluation did not take place. What goes wrong in one row is in that row of the result.

use crate::store::tracking::TrackingError;
use crate::tracking::models::ModelsError;

/// Any error, of a model, a judge or a metric of the caller's own.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An evaluation that did not take place, or was not logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// A column that the evaluation needs is not in the table.
    #[error("the examples have no column `{column}`; they have: {columns}")]
    NoColumn {
        /// What is missing.
        column: String,
        /// What is there.
        columns: String,
    },
    /// There is nothing to evaluate.
    #[error("the examples have no rows")]
    Empty,
    /// Two models, or two metrics, under one name.
    #[error("`{0}` is there twice; give each its own name")]
    Twice(String),
    /// A logged model could not be loaded.
    #[error("the model could not be loaded: {0}")]
    Model(#[from] ModelsError),
    /// The results could not be logged.
    #[error("the results could not be logged: {0}")]
    Log(#[from] TrackingError),
}
