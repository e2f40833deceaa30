//! When a failing request is sent again.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use crate::exporters::queued::{RetryOnFailure, SendingQueueConfig};
use crate::pipeline::ExportError;

/// The interval grows by this factor and a wait is up to half shorter or longer, as in the Collector.
const FACTOR: f64 = 1.5;

/// When a sender hears of a failure, as in the Collector.
const LIMIT: Duration = Duration::from_secs(300);

/// What of the retries is the exporter's own: none, if a queue before it makes them.
pub(super) fn own_retries(retry: RetryOnFailure, queue: &SendingQueueConfig) -> RetryOnFailure {
    RetryOnFailure { enabled: retry.enabled && !queue.enabled, ..retry }
}

/// Exponential backoff with jitter, bounded in time.
pub(super) struct Backoff {
    config: RetryOnFailure,
    interval: Duration,
    started: Instant,
}

impl Backoff {
    pub(super) fn new(config: RetryOnFailure) -> Self {
        Self { config, interval: config.initial_interval.min(config.max_interval), started: Instant::now() }
    }

    /// How long to wait before the next attempt; none if there should be none.
    pub(super) fn pause_after(&mut self, error: &ExportError) -> Option<Duration> {
        let ExportError::Retry { after, .. } = error else { return None };
        if !self.config.enabled {
            return None;
        }
        let jittered = self.interval.mul_f64(rand::rng().random_range(0.5..=1.5));
        self.interval = self.interval.mul_f64(FACTOR).min(self.config.max_interval);
        let pause = after.map_or(jittered, |after| after.max(jittered));
        let limit = self.config.max_elapsed_time.unwrap_or(LIMIT);
        (limit.is_zero() || self.started.elapsed().saturating_add(pause) <= limit).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RetryOnFailure {
        RetryOnFailure {
            enabled: true,
            initial_interval: Duration::from_secs(4),
            max_interval: Duration::from_secs(6),
            max_elapsed_time: Some(Duration::from_secs(60)),
            ..RetryOnFailure::default()
        }
    }

    fn retry(after: Option<u64>) -> ExportError {
        ExportError::Retry { after: after.map(Duration::from_secs), reason: String::new() }
    }

    #[test]
    fn pauses_grow_up_to_the_longest_interval() {
        let mut backoff = Backoff::new(config());
        for interval in [4.0, 6.0, 6.0] {
            let pause = backoff.pause_after(&retry(None)).unwrap().as_secs_f64();
            assert!((interval / 2.0..=interval * 1.5).contains(&pause), "{pause} at {interval}");
        }
    }

    #[test]
    fn the_backend_can_ask_for_a_longer_pause_but_not_beyond_the_end() {
        let mut backoff = Backoff::new(config());
        assert_eq!(backoff.pause_after(&retry(Some(50))), Some(Duration::from_secs(50)));
        assert_eq!(backoff.pause_after(&retry(Some(61))), None);
        let mut endless = Backoff::new(RetryOnFailure { max_elapsed_time: Some(Duration::ZERO), ..config() });
        assert_eq!(endless.pause_after(&retry(Some(9_000))), Some(Duration::from_secs(9_000)));
    }

    #[test]
    fn a_queue_takes_the_retries_over() {
        let queue = SendingQueueConfig::default();
        assert!(!own_retries(config(), &queue).enabled);
        assert_eq!(own_retries(config(), &SendingQueueConfig::disabled()), config());
    }

    #[test]
    fn only_passing_trouble_is_repeated() {
        let mut backoff = Backoff::new(config());
        assert_eq!(backoff.pause_after(&ExportError::reject("bad")), None);
        assert_eq!(backoff.pause_after(&ExportError::fatal("bad")), None);
        let mut disabled = Backoff::new(RetryOnFailure { enabled: false, ..config() });
        assert_eq!(disabled.pause_after(&retry(None)), None);
    }
}
