//! One answer for a request whose traces are written at different times.

use std::sync::{Arc, Mutex, PoisonError};

use crate::otlp::Refusal;
use crate::pipeline::{Ack, Delivered, Delivery, ExportError, ack_channel};

/// The answer of a request, until all of its pieces have one.
#[derive(Clone, Debug)]
pub(super) struct Answer(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    /// Used when the last piece is answered.
    ack: Option<Ack>,
    /// Traces without an answer.
    traces: usize,
    /// Traces of the request.
    all: usize,
    joined: Delivery,
}

impl Answer {
    /// The answer of a request with so many traces.
    pub(super) fn new(ack: Ack, traces: usize) -> Self {
        Self(Arc::new(Mutex::new(Open {
            ack: Some(ack),
            traces,
            all: traces,
            joined: Ok(Delivered::default()),
        })))
    }

    /// The ack of a piece that holds so many of the traces and spans. Has to be called on a runtime.
    pub(super) fn piece(&self, traces: usize, spans: usize) -> Ack {
        if let Some(whole) = self.take_if_whole(traces) {
            return whole;
        }
        let (ack, delivery) = ack_channel();
        let answer = self.clone();
        tokio::spawn(async move { answer.join(traces, refused_alone(delivery.await, spans)) });
        ack
    }

    /// The request's own ack, for a piece that is all of it.
    fn take_if_whole(&self, traces: usize) -> Option<Ack> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if traces >= open.all { open.ack.take() } else { None }
    }

    fn join(&self, traces: usize, delivery: Delivery) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.traces = open.traces.saturating_sub(traces);
        let before = std::mem::replace(&mut open.joined, Ok(Delivered::default()));
        open.joined = both(before, delivery);
        if open.traces == 0
            && let Some(ack) = open.ack.take()
        {
            let joined = std::mem::replace(&mut open.joined, Ok(Delivered::default()));
            ack.complete(joined);
        }
    }
}

/// A piece that can never be kept is a matter of its own spans: the others of the request are kept.
fn refused_alone(delivery: Delivery, spans: usize) -> Delivery {
    match delivery {
        Err(ExportError::Reject { reason }) => Ok(Delivered { refusals: vec![Refusal { spans, reason }] }),
        other => other,
    }
}

/// A request is kept if every piece is. The sender has to send it again if any piece could be kept then.
fn both(left: Delivery, right: Delivery) -> Delivery {
    match (left, right) {
        (Ok(mut left), Ok(right)) => {
            left.refusals.extend(right.refusals);
            Ok(left)
        }
        (Err(retry @ ExportError::Retry { .. }), _) | (_, Err(retry @ ExportError::Retry { .. })) => {
            Err(retry)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> Delivery {
        Ok(Delivered { refusals: vec![Refusal { spans: 1, reason: reason.to_owned() }] })
    }

    #[tokio::test]
    async fn refusals_of_all_pieces_are_told() {
        let (ack, delivery) = ack_channel();
        let answer = Answer::new(ack, 3);
        answer.piece(1, 4).complete(refused("a"));
        answer.piece(2, 5).complete(Err(ExportError::reject("bad")));
        let reasons: Vec<_> =
            delivery.await.unwrap().refusals.into_iter().map(|one| (one.spans, one.reason)).collect();
        assert_eq!(reasons.len(), 2);
        assert!(reasons.contains(&(5, "bad".to_owned())), "{reasons:?}");
    }

    #[tokio::test]
    async fn one_piece_to_send_again_is_the_whole_request_to_send_again() {
        let (ack, delivery) = ack_channel();
        let answer = Answer::new(ack, 3);
        answer.piece(1, 1).complete(Err(ExportError::fatal("credentials")));
        drop(answer.piece(1, 1));
        answer.piece(1, 1).complete(refused("c"));
        assert!(matches!(delivery.await, Err(ExportError::Retry { .. })));
    }

    /// Scenario: all traces of a request are kept, but for the last one that is written.
    /// Guarantees: only the spans of that one are refused, and not the request.
    #[tokio::test]
    async fn the_last_piece_speaks_for_itself_alone() {
        let (ack, delivery) = ack_channel();
        let answer = Answer::new(ack, 3);
        answer.piece(2, 7).complete(Ok(Delivered::default()));
        while answer.0.lock().unwrap().traces > 1 {
            tokio::task::yield_now().await;
        }
        answer.piece(1, 2).complete(Err(ExportError::reject("bad")));
        let refusals = vec![Refusal { spans: 2, reason: "bad".to_owned() }];
        assert_eq!(delivery.await, Ok(Delivered { refusals }));
    }

    #[tokio::test]
    async fn a_request_that_stays_whole_keeps_its_ack() {
        let (ack, delivery) = ack_channel();
        let answer = Answer::new(ack, 2);
        answer.piece(2, 9).complete(Err(ExportError::reject("bad")));
        assert!(matches!(delivery.await, Err(ExportError::Reject { .. })));
    }
}
