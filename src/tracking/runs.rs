//! Runs, and what is logged to them, call by call.

use super::client::now_ms;
use super::{Client, TrackingError, paging};
use crate::mlflow::entities::{
    DatasetInput, LogBatch, Metric, ModelInput, ModelOutput, NewRun, Param, Run, RunInfo, RunStatus,
    RunUpdate, Search, Tag,
};

impl Client {
    /// Creates a run. Without an experiment it belongs to the client's own, without a start it
    /// starts now.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] for an unknown experiment, [`TrackingError::Deleted`] for one in
    /// the recycle bin.
    pub async fn create_run(&self, mut new: NewRun) -> Result<Run, TrackingError> {
        if new.experiment_id.is_empty() {
            new.experiment_id = self.default_experiment_id().await?;
        }
        if new.start_time_ms == 0 {
            new.start_time_ms = now_ms();
        }
        self.store().create_run(new).await
    }

    /// A run, active or deleted, with the last value of each metric.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn get_run(&self, run_id: &str) -> Result<Run, TrackingError> {
        self.store().get_run(run_id).await
    }

    /// Changes status, end or name of a run.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] and [`TrackingError::Deleted`].
    pub async fn update_run(&self, run_id: &str, update: RunUpdate) -> Result<RunInfo, TrackingError> {
        self.store().update_run(run_id, update).await
    }

    /// Ends a run now.
    ///
    /// # Errors
    ///
    /// As [`Self::update_run`].
    pub async fn terminate_run(&self, run_id: &str, status: RunStatus) -> Result<RunInfo, TrackingError> {
        let update = RunUpdate { status: Some(status), end_time_ms: Some(now_ms()), name: None };
        self.store().update_run(run_id, update).await
    }

    /// Moves a run to the recycle bin; one that is there stays there.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn delete_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.store().set_run_deleted(run_id, true).await
    }

    /// Takes a run out of the recycle bin.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none.
    pub async fn restore_run(&self, run_id: &str) -> Result<(), TrackingError> {
        self.store().set_run_deleted(run_id, false).await
    }

    /// All runs that a search finds; `max_results` is the most that come back. Without experiments
    /// the client's own is searched.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand.
    ///
    /// ```no_run
    /// # async fn example(client: opentelemetry_mlflow::tracking::Client)
    /// # -> Result<(), opentelemetry_mlflow::tracking::TrackingError> {
    /// use opentelemetry_mlflow::mlflow::entities::Search;
    ///
    /// let search = Search {
    ///     filter: Some("params.model = 'gpt-4o-mini' AND metrics.rouge > 0.4".to_owned()),
    ///     order_by: vec!["metrics.rouge DESC".to_owned()],
    ///     ..Search::default()
    /// };
    /// let best = client.search_runs(search).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn search_runs(&self, mut search: Search) -> Result<Vec<Run>, TrackingError> {
        if search.experiment_ids.is_empty() {
            search.experiment_ids.push(self.default_experiment_id().await?);
        }
        paging::all(search, |search| self.store().search_runs(search)).await
    }

    /// Logs metrics, parameters and tags together, in as many calls as MLflow's limits ask for.
    /// Values that are too long are cut.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a name that MLflow does not take, before anything is sent,
    /// and for a parameter that has another value already. MLflow keeps what came before the error.
    pub async fn log_batch(&self, run_id: &str, batch: LogBatch) -> Result<(), TrackingError> {
        self.store().log_batch(run_id, batch).await
    }

    /// Logs a parameter, which can be set once.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn log_param(
        &self,
        run_id: &str,
        key: impl Into<String>,
        value: impl ToString,
    ) -> Result<(), TrackingError> {
        self.log_params(run_id, [(key, value)]).await
    }

    /// Logs parameters.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn log_params<K: Into<String>, V: ToString>(
        &self,
        run_id: &str,
        params: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), TrackingError> {
        let params = params
            .into_iter()
            .map(|(key, value)| Param { key: key.into(), value: value.to_string() })
            .collect();
        self.log_batch(run_id, LogBatch { params, ..LogBatch::default() }).await
    }

    /// Logs a measurement of now, at a step of the series.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn log_metric(
        &self,
        run_id: &str,
        key: impl Into<String>,
        value: f64,
        step: i64,
    ) -> Result<(), TrackingError> {
        let metric = Metric { key: key.into(), value, timestamp_ms: now_ms(), step };
        self.log_metrics(run_id, vec![metric]).await
    }

    /// Logs measurements, each with its own time and step.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn log_metrics(&self, run_id: &str, metrics: Vec<Metric>) -> Result<(), TrackingError> {
        self.log_batch(run_id, LogBatch { metrics, ..LogBatch::default() }).await
    }

    /// Sets a tag of a run.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn set_tag(
        &self,
        run_id: &str,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        self.set_tags(run_id, vec![Tag::new(key, value)]).await
    }

    /// Sets tags of a run.
    ///
    /// # Errors
    ///
    /// As [`Self::log_batch`].
    pub async fn set_tags(&self, run_id: &str, tags: Vec<Tag>) -> Result<(), TrackingError> {
        self.log_batch(run_id, LogBatch { tags, ..LogBatch::default() }).await
    }

    /// Removes a tag of a run.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if the run has no such tag.
    pub async fn delete_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        self.store().delete_tag(run_id, key).await
    }

    /// Everything that was measured of a metric, in MLflow's order; nothing for an unknown one.
    ///
    /// # Errors
    ///
    /// As every call: see [`TrackingError`].
    pub async fn metric_history(&self, run_id: &str, key: &str) -> Result<Vec<Metric>, TrackingError> {
        self.store().metric_history(run_id, key).await
    }

    /// Notes the datasets that a run uses.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for what is longer than MLflow's limits.
    pub async fn log_inputs(&self, run_id: &str, datasets: Vec<DatasetInput>) -> Result<(), TrackingError> {
        self.store().log_inputs(run_id, datasets, Vec::new()).await
    }

    /// Notes the logged models that a run uses (MLflow 3).
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn log_model_inputs(&self, run_id: &str, models: Vec<ModelInput>) -> Result<(), TrackingError> {
        self.store().log_inputs(run_id, Vec::new(), models).await
    }

    /// Notes the logged models that a run made (MLflow 3).
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn log_outputs(&self, run_id: &str, models: Vec<ModelOutput>) -> Result<(), TrackingError> {
        self.store().log_outputs(run_id, models).await
    }

    /// Links traces to a run, so that the run's page shows them (MLflow 3).
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn link_traces(&self, run_id: &str, trace_ids: &[String]) -> Result<(), TrackingError> {
        self.store().link_traces(run_id, trace_ids).await
    }
}
