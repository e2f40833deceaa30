//! Logging the models behind calls, in the background: each model once, never in the way of a call.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::ModelsError;
use super::log::{LogModel, LoggedModelInfo};
use crate::mlflow::entities::{NewExperiment, Tag};
use crate::mlflow::model::{ApiCall, CallOptions, OpenAiModel};
use crate::store::BoxFuture;
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// Calls that may wait to be looked at. One too many is let go: its model is called again.
const WAITING: usize = 256;
/// How long to wait before a model is tried again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often a model is tried before the next call of it has to bring it back.
const TRIES: u32 = 6;
/// Traces that may wait to be linked.
const WAITING_LINKS: usize = 1_000;
/// How long to wait between looks for traces, and how often to look for one.
const LINK_PAUSE: Duration = Duration::from_millis(500);
const LINK_TRIES: u32 = 60;

/// Makes the connection to MLflow; called again until it succeeds.
pub(crate) type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Client, TrackingError>> + Send + Sync>;

/// What is logged, and as what.
#[derive(Clone, Debug)]
pub(crate) struct ModelLoggerOptions {
    /// What is kept of calls.
    pub(crate) call: CallOptions,
    /// The name to register models under.
    pub(crate) registered_model_name: Option<String>,
    /// How many different models are logged at most.
    pub(crate) max_models: usize,
    /// Tags of the models.
    pub(crate) tags: Vec<Tag>,
    /// Whether an experiment that does not exist is created.
    pub(crate) create_experiments: bool,
    /// Whether nothing is written to the log.
    pub(crate) silent: bool,
}

/// The experiment that a model goes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    /// By id.
    Id(String),
    /// By name; created if there is none.
    Name(String),
}

/// Calls that were seen, still to be read: here, and not where they were made.
pub(crate) struct Observed {
    /// Reads them.
    pub(crate) read: Box<dyn FnOnce() -> Vec<Seen> + Send>,
}

/// A call that was seen.
pub(crate) struct Seen {
    /// The call.
    pub(crate) call: ApiCall,
    /// The experiment.
    pub(crate) home: Home,
    /// The run around it.
    pub(crate) run_id: Option<String>,
    /// The trace that it is part of, as MLflow names it.
    pub(crate) trace_id: Option<String>,
}

/// Logs models. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ModelLogger {
    queue: mpsc::Sender<Observed>,
    pending: Arc<Pending>,
}

/// Calls that were seen and not worked on yet.
#[derive(Default)]
struct Pending {
    count: Mutex<usize>,
    none: Condvar,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn more(&self) {
        *self.lock() += 1;
    }

    fn done(&self) {
        let mut count = self.lock();
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.none.notify_all();
        }
    }
}

impl ModelLogger {
    /// Starts the worker on a runtime. It ends with the last clone of the logger.
    pub(crate) fn start(runtime: &Handle, connect: Connect, options: ModelLoggerOptions) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        let pending = Arc::new(Pending::default());
        let worker = Worker {
            connect,
            options,
            client: None,
            homes: HashMap::new(),
            known: HashMap::new(),
            ignored: HashSet::new(),
            links: VecDeque::new(),
            pending: Arc::clone(&pending),
        };
        runtime.spawn(worker.run(waiting));
        Self { queue, pending }
    }

    /// Looks at a call later. Never waits: where too many wait, this one is let go.
    pub(crate) fn observe(&self, observed: Observed) {
        self.pending.more();
        if self.queue.try_send(observed).is_err() {
            self.pending.done();
        }
    }

    /// Waits on this thread until what was seen is logged. Says whether it is, in this time.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut count = self.pending.lock();
        while *count > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.pending.none.wait_timeout(count, left);
            count = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

struct Worker {
    connect: Connect,
    options: ModelLoggerOptions,
    client: Option<Client>,
    /// Ids of experiments.
    homes: HashMap<Home, String>,
    /// Models that are logged, by experiment and fingerprint.
    known: HashMap<(Home, String), LoggedModelInfo>,
    /// Models that cannot be logged, or are too many.
    ignored: HashSet<(Home, String)>,
    /// Traces that are still to be linked to their model.
    links: VecDeque<Link>,
    pending: Arc<Pending>,
}

struct Link {
    trace_id: String,
    model_id: String,
    tries: u32,
}

impl Worker {
    async fn run(mut self, mut waiting: mpsc::Receiver<Observed>) {
        loop {
            let observed = if self.links.is_empty() {
                waiting.recv().await
            } else {
                tokio::select! {
                    observed = waiting.recv() => observed,
                    () = tokio::time::sleep(LINK_PAUSE) => {
                        self.link_traces().await;
                        continue;
                    }
                }
            };
            let Some(observed) = observed else { return };
            for seen in (observed.read)() {
                self.look_at(seen).await;
            }
            self.pending.done();
        }
    }

    async fn look_at(&mut self, seen: Seen) {
        let Seen { call, home, run_id, trace_id } = seen;
        let Some(model) = call.model(self.options.call) else { return };
        let key = (home.clone(), model.fingerprint());
        if self.ignored.contains(&key) {
            return;
        }
        if !self.known.contains_key(&key) {
            if self.known.len() + self.ignored.len() >= self.options.max_models {
                self.too_many();
                return;
            }
            match self.log_patiently(&model, &home, run_id).await {
                Ok(info) => drop(self.known.insert(key.clone(), info)),
                Err(error) => {
                    if !error.is_passing() {
                        self.ignored.insert(key);
                    }
                    self.warn(&format!("the model `{}` is not logged: {error}", model.model));
                    return;
                }
            }
        }
        let model_id = self.known.get(&key).and_then(|info| info.model_id.clone());
        if let (Some(trace_id), Some(model_id)) = (trace_id, model_id) {
            self.link_later(trace_id, model_id);
        }
    }

    /// A trace is written some time after its calls: until then it cannot be linked.
    fn link_later(&mut self, trace_id: String, model_id: String) {
        // The first model of a trace is the trace's, as MLflow has room for one.
        if self.links.len() < WAITING_LINKS && self.links.iter().all(|link| link.trace_id != trace_id) {
            self.pending.more();
            self.links.push_back(Link { trace_id, model_id, tries: 0 });
        }
    }

    /// Notes on traces which model they used, as MLflow does with an active model.
    async fn link_traces(&mut self) {
        let Some(client) = self.client.clone() else { return };
        for _ in 0..self.links.len() {
            let Some(mut link) = self.links.pop_front() else { return };
            let linked = client.store().link_trace_to_model(&link.trace_id, &link.model_id).await;
            link.tries += 1;
            match linked {
                Err(TrackingError::NotFound { .. } | TrackingError::Unavailable { .. })
                    if link.tries < LINK_TRIES =>
                {
                    self.links.push_back(link);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, trace_id = link.trace_id, "the trace is not linked to its model");
                }
                Ok(()) => {}
            }
            self.pending.done();
        }
    }

    async fn log_patiently(
        &mut self,
        model: &OpenAiModel,
        home: &Home,
        run_id: Option<String>,
    ) -> Result<LoggedModelInfo, ModelsError> {
        let mut pause = PAUSE.0;
        for _ in 1..TRIES {
            match self.log(model, home, run_id.clone()).await {
                Err(error) if error.is_passing() => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
                outcome => return outcome,
            }
        }
        self.log(model, home, run_id).await
    }

    async fn log(
        &mut self,
        model: &OpenAiModel,
        home: &Home,
        run_id: Option<String>,
    ) -> Result<LoggedModelInfo, ModelsError> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert((self.connect)().await?).clone(),
        };
        let experiment_id = match self.homes.get(home) {
            Some(id) => id.clone(),
            None => {
                let id = experiment_id(&client, home, self.options.create_experiments).await?;
                self.homes.insert(home.clone(), id.clone());
                id
            }
        };
        let mut options = LogModel::new(experiment_id);
        options.run_id = run_id;
        options.registered_model_name = self.options.registered_model_name.clone();
        options.tags = self.options.tags.clone();
        client.log_model_once(model, options).await
    }

    fn too_many(&mut self) {
        let most = self.options.max_models;
        // Said once: the limit stays reached.
        if self.ignored.insert((Home::Id(String::new()), String::new())) {
            self.warn(&format!(
                "no more than {most} different models are logged; prompts that differ from call to call need \
                 their variables to be named (Scope::prompt_variable)"
            ));
        }
    }

    fn warn(&self, message: &str) {
        if !self.options.silent {
            tracing::warn!("{message}");
        }
    }
}

async fn experiment_id(client: &Client, home: &Home, create: bool) -> Result<String, TrackingError> {
    let name = match home {
        Home::Id(id) => return Ok(id.clone()),
        Home::Name(name) => name,
    };
    if let Some(found) = client.store().find_experiment(name).await? {
        return Ok(found.experiment_id);
    }
    if !create {
        return Err(TrackingError::not_found(format!("there is no experiment {name:?}")));
    }
    let new = NewExperiment { name: name.clone(), ..NewExperiment::default() };
    match client.store().create_experiment(new).await {
        // Another was faster.
        Err(TrackingError::AlreadyExists { message }) => match client.store().find_experiment(name).await? {
            Some(found) => Ok(found.experiment_id),
            None => Err(TrackingError::AlreadyExists { message }),
        },
        created => created,
    }
}
