//! Results on a run.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{EvaluateError, Evaluated};
use crate::mlflow::entities::{DatasetInput, LogBatch, Metric, ModelInput};
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// The table of results, as MLflow names it.
pub const EVAL_RESULTS_TABLE: &str = "eval_results_table.json";

impl Evaluated {
    /// Logs the results to a run, as MLflow's evaluation does: the metrics, the table
    /// [`EVAL_RESULTS_TABLE`], the examples as the run's dataset and the logged models that answered.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Log`] if MLflow or the artifacts of the run refuse or do not answer.
    pub async fn log(&self, client: &Client, run_id: &str) -> Result<(), EvaluateError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let metrics = self.metrics().iter();
        let metrics =
            metrics.map(|(key, value)| Metric { key: key.clone(), value: *value, timestamp_ms, step: 0 });
        let batch = LogBatch { metrics: metrics.collect(), ..LogBatch::default() };
        client.store().log_batch(run_id, batch).await?;
        client.log_table(run_id, &self.table(), EVAL_RESULTS_TABLE).await?;
        self.log_inputs(client, run_id).await?;
        Ok(())
    }

    /// The models apart from the dataset: MLflow 2 has none.
    async fn log_inputs(&self, client: &Client, run_id: &str) -> Result<(), TrackingError> {
        let dataset = DatasetInput { dataset: self.dataset().clone(), tags: Vec::new() };
        client.store().log_inputs(run_id, vec![dataset], Vec::new()).await?;
        let models: Vec<_> = self.model_ids().iter().map(|id| ModelInput { model_id: id.clone() }).collect();
        if models.is_empty() {
            return Ok(());
        }
        match client.store().log_inputs(run_id, Vec::new(), models).await {
            Err(TrackingError::Unsupported { .. }) => Ok(()),
            other => other,
        }
    }
}
