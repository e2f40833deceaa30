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
            Some(error) => self.trouble(error),
        }
    }

    /// The destination does not do what it should; a refusal of data is no trouble.
    fn trouble(&self, error: &StoreError) {
        match error {
            StoreError::Retry { .. } => self.health.failing(error.to_string()),
            StoreError::Fatal { .. } => self.health.not_ready(error.to_string()),
            StoreError::Reject { .. } => {}
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

    /// What of a request that is settled could not be kept, and why: whole spans, or attributes of spans that were.
    pub(super) fn refused(&self, stage: &'static str, refusals: &[Refusal]) {
        let mut parts = refusals.iter().filter(|refusal| refusal.spans == 0);
        if let Some(first) = parts.next() {
            let parts = 1 + parts.count();
            self.metrics.left_out(parts);
            self.losses.left_out(self.health.component(), parts, &first.reason);
        }
        let spans = refusals.iter().map(|refusal| refusal.spans).sum();
        self.metrics.refused_spans(stage, spans);
        if let Some(last) = refusals.iter().rev().find(|refusal| refusal.spans > 0) {
            self.losses.lost(self.health.component(), stage, spans, &last.reason);
        }
    }

    /// A trace went to the fallback experiment: under which cause, one of a few fixed words, and what to do about it.
    pub(super) fn fell_back(&self, cause: &'static str, explanation: &str) {
        self.metrics.experiment_fallback(cause);
        self.losses.fell_back(self.health.component(), cause, explanation);
    }

    /// A request failed, in a write or before it came to one; gives what its sender should hear.
    pub(super) fn failed(&self, spans: usize, error: &StoreError) -> ExportError {
        self.trouble(error);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    fn reporter(telemetry: &Telemetry) -> Reporter {
        let health = telemetry.health.register("exporters.mlflow");
        Reporter { metrics: telemetry.metrics.exporter("mlflow"), health, losses: Arc::default() }
    }

    /// Scenario: the name of an experiment is asked for while the database is down, so that no write begins.
    #[test]
    fn a_failure_before_the_write_is_told_as_well() {
        let telemetry = Telemetry::default();
        let reporter = reporter(&telemetry);
        reporter.wrote(Duration::ZERO, None);
        assert!(telemetry.health.is_ready());
        reporter.failed(2, &StoreError::reject("this data"));
        assert!(telemetry.health.is_ready(), "a refusal of data says nothing of the destination");
        reporter.failed(2, &StoreError::retry("connection refused"));
        assert_eq!(telemetry.health.report()[0].reason.as_deref(), Some("connection refused"));
        reporter.wrote(Duration::ZERO, None);
        assert!(telemetry.health.is_ready());
    }

    #[test]
    fn what_could_not_be_kept_is_counted_by_its_kind() {
        let telemetry = Telemetry::default();
        let reporter = reporter(&telemetry);
        let refusal = |spans| Refusal { spans, reason: "no number".to_owned() };
        reporter.refused("mapping", &[refusal(0), refusal(3), refusal(0)]);
        reporter.fell_back("deleted", "experiment 'chat' is deleted");
        let metrics = telemetry.metrics.render().unwrap();
        for line in [
            "exporter_left_out_parts_total{exporter=\"mlflow\"} 2",
            "exporter_refused_spans_total{component=\"mlflow\",reason=\"mapping\"} 3",
            "exporter_experiments_fallback_total{component=\"mlflow\",reason=\"deleted\"} 1",
        ] {
            assert!(metrics.contains(line), "{line} is missing in {metrics}");
        }
    }
}
