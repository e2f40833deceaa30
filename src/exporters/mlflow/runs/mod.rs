//! Runs from traces, and assessments from evaluation events.
//!
//! ```text
//! request ─> prepare: runs are made, traces linked to them ─> the spans are written ─> committed
//!                                                                                        │ run ids
//!            worker, after a while: what is stored of the run's traces ─> RunView ─> what is missing is logged
//! ```
//!
//! A run exists before its first trace, and the link is written with the trace, so nothing is lost with
//! the process: the next one finds the runs that are still open and brings them up to date. The worker
//! looks again after each of its writes, so of several gateways the last one leaves the run as it has
//! to be.

mod backend;
mod config;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod database;
mod files;
mod open;
mod refresh;
mod server;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use config::RunsConfig;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use database::DatabaseBackend;
pub(super) use server::ServerBackend;

use super::report::Reporter;
use crate::mapping::TraceUpdate;
use crate::mapping::runs::{Evaluation, RunKey, RunMode, evaluations, run_keys};
use crate::mlflow::entities::{NewRun, Tag};
use crate::pipeline::TraceRequest;
use crate::semconv::otel_mlflow::{RUN_KEY, RUN_MODE, RUN_OF};
use crate::store::StoreError;
use crate::store::tracking::TrackingError;
use backend::SharedBackend;
use open::OpenRuns;
use worker::Worker;

/// Run ids that are remembered; keys come from attributes, so their number has no bound of its own.
const MAX_KNOWN: usize = 20_000;
/// How long the last update of the runs may take when the exporter stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What remains to be done for a request once its spans are stored.
#[derive(Clone, Debug, Default)]
pub(super) struct FollowUp {
    runs: Vec<String>,
    evaluations: Vec<Evaluation>,
}

/// Does what follows from spans: runs, and assessments.
pub(super) struct Follower {
    backend: SharedBackend,
    config: RunsConfig,
    known: Mutex<HashMap<RunKey, String>>,
    /// Held while a run is looked for, so that one process makes it once.
    asking: tokio::sync::Mutex<()>,
    open: Arc<OpenRuns>,
    worker: Option<Worker>,
}

impl Follower {
    /// Starts the worker, where runs are wanted, on the current runtime.
    pub(super) fn start(backend: SharedBackend, config: RunsConfig, reporter: &Reporter) -> Self {
        let open = Arc::new(OpenRuns::new(config.clone()));
        let is_on = config.mode != RunMode::Off;
        let worker =
            is_on.then(|| Worker::start(Arc::clone(&backend), Arc::clone(&open), reporter.task("runs")));
        Self { backend, config, known: Mutex::default(), asking: tokio::sync::Mutex::default(), open, worker }
    }

    /// Whether traces are gathered in runs.
    pub(super) fn makes_runs(&self) -> bool {
        self.worker.is_some()
    }

    /// Adds to each update the run of its trace, which exists when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] if MLflow does not answer. A run that cannot be had for another reason is
    /// done without.
    pub(super) async fn prepare(
        &self,
        request: &TraceRequest,
        updates: &mut [TraceUpdate],
    ) -> Result<FollowUp, StoreError> {
        let mut follow_up = FollowUp { runs: Vec::new(), evaluations: evaluations(&request.body) };
        let mode = self.config.mode;
        if mode == RunMode::Off {
            return Ok(follow_up);
        }
        let keys = run_keys(&request.body, updates, mode, &self.config.attribute);
        for update in updates {
            // Who names a run by its id wants no other.
            let names_one = mode == RunMode::Attribute && !update.run_ids.is_empty();
            if names_one {
                follow_up.runs.extend(update.run_ids.iter().cloned());
            } else if let Some(key) = keys.get(&update.trace_id)
                && let Some(run_id) = self.run_id(key, update.min_start_ms).await?
            {
                follow_up.runs.push(run_id.clone());
                update.run_ids.retain(|known| *known != run_id);
                update.run_ids.push(run_id);
            }
        }
        follow_up.runs.sort();
        follow_up.runs.dedup();
        Ok(follow_up)
    }

    /// The spans of a request are stored.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] if an assessment could not be created now; it may be created again.
    pub(super) async fn committed(&self, follow_up: FollowUp) -> Result<(), StoreError> {
        for run_id in follow_up.runs {
            self.open.touch(run_id).await;
        }
        for evaluation in follow_up.evaluations {
            let (name, trace_id) =
                (evaluation.assessment.name.clone(), evaluation.assessment.trace_id.clone());
            match self.backend.assess(evaluation).await {
                Ok(()) => {}
                Err(error) if error.is_passing() => return Err(retry(error)),
                Err(error) => {
                    tracing::warn!(%error, name, trace_id, "an evaluation event could not be made an assessment");
                }
            }
        }
        Ok(())
    }

    /// Brings the runs up to date and stops the worker.
    pub(super) async fn shutdown(&self) {
        if let Some(worker) = &self.worker {
            worker.stop(STOP_TIMEOUT).await;
        }
    }

    async fn run_id(&self, key: &RunKey, start_time_ms: i64) -> Result<Option<String>, StoreError> {
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let _asking = self.asking.lock().await;
        // Another request may have asked while this one waited.
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let new = NewRun {
            experiment_id: key.experiment_id.to_string(),
            name: Some(self.config.name_of(key.readable())),
            user_id: None,
            start_time_ms,
            tags: vec![
                Tag::new(RUN_KEY, key.run_id()),
                Tag::new(RUN_MODE, key.mode.as_str()),
                Tag::new(RUN_OF, key.readable()),
            ],
        };
        match self.backend.ensure(key, new).await {
            Ok(run_id) => {
                let mut known = self.known();
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                known.insert(key.clone(), run_id.clone());
                Ok(Some(run_id))
            }
            Err(error) if error.is_passing() => Err(retry(error)),
            Err(error) => {
                tracing::warn!(%error, key = key.readable(), "traces have no run");
                Ok(None)
            }
        }
    }

    /// The run of a key, if it is known; none inside where it is gone for good.
    fn remembered(&self, key: &RunKey) -> Option<Option<String>> {
        let known = self.known().get(key).cloned()?;
        Some(self.open.instead_of(known))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<RunKey, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn retry(error: TrackingError) -> StoreError {
    StoreError::retry(error.to_string()).caused_by(error)
}
