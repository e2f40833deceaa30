//! What came out: metrics, and a table with a row for each example.

use std::sync::Arc;

use serde_json::{Value, json};

use super::EvaluationMetric;
use super::metrics::{Naming, Score, full_name};
use crate::mlflow::entities::Dataset;
use crate::tracking::Table;

/// The column of what went wrong in a row.
const ERROR: &str = "error";
/// The metric of how many rows went wrong; there only if some did.
const ERRORS: &str = "errors";

/// The results of an evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    metrics: Vec<(String, f64)>,
    columns: Vec<(String, Vec<Value>)>,
    dataset: Dataset,
    model_ids: Vec<String>,
    failed: usize,
}

/// The answers and scores of one model.
pub(super) struct Scored {
    pub(super) metrics: Vec<Arc<dyn EvaluationMetric>>,
    pub(super) rows: Vec<RowResult>,
    pub(super) model_id: Option<String>,
}

/// One row of them; a score for each metric.
pub(super) struct RowResult {
    pub(super) output: Value,
    pub(super) scores: Vec<Score>,
    pub(super) error: Option<String>,
}

impl RowResult {
    /// A row without an answer.
    pub(super) fn failed(error: String, metrics: usize) -> Self {
        Self { output: Value::Null, scores: vec![Score::default(); metrics], error: Some(error) }
    }
}

impl Evaluated {
    pub(super) fn new(columns: Vec<(String, Vec<Value>)>, dataset: Dataset) -> Self {
        Self { columns, dataset, ..Self::default() }
    }

    /// Adds what came of one model, under names that begin with the prefix.
    pub(super) fn with(mut self, scored: &Scored, prefix: &str, outputs: &str) -> Self {
        let answers = scored.rows.iter().map(|row| row.output.clone());
        self.columns.push((format!("{prefix}{outputs}"), answers.collect()));
        for (index, metric) in scored.metrics.iter().enumerate() {
            let scores: Vec<&Score> = scored.rows.iter().filter_map(|row| row.scores.get(index)).collect();
            self.add(metric.as_ref(), &scores, &format!("{prefix}{}", full_name(metric.as_ref())));
        }
        let failed = scored.rows.iter().filter(|row| row.error.is_some()).count();
        if failed > 0 {
            let errors = scored.rows.iter().map(|row| json!(row.error));
            self.columns.push((format!("{prefix}{ERROR}"), errors.collect()));
            #[expect(clippy::cast_precision_loss, reason = "no table has 2^53 rows")]
            self.metrics.push((format!("{prefix}{ERRORS}"), failed as f64));
        }
        self.failed += failed;
        self.model_ids.extend(scored.model_id.clone());
        self
    }

    fn add(&mut self, metric: &dyn EvaluationMetric, scores: &[&Score], name: &str) {
        let column = match metric.naming() {
            Naming::Scores => Some(format!("{name}/score")),
            Naming::Bare => Some(name.to_owned()),
            Naming::MeanOnly => None,
        };
        if let Some(column) = column {
            self.columns.push((column, scores.iter().map(|score| number(score.value)).collect()));
        }
        if scores.iter().any(|score| score.justification.is_some()) {
            let reasons = scores.iter().map(|score| json!(score.justification));
            self.columns.push((format!("{name}/justification"), reasons.collect()));
        }
        let values: Vec<f64> = scores.iter().filter_map(|score| score.value).collect();
        for aggregation in metric.aggregations() {
            let Some(value) = aggregation.of(&values) else { continue };
            let name = match metric.naming() {
                Naming::MeanOnly => name.to_owned(),
                _ => format!("{name}/{}", aggregation.as_str()),
            };
            self.metrics.push((name, value));
        }
    }

    /// The metrics, by the names that MLflow shows.
    pub fn metrics(&self) -> &[(String, f64)] {
        &self.metrics
    }

    /// A metric, such as `ari_grade_level/v1/mean`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }

    /// The table, with a row for each example: the columns of the examples, the targets, the answers, the scores,
    /// and `error` if a row went wrong.
    pub fn table(&self) -> Table {
        let mut table = Table::new(self.columns.iter().map(|(name, _)| name));
        let rows = self.columns.first().map_or(0, |(_, values)| values.len());
        for row in 0..rows {
            let values = self.columns.iter().map(|(_, values)| values.get(row).cloned().unwrap_or_default());
            // Each row is made of as many columns as the table has.
            let _ = table.push(values.collect());
        }
        table
    }

    /// The examples, as the run shows them among its inputs.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// A column of the table.
    pub fn column(&self, name: &str) -> Option<&[Value]> {
        self.columns.iter().find(|(found, _)| found == name).map(|(_, values)| values.as_slice())
    }

    /// How many rows went wrong, in the model or in a metric; of a comparison, those of all models.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// The logged models that answered.
    pub fn model_ids(&self) -> &[String] {
        &self.model_ids
    }
}

/// A whole number without its point, as tokens and judges count.
fn number(value: Option<f64>) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 alone come here")]
    match value {
        Some(whole) if whole.fract() == 0.0 && whole.abs() < 9e15 => json!(whole as i64),
        other => json!(other),
    }
}
