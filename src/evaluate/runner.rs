//! Runs models over a table, rows side by side up to a bound, and each row for itself.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::dataset;
use super::metrics::{full_name, latency};
use super::results::{Evaluated, RowResult, Scored};
use super::{BoxError, EvaluateError, EvaluationMetric, Model, ModelType, Prediction, Row, Sample, Score};
use crate::store::BoxFuture;
use crate::tracking::Table;

/// Rows that are under way at the same time, unless told otherwise.
const CONCURRENCY: usize = 8;
/// The name of the examples, where they have none of their own.
const DATASET: &str = "dataset";
/// The column of the answers, as MLflow names it.
const OUTPUTS: &str = "outputs";

/// An evaluation: a table, and what to measure of the answers to its rows.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::evaluate::{Evaluation, ModelType, Row, model_fn};
/// use opentelemetry_mlflow::tracking::Table;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let examples = Table::from_columns([
///     ("inputs", vec!["What is the capital of France?"]),
///     ("ground_truth", vec!["Paris."]),
/// ])?;
/// let model = model_fn(|_: Row| async { Ok::<_, std::io::Error>("Paris.") });
/// let results =
///     Evaluation::new(examples).targets("ground_truth").model_type(ModelType::QuestionAnswering).run(&model).await?;
/// assert_eq!(results.metric("exact_match/v1"), Some(1.0));
/// assert!(results.metric("ari_grade_level/v1/mean").is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Evaluation {
    columns: Vec<String>,
    rows: Vec<Row>,
    dataset: String,
    targets: Option<String>,
    metrics: Vec<Arc<dyn EvaluationMetric>>,
    concurrency: usize,
}

impl Evaluation {
    /// An evaluation over these examples, without metrics so far.
    pub fn new(examples: Table) -> Self {
        let columns = examples.columns().to_vec();
        let row = |values: &Vec<Value>| columns.iter().cloned().zip(values.iter().cloned()).collect();
        let rows = examples.rows().iter().map(row).collect();
        let dataset = DATASET.to_owned();
        Self { columns, rows, dataset, targets: None, metrics: Vec::new(), concurrency: CONCURRENCY }
    }

    /// The name under which the run shows the examples as its dataset; `dataset`, as MLflow's, unless told otherwise.
    #[must_use]
    pub fn dataset_name(mut self, name: impl Into<String>) -> Self {
        self.dataset = name.into();
        self
    }

    /// The column of what should be answered. Models do not see it.
    #[must_use]
    pub fn targets(mut self, column: impl Into<String>) -> Self {
        self.targets = Some(column.into());
        self
    }

    /// Adds the metrics that MLflow takes for this kind of model.
    #[must_use]
    pub fn model_type(mut self, kind: ModelType) -> Self {
        self.metrics.extend(kind.metrics().into_iter().map(|metric| Arc::new(metric) as _));
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, metric: impl EvaluationMetric + 'static) -> Self {
        self.metrics.push(Arc::new(metric));
        self
    }

    /// How many rows are answered and scored at the same time: 8 unless told otherwise, and at least 1. A row asks
    /// its judges one after another, so this is also how many calls are open at once.
    #[must_use]
    pub fn concurrency(mut self, rows: usize) -> Self {
        self.concurrency = rows.max(1);
        self
    }

    /// Lets a model answer the rows, and scores its answers.
    ///
    /// # Errors
    ///
    /// [`EvaluateError`] if the table and the metrics do not fit; never for a row, whose error is in the column
    /// `error` of the result.
    pub async fn run(&self, model: &dyn Model) -> Result<Evaluated, EvaluateError> {
        self.check()?;
        let scored = self.scored(Source::Model(model)).await;
        Ok(self.begin(&[]).with(&scored, "", OUTPUTS))
    }

    /// Scores answers that are in the table already, in this column.
    ///
    /// # Errors
    ///
    /// As [`Evaluation::run`].
    pub async fn run_recorded(&self, predictions: &str) -> Result<Evaluated, EvaluateError> {
        self.check()?;
        self.require(predictions)?;
        let scored = self.scored(Source::Column(predictions)).await;
        Ok(self.begin(&[predictions]).with(&scored, "", predictions))
    }

    /// Lets several models answer the same rows, such as `champion` and `challenger`. One table: the columns and
    /// metrics of each model begin with its name and a slash, as MLflow's `metric_prefix` would have it.
    ///
    /// # Errors
    ///
    /// As [`Evaluation::run`], and [`EvaluateError::Twice`] for two models of one name.
    pub async fn compare(&self, models: &[(&str, &dyn Model)]) -> Result<Evaluated, EvaluateError> {
        self.check()?;
        let mut names = Vec::new();
        for (name, _) in models {
            if names.contains(name) {
                return Err(EvaluateError::Twice((*name).to_owned()));
            }
            names.push(*name);
        }
        let mut results = self.begin(&[]);
        for (name, model) in models {
            let scored = self.scored(Source::Model(*model)).await;
            results = results.with(&scored, &format!("{name}/"), OUTPUTS);
        }
        Ok(results)
    }

    fn check(&self) -> Result<(), EvaluateError> {
        if self.rows.is_empty() {
            return Err(EvaluateError::Empty);
        }
        if let Some(targets) = &self.targets {
            self.require(targets)?;
        }
        let mut names = Vec::new();
        for metric in &self.metrics {
            metric.columns().into_iter().try_for_each(|column| self.require(column))?;
            let name = full_name(metric.as_ref());
            if names.contains(&name) {
                return Err(EvaluateError::Twice(name));
            }
            names.push(name);
        }
        Ok(())
    }

    /// The columns of the examples, the targets last, as MLflow orders them.
    fn begin(&self, without: &[&str]) -> Evaluated {
        let is_target = |name: &&String| Some(*name) == self.targets.as_ref();
        let columns = self.columns.iter();
        let columns = columns.filter(|name| !is_target(name) && !without.contains(&name.as_str()));
        let columns = columns.chain(&self.targets);
        let columns = columns.map(|name| (name.clone(), self.column(name))).collect();
        Evaluated::new(columns, dataset::describe(&self.dataset, &self.columns, &self.rows))
    }

    /// Refuses a column that is not there.
    fn require(&self, column: &str) -> Result<(), EvaluateError> {
        if self.columns.iter().any(|name| name == column) {
            return Ok(());
        }
        let (column, columns) = (column.to_owned(), self.columns.join(", "));
        Err(EvaluateError::NoColumn { column, columns })
    }

    fn column(&self, name: &str) -> Vec<Value> {
        self.rows.iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
    }

    async fn scored(&self, source: Source<'_>) -> Scored {
        let rows: Vec<BoxFuture<'_, RowResult>> =
            self.rows.iter().map(|row| Box::pin(self.row(row, source)) as _).collect();
        let rows = stream::iter(rows).buffered(self.concurrency).collect().await;
        let model_id = match source {
            Source::Model(model) => model.model_id().map(str::to_owned),
            Source::Column(_) => None,
        };
        Scored { metrics: self.in_order(), rows, model_id }
    }

    /// Latency first, which MLflow measures before it scores.
    fn in_order(&self) -> Vec<Arc<dyn EvaluationMetric>> {
        let name = latency().name().to_owned();
        let (mut first, rest): (Vec<_>, Vec<_>) =
            self.metrics.iter().cloned().partition(|metric| metric.name() == name);
        first.extend(rest);
        first
    }

    async fn row(&self, row: &Row, source: Source<'_>) -> RowResult {
        let started = Instant::now();
        let answer = match source {
            Source::Model(model) => model.predict(&self.inputs(row)).await,
            Source::Column(name) => recorded(row, name),
        };
        let latency = matches!(source, Source::Model(_)).then(|| started.elapsed());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return RowResult::failed(error.to_string(), self.metrics.len()),
        };
        let target = self.targets.as_ref().and_then(|column| row.get(column));
        let sample = Sample { row, prediction: &answer.output, target, latency, cost: answer.cost };
        let (mut scores, mut errors) = (Vec::new(), Vec::new());
        for metric in self.in_order() {
            scores.push(metric.score(sample).await.unwrap_or_else(|error| {
                errors.push(format!("{}: {error}", full_name(metric.as_ref())));
                Score::default()
            }));
        }
        RowResult { output: answer.output, scores, error: (!errors.is_empty()).then(|| errors.join("; ")) }
    }

    fn inputs(&self, row: &Row) -> Row {
        let mut inputs = row.clone();
        if let Some(targets) = &self.targets {
            inputs.shift_remove(targets);
        }
        inputs
    }
}

/// Where answers come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Model(&'a dyn Model),
    Column(&'a str),
}

fn recorded(row: &Row, column: &str) -> Result<Prediction, BoxError> {
    match row.get(column) {
        None | Some(Value::Null) => Err("nothing is recorded for this row".into()),
        Some(output) => Ok(output.clone().into()),
    }
}
