//! The worker that brings runs up to date in the background.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::SharedBackend;
use super::open::{Looked, OpenRuns};
use super::refresh::look;
use crate::store::tracking::TrackingError;
use crate::telemetry::TaskGuard;

/// Runs that are looked at at a time.
const AT_A_TIME: usize = 4;
/// How long the worker sleeps at most.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// The task behind the runs.
pub(super) struct Worker {
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts on the current runtime; `alive` tells if the task dies.
    pub(super) fn start(backend: SharedBackend, open: Arc<OpenRuns>, alive: TaskGuard) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            work(backend, open, stopped).await;
            alive.finished();
        });
        Self { stop, task: Mutex::new(Some(task)) }
    }

    /// Looks at the runs with new spans once more, and ends.
    pub(super) async fn stop(&self, timeout: Duration) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if tokio::time::timeout(timeout, &mut task).await.is_err() {
            tracing::warn!("not all runs could be brought up to date; the next start does it");
            task.abort();
        }
    }
}

async fn work(backend: SharedBackend, open: Arc<OpenRuns>, stop: CancellationToken) {
    let every = open.config().idle_timeout;
    let mut next_search = Instant::now();
    while !stop.is_cancelled() {
        if next_search <= Instant::now() {
            adopt(&backend, &open).await;
            next_search = Instant::now() + every;
        }
        if look_at_due(&backend, &open, false).await {
            continue;
        }
        let until = open.next_due().unwrap_or_else(|| Instant::now() + LONGEST_SLEEP).min(next_search);
        tokio::select! {
            () = stop.cancelled() => {}
            () = open.wake.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
    // What fails is given up after some attempts, so this ends.
    while look_at_due(&backend, &open, true).await {}
}

/// Takes over runs that somebody has left open: this gateway before a restart, or another one.
async fn adopt(backend: &SharedBackend, open: &OpenRuns) {
    match backend.open_runs(open.config().max_open).await {
        Ok(found) => {
            for run_id in found {
                open.adopt(&run_id);
            }
        }
        Err(error) => tracing::debug!(%error, "cannot look for open runs now"),
    }
}

/// Looks at some runs; false if none is due.
async fn look_at_due(backend: &SharedBackend, open: &OpenRuns, all: bool) -> bool {
    let jobs = open.take_due(AT_A_TIME, all, Instant::now());
    if jobs.is_empty() {
        return false;
    }
    let looks = jobs.into_iter().map(async |mut job| {
        let started = Instant::now();
        let looked = match look(backend.as_ref(), open.config(), &mut job).await {
            Ok(looked) => looked,
            Err(TrackingError::NotFound { .. } | TrackingError::Deleted { .. }) => Looked::Gone,
            // An old server: it would say the same again.
            Err(error @ TrackingError::Unsupported { .. }) => {
                tracing::warn!(%error, run_id = job.run_id, "a run stays empty");
                Looked::Gone
            }
            Err(error) => {
                tracing::warn!(%error, run_id = job.run_id, "a run could not be brought up to date");
                Looked::Failed
            }
        };
        open.looked(job, looked, started.elapsed(), Instant::now());
    });
    join_all(looks).await;
    true
}
