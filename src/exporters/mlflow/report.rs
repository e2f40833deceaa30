//! What the exporter says of itself: metrics, health, and the error that a sender hears.

use std::sync::Arc;
use std::time::Duration;

use crate::otlp::Refusal;
use crate::pipeline::ExportError;
use crate::store::StoreError;
use crate::telemetry::{ExporterMetrics, HealthHandle, LossLog, TaskGuard};

/// Counts, and keeps the health up to date. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    pub(super) metrics: ExporterMetrics,
    pub(super) health: HealthHandle,
    pub(super) losses: Arc<LossLog>,
}

impl Reporter {
    /// A write has ended; failures that last make the exporter unready until one succeeds.
    pub(super) fn wrote(&self, took: Duration, error: Option<&StoreError>) {
        self.metrics.wrote(took);
        match error {
            None | Some(StoreError::Reject { .. }) => self.health.ready(),
            Some(error @ StoreError::Retry { .. }) => self.health.failing(error.to_string()),
            Some(error @ StoreError::Fatal { .. }) => self.health.not_ready(error.to_string()),
        }
    }

    /// Watches over a task of the exporter.
    pub(super) fn task(&self, name: &'static str) -> TaskGuard {
        self.health.task(name, self.metrics.task_deaths(name))
    }

    /// Spans that the destination holds.
    pub(super) fn sent(&self, spans: usize) {
        self.metrics.sent_spans(spans);
    }

    /// Spans that cannot be kept, and why.
    pub(super) fn refused(&self, stage: &'static str, refusals: &[Refusal]) {
        let spans = refusals.iter().map(|refusal| refusal.spans).sum();
        self.metrics.refused_spans(stage, spans);
        if let Some(last) = refusals.iter().rev().find(|refusal| refusal.spans > 0) {
            self.losses.lost(self.health.component(), stage, spans, &last.reason);
        }
    }

    /// A request failed; gives what its sender should hear.
    pub(super) fn failed(&self, spans: usize, error: &StoreError) -> ExportError {
        self.metrics.send_failed_spans(spans);
        export_error(error)
    }
}

/// What the sender should do.
pub(super) fn export_error(error: &StoreError) -> ExportError {
    match error {
        StoreError::Retry { after, reason, .. } => {
            ExportError::Retry { after: *after, reason: reason.clone() }
        }
        StoreError::Reject { reason } => ExportError::reject(reason.clone()),
        StoreError::Fatal { reason, .. } => ExportError::fatal(reason.clone()),
    }
}
