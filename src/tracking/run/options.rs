//! What to start a run with.

use std::time::Duration;

use crate::tracking::spool::{ExperimentRef, Spool};

/// What to start a run with; a name alone is enough for most: `client.start_run("training")`.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::tracking::StartRun;
///
/// let start = StartRun::named("night").experiment("translation").tag("team", "nlp");
/// ```
#[derive(Clone, Debug, Default)]
pub struct StartRun {
    pub(super) experiment: Option<ExperimentRef>,
    pub(super) name: Option<String>,
    pub(super) run_id: Option<String>,
    pub(super) parent: Parent,
    pub(super) tags: Vec<(String, String)>,
    pub(super) limits: RunLimits,
    pub(super) spool: Option<Spool>,
}

/// The run that a nested run belongs to.
#[derive(Clone, Debug, Default)]
pub(super) enum Parent {
    #[default]
    None,
    Id(String),
    Key(String),
}

/// How long a run waits for MLflow, and how much it holds meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunLimits {
    /// How long the start waits for the server before the run starts offline. Default 5 s.
    pub start: Duration,
    /// How long the server may fail before what is logged goes to the spool. Default 20 s.
    pub patience: Duration,
    /// The same when the run ends: how long a job may be kept by a server that does not answer.
    /// Default 5 s.
    pub end: Duration,
    /// How long an offline run waits before it tries the server again. Default 30 s.
    pub retry: Duration,
    /// How long entries are gathered for a call. Default 100 ms.
    pub gather: Duration,
    /// How much memory waiting entries may take, in bytes. Default 64 MiB, about 900,000 metrics.
    pub queue_bytes: usize,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(5),
            patience: Duration::from_secs(20),
            end: Duration::from_secs(5),
            retry: Duration::from_secs(30),
            gather: Duration::from_millis(100),
            queue_bytes: 64 << 20,
        }
    }
}

impl StartRun {
    /// A run whose name MLflow invents.
    pub fn new() -> Self {
        Self::default()
    }

    /// A run of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Goes on with a run that exists. `MLFLOW_RUN_ID` does the same for the first run that a process
    /// starts.
    pub fn resume(run_id: impl Into<String>) -> Self {
        Self { run_id: Some(run_id.into()), ..Self::default() }
    }

    /// The experiment, by name; it is made where it is missing. Without one it is that of the client.
    #[must_use]
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.experiment = Some(ExperimentRef::Name(name.into()));
        self
    }

    /// The experiment, by id.
    #[must_use]
    pub fn experiment_id(mut self, id: impl Into<String>) -> Self {
        self.experiment = Some(ExperimentRef::Id(id.into()));
        self
    }

    /// The run that this one is nested in, by its id; [`super::ActiveRun::start_nested`] does it for a
    /// run at hand.
    #[must_use]
    pub fn parent(mut self, run_id: impl Into<String>) -> Self {
        self.parent = Parent::Id(run_id.into());
        self
    }

    /// A first tag; it replaces the standard one of the same name.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// A description, which MLflow shows on the run's page.
    #[must_use]
    pub fn description(self, text: impl Into<String>) -> Self {
        self.tag("mlflow.note.content", text)
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: RunLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Another place for what cannot be delivered.
    #[must_use]
    pub fn spool(mut self, spool: Spool) -> Self {
        self.spool = Some(spool);
        self
    }
}

impl From<&str> for StartRun {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl From<String> for StartRun {
    fn from(name: String) -> Self {
        Self::named(name)
    }
}
