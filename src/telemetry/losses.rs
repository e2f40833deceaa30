//! Logs about losses: each says how much, where and why, and a flood of them is summed up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    spans: u64,
}

impl LossLog {
    /// Spans that will not be kept: how many, at which stage (one of a few fixed words), and why. Logs the
    /// first loss at once, and then at most one message in ten seconds with the sum since the last.
    pub fn lost(&self, component: &str, stage: &'static str, spans: usize, reason: &str) {
        if let Some(sum) = self.due(stage, spans, Instant::now()) {
            tracing::warn!(
                component,
                stage,
                spans = sum,
                reason,
                "spans were not kept; the reason is the latest"
            );
        }
    }

    /// Spans of which a part was cut off, by which setting; told as sparingly as losses are.
    pub fn shortened(&self, component: &str, setting: &'static str, spans: usize) {
        if let Some(sum) = self.due(setting, spans, Instant::now()) {
            tracing::warn!(component, setting, spans = sum, "spans that were too large were cut");
        }
    }

    /// The number of spans to tell now.
    fn due(&self, stage: &'static str, spans: usize, now: Instant) -> Option<u64> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = stages.entry(stage).or_default();
        untold.spans += spans as u64;
        if untold.spans == 0 || untold.told.is_some_and(|told| now.duration_since(told) < EVERY) {
            return None;
        }
        untold.told = Some(now);
        Some(std::mem::take(&mut untold.spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_losses_is_summed_up() {
        let (log, start) = (LossLog::default(), Instant::now());
        assert_eq!(log.due("mapping", 0, start), None, "nothing is lost");
        assert_eq!(log.due("mapping", 2, start), Some(2), "the first is told at once");
        assert_eq!(log.due("mapping", 3, start + Duration::from_secs(1)), None);
        assert_eq!(log.due("store", 7, start + Duration::from_secs(1)), Some(7), "stages are told apart");
        assert_eq!(log.due("mapping", 4, start + EVERY), Some(7), "3 untold ones, and 4");
        assert_eq!(log.due("mapping", 1, start + EVERY), None);
    }
}
