//! Experiments.

use super::run::{Lifecycle, Tag};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// Its id.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// Where its artifacts live.
    pub artifact_location: String,
    /// Whether it is in the recycle bin.
    pub lifecycle: Lifecycle,
    /// When it was created, in milliseconds since the Unix epoch.
    pub creation_time_ms: Option<i64>,
    /// When it was last changed, in milliseconds since the Unix epoch.
    pub last_update_time_ms: Option<i64>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What to create an experiment with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewExperiment {
    /// Its name, which no other experiment has, deleted ones included.
    pub name: String,
    /// Where its artifacts are to live, if not where the server puts them.
    pub artifact_location: Option<String>,
    /// First tags.
    pub tags: Vec<Tag>,
}
