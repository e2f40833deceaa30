//! The handle that logs to a run, from any thread.

use std::fmt;
use std::sync::Arc;

use super::outcome::Outcome;
use super::queue::Shared;
use crate::mlflow::entities::{Metric, Param, Tag};
use crate::tracking::client::now_ms;

/// Logs to a run that is under way. Cheap to clone, and to be used from any thread, with a runtime or
/// without.
///
/// No method waits or fails: entries go to a queue, from which they are delivered in batches. What
/// MLflow would refuse is left out with one warning, and counted ([`Outcome`]).
#[derive(Clone)]
pub struct RunLog {
    pub(super) shared: Arc<Shared>,
}

impl RunLog {
    /// Logs a measurement of now, at a step of the series.
    pub fn log_metric(&self, key: &str, value: f64, step: i64) {
        self.log_measurement(Metric { key: key.to_owned(), value, timestamp_ms: now_ms(), step });
    }

    /// Logs measurements of now, all at the same step.
    pub fn log_metrics<K: Into<String>>(&self, metrics: impl IntoIterator<Item = (K, f64)>, step: i64) {
        let timestamp_ms = now_ms();
        for (key, value) in metrics {
            self.log_measurement(Metric { key: key.into(), value, timestamp_ms, step });
        }
    }

    /// Logs a measurement with a time of its own.
    pub fn log_measurement(&self, metric: Metric) {
        self.shared.metric(metric);
    }

    /// Logs a parameter, which can be set once.
    pub fn log_param(&self, key: impl Into<String>, value: impl fmt::Display) {
        self.shared.param(Param { key: key.into(), value: value.to_string() });
    }

    /// Logs parameters.
    pub fn log_params<K: Into<String>, V: fmt::Display>(&self, params: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in params {
            self.log_param(key, value);
        }
    }

    /// Sets a tag.
    pub fn set_tag(&self, key: impl Into<String>, value: impl Into<String>) {
        self.shared.tag(Tag::new(key, value));
    }

    /// Sets tags.
    pub fn set_tags<K: Into<String>, V: Into<String>>(&self, tags: impl IntoIterator<Item = (K, V)>) {
        for (key, value) in tags {
            self.set_tag(key, value);
        }
    }

    /// Waits until everything that was logged so far is in MLflow, in the spool, or lost, and says
    /// which.
    pub async fn flush(&self) -> Outcome {
        // A worker that is gone has done all that it could.
        self.shared.flush().await.unwrap_or_else(|_| self.outcome())
    }

    /// What has become of the entries so far.
    pub fn outcome(&self) -> Outcome {
        self.shared.counts.outcome()
    }

    /// Id of the run; none while the run is offline and MLflow has not made it.
    pub fn run_id(&self) -> Option<&str> {
        self.shared.run.get().map(|run| run.run_id.as_str())
    }
}

impl fmt::Debug for RunLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunLog").field("run_id", &self.run_id()).finish_non_exhaustive()
    }
}
