//! The metrics that need no judge.

use super::{EvaluationMetric, Naming, Sample, Score};
#[cfg(feature = "tokens")]
use crate::evaluate::tokens::Encoding;
use crate::evaluate::{Aggregation, BoxError, readability};
use crate::store::BoxFuture;

/// The metrics that MLflow takes for a kind of model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelType {
    /// `question-answering`: tokens, both grade levels, exact match. Python's also has toxicity, by a model that
    /// it downloads.
    QuestionAnswering,
    /// `text`: tokens and both grade levels.
    Text,
}

impl ModelType {
    /// Its metrics, in MLflow's order.
    pub fn metrics(self) -> Vec<BuiltIn> {
        let mut metrics = Vec::new();
        #[cfg(feature = "tokens")]
        metrics.push(token_count());
        metrics.extend([flesch_kincaid_grade_level(), ari_grade_level()]);
        if self == Self::QuestionAnswering {
            metrics.push(exact_match());
        }
        metrics
    }
}

/// Whether the answer is the target: `exact_match/v1`, the share of rows where it is.
pub fn exact_match() -> BuiltIn {
    BuiltIn::new("exact_match", |sample| {
        sample.target.map(|target| f64::from(u8::from(target == sample.prediction)))
    })
    .with(Some("v1"), Naming::MeanOnly, &[Aggregation::Mean])
}

/// The Automated Readability Index of the answer: `ari_grade_level/v1`.
pub fn ari_grade_level() -> BuiltIn {
    BuiltIn::new("ari_grade_level", |sample| sample.text().map(readability::ari_grade_level)).with(
        Some("v1"),
        Naming::Scores,
        Aggregation::STANDARD,
    )
}

/// The Flesch-Kincaid grade level of the answer: `flesch_kincaid_grade_level/v1`.
pub fn flesch_kincaid_grade_level() -> BuiltIn {
    let grade = |sample: Sample<'_>| sample.text().map(readability::flesch_kincaid_grade_level);
    BuiltIn::new("flesch_kincaid_grade_level", grade).with(Some("v1"), Naming::Scores, Aggregation::STANDARD)
}

/// Tokens of the answer by [`Encoding::Cl100kBase`]: the column `token_count`. As in MLflow it has no version,
/// and nothing of it is logged as a metric.
#[cfg(feature = "tokens")]
pub fn token_count() -> BuiltIn {
    token_count_by(Encoding::default())
}

/// [`token_count`] by another encoding.
#[cfg(feature = "tokens")]
pub fn token_count_by(encoding: Encoding) -> BuiltIn {
    #[expect(clippy::cast_precision_loss, reason = "no text has 2^53 tokens")]
    let count = move |sample: Sample<'_>| sample.text().map(|text| encoding.count(text) as f64);
    BuiltIn::new("token_count", count).with(None, Naming::Bare, &[])
}

/// How long the answer took, in seconds: `latency`. 0 for recorded predictions, as in MLflow. Rows are answered
/// side by side unless the evaluation's concurrency is 1, which a loaded model may feel.
pub fn latency() -> BuiltIn {
    let seconds = |sample: Sample<'_>| Some(sample.latency.unwrap_or_default().as_secs_f64());
    BuiltIn::new("latency", seconds).with(None, Naming::Bare, Aggregation::STANDARD)
}

/// What the answer cost in US dollars, where the model says so: `cost`, and `cost/sum` of all rows.
pub fn cost() -> BuiltIn {
    const AGGREGATIONS: &[Aggregation] =
        &[Aggregation::Mean, Aggregation::Variance, Aggregation::P90, Aggregation::Sum];
    BuiltIn::new("cost", |sample| sample.cost).with(None, Naming::Bare, AGGREGATIONS)
}

/// A metric of this crate; made by the functions of [`metrics`](super).
pub struct BuiltIn {
    name: &'static str,
    version: Option<&'static str>,
    naming: Naming,
    aggregations: &'static [Aggregation],
    score: Box<dyn Fn(Sample<'_>) -> Option<f64> + Send + Sync>,
}

impl BuiltIn {
    fn new(name: &'static str, score: impl Fn(Sample<'_>) -> Option<f64> + Send + Sync + 'static) -> Self {
        let (naming, aggregations) = (Naming::Scores, Aggregation::STANDARD);
        Self { name, version: None, naming, aggregations, score: Box::new(score) }
    }

    fn with(
        mut self,
        version: Option<&'static str>,
        naming: Naming,
        aggregations: &'static [Aggregation],
    ) -> Self {
        (self.version, self.naming, self.aggregations) = (version, naming, aggregations);
        self
    }
}

impl std::fmt::Debug for BuiltIn {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("BuiltIn").field(&self.name).finish()
    }
}

impl EvaluationMetric for BuiltIn {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> Option<&str> {
        self.version
    }

    fn aggregations(&self) -> &[Aggregation] {
        self.aggregations
    }

    fn naming(&self) -> Naming {
        self.naming
    }

    fn score<'a>(&'a self, sample: Sample<'a>) -> BoxFuture<'a, Result<Score, BoxError>> {
        let score = (self.score)(sample);
        Box::pin(std::future::ready(Ok(score.into())))
    }
}
