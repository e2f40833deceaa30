//! Traces that MLflow holds: reading, searching, tags.

use serde_json::{Map, Value};

use super::{Client, TrackingError, paging};
use crate::mlflow::entities::{Search, Tag};

impl Client {
    /// A trace as MLflow's API gives it: `info`, with metadata, tags and assessments, and `spans` in
    /// OpenTelemetry's JSON (MLflow 3).
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is none, [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn get_trace(&self, trace_id: &str) -> Result<Map<String, Value>, TrackingError> {
        self.store().get_trace(trace_id).await
    }

    /// All traces that a search finds, each as MLflow's API gives its info (MLflow 3). Without
    /// experiments the client's own is searched.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Invalid`] for a filter that MLflow does not understand,
    /// [`TrackingError::Unsupported`] on MLflow 2.
    pub async fn search_traces(&self, mut search: Search) -> Result<Vec<Map<String, Value>>, TrackingError> {
        if search.experiment_ids.is_empty() {
            search.experiment_ids.push(self.default_experiment_id().await?);
        }
        paging::all(search, |search| self.store().search_traces(search)).await
    }

    /// Sets a tag of a trace.
    ///
    /// # Errors
    ///
    /// [`TrackingError::NotFound`] if there is no such trace, [`TrackingError::Invalid`] for one of
    /// the tags that MLflow keeps about a trace.
    pub async fn set_trace_tag(
        &self,
        trace_id: &str,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), TrackingError> {
        self.store().set_trace_tag(trace_id, Tag::new(key, value)).await
    }

    /// Removes a tag of a trace; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unsupported`] where the store cannot.
    pub async fn delete_trace_tag(&self, trace_id: &str, key: &str) -> Result<(), TrackingError> {
        self.store().delete_trace_tag(trace_id, key).await
    }
}
