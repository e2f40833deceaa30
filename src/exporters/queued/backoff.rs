//! How long to wait before a request is sent again.

use std::time::Duration;

use rand::RngExt as _;

use super::config::RetryOnFailure;

/// An interval that grows, with jitter.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    config: RetryOnFailure,
    interval: Duration,
}

impl Backoff {
    pub(super) fn new(config: RetryOnFailure) -> Self {
        Self { config, interval: config.initial_interval.min(config.max_interval) }
    }

    /// The next wait; never shorter than the destination asks for.
    pub(super) fn next(&mut self, hint: Option<Duration>) -> Duration {
        let spread = self.config.randomization_factor.clamp(0.0, 1.0);
        let jitter = rand::rng().random_range(1.0 - spread..=1.0 + spread);
        // Past what a duration can hold, jitter is of no use.
        let jittered =
            Duration::try_from_secs_f64(self.interval.as_secs_f64() * jitter).unwrap_or(self.interval);
        let grown = self.interval.as_secs_f64() * self.config.multiplier;
        self.interval = Duration::try_from_secs_f64(grown)
            .unwrap_or(self.config.max_interval)
            .min(self.config.max_interval);
        hint.map_or(jittered, |hint| hint.max(jittered))
    }

    /// Starts over.
    pub(super) fn reset(&mut self) {
        self.interval = self.config.initial_interval.min(self.config.max_interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_hints_are_a_minimum() {
        let config = RetryOnFailure {
            initial_interval: Duration::from_secs(4),
            max_interval: Duration::from_secs(10),
            multiplier: 2.0,
            randomization_factor: 0.0,
            ..RetryOnFailure::default()
        };
        let mut backoff = Backoff::new(config);
        let waits: Vec<_> = (0..4).map(|_| backoff.next(None).as_secs()).collect();
        assert_eq!(waits, [4, 8, 10, 10]);
        assert_eq!(backoff.next(Some(Duration::from_secs(99))), Duration::from_secs(99));
        assert_eq!(backoff.next(Some(Duration::from_secs(1))), Duration::from_secs(10));
        backoff.reset();
        assert_eq!(backoff.next(None), Duration::from_secs(4));
    }

    #[test]
    fn an_interval_without_end_is_no_panic() {
        let (initial_interval, max_interval) = (Duration::MAX, Duration::MAX);
        let mut backoff =
            Backoff::new(RetryOnFailure { initial_interval, max_interval, ..RetryOnFailure::default() });
        for _ in 0..10 {
            assert!(backoff.next(None) > Duration::from_secs(1 << 60));
        }
    }

    #[test]
    fn jitter_stays_within_its_part_of_the_interval() {
        let config = RetryOnFailure { multiplier: 1.0, ..RetryOnFailure::default() };
        let mut backoff = Backoff::new(config);
        let waits: Vec<_> = (0..200).map(|_| backoff.next(None).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (2.5..=7.5).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| *wait < 4.0) && waits.iter().any(|wait| *wait > 6.0), "{waits:?}");
    }
}
