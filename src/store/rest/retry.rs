//! When a failing request is sent again.

use std::time::{Duration, SystemTime};

use rand::RngExt;
use tokio::time::Instant;

use super::dates::days_from_date;
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
        (limit.is_zero() || self.started.elapsed() + wait <= limit).then_some(wait)
    }
}

/// The longest wait before retry number `retries`, counted from 0.
fn ceiling(config: &RetryConfig, retries: u32) -> Duration {
    let doubled = 2_u32.checked_pow(retries).and_then(|factor| config.initial_interval.checked_mul(factor));
    doubled.unwrap_or(config.max_interval).min(config.max_interval)
}

/// Reads `Retry-After`: seconds, or the date of RFC 9110 section 5.6.7 (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub(super) fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = http_date(text)?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split([' ', ':']);
    let day: u64 = words.next()?.parse().ok()?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == month_name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let hour: u64 = words.next()?.parse().ok()?;
    let minute: u64 = words.next()?.parse().ok()?;
    let second: u64 = words.next()?.parse().ok()?;
    if day > 31 || hour > 23 || minute > 59 || second > 60 || words.next() != Some("GMT") {
        return None;
    }
    let seconds = ((days_from_date(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
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

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 10);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_secs(120)));
        let ten = Some(Duration::from_secs(10));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), ten);
        assert_eq!(parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now), Some(Duration::ZERO));
        let leap = SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400);
        assert_eq!(parse_retry_after("Tue, 29 Feb 2000 00:00:10 GMT", leap), ten);
        for bad in ["soon", "-1", "Sun, 06 Nov 1994 08:49:37 PST", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            assert_eq!(parse_retry_after(bad, now), None, "{bad}");
        }
    }
}
