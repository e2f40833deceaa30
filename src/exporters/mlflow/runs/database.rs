//! Runs in MLflow's database: ids are our own, so a run is inserted if absent.

use std::path::PathBuf;
use std::sync::Arc;

use super::backend::RunBackend;
use super::files::{Files, write_file};
use crate::mapping::runs::{Evaluation, RunKey, StoredRunTrace, TraceVersion};
use crate::mlflow::entities::{NewRun, RunInfo};
use crate::store::sql::SqlStore;
use crate::store::tracking::{Answer, TrackingError, TrackingStore};

/// A database.
pub(in crate::exporters::mlflow) struct DatabaseBackend {
    pub(in crate::exporters::mlflow) store: Arc<SqlStore>,
    /// Where a server would keep what is at `mlflow-artifacts:/`.
    pub(in crate::exporters::mlflow) artifacts: Option<PathBuf>,
}

impl RunBackend for DatabaseBackend {
    fn tracking(&self) -> &dyn TrackingStore {
        self.store.as_ref()
    }

    fn ensure<'a>(&'a self, key: &'a RunKey, new: NewRun) -> Answer<'a, String> {
        Box::pin(async move { Ok(self.store.create_run_once(&key.run_id(), new).await?.info.run_id) })
    }

    fn settle<'a>(&'a self, _: &'a str) -> Answer<'a, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn traces<'a>(&'a self, run: &'a RunInfo) -> Answer<'a, Vec<TraceVersion>> {
        self.store.run_traces(&run.run_id)
    }

    fn stored(&self, trace_ids: Vec<String>) -> Answer<'_, Vec<StoredRunTrace>> {
        self.store.stored_run_traces(trace_ids)
    }

    fn open_runs(&self, most: usize) -> Answer<'_, Vec<String>> {
        self.store.open_gateway_runs(i64::try_from(most).unwrap_or(i64::MAX))
    }

    fn put_file<'a>(&'a self, run: &'a RunInfo, name: &'a str, text: String) -> Answer<'a, bool> {
        Box::pin(async move {
            match Files::of(&run.artifact_uri, self.artifacts.as_deref()) {
                Files::Local(folder) => write_file(folder, name.to_owned(), text).await.map(|()| true),
                Files::Proxied(_) | Files::Elsewhere => Ok(false),
            }
        })
    }

    fn assess(&self, evaluation: Evaluation) -> Answer<'_, ()> {
        let id = format!("a-{}", evaluation.id);
        Box::pin(async move {
            match self.store.create_assessment_once(id, evaluation.assessment).await {
                Ok(_) => Ok(()),
                // Its trace was refused, which its sender has heard.
                Err(TrackingError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}
