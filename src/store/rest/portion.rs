//! How much one request to the server holds: less while the server does not keep up.
//!
//! After an outage all that waited comes at once, and a server that took each request in milliseconds may not take
//! the largest one before the timeout, its own or that of a proxy; sent again as it was, it would fail for ever. So a
//! request that fails for want of time is followed by ones of half its size, and quick answers let the size grow
//! again by what they took: first up to that half, and beyond it after a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::StatusCode;

use super::RestError;

/// Below this size a request is not the reason why there is no answer.
const LEAST_BYTES: usize = 16 << 10;

/// A request may grow after an answer within this part of the timeout: twice the size then takes half of it.
const QUICK: u32 = 4;

/// How long nothing larger is tried after a request was too slow.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// How long nothing larger is tried after a request was refused for its size: limits are changed by hand.
const LIMITED_FOR: Duration = Duration::from_secs(600);

/// The size of a request, learnt from answers.
#[derive(Debug)]
pub(super) struct Portion {
    most: usize,
    timeout: Duration,
    state: Mutex<PortionState>,
}

#[derive(Clone, Copy, Debug)]
struct PortionState {
    now: usize,
    /// What is not exceeded until then.
    ceiling: Option<(usize, Instant)>,
}

impl Portion {
    /// Starts with the largest request.
    pub(super) fn new(most: usize, timeout: Duration) -> Self {
        Self { most, timeout, state: Mutex::new(PortionState { now: most, ceiling: None }) }
    }

    fn state(&self) -> MutexGuard<'_, PortionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes of OTLP the next request should hold.
    pub(super) fn bytes(&self) -> usize {
        self.state().now
    }

    /// A request of so many bytes was answered.
    pub(super) fn answered(&self, bytes: usize, took: Duration, now: Instant) {
        if took > self.timeout / QUICK {
            return;
        }
        let mut state = self.state();
        let ceiling = state.ceiling.filter(|(_, until)| *until > now);
        let most = ceiling.map_or(self.most, |(ceiling, _)| ceiling.min(self.most));
        state.now = state.now.max(state.now.saturating_add(bytes).min(most));
    }

    /// A request of so many bytes failed.
    pub(super) fn failed(&self, bytes: usize, error: &RestError, now: Instant) {
        let too_slow = match error {
            RestError::Timeout { .. } | RestError::Truncated { .. } => true,
            RestError::Unavailable { status, .. } => {
                matches!(*status, StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT)
            }
            _ => false,
        };
        if too_slow {
            self.stay_below(bytes, SLOW_FOR, now);
        }
    }

    /// So many bytes were refused for their size, and less was taken.
    pub(super) fn limit_below(&self, bytes: usize, now: Instant) {
        self.stay_below(bytes, LIMITED_FOR, now);
    }

    fn stay_below(&self, bytes: usize, time: Duration, now: Instant) {
        if bytes <= LEAST_BYTES {
            return;
        }
        let half = (bytes / 2).max(LEAST_BYTES);
        let mut state = self.state();
        state.now = state.now.min(half);
        let before = state.ceiling.filter(|(_, until)| *until > now);
        let (ceiling, until) = before.unwrap_or((half, now));
        state.ceiling = Some((ceiling.min(half), until.max(now + time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(8);

    fn answered(status: StatusCode) -> RestError {
        let (server, message) = (String::new(), String::new());
        RestError::Unavailable { server, status, message, after: None }
    }

    fn too_slow() -> RestError {
        answered(StatusCode::GATEWAY_TIMEOUT)
    }

    #[test]
    fn failures_halve_and_quick_answers_add_what_they_took() {
        let (portion, now) = (Portion::new(8 << 20, TIMEOUT), Instant::now());
        portion.failed(6 << 20, &too_slow(), now);
        portion.failed(6 << 20, &too_slow(), now);
        assert_eq!(portion.bytes(), 3 << 20, "several that were under way at the same time are one failure");
        portion.failed(2 << 20, &too_slow(), now);
        assert_eq!(portion.bytes(), 1 << 20);
        let now = now + SLOW_FOR;
        portion.answered(1 << 20, Duration::from_secs(3), now);
        assert_eq!(portion.bytes(), 1 << 20, "a slow answer changes nothing");
        for _ in 0..4 {
            portion.answered(256 << 10, Duration::from_secs(2), now);
        }
        assert_eq!(portion.bytes(), 2 << 20, "small requests to several experiments are answers, too");
        portion.answered(20 << 20, Duration::ZERO, now);
        assert_eq!(portion.bytes(), 8 << 20, "never more than is configured");
    }

    #[test]
    fn what_was_too_much_is_tried_again_after_a_while() {
        let (portion, now) = (Portion::new(8 << 20, TIMEOUT), Instant::now());
        portion.failed(6 << 20, &too_slow(), now);
        portion.failed(2 << 20, &too_slow(), now);
        portion.answered(6 << 20, Duration::ZERO, now);
        assert_eq!(portion.bytes(), 1 << 20);
        let now = now + SLOW_FOR;
        portion.answered(6 << 20, Duration::ZERO, now);
        assert_eq!(portion.bytes(), 7 << 20);
        portion.limit_below(4 << 20, now);
        let now = now + SLOW_FOR;
        portion.answered(6 << 20, Duration::ZERO, now);
        assert_eq!(portion.bytes(), 2 << 20, "a limit on the size lasts longer");
    }

    #[test]
    fn other_failures_say_nothing_of_the_size() {
        let (portion, now) = (Portion::new(8 << 20, TIMEOUT), Instant::now());
        for error in [
            RestError::Internal { message: String::new() },
            RestError::configuration("x"),
            answered(StatusCode::TOO_MANY_REQUESTS),
            answered(StatusCode::BAD_GATEWAY),
        ] {
            portion.failed(6 << 20, &error, now);
        }
        portion.failed(LEAST_BYTES, &too_slow(), now);
        assert_eq!(portion.bytes(), 8 << 20);
        portion.failed(LEAST_BYTES + 1, &too_slow(), now);
        assert_eq!(portion.bytes(), LEAST_BYTES);
    }
}
