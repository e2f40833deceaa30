//! Whether the destination takes anything at all: if not, one request at a time finds out, and the others wait.
//!
//! Without it every request that waits would try the dead destination on its own, and a window of ten thousand of
//! them would never rest.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::config::RetryOnFailure;

/// So many failures in a row, without a success of anybody, are the destination's and not the requests'.
const FAILURES: u32 = 3;

/// The state of the destination, as far as answers tell.
#[derive(Debug)]
pub(super) struct Gate {
    /// Pipeline and exporter, for logs.
    queue: String,
    state: Mutex<GateState>,
    /// Held by the one that finds out.
    probe: tokio::sync::Mutex<()>,
    /// The destination works again.
    opened: Notify,
}

#[derive(Debug)]
struct GateState {
    failures: u32,
    /// The first failure after the last success.
    trouble: Option<Trouble>,
    not_before: Instant,
    backoff: Backoff,
}

/// What is wrong with a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// Since when nothing succeeded.
    pub(super) since: Instant,
    /// What the last failure said.
    pub(super) reason: String,
    /// Somebody has to change something.
    pub(super) fatal: bool,
}

/// The right to try a destination that may be down.
pub(super) type Turn<'a> = Option<tokio::sync::MutexGuard<'a, ()>>;

impl Gate {
    pub(super) fn new(queue: String, config: RetryOnFailure) -> Self {
        let state = GateState {
            failures: 0,
            trouble: None,
            not_before: Instant::now(),
            backoff: Backoff::new(config),
        };
        Self { queue, state: Mutex::new(state), probe: tokio::sync::Mutex::default(), opened: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the destination takes nothing.
    pub(super) fn is_down(&self) -> bool {
        self.state().failures >= FAILURES
    }

    /// What is wrong, if anything failed since the last success.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }

    /// Waits until a request may be tried.
    pub(super) async fn turn(&self) -> Turn<'_> {
        if !self.is_down() {
            return None;
        }
        let turn = self.probe.lock().await;
        let not_before = {
            let state = self.state();
            (state.failures >= FAILURES).then_some(state.not_before)
        };
        tokio::time::sleep_until(not_before?).await;
        Some(turn)
    }

    /// The destination has taken or judged a request: it works.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        let was_down = state.failures >= FAILURES;
        let trouble = state.trouble.take();
        state.failures = 0;
        state.backoff.reset();
        drop(state);
        if was_down {
            let seconds = trouble.map_or(0, |trouble| trouble.since.elapsed().as_secs());
            tracing::info!(queue = self.queue, seconds, "the destination takes requests again");
        }
        if was_down {
            self.opened.notify_waiters();
        }
    }

    /// The destination did not take a request.
    pub(super) fn failed(&self, reason: String, fatal: bool, hint: Option<Duration>) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let since = state.trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        if state.failures == FAILURES {
            tracing::warn!(
                queue = self.queue,
                "the destination takes nothing; requests stay in the queue: {reason}"
            );
        }
        state.trouble = Some(Trouble { since, reason, fatal });
        if state.failures >= FAILURES {
            let pause = state.backoff.next(hint);
            state.not_before = Instant::now() + pause;
        }
    }

    /// Waits before a retry; ends early when the destination works again.
    pub(super) async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.opened.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(3600);

    fn gate(initial_interval: Duration) -> Gate {
        let max_interval = initial_interval;
        Gate::new(
            "traces/x".to_owned(),
            RetryOnFailure { initial_interval, max_interval, ..RetryOnFailure::default() },
        )
    }

    fn close(gate: &Gate) {
        for _ in 0..FAILURES {
            gate.failed("gone".to_owned(), false, None);
        }
    }

    #[tokio::test]
    async fn one_failing_request_holds_back_no_other() {
        let gate = gate(LONG);
        for _ in 0..10 {
            gate.failed("poison".to_owned(), false, None);
            gate.failed("poison".to_owned(), false, None);
            assert!(gate.turn().await.is_none());
            gate.succeeded();
        }
        assert_eq!(gate.trouble(), None);
    }

    #[tokio::test]
    async fn a_dead_destination_is_tried_by_one_at_a_time() {
        let gate = gate(SHORT);
        close(&gate);
        assert!(gate.is_down());
        let turn = gate.turn().await;
        assert!(turn.is_some());
        assert!(tokio::time::timeout(SHORT * 4, gate.turn()).await.is_err(), "two probes at a time");
        gate.succeeded();
        drop(turn);
        assert!(gate.turn().await.is_none());
    }

    #[tokio::test]
    async fn a_dead_destination_is_left_alone_as_long_as_it_asks() {
        let gate = gate(SHORT);
        close(&gate);
        gate.failed("busy".to_owned(), false, Some(LONG));
        assert!(tokio::time::timeout(SHORT * 4, gate.turn()).await.is_err(), "tried before its time");
    }

    #[tokio::test]
    async fn those_who_rest_are_woken_when_the_destination_works_again() {
        let gate = gate(SHORT);
        close(&gate);
        // Ends only because of the success: an hour is longer than any test.
        tokio::join!(gate.rest(LONG), async { gate.succeeded() });
        assert!(!gate.is_down());
    }

    #[tokio::test]
    async fn trouble_lasts_since_the_first_failure() {
        let gate = gate(SHORT);
        gate.failed("first".to_owned(), false, None);
        let first = gate.trouble().unwrap();
        gate.failed("second".to_owned(), true, None);
        let expected = Trouble { since: first.since, reason: "second".to_owned(), fatal: true };
        assert_eq!(gate.trouble(), Some(expected));
    }
}
