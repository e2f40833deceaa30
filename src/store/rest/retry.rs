//! When a failing request is sent again.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::{RestError, RetryConfig};

/// How often a 500 is tried again before it counts as caused by the data.
const INTERNAL_RETRIES: u32 = 2;

/// Retries that end so soon only bridge a hiccup: who goes on afterwards, such as a queue, says what is wrong.
const BRIDGED: Duration = Duration::from_secs(1);

/// Exponential backoff with full jitter, bounded in time.
pub(super) struct Backoff {
    config: RetryConfig,
    started: Instant,
    retries: u32,
    internal_left: u32,
}

impl Backoff {
    pub(super) fn new(config: RetryConfig) -> Self {
        Self { config, started: Instant::now(), retries: 0, internal_left: INTERNAL_RETRIES }
    }

    /// Part of something that began before, and whose limit in time it shares.
    pub(super) fn since(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// Takes a 500 as final: the caller knows that the data causes it.
    pub(super) fn with_final_500(mut self) -> Self {
        self.internal_left = 0;
        self
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    ///
    /// The error given, if there should be no further attempt.
    pub(super) async fn pause(&mut self, error: RestError) -> Result<(), RestError> {
        let Some(wait) = self.next(&error) else {
            return Err(error);
        };
        if self.config.max_elapsed_time.is_zero() || self.config.max_elapsed_time > BRIDGED {
            self.say(&error, wait);
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The first retry is worth a line in the log, then ever fewer.
    fn say(&self, error: &RestError, wait: Duration) {
        if self.retries.is_power_of_two() {
            tracing::warn!(%error, ?wait, "a request to MLflow failed and is sent again");
        }
    }

    /// How long to wait before the next attempt; none if there should be none.
    fn next(&mut self, error: &RestError) -> Option<Duration> {
        // A server without OTLP is asked in another way, by the caller.
        if !error.is_passing() || matches!(error, RestError::NoOtlp { .. }) {
            return None;
        }
        if matches!(error, RestError::Internal { .. }) {
            self.internal_left = self.internal_left.checked_sub(1)?;
        }
        let ceiling = ceiling(&self.config, self.retries);
        self.retries += 1;
        let jittered = ceiling.mul_f64(rand::rng().random_range(0.0..=1.0));
        let wait = error.after().map_or(jittered, |after| after.max(jittered));
        let limit = self.config.max_elapsed_time;
        (limit.is_zero() || self.started.elapsed().saturating_add(wait) <= limit).then_some(wait)
    }
}

/// The longest wait before retry number `retries`, counted from 0.
fn ceiling(config: &RetryConfig, retries: u32) -> Duration {
    let doubled = 2_u32.checked_pow(retries).and_then(|factor| config.initial_interval.checked_mul(factor));
    doubled.unwrap_or(config.max_interval).min(config.max_interval)
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn unavailable(after: Option<Duration>) -> RestError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        RestError::Unavailable { server: String::new(), status, message: String::new(), after }
    }

    fn config(max_elapsed_time: Duration) -> RetryConfig {
        RetryConfig {
            initial_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(30),
            max_elapsed_time,
        }
    }

    #[test]
    fn the_interval_doubles_up_to_its_limit() {
        let config = config(Duration::ZERO);
        let seconds: Vec<_> = [0, 1, 2, 4, 5, 40].map(|retry| ceiling(&config, retry).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 16, 30, 30]);
    }

    #[test]
    fn jitter_stays_below_the_interval_and_retry_after_is_a_minimum() {
        let mut backoff = Backoff::new(config(Duration::ZERO));
        for retry in 0..8 {
            let wait = backoff.next(&unavailable(None)).unwrap();
            assert!(wait <= ceiling(&backoff.config, retry), "{retry}: {wait:?}");
        }
        let wait = backoff.next(&unavailable(Some(Duration::from_secs(90)))).unwrap();
        assert_eq!(wait, Duration::from_secs(90));
    }

    #[test]
    fn a_wait_beyond_the_limit_ends_the_retries() {
        let mut backoff = Backoff::new(config(Duration::from_secs(60)));
        assert!(backoff.next(&unavailable(None)).is_some());
        assert_eq!(backoff.next(&unavailable(Some(Duration::from_secs(61)))), None);
    }

    #[test]
    fn what_does_not_pass_is_not_retried_and_a_500_only_twice() {
        let mut backoff = Backoff::new(config(Duration::ZERO));
        assert_eq!(backoff.next(&RestError::configuration("x")), None);
        let internal = RestError::Internal { message: String::new() };
        assert!(backoff.next(&internal).is_some());
        assert!(backoff.next(&internal).is_some());
        assert_eq!(backoff.next(&internal), None);
    }
}
