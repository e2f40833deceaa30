//! The guard of a run.

use std::fmt;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::begin;
use super::log::RunLog;
use super::options::{Parent, StartRun};
use super::outcome::Outcome;
use super::thread;
use crate::mlflow::entities::RunStatus;
use crate::store::tracking::TrackingError;
use crate::tracking::artifacts::Artifacts;
use crate::tracking::client::{Client, now_ms};
use crate::tracking::spool::{End, ExperimentRef};
use crate::tracking::table::Table;

/// Beyond its own limits the worker gets this long before a drop gives it up.
const GRACE: Duration = Duration::from_secs(2);

/// A run that is under way, and ends with this value: FINISHED, or FAILED if a panic unwinds through
/// it. Logs like the [`RunLog`] that it derefs to.
///
/// [`Self::finish`] is the good end: it waits without blocking a thread, and says what became of
/// everything. A drop does the same, but blocks its thread until all is delivered, or, if MLflow does
/// not answer, in the spool: a few seconds at most ([`super::RunLimits::end`]).
#[derive(Debug)]
pub struct ActiveRun {
    log: RunLog,
    client: Client,
    start: StartRun,
    experiment: ExperimentRef,
    on_drop: RunStatus,
    ended: bool,
}

impl Client {
    /// Starts a run that logs in the background. If the server is down, the run starts offline: what
    /// it logs is kept in the spool, and the run is made when it is delivered.
    ///
    /// The run gets the standard tags of MLflow's client: user, source, git commit.
    ///
    /// # Errors
    ///
    /// What does not pass: [`TrackingError::NotFound`] and [`TrackingError::Deleted`] for a run or an
    /// experiment, [`TrackingError::Denied`] for credentials, [`TrackingError::Configuration`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(client: opentelemetry_mlflow::tracking::Client)
    /// #     -> Result<(), Box<dyn std::error::Error>> {
    /// let run = client.start_run("training").await?;
    /// run.log_param("optimizer", "adam");
    /// for step in 0..1000 {
    ///     run.log_metric("loss", 1.0 / (step + 1) as f64, step);
    /// }
    /// let outcome = run.finish().await;
    /// assert!(outcome.is_kept());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start_run(&self, start: impl Into<StartRun>) -> Result<ActiveRun, TrackingError> {
        let start = start.into();
        let failed = |message: String| TrackingError::Configuration { message, source: None };
        let handle = thread::handle()
            .map_err(|error| failed(format!("cannot start the thread that logs runs: {error}")))?;
        let begun = handle.spawn(begin::begin(self.clone(), start.clone()));
        let (shared, experiment) =
            begun.await.map_err(|error| failed(format!("the start of the run was stopped: {error}")))??;
        Ok(ActiveRun {
            log: RunLog { shared },
            client: self.clone(),
            start,
            experiment,
            on_drop: RunStatus::Finished,
            ended: false,
        })
    }
}

impl ActiveRun {
    /// A handle that logs to the run, for other threads and tasks. What it logs after the end of the
    /// run is dropped and counted.
    pub fn log(&self) -> RunLog {
        self.log.clone()
    }

    /// Starts a run nested in this one, in the same experiment.
    ///
    /// # Errors
    ///
    /// As [`Client::start_run`].
    pub async fn start_nested(&self, start: impl Into<StartRun>) -> Result<ActiveRun, TrackingError> {
        let mut start = start.into();
        start.parent = match self.run_id() {
            Some(id) => Parent::Id(id.to_owned()),
            None => Parent::Key(self.log.shared.key.clone()),
        };
        start.experiment.get_or_insert_with(|| self.experiment.clone());
        start.spool = start.spool.or_else(|| self.start.spool.clone());
        self.client.start_run(start).await
    }

    /// The run's artifacts.
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unavailable`] while the run is offline, and as [`Artifacts::open`].
    pub fn artifacts(&self) -> Result<Artifacts, TrackingError> {
        match self.log.shared.run.get() {
            Some(run) => self.client.artifacts_at(&run.artifact_uri),
            None => Err(self.offline("its artifacts have")),
        }
    }

    /// Writes a table, as [`Client::log_table`].
    ///
    /// # Errors
    ///
    /// [`TrackingError::Unavailable`] while the run is offline, and as [`Client::log_table`].
    pub async fn log_table(&self, table: &Table, path: &str) -> Result<(), TrackingError> {
        match self.run_id() {
            Some(run_id) => self.client.log_table(run_id, table, path).await,
            None => Err(self.offline("its tables have")),
        }
    }

    /// Has the run end as FAILED, or otherwise, when it is dropped.
    pub fn end_as(&mut self, status: RunStatus) {
        self.on_drop = status;
    }

    /// Ends the run as FINISHED, or as [`Self::end_as`] said, and waits for everything to be
    /// delivered.
    pub async fn finish(self) -> Outcome {
        let status = self.on_drop;
        self.finish_as(status).await
    }

    /// Ends the run as FAILED, and waits for everything to be delivered.
    pub async fn fail(self) -> Outcome {
        self.finish_as(RunStatus::Failed).await
    }

    async fn finish_as(mut self, status: RunStatus) -> Outcome {
        self.ended = true;
        let done = self.log.shared.end(End::new(status, now_ms()));
        done.await.unwrap_or_else(|_| self.log.outcome())
    }

    fn offline(&self, what: &str) -> TrackingError {
        TrackingError::Unavailable {
            message: format!("the run {} is offline: {what} no place yet", self.log.shared.key),
            after: None,
            source: None,
        }
    }

    /// Waits for the worker, which has a thread of its own, as long as it gets on.
    fn wait(&self, done: &Receiver<()>) {
        let patience = self.start.limits.end + GRACE;
        let (mut last, mut since) = (self.log.outcome(), Instant::now());
        loop {
            match done.recv_timeout(Duration::from_millis(100)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = self.log.outcome();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                return tracing::warn!("a run was given up while it was delivered: its end may be missing");
            }
        }
    }
}

impl Deref for ActiveRun {
    type Target = RunLog;

    fn deref(&self) -> &RunLog {
        &self.log
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let status = if std::thread::panicking() { RunStatus::Failed } else { self.on_drop };
        let done = self.log.shared.end(End::new(status, now_ms()));
        let (tell, told) = sync_channel(1);
        let Ok(handle) = thread::handle() else { return };
        handle.spawn(async move {
            // Either way the worker is done.
            drop(done.await);
            let _ = tell.send(());
        });
        self.wait(&told);
    }
}

impl fmt::Display for ActiveRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.run_id().unwrap_or(&self.log.shared.key))
    }
}
