//! Logs about losses: each says how much, where and why, and a flood of them is summed up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::QueueLoss;

/// The shortest time between two messages about one stage.
const EVERY: Duration = Duration::from_secs(10);

/// What one component has lost and not yet told. The metrics count each loss; a message is for a person.
#[derive(Debug, Default)]
pub struct LossLog {
    stages: Mutex<HashMap<&'static str, Untold>>,
}

#[derive(Debug, Default)]
struct Untold {
    told: Option<Instant>,
    sum: Sum,
}

/// What is lost: what of it is not known is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    spans: u64,
    parts: u64,
    traces: u64,
    requests: u64,
    bytes: u64,
    connections: u64,
}

impl LossLog {
    /// Spans that will not be kept: how many, at which stage (one of a few fixed words), and why. Logs the
    /// first loss at once, and then at most one message in ten seconds with the sum since the last.
    pub fn lost(&self, component: &str, stage: &'static str, spans: usize, reason: &str) {
        let lost = Sum { spans: spans as u64, ..Sum::default() };
        if let Some(sum) = self.due(stage, lost, Instant::now()) {
            tracing::warn!(
                component,
                stage,
                spans = sum.spans,
                reason,
                "spans were not kept; the reason is the latest"
            );
        }
    }

    /// Parts of spans, as an attribute, that were left out, and why the last of them was; told as sparingly as losses are.
    pub fn left_out(&self, component: &str, parts: usize, reason: &str) {
        let lost = Sum { parts: parts as u64, ..Sum::default() };
        if let Some(sum) = self.due("left_out", lost, Instant::now()) {
            tracing::warn!(
                component,
                parts = sum.parts,
                reason,
                "parts of spans were left out; the reason is the latest"
            );
        }
    }

    /// A trace that went to the fallback experiment, why, and what to do about it; told as sparingly as losses are.
    pub fn fell_back(&self, component: &str, cause: &'static str, explanation: &str) {
        if let Some(sum) = self.due(cause, Sum { traces: 1, ..Sum::default() }, Instant::now()) {
            tracing::warn!(
                component,
                cause,
                traces = sum.traces,
                "traces went to the fallback experiment: {explanation}"
            );
        }
    }

    /// Spans of which a part was cut off, by which setting; told as sparingly as losses are.
    pub fn shortened(&self, component: &str, setting: &'static str, spans: usize) {
        if let Some(sum) = self.due(setting, Sum { spans: spans as u64, ..Sum::default() }, Instant::now()) {
            tracing::warn!(component, setting, spans = sum.spans, "spans that were too large were cut");
        }
    }

    /// A connection that came to no request, at which stage, why, and what to do about it; told as sparingly as losses
    /// are.
    pub fn refused_connection(&self, component: &str, stage: &'static str, explanation: &str) {
        if let Some(sum) = self.due(stage, Sum { connections: 1, ..Sum::default() }, Instant::now()) {
            let connections = sum.connections;
            tracing::warn!(component, stage, connections, "connections came to no request: {explanation}");
        }
    }

    /// Whole requests that a queue lost, and why. As rare in the log as [`Self::lost`]; called with none, it tells what
    /// is untold when its time has come.
    pub fn lost_requests(&self, component: &str, loss: QueueLoss, reason: &str) {
        let QueueLoss { reason: stage, requests, spans, bytes } = loss;
        if let Some(sum) = self.due(stage, Sum { requests, spans, bytes, ..Sum::default() }, Instant::now()) {
            let Sum { requests, spans, bytes, .. } = sum;
            tracing::error!(component, stage, requests, spans, bytes, "requests are lost: {reason}");
        }
    }

    /// What to tell now.
    fn due(&self, stage: &'static str, lost: Sum, now: Instant) -> Option<Sum> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = stages.entry(stage).or_default();
        untold.sum.spans += lost.spans;
        untold.sum.parts += lost.parts;
        untold.sum.traces += lost.traces;
        untold.sum.requests += lost.requests;
        untold.sum.bytes += lost.bytes;
        untold.sum.connections += lost.connections;
        if untold.sum == Sum::default() || untold.told.is_some_and(|told| now.duration_since(told) < EVERY) {
            return None;
        }
        untold.told = Some(now);
        Some(std::mem::take(&mut untold.sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_losses_is_summed_up() {
        let (log, start) = (LossLog::default(), Instant::now());
        let spans = |spans| Sum { spans, ..Sum::default() };
        assert_eq!(log.due("mapping", spans(0), start), None, "nothing is lost");
        assert_eq!(log.due("mapping", spans(2), start), Some(spans(2)), "the first is told at once");
        let soon = start + Duration::from_secs(1);
        assert_eq!(log.due("mapping", spans(3), soon), None);
        assert_eq!(log.due("store", spans(7), soon), Some(spans(7)), "stages are told apart");
        assert_eq!(log.due("mapping", spans(4), start + EVERY), Some(spans(7)), "3 untold ones, and 4");
        assert_eq!(log.due("mapping", spans(1), start + EVERY), None);
        let requests = |requests, bytes| Sum { requests, bytes, ..Sum::default() };
        assert_eq!(log.due("full", requests(1, 10), start), Some(requests(1, 10)));
        assert_eq!(log.due("full", requests(2, 20), soon), None);
        assert_eq!(log.due("full", Sum::default(), start + EVERY), Some(requests(2, 20)), "the rest follows");
    }
}
