//! Whether the destination takes anything at all: if not, one request at a time finds out, and the others wait.
//!
//! Without it every request that waits would try the dead destination on its own, and a window of ten thousand of
//! them would never rest.
//!
//! The gate stands before the destination, behind the processors (see [`Watch`](super::Watch)): it counts what the
//! destination was asked and what it answered, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::config::RetryOnFailure;
use crate::pipeline::{Delivery, ExportError};

/// So many failures in a row, without a success of anybody, are the destination's and not the requests'.
pub(super) const FAILURES: u32 = 3;

/// A wait that nobody lives to see the end of, where the clock has no later time.
const AGES: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// The state of the destination, as far as answers tell.
#[derive(Debug)]
pub(super) struct Gate {
    /// Pipeline and exporter, for logs.
    queue: String,
    state: Mutex<GateState>,
    /// Held by the one that finds out.
    probe: Arc<tokio::sync::Mutex<()>>,
    /// The destination works again.
    opened: Notify,
    /// Nobody is let through any more.
    closed: CancellationToken,
}

#[derive(Debug)]
struct GateState {
    failures: u32,
    /// Failures ever. What was asked before the last of them and fails after it is the same failure: a write of many
    /// requests fails for each of them.
    count: u64,
    /// The first failure after the last success.
    trouble: Option<Trouble>,
    not_before: Instant,
    backoff: Backoff,
    /// Attempts without an answer, by number: since when the destination is expected to work on them.
    running: BTreeMap<u64, Instant>,
    next_attempt: u64,
    /// When an attempt was answered last.
    answered: Instant,
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

/// The right to try a destination that may be down; none is needed of one that works.
type Turn = Option<OwnedMutexGuard<()>>;

/// A request that is with the destination. Dropped without an answer, it was none.
#[derive(Debug)]
pub(super) struct Attempt {
    gate: Arc<Gate>,
    number: u64,
    /// Failures before it.
    count: u64,
    turn: Turn,
}

impl Gate {
    pub(super) fn new(queue: String, config: RetryOnFailure) -> Self {
        let now = Instant::now();
        let state = GateState {
            failures: 0,
            count: 0,
            trouble: None,
            not_before: now,
            backoff: Backoff::new(config),
            running: BTreeMap::new(),
            next_attempt: 0,
            answered: now,
        };
        Self {
            queue,
            state: Mutex::new(state),
            probe: Arc::default(),
            opened: Notify::new(),
            closed: CancellationToken::new(),
        }
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

    /// Nothing is left that could be tried: a trouble that passes by itself is none any more.
    pub(super) fn forget_passing_trouble(&self) {
        self.state().trouble.take_if(|trouble| !trouble.fatal);
    }

    /// How long the destination has answered nothing, though it was asked.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let oldest = state.running.values().min()?;
        Some(now.saturating_duration_since(state.answered.max(*oldest)))
    }

    /// Lets nobody through any more, and those go who wait.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until the destination may be asked, which may then take so long until it begins to work on it. None if
    /// it should not be asked any more.
    pub(super) async fn attempt(self: &Arc<Self>, held_back: Duration) -> Option<Attempt> {
        let turn = self.turn().await?;
        let begins = Instant::now();
        let mut state = self.state();
        let number = state.next_attempt;
        state.next_attempt += 1;
        // Who has a turn is not held back.
        let held_back = if turn.is_some() { Duration::ZERO } else { held_back };
        state.running.insert(number, begins.checked_add(held_back).unwrap_or(begins));
        Some(Attempt { gate: Arc::clone(self), number, count: state.count, turn })
    }

    /// Waits until a request may be tried; none if it should not be.
    async fn turn(&self) -> Option<Turn> {
        let mut turn = None;
        loop {
            // Heard from here on, so that no success is missed between the look and the wait.
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            let not_before = {
                let state = self.state();
                (state.failures >= FAILURES).then_some(state.not_before)
            };
            if self.closed.is_cancelled() {
                return None;
            }
            let Some(not_before) = not_before else { return Some(None) };
            if turn.is_some() && not_before <= Instant::now() {
                return Some(turn);
            }
            let has_turn = turn.is_some();
            tokio::select! {
                () = self.closed.cancelled() => return None,
                () = opened => {}
                guard = Arc::clone(&self.probe).lock_owned(), if !has_turn => turn = Some(guard),
                () = tokio::time::sleep_until(not_before), if has_turn => {}
            }
        }
    }

    /// The destination has taken or judged a request: it works.
    fn succeeded(&self) {
        let mut state = self.state();
        let was_down = state.failures >= FAILURES;
        let trouble = state.trouble.take();
        state.failures = 0;
        state.not_before = Instant::now();
        state.backoff.reset();
        drop(state);
        if was_down {
            let seconds = trouble.map_or(0, |trouble| trouble.since.elapsed().as_secs());
            tracing::info!(queue = self.queue, seconds, "the destination takes requests again");
            self.opened.notify_waiters();
        }
    }

    /// The destination did not take a request that was tried after so many failures.
    fn failed(&self, count: u64, reason: &str, fatal: bool, hint: Option<Duration>) {
        let mut state = self.state();
        let since = state.trouble.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        state.trouble = Some(Trouble { since, reason: reason.to_owned(), fatal });
        let pause = if count == state.count {
            state.count += 1;
            state.failures = state.failures.saturating_add(1);
            if state.failures == FAILURES {
                tracing::warn!(
                    queue = self.queue,
                    "the destination takes nothing; requests stay in the queue: {reason}"
                );
            }
            (state.failures >= FAILURES).then(|| state.backoff.next(hint))
        } else {
            // Part of a failure that counted; it may ask for more patience all the same.
            hint.filter(|_| state.failures >= FAILURES)
        };
        if let Some(pause) = pause {
            state.not_before = state.not_before.max(later(pause));
        }
    }

    /// Something between the queue and the destination did not take a request. It says nothing of the destination.
    pub(super) fn held_up(&self, reason: &str) {
        let trouble = || Trouble { since: Instant::now(), reason: reason.to_owned(), fatal: false };
        self.state().trouble.get_or_insert_with(trouble);
    }

    /// Waits before a retry; ends early when the destination works again.
    pub(super) async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.opened.notified() => {}
        }
    }
}

fn later(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or_else(|| now + AGES)
}

impl Attempt {
    /// Whether the others wait for this one: it finds out whether the destination is back.
    pub(super) fn is_probe(&self) -> bool {
        self.turn.is_some()
    }

    /// The destination has answered.
    pub(super) fn answered(self, delivery: &Delivery) {
        self.gate.state().answered = Instant::now();
        match delivery {
            Ok(_) | Err(ExportError::Reject { .. }) => self.gate.succeeded(),
            Err(ExportError::Retry { after, reason }) => self.gate.failed(self.count, reason, false, *after),
            Err(ExportError::Fatal { reason }) => self.gate.failed(self.count, reason, true, None),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.gate.state().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
