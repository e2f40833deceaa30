//! Evaluation: how good are the answers of a model to a table of questions?
//!
//! [`Evaluation`] takes a [`Table`](crate::tracking::Table), lets a [`Model`] answer its rows (or takes answers that are in the
//! table already), scores the answers by [`metrics`] and [judges](judge), and gives [`Evaluated`]: metrics and a
//! table under the names of MLflow's `mlflow.evaluate`, equal to what it computes. What goes wrong in a row stays in
//! that row.

mod aggregate;
mod dataset;
mod error;
pub mod judge;
mod log;
#[cfg(feature = "async-openai")]
mod logged;
pub mod metrics;
mod model;
mod readability;
mod results;
mod runner;
#[cfg(feature = "tokens")]
mod tokens;

#[cfg(test)]
#[cfg(feature = "tokens")]
mod tests;

pub use aggregate::Aggregation;
pub use error::{BoxError, EvaluateError};
pub use judge::{Judge, JudgeRequest, JudgedMetric, judge_fn};
pub use log::EVAL_RESULTS_TABLE;
#[cfg(feature = "async-openai")]
pub use logged::LoggedModel;
pub use metrics::{EvaluationMetric, ModelType, Naming, Sample, Score};
pub use model::{Model, Prediction, Row, model_fn};
pub use readability::{ari_grade_level, flesch_kincaid_grade_level};
pub use results::Evaluated;
pub use runner::Evaluation;
#[cfg(feature = "tokens")]
pub use tokens::Encoding;
