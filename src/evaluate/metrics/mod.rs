//! Metrics: those of MLflow, by the same names, and the trait for one's own.

mod built_in;

use std::time::Duration;

use serde_json::Value;

pub use built_in::{
    BuiltIn, ModelType, ari_grade_level, cost, exact_match, flesch_kincaid_grade_level, latency,
};
#[cfg(feature = "tokens")]
pub use built_in::{token_count, token_count_by};

use super::{Aggregation, BoxError, Row};
use crate::store::BoxFuture;

/// What a metric sees of a row.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The whole row of the examples, targets included.
    pub row: &'a Row,
    /// What was answered.
    pub prediction: &'a Value,
    /// What should have been answered, where the examples have targets.
    pub target: Option<&'a Value>,
    /// How long the answer took; `None` for recorded predictions.
    pub latency: Option<Duration>,
    /// What the answer cost in US dollars, where that is known.
    pub cost: Option<f64>,
}

impl Sample<'_> {
    /// The answer, if it is text.
    pub fn text(&self) -> Option<&str> {
        self.prediction.as_str()
    }
}

/// What a metric says of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The score; `None` if the metric does not apply to the row.
    pub value: Option<f64>,
    /// Why.
    pub justification: Option<String>,
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self { value: Some(value), justification: None }
    }
}

impl From<Option<f64>> for Score {
    fn from(value: Option<f64>) -> Self {
        Self { value, justification: None }
    }
}

/// Under which names MLflow shows a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// The column `name/score` in the table, the metrics `name/mean` and so on.
    #[default]
    Scores,
    /// The column `name` in the table, the metrics `name/mean` and so on.
    Bare,
    /// No column in the table; one metric `name`, the mean.
    MeanOnly,
}

/// A metric: scores the answer of one row at a time.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::evaluate::{BoxError, EvaluationMetric, Sample, Score};
/// use opentelemetry_mlflow::store::BoxFuture;
///
/// struct Sentences;
///
/// impl EvaluationMetric for Sentences {
///     fn name(&self) -> &str {
///         "sentences"
///     }
///
///     fn score<'a>(&'a self, sample: Sample<'a>) -> BoxFuture<'a, Result<Score, BoxError>> {
///         let count = sample.text().map(|text| text.matches('.').count() as f64);
///         Box::pin(async move { Ok(count.into()) })
///     }
/// }
/// ```
pub trait EvaluationMetric: Send + Sync {
    /// Name, such as `exact_match`.
    fn name(&self) -> &str;

    /// Version, such as `v1`; where there is one, MLflow shows `name/version`.
    fn version(&self) -> Option<&str> {
        None
    }

    /// What is logged of the scores of all rows.
    fn aggregations(&self) -> &[Aggregation] {
        Aggregation::STANDARD
    }

    /// Under which names the scores are shown.
    fn naming(&self) -> Naming {
        Naming::Scores
    }

    /// The columns of the examples that the metric reads; without one of them the evaluation is refused.
    fn columns(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Scores a row.
    ///
    /// # Errors
    ///
    /// What kept it from scoring. The row has no score of this metric then, and the error's text in its column
    /// `error`.
    fn score<'a>(&'a self, sample: Sample<'a>) -> BoxFuture<'a, Result<Score, BoxError>>;
}

/// Name and version, as MLflow shows them.
pub(super) fn full_name(metric: &dyn EvaluationMetric) -> String {
    match metric.version() {
        Some(version) => format!("{}/{version}", metric.name()),
        None => metric.name().to_owned(),
    }
}
