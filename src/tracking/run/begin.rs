//! How a run begins: made, resumed, or offline.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::context;
use super::options::{Parent, RunLimits, StartRun};
use super::queue::Shared;
use super::worker::{Place, Worker};
use crate::mlflow::entities::{Lifecycle, LogBatch, RunInfo, RunStatus, RunUpdate, Tag};
use crate::store::rest::{RestStore, RetryConfig};
use crate::store::tracking::{TrackingError, TrackingStore};
use crate::tracking::client::{Client, now_ms};
use crate::tracking::spool::{Create, ExperimentRef, RUN_KEY, Record, Spool, experiment_id};

const RUN_NAME: &str = "mlflow.runName";
const PARENT_RUN_ID: &str = "mlflow.parentRunId";
/// How long to wait before the start is tried again, within its time.
const AGAIN: Duration = Duration::from_millis(500);

/// A start, with all that is known about it.
struct Plan {
    opening: Opening,
    experiment: ExperimentRef,
    limits: RunLimits,
}

enum Opening {
    Create(Create),
    Resume { run_id: String, name: Option<String>, tags: Vec<(String, String)> },
}

/// Begins the run and its worker. Runs on the thread of the runs.
pub(super) async fn begin(
    client: Client,
    start: StartRun,
) -> Result<(Arc<Shared>, ExperimentRef), TrackingError> {
    let store = own_connections(client.store())?;
    let key = format!("{:013}-{:016x}", now_ms(), rand::random::<u64>());
    let spool = start.spool.clone().unwrap_or_default();
    let plan = plan(&client, start, &key)?;
    let shared = Arc::new(Shared::new(key, plan.limits.queue_bytes));
    let place = match online(store.as_ref(), &plan).await {
        Ok(run) => {
            let run_id = run.run_id.clone();
            // Nothing else sets it before the worker runs.
            let _ = shared.run.set(run);
            deliver_leftovers(Arc::clone(&store), spool.clone());
            Place::Online { run_id }
        }
        Err(error) if error.is_passing() => {
            tracing::warn!(%error, spool = %spool.folder().display(), "MLflow cannot be reached: the run starts offline");
            Place::Offline { opening: plan.opening.records(), since: Instant::now() }
        }
        Err(error) => return Err(error),
    };
    let worker = Worker::new(store, Arc::clone(&shared), place, spool, plan.limits);
    tokio::spawn(worker.run());
    Ok((shared, plan.experiment))
}

/// Tries until the time for the start is over.
async fn online(store: &dyn TrackingStore, plan: &Plan) -> Result<RunInfo, TrackingError> {
    let begun = Instant::now();
    loop {
        let left = plan.limits.start.saturating_sub(begun.elapsed());
        let error = match limited(left, plan.opening.open(store)).await {
            Err(error) if error.is_passing() => error,
            outcome => return outcome,
        };
        // A run may have been made by a call whose answer was lost: its key is looked for later.
        let lost = matches!(plan.opening, Opening::Create(_)) && begun.elapsed() >= AGAIN;
        if lost || begun.elapsed() + AGAIN >= plan.limits.start {
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn plan(client: &Client, start: StartRun, key: &str) -> Result<Plan, TrackingError> {
    let experiment = start.experiment.clone().unwrap_or_else(|| default_experiment(client));
    let limits = start.limits;
    let resumed = start.run_id.clone().or_else(|| match &start.parent {
        Parent::None => run_id_of_environment(),
        _ => None,
    });
    if let Some(run_id) = resumed {
        if run_id.is_empty() {
            return Err(TrackingError::invalid("the id of the run to resume is empty"));
        }
        let opening = Opening::Resume { run_id, name: start.name, tags: start.tags };
        return Ok(Plan { opening, experiment, limits });
    }
    let mut tags = context::tags();
    let mut parent_key = None;
    match start.parent {
        Parent::None => {}
        Parent::Id(id) => tags.push((PARENT_RUN_ID.to_owned(), id)),
        Parent::Key(key) => parent_key = Some(key),
    }
    tags.extend(start.name.iter().map(|name| (RUN_NAME.to_owned(), name.clone())));
    tags.push((RUN_KEY.to_owned(), key.to_owned()));
    for (key, value) in start.tags {
        tags.retain(|(existing, _)| *existing != key);
        tags.push((key, value));
    }
    let user = tags.iter().find(|(key, _)| key == context::USER).map(|(_, user)| user.clone());
    let create = Create {
        experiment: experiment.clone(),
        name: start.name,
        user_id: user.unwrap_or_default(),
        start_time_ms: now_ms(),
        tags,
        parent_key,
    };
    Ok(Plan { opening: Opening::Create(create), experiment, limits })
}

impl Opening {
    async fn open(&self, store: &dyn TrackingStore) -> Result<RunInfo, TrackingError> {
        match self {
            Self::Create(create) if create.parent_key.is_some() => Err(TrackingError::Unavailable {
                message: "the parent run is offline".to_owned(),
                after: None,
                source: None,
            }),
            Self::Create(create) => {
                let experiment_id = experiment_id(store, &create.experiment).await?;
                Ok(store.create_run(create.to_new_run(experiment_id)).await?.info)
            }
            Self::Resume { run_id, name, tags } => resume(store, run_id, name.as_deref(), tags).await,
        }
    }

    /// The same for the spool.
    fn records(self) -> Vec<Record> {
        match self {
            Self::Create(create) => vec![Record::Create(create)],
            Self::Resume { run_id, tags, .. } => {
                let tags = tags.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
                let batch = LogBatch { tags, ..LogBatch::default() };
                let mut records = vec![Record::Run(run_id), Record::Resumed];
                if !batch.is_empty() {
                    records.push(Record::Log((&batch).into()));
                }
                records
            }
        }
    }
}

async fn resume(
    store: &dyn TrackingStore,
    run_id: &str,
    name: Option<&str>,
    tags: &[(String, String)],
) -> Result<RunInfo, TrackingError> {
    let run = store.get_run(run_id).await?;
    if run.info.lifecycle == Lifecycle::Deleted {
        return Err(TrackingError::Deleted {
            message: format!("the run {run_id} is in the recycle bin: restore it before it goes on"),
        });
    }
    // MLflow keeps the old end where none is given; it is replaced at the new end.
    let update = RunUpdate {
        status: Some(RunStatus::Running),
        end_time_ms: run.info.end_time_ms,
        name: name.map(str::to_owned),
    };
    let info = store.update_run(run_id, update).await?;
    if !tags.is_empty() {
        let tags = tags.iter().map(|(key, value)| Tag::new(key, value)).collect();
        store.log_batch(run_id, LogBatch { tags, ..LogBatch::default() }).await?;
    }
    Ok(info)
}

/// `MLFLOW_RUN_ID` is for the first run of the process; MLflow's client removes it then.
fn run_id_of_environment() -> Option<String> {
    static USED: AtomicBool = AtomicBool::new(false);
    let run_id = std::env::var("MLFLOW_RUN_ID").ok().filter(|run_id| !run_id.is_empty())?;
    (!USED.swap(true, Ordering::Relaxed)).then_some(run_id)
}

/// The experiment of runs that name none.
fn default_experiment(client: &Client) -> ExperimentRef {
    let start = client.start();
    match (&start.name, &start.id) {
        (Some(name), _) => ExperimentRef::Name(name.clone()),
        (None, Some(id)) => ExperimentRef::Id(id.clone()),
        (None, None) => ExperimentRef::Id("0".to_owned()),
    }
}

/// The same store over connections that the thread of the runs serves; those of the application stand
/// still while it computes. Retries are the worker's.
fn own_connections(store: &Arc<dyn TrackingStore>) -> Result<Arc<dyn TrackingStore>, TrackingError> {
    /// Runs of the same client share connections.
    static KNOWN: Mutex<Vec<(Weak<dyn TrackingStore>, RestStore)>> = Mutex::new(Vec::new());
    let Some(server) = store.server() else { return Ok(Arc::clone(store)) };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(original, _)| original.strong_count() > 0);
    let same = |original: &Weak<dyn TrackingStore>| {
        original.upgrade().is_some_and(|original| Arc::ptr_eq(&original, store))
    };
    if let Some((_, own)) = known.iter().find(|(original, _)| same(original)) {
        return Ok(Arc::new(own.clone()));
    }
    let once = RetryConfig { max_elapsed_time: Duration::from_millis(1), ..RetryConfig::default() };
    let own = server.with_own_connections(once)?;
    known.push((Arc::downgrade(store), own.clone()));
    Ok(Arc::new(own))
}

/// Delivers what earlier runs left for this server.
fn deliver_leftovers(store: Arc<dyn TrackingStore>, spool: Spool) {
    let Some(target) = store.server().map(|server| server.server().to_owned()) else { return };
    tokio::spawn(async move {
        for path in spool.files().unwrap_or_default() {
            match Spool::deliver(store.as_ref(), &path, Some(&target)).await {
                Ok(delivered) => {
                    tracing::info!(run = %delivered.run_id, entries = delivered.entries, "the spool is delivered");
                }
                Err(error) => tracing::debug!(%error, "a file stays in the spool"),
            }
        }
    });
}

async fn limited<T>(
    time: Duration,
    call: impl Future<Output = Result<T, TrackingError>>,
) -> Result<T, TrackingError> {
    match tokio::time::timeout(time, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(TrackingError::Unavailable {
            message: "MLflow does not answer".to_owned(),
            after: None,
            source: None,
        }),
    }
}
