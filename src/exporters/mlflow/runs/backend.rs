//! What runs need of MLflow, beyond what every tracking store can do.

use std::sync::Arc;

use crate::mapping::runs::{Evaluation, RunKey, StoredRunTrace, TraceVersion};
use crate::mlflow::entities::{NewRun, RunInfo};
use crate::store::tracking::{Answer, TrackingStore};

/// One way to MLflow.
pub(in crate::exporters::mlflow) trait RunBackend:
    Send + Sync + 'static
{
    /// What every tracking store can do.
    fn tracking(&self) -> &dyn TrackingStore;

    /// The id of the run with this key, made if there is none. However many gateways ask, all come to
    /// use one run.
    fn ensure<'a>(&'a self, key: &'a RunKey, new: NewRun) -> Answer<'a, String>;

    /// The run that has taken this one's place: where two gateways made a run of one key each, one of
    /// them goes, and its traces move.
    fn settle<'a>(&'a self, run_id: &'a str) -> Answer<'a, Option<String>>;

    /// The traces of a run, as they are now.
    fn traces<'a>(&'a self, run: &'a RunInfo) -> Answer<'a, Vec<TraceVersion>>;

    /// Traces with their spans.
    fn stored(&self, trace_ids: Vec<String>) -> Answer<'_, Vec<StoredRunTrace>>;

    /// Runs that gateways have made and not ended, at most so many.
    fn open_runs(&self, most: usize) -> Answer<'_, Vec<String>>;

    /// Writes a small file among a run's artifacts. False if this gateway cannot reach them.
    fn put_file<'a>(&'a self, run: &'a RunInfo, name: &'a str, text: String) -> Answer<'a, bool>;

    /// Creates an assessment, if it is not there.
    fn assess(&self, evaluation: Evaluation) -> Answer<'_, ()>;
}

/// A way to MLflow that is shared.
pub(in crate::exporters::mlflow) type SharedBackend = Arc<dyn RunBackend>;
