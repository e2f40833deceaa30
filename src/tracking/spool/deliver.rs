//! From the spool to MLflow.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::{Create, ExperimentRef, Record};
use super::{Head, Spool, SpoolFile, VERSION};
use crate::mlflow::entities::{LogBatch, NewExperiment, RunStatus, RunUpdate, Search, Tag};
use crate::store::tracking::{TrackingError, TrackingStore};

/// Run tag: the key under which a run is found again that may have been made already.
pub(crate) const RUN_KEY: &str = "otel_mlflow.run_key";
/// Run tag of MLflow: the run that a nested run belongs to.
const PARENT_RUN_ID: &str = "mlflow.parentRunId";
/// How long one call may take.
const CALL: Duration = Duration::from_secs(60);
/// If MLflow has refused so many entries of a batch and taken none, it takes none of the rest.
const HOPELESS: u64 = 32;

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The run that it went to.
    pub run_id: String,
    /// Metrics, parameters and tags that MLflow has now.
    pub entries: u64,
    /// Those that MLflow refused for good.
    pub refused: u64,
    /// Lines that could not be read: a process was killed while it wrote them.
    pub torn: u64,
}

/// Why a file is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process writes or delivers it.
    #[error("{} is in use by another process, which delivers it itself", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is for another server.
    #[error("{} is for {}", path.display(), target.as_deref().unwrap_or("a database"))]
    OtherTarget {
        /// The file.
        path: PathBuf,
        /// Address of that server; none for a database.
        target: Option<String>,
    },
    /// The file cannot be read or removed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is no file of the spool, or of a later version of this program.
    #[error("{} {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// MLflow did not take it; it stays where it is.
    #[error("{}: {source}", path.display())]
    Mlflow {
        /// The file.
        path: PathBuf,
        /// What MLflow says.
        #[source]
        source: TrackingError,
    },
}

impl Spool {
    /// The address of the server that a file is for, without credentials; none for a database.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn target(path: &Path) -> Result<Option<String>, SpoolError> {
        Ok(head(&open(path)?)?.target)
    }

    /// Delivers a file to MLflow, and removes it. `target` refuses files that are for another server.
    ///
    /// # Errors
    ///
    /// If the file cannot be delivered as a whole; it is then still there, and can be delivered again.
    pub async fn deliver(
        store: &dyn TrackingStore,
        path: &Path,
        target: Option<&str>,
    ) -> Result<Delivered, SpoolError> {
        let file = open(path)?;
        let head = head(&file)?;
        if target.is_some() && head.target.as_deref() != target {
            return Err(SpoolError::OtherTarget { path: path.to_owned(), target: head.target });
        }
        let delivered = deliver(store, &file).await?;
        file.remove().map_err(|source| SpoolError::File { path: path.to_owned(), source })?;
        Ok(delivered)
    }
}

fn open(path: &Path) -> Result<SpoolFile, SpoolError> {
    match Spool::open(path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(SpoolError::InUse { path: path.to_owned() }),
        Err(source) => Err(SpoolError::File { path: path.to_owned(), source }),
    }
}

fn head(file: &SpoolFile) -> Result<Head, SpoolError> {
    let path = file.path().to_owned();
    let first = file.lines().and_then(|mut lines| lines.next());
    match first.map_err(|source| SpoolError::File { path: path.clone(), source })? {
        Some(Record::Head(head)) if head.version == VERSION => Ok(head),
        Some(Record::Head(_)) => {
            Err(SpoolError::Format { path, why: "is of a newer version: deliver it with that" })
        }
        _ => Err(SpoolError::Format { path, why: "does not begin as a file of the spool does" }),
    }
}

/// Delivers what an open file holds.
pub(crate) async fn deliver(store: &dyn TrackingStore, file: &SpoolFile) -> Result<Delivered, SpoolError> {
    let key = head(file)?.key;
    let path = file.path();
    let failed = |source| SpoolError::File { path: path.to_owned(), source };
    let refused = |source| SpoolError::Mlflow { path: path.to_owned(), source };
    let mut lines = file.lines().map_err(failed)?;
    let mut done = Delivered::default();
    while let Some(record) = lines.next().map_err(failed)? {
        match record {
            Record::Head(_) => {}
            Record::Run(run_id) => done.run_id = run_id,
            Record::Create(create) => {
                done.run_id = find_or_create(store, &key, &create).await.map_err(refused)?;
            }
            Record::Resumed => {
                let running = RunUpdate { status: Some(RunStatus::Running), ..RunUpdate::default() };
                limited(store.update_run(&done.run_id, running)).await.map_err(refused)?;
            }
            Record::Log(entries) => {
                let batch = LogBatch::from(entries);
                let size = batch.len() as u64;
                let refusals = limited(log_isolating(store, &done.run_id, batch)).await.map_err(refused)?;
                done.refused += refusals.count;
                done.entries += size - refusals.count;
            }
            Record::End(end) => {
                limited(store.update_run(&done.run_id, end.to_update())).await.map_err(refused)?;
            }
        }
    }
    done.torn = lines.torn();
    Ok(done)
}

/// The run of this key, made if there is none.
async fn find_or_create(
    store: &dyn TrackingStore,
    key: &str,
    create: &Create,
) -> Result<String, TrackingError> {
    let experiment_id = limited(experiment_id(store, &create.experiment)).await?;
    if let Some(run_id) = find(store, &experiment_id, key).await? {
        return Ok(run_id);
    }
    let mut new = create.to_new_run(experiment_id);
    if let Some(parent_key) = &create.parent_key {
        match find(store, &new.experiment_id, parent_key).await? {
            Some(parent) => new.tags.push(Tag::new(PARENT_RUN_ID, parent)),
            None => tracing::warn!("the parent of a nested run is not in MLflow: the run stands alone"),
        }
    }
    Ok(limited(store.create_run(new)).await?.info.run_id)
}

async fn find(
    store: &dyn TrackingStore,
    experiment_id: &str,
    key: &str,
) -> Result<Option<String>, TrackingError> {
    let search = Search {
        experiment_ids: vec![experiment_id.to_owned()],
        filter: Some(format!("tags.`{RUN_KEY}` = '{key}'")),
        max_results: Some(1),
        ..Search::default()
    };
    match limited(store.search_runs(search)).await {
        Ok(page) => Ok(page.items.into_iter().next().map(|run| run.info.run_id)),
        // Without a search nothing can be found; a second run is better than none.
        Err(TrackingError::Unsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The id of an experiment, which is made if it has a name and is missing.
pub(crate) async fn experiment_id(
    store: &dyn TrackingStore,
    wanted: &ExperimentRef,
) -> Result<String, TrackingError> {
    let name = match wanted {
        ExperimentRef::Id(id) => return Ok(id.clone()),
        ExperimentRef::Name(name) => name,
    };
    if let Some(found) = store.find_experiment(name).await? {
        return Ok(found.experiment_id);
    }
    let new = NewExperiment { name: name.clone(), ..NewExperiment::default() };
    match store.create_experiment(new).await {
        // Somebody else was faster.
        Err(TrackingError::AlreadyExists { message }) => match store.find_experiment(name).await? {
            Some(found) => Ok(found.experiment_id),
            None => Err(TrackingError::AlreadyExists { message }),
        },
        outcome => outcome,
    }
}

/// What MLflow does not take of a batch.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(crate) count: u64,
    /// What it said first.
    pub(crate) message: Option<String>,
}

/// Logs a batch; of one that MLflow refuses, all but the entries that it refuses alone.
///
/// # Errors
///
/// What does not concern the entries.
pub(crate) async fn log_isolating(
    store: &dyn TrackingStore,
    run_id: &str,
    batch: LogBatch,
) -> Result<Refusals, TrackingError> {
    let mut refusals = Refusals::default();
    let mut taken = false;
    let mut waiting = vec![batch];
    while let Some(batch) = waiting.pop() {
        match store.log_batch(run_id, batch.clone()).await {
            Ok(()) => taken = true,
            Err(TrackingError::Invalid { message }) => {
                if batch.len() > 1 && (taken || refusals.count < HOPELESS) {
                    let (first, second) = halves(batch);
                    waiting.extend([second, first]);
                } else {
                    refusals.count += batch.len() as u64;
                    refusals.message.get_or_insert(message);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refusals)
}

/// Both halves, in order, neither of them empty. Parameters come first, as MLflow writes them first.
fn halves(batch: LogBatch) -> (LogBatch, LogBatch) {
    let mut left = batch.len() / 2;
    let mut first = batch;
    let mut second = LogBatch::default();
    let mut cut = |length: usize| {
        let kept = left.min(length);
        left -= kept;
        kept
    };
    second.params = first.params.split_off(cut(first.params.len()));
    second.metrics = first.metrics.split_off(cut(first.metrics.len()));
    second.tags = first.tags.split_off(cut(first.tags.len()));
    (first, second)
}

/// A call that hangs is one that fails.
async fn limited<T>(call: impl Future<Output = Result<T, TrackingError>>) -> Result<T, TrackingError> {
    match tokio::time::timeout(CALL, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(TrackingError::Unavailable {
            message: format!("MLflow did not answer within {} s", CALL.as_secs()),
            after: None,
            source: None,
        }),
    }
}
