//! Runs, and what is logged to them.

use super::dataset::RunInputs;

/// State of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Under way.
    #[default]
    Running,
    /// Planned.
    Scheduled,
    /// Ended as it should.
    Finished,
    /// Ended with an error.
    Failed,
    /// Ended from outside.
    Killed,
}

impl RunStatus {
    /// The name that MLflow stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Reads the stored name.
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    /// Whether the run is over.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// Whether something is in the recycle bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// In use.
    #[default]
    Active,
    /// In the recycle bin.
    Deleted,
}

impl Lifecycle {
    /// The name that MLflow stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the stored name; anything but `deleted` counts as active.
    pub fn from_stored(text: &str) -> Self {
        if text == "deleted" { Self::Deleted } else { Self::Active }
    }
}

/// One measurement of a metric. MLflow keeps every distinct one as the metric's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name.
    pub key: String,
    /// Value; NaN and the infinities are allowed.
    pub value: f64,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Position in the series.
    pub step: i64,
}

/// A parameter of a run; it can be set once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name.
    pub key: String,
    /// Value; MLflow keeps text alone.
    pub value: String,
}

/// A tag: of a run, an experiment, a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Name.
    pub key: String,
    /// Value.
    pub value: String,
}

impl Tag {
    /// A tag of this name and value.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// What to create a run with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRun {
    /// The experiment that the run belongs to.
    pub experiment_id: String,
    /// Name; without one MLflow invents one.
    pub name: Option<String>,
    /// Who runs it.
    pub user_id: Option<String>,
    /// When it started, in milliseconds since the Unix epoch.
    pub start_time_ms: i64,
    /// First tags.
    pub tags: Vec<Tag>,
}

/// What to change of a run; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// New status.
    pub status: Option<RunStatus>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub end_time_ms: Option<i64>,
    /// New name.
    pub name: Option<String>,
}

/// What is logged in one call. A store splits it by MLflow's limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogBatch {
    /// Measurements.
    pub metrics: Vec<Metric>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags, which replace those of the same name.
    pub tags: Vec<Tag>,
}

impl LogBatch {
    /// Whether there is nothing to log.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.params.is_empty() && self.tags.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.metrics.len() + self.params.len() + self.tags.len()
    }
}

/// The head of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// 32 hex digits.
    pub run_id: String,
    /// The experiment that the run belongs to.
    pub experiment_id: String,
    /// Name.
    pub name: String,
    /// Who runs it.
    pub user_id: String,
    /// State.
    pub status: RunStatus,
    /// When it started, in milliseconds since the Unix epoch.
    pub start_time_ms: i64,
    /// When it ended, in milliseconds since the Unix epoch.
    pub end_time_ms: Option<i64>,
    /// Where its artifacts live.
    pub artifact_uri: String,
    /// Whether it is in the recycle bin.
    pub lifecycle: Lifecycle,
}

/// What was logged to a run: the last value of each metric, the parameters, the tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunData {
    /// The last measurement of each metric.
    pub metrics: Vec<Metric>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its head.
    pub info: RunInfo,
    /// What was logged to it.
    pub data: RunData,
    /// The datasets and models that it used.
    pub inputs: RunInputs,
}

impl Run {
    /// The last value of a metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.data.metrics.iter().find(|metric| metric.key == key).map(|metric| metric.value)
    }

    /// A parameter's value.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.data.params.iter().find(|param| param.key == key).map(|param| param.value.as_str())
    }

    /// A tag's value.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.data.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    }
}
