//! How much one request to the server holds: less while the server does not keep up.
//!
//! After an outage all that waited comes at once, and a server that took each request in milliseconds may not take
//! the largest one before the timeout, its own or that of a proxy; sent again as it was, it would fail for ever. So a
//! request that fails for want of time is followed by ones of half its size, and quick answers double the size again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::RestError;

/// Below this size a request is not the reason why there is no answer.
const LEAST_BYTES: usize = 16 << 10;

/// A request may grow after an answer within this part of the timeout: twice the size then takes half of it.
const QUICK: u32 = 4;

/// The size of a request, learnt from answers.
#[derive(Debug)]
pub(super) struct Portion {
    now: AtomicUsize,
    most: AtomicUsize,
    timeout: Duration,
}

impl Portion {
    /// Starts with the largest request.
    pub(super) fn new(most: usize, timeout: Duration) -> Self {
        Self { now: AtomicUsize::new(most), most: AtomicUsize::new(most), timeout }
    }

    /// How many bytes of OTLP the next request should hold.
    pub(super) fn bytes(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// A request of so many bytes was answered.
    pub(super) fn answered(&self, bytes: usize, took: Duration) {
        if took <= self.timeout / QUICK {
            let grown = bytes.saturating_mul(2).min(self.most.load(Ordering::Relaxed));
            self.now.fetch_max(grown, Ordering::Relaxed);
        }
    }

    /// A request of so many bytes failed.
    pub(super) fn failed(&self, bytes: usize, error: &RestError) {
        let too_slow = matches!(
            error,
            RestError::Timeout { .. } | RestError::Truncated { .. } | RestError::Unavailable { .. }
        );
        if too_slow {
            self.now.fetch_min((bytes / 2).max(LEAST_BYTES), Ordering::Relaxed);
        }
    }

    /// So many bytes were refused for their size, and less was taken: what a proxy's limit refuses now it refuses
    /// tomorrow.
    pub(super) fn limit_below(&self, refused_bytes: usize) {
        let half = (refused_bytes / 2).max(LEAST_BYTES);
        self.most.fetch_min(half, Ordering::Relaxed);
        self.now.fetch_min(half, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(8);

    fn unavailable() -> RestError {
        let (server, message) = (String::new(), String::new());
        RestError::Unavailable { server, status: StatusCode::GATEWAY_TIMEOUT, message, after: None }
    }

    #[test]
    fn failures_halve_and_quick_answers_double() {
        let portion = Portion::new(8 << 20, TIMEOUT);
        portion.failed(6 << 20, &unavailable());
        portion.failed(6 << 20, &unavailable());
        assert_eq!(portion.bytes(), 3 << 20, "several that were under way at the same time are one failure");
        portion.answered(3 << 20, Duration::from_secs(3));
        portion.answered(1 << 20, Duration::ZERO);
        assert_eq!(
            portion.bytes(),
            3 << 20,
            "a slow answer, and a quick one to a small request, change nothing"
        );
        portion.answered(3 << 20, Duration::from_secs(2));
        portion.answered(6 << 20, Duration::from_secs(2));
        assert_eq!(portion.bytes(), 8 << 20, "never more than is configured");
    }

    #[test]
    fn there_is_a_least_size_and_other_failures_say_nothing_of_the_size() {
        let portion = Portion::new(8 << 20, TIMEOUT);
        portion.failed(6 << 20, &RestError::Internal { message: String::new() });
        portion.failed(6 << 20, &RestError::configuration("x"));
        assert_eq!(portion.bytes(), 8 << 20);
        portion.failed(100, &unavailable());
        assert_eq!(portion.bytes(), LEAST_BYTES);
    }

    #[test]
    fn a_limit_on_the_size_is_remembered() {
        let portion = Portion::new(8 << 20, TIMEOUT);
        portion.limit_below(4 << 20);
        portion.answered(2 << 20, Duration::ZERO);
        assert_eq!(portion.bytes(), 2 << 20);
    }
}
