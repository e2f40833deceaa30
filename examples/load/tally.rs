//! What was sent and answered, and how it is printed.

use std::collections::BTreeMap;
use std::time::Duration;

/// What one connection, or all of them, saw.
#[derive(Default)]
pub(crate) struct Tally {
    /// Spans that the receiver has answered for with success.
    pub(crate) accepted_spans: u64,
    /// Spans of accepted requests that were not kept.
    pub(crate) rejected_spans: u64,
    /// Bodies that were sent, those sent again included.
    pub(crate) attempts: u64,
    /// Attempts that the receiver wants repeated, by what it said.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Those of them that did not say when.
    pub(crate) without_hint: u64,
    /// Attempts without an answer, or with another one; the first of them.
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
    /// Spans of bodies of which an attempt failed and none was accepted: nobody knows whether they were kept.
    pub(crate) unknown_spans: u64,
    /// Of the attempts that were accepted; without pacing, from the first attempt of their body on.
    pub(crate) latencies: Vec<Duration>,
}

impl Tally {
    /// Counts an accepted body.
    pub(crate) fn accept(&mut self, spans: u64, rejected: u64, latency: Duration) {
        self.rejected_spans += rejected;
        self.accepted_spans += spans.saturating_sub(rejected);
        self.latencies.push(latency);
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&mut self, status: String, after: Option<Duration>) {
        *self.refused.entry(status).or_default() += 1;
        self.without_hint += u64::from(after.is_none());
    }

    /// Adds what another connection saw.
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted_spans += other.accepted_spans;
        self.rejected_spans += other.rejected_spans;
        self.attempts += other.attempts;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.without_hint += other.without_hint;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.unknown_spans += other.unknown_spans;
        self.latencies.extend(other.latencies);
    }

    /// The result as JSON.
    pub(crate) fn report(mut self, elapsed: Duration, spans_per_body: u64) -> serde_json::Value {
        self.latencies.sort_unstable();
        let at = |share: f64| -> f64 {
            let index = (self.latencies.len() as f64 * share) as usize;
            let found = self.latencies.get(index.min(self.latencies.len().saturating_sub(1)));
            found.map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let seconds = elapsed.as_secs_f64();
        serde_json::json!({
            "accepted_spans": self.accepted_spans,
            "rejected_spans": self.rejected_spans,
            "unknown_spans": self.unknown_spans,
            "attempts": self.attempts,
            "offered_spans_per_second": (self.attempts * spans_per_body) as f64 / seconds,
            "retries": self.refused.values().sum::<u64>(),
            "refused": self.refused,
            "refused_without_hint": self.without_hint,
            "failed": self.failed,
            "failure": self.failure,
            "requests": self.latencies.len(),
            "seconds": seconds,
            "spans_per_second": self.accepted_spans as f64 / seconds,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
        })
    }
}
