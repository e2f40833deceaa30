//! What became of what was logged.

/// What became of the metrics, parameters and tags of a run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// In MLflow.
    pub delivered: u64,
    /// In the spool: `otel-mlflow import`, or the next start, delivers them.
    pub spooled: u64,
    /// Lost: over the bound of the queue or the spool, or logged after the end.
    pub dropped: u64,
    /// Refused by MLflow for good: a wrong name, a parameter with another value, a deleted run.
    pub refused: u64,
}

impl Outcome {
    /// Whether everything is in MLflow.
    pub fn is_delivered(&self) -> bool {
        self.spooled == 0 && self.is_kept()
    }

    /// Whether nothing is lost: what is not in MLflow is in the spool.
    pub fn is_kept(&self) -> bool {
        self.dropped == 0 && self.refused == 0
    }
}
