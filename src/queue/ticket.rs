//! The answer to an append, for threads and for tasks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::QueueError;

/// Resolves when the record is where [`Durability`](super::Durability) says, or is refused.
///
/// Dropping it does not take the record back.
#[derive(Debug)]
#[must_use = "an append may be refused"]
pub struct Ticket(Arc<Slot>);

/// The other end of a [`Ticket`]; dropped unused, it answers that the log is closed.
#[derive(Debug)]
pub(super) struct Answer(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<SlotState>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct SlotState {
    answer: Option<Result<(), QueueError>>,
    waker: Option<Waker>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Result<(), QueueError>) {
        let mut state = self.state();
        state.answer.get_or_insert(answer);
        self.answered.notify_all();
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A ticket and its other end.
pub(super) fn ticket() -> (Answer, Ticket) {
    let slot = Arc::new(Slot::default());
    (Answer(Arc::clone(&slot)), Ticket(slot))
}

impl Ticket {
    /// A ticket that is answered already.
    pub(super) fn answered(answer: Result<(), QueueError>) -> Self {
        let (other, ticket) = ticket();
        other.give(answer);
        ticket
    }

    /// Blocks the thread until the answer; a task awaits the ticket instead.
    ///
    /// # Errors
    ///
    /// Why the record was refused.
    pub fn wait(self) -> Result<(), QueueError> {
        let mut state = self.0.state();
        loop {
            if let Some(answer) = &state.answer {
                return answer.clone();
            }
            state = self.0.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Ticket {
    type Output = Result<(), QueueError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if let Some(answer) = &state.answer {
            return Poll::Ready(answer.clone());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Answer {
    /// Answers.
    pub(super) fn give(self, answer: Result<(), QueueError>) {
        self.0.answer(answer);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.answer(Err(QueueError::Closed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_a_thread_that_waits() {
        let (answer, ticket) = ticket();
        let waiting = std::thread::spawn(move || ticket.wait());
        answer.give(Ok(()));
        assert!(waiting.join().unwrap().is_ok());
    }

    #[test]
    fn an_answer_wakes_a_task() {
        let (answer, ticket) = ticket();
        let mut ticket = std::pin::pin!(ticket);
        let mut context = Context::from_waker(Waker::noop());
        assert!(ticket.as_mut().poll(&mut context).is_pending());
        answer.give(Ok(()));
        assert!(matches!(ticket.as_mut().poll(&mut context), Poll::Ready(Ok(()))));
    }

    #[test]
    fn a_dropped_answer_says_closed() {
        let (answer, ticket) = ticket();
        drop(answer);
        assert!(matches!(ticket.wait(), Err(QueueError::Closed)));
    }
}
