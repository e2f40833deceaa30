//! Something that happens again and again, for threads and tasks that wait for the next time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A day: long enough, and no sum of times overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Counts how often it happened.
#[derive(Debug, Default)]
pub(super) struct Event {
    state: Mutex<EventState>,
    happened: Condvar,
}

#[derive(Debug, Default)]
struct EventState {
    count: u64,
    wakers: Vec<Waker>,
}

impl Event {
    fn state(&self) -> MutexGuard<'_, EventState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it happened so far.
    pub(super) fn count(&self) -> u64 {
        self.state().count
    }

    /// Wakes everybody who waits.
    pub(super) fn notify(&self) {
        let mut state = self.state();
        state.count += 1;
        self.happened.notify_all();
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Resolves when it has happened more often than `seen`.
    pub(super) fn changed(&self, seen: u64) -> Changed<'_> {
        Changed { event: self, seen }
    }
}

/// Resolves when there may be something new.
#[derive(Debug)]
#[must_use = "does nothing unless it is awaited or waited for"]
pub struct Changed<'a> {
    event: &'a Event,
    seen: u64,
}

impl Changed<'_> {
    /// Blocks the thread until then, or for `timeout`; says whether there may be something new.
    pub fn wait_timeout(self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout.min(LONGEST_WAIT);
        let mut state = self.event.state();
        while state.count == self.seen {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.event.happened.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.event.state();
        if state.count != self.seen {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_before_the_wait_is_seen() {
        let event = Event::default();
        let seen = event.count();
        assert!(!event.changed(seen).wait_timeout(Duration::ZERO));
        event.notify();
        assert!(event.changed(seen).wait_timeout(Duration::ZERO));
    }

    #[test]
    fn a_task_is_woken() {
        let event = Event::default();
        let mut changed = std::pin::pin!(event.changed(0));
        let mut context = Context::from_waker(Waker::noop());
        assert!(changed.as_mut().poll(&mut context).is_pending());
        event.notify();
        assert!(changed.as_mut().poll(&mut context).is_ready());
    }
}
