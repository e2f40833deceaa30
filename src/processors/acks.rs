//! One request in several parts, and one answer to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::otlp::Refusal;
use crate::pipeline::{Ack, Delivered, Delivery, ExportError};
use crate::telemetry::ProcessorMetrics;

/// The duty to say what became of a part of a request. Dropping it unused asks the sender to try again.
#[derive(Debug)]
#[must_use = "a dropped share tells the sender to retry"]
pub(super) struct Share {
    joint: Arc<Joint>,
    spans: usize,
    is_used: bool,
}

#[derive(Debug)]
struct Joint(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Used when every part has its answer.
    ack: Option<Ack>,
    open: usize,
    refusals: Vec<Refusal>,
    /// Why parts were rejected, with their spans.
    rejected: Vec<Refusal>,
    /// Whether anything was kept, or dropped on purpose.
    any_kept: bool,
    error: Option<ExportError>,
    /// Spans that were dropped on purpose, and where they count under which word.
    dropped: usize,
    counting: Option<(ProcessorMetrics, &'static str)>,
}

/// Cuts the duty for a request into shares for parts of so many spans. The request is acknowledged when
/// all that it held is delivered, dropped on purpose, or refused; if one part can still succeed, all of
/// it comes again.
pub(super) fn split(ack: Ack, parts: &[usize]) -> Vec<Share> {
    split_into(ack, parts, None)
}

/// The same, for a processor that drops parts on purpose for this reason. They count once the request is
/// acknowledged: one that comes again is looked at again.
pub(super) fn split_counting(
    ack: Ack,
    parts: &[usize],
    metrics: ProcessorMetrics,
    reason: &'static str,
) -> Vec<Share> {
    split_into(ack, parts, Some((metrics, reason)))
}

fn split_into(ack: Ack, parts: &[usize], counting: Option<(ProcessorMetrics, &'static str)>) -> Vec<Share> {
    if parts.is_empty() {
        ack.complete(Ok(Delivered::default()));
        return Vec::new();
    }
    let state = State {
        ack: Some(ack),
        open: parts.len(),
        refusals: Vec::new(),
        rejected: Vec::new(),
        any_kept: false,
        error: None,
        dropped: 0,
        counting,
    };
    let joint = Arc::new(Joint(Mutex::new(state)));
    parts.iter().map(|spans| Share { joint: Arc::clone(&joint), spans: *spans, is_used: false }).collect()
}

impl Share {
    /// How many spans the part has.
    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    /// Says what became of the part.
    pub(super) fn complete(mut self, delivery: Delivery) {
        self.is_used = true;
        self.joint.answer(delivery, self.spans);
    }

    /// Says that the part was dropped on purpose.
    pub(super) fn dropped(self) {
        self.joint.state().dropped += self.spans;
        self.complete(Ok(Delivered::default()));
    }

    /// Answers for another part of the same request from now on, too.
    pub(super) fn absorb(&mut self, mut other: Self) {
        debug_assert!(Arc::ptr_eq(&self.joint, &other.joint), "parts of other requests have other answers");
        other.is_used = true;
        self.spans += other.spans;
        self.joint.state().open -= 1;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.is_used {
            self.joint.answer(Err(ExportError::retry("a processor stopped before it finished")), self.spans);
        }
    }
}

impl Joint {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, delivery: Delivery, spans: usize) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
        match delivery {
            Ok(Delivered { refusals }) => {
                state.any_kept = true;
                state.refusals.extend(refusals);
            }
            Err(ExportError::Reject { reason }) => state.rejected.push(Refusal { spans, reason }),
            Err(error) => state.error = Some(graver(state.error.take(), error)),
        }
        if state.open == 0
            && let Some(ack) = state.ack.take()
        {
            let outcome = state.outcome();
            if let (Ok(_), 1.., Some((metrics, reason))) = (&outcome, state.dropped, &state.counting) {
                metrics.dropped(reason, state.dropped);
            }
            ack.complete(outcome);
        }
    }
}

impl State {
    fn outcome(&mut self) -> Delivery {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        match self.rejected.first() {
            // One bad part does not spoil the others.
            Some(rejected) if !self.any_kept => Err(ExportError::reject(rejected.reason.clone())),
            _ => {
                let mut refusals = std::mem::take(&mut self.refusals);
                refusals.append(&mut self.rejected);
                Ok(Delivered { refusals })
            }
        }
    }
}

/// A retry wins, as what can still succeed must come again; of two, the one that asks for more patience.
fn graver(first: Option<ExportError>, second: ExportError) -> ExportError {
    match (first, second) {
        (Some(ExportError::Retry { after: first, reason }), ExportError::Retry { after: second, .. }) => {
            ExportError::Retry { after: first.max(second), reason }
        }
        (Some(first @ ExportError::Retry { .. }), _) => first,
        (_, second) => second,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::ack_channel;

    fn delivered() -> Delivery {
        Ok(Delivered::default())
    }

    fn refused(spans: usize) -> Delivery {
        Ok(Delivered { refusals: vec![Refusal { spans, reason: "bad".into() }] })
    }

    async fn joined(deliveries: Vec<Delivery>) -> Delivery {
        let (ack, delivery) = ack_channel();
        let shares = split(ack, &vec![2; deliveries.len()]);
        for (share, delivery) in shares.into_iter().zip(deliveries) {
            share.complete(delivery);
        }
        delivery.await
    }

    #[tokio::test]
    async fn refusals_add_up_and_a_rejected_part_is_one() {
        let both = joined(vec![refused(1), Err(ExportError::reject("no")), delivered()]).await.unwrap();
        assert_eq!(both.refused_spans(), 3);
        let none = joined(vec![Err(ExportError::reject("no")), Err(ExportError::reject("no"))]).await;
        assert_eq!(none, Err(ExportError::reject("no")));
    }

    #[tokio::test]
    async fn what_can_still_succeed_comes_again() {
        let after = |seconds| ExportError::Retry {
            after: Some(Duration::from_secs(seconds)),
            reason: "later".into(),
        };
        let all = vec![
            Err(ExportError::fatal("no")),
            Err(after(1)),
            delivered(),
            Err(after(5)),
            Err(ExportError::reject("no")),
        ];
        assert_eq!(joined(all).await, Err(after(5)));
    }

    #[tokio::test]
    async fn a_request_of_nothing_is_delivered() {
        assert_eq!(joined(Vec::new()).await, delivered());
    }

    #[tokio::test]
    async fn a_dropped_share_asks_for_another_try() {
        let (ack, delivery) = ack_channel();
        let mut shares = split(ack, &[1, 1]);
        shares.pop().unwrap().complete(delivered());
        drop(shares);
        assert!(matches!(delivery.await, Err(ExportError::Retry { .. })));
    }

    proptest! {
        /// Whatever the parts say and in whatever order, the answer comes when the last has spoken.
        #[test]
        fn the_answer_is_given_once_all_have_spoken(fates in proptest::collection::vec(0_u8..4, 1..8)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (ack, mut delivery) = ack_channel();
                let mut shares = split(ack, &vec![1; fates.len()]);
                for fate in &fates {
                    let open = std::future::poll_fn(|context| {
                        std::task::Poll::Ready(std::pin::Pin::new(&mut delivery).poll(context).is_pending())
                    });
                    prop_assert!(open.await);
                    let share = shares.pop().unwrap();
                    match fate {
                        0 => drop(share),
                        1 => share.complete(delivered()),
                        2 => share.complete(refused(1)),
                        _ => share.complete(Err(ExportError::reject("no"))),
                    }
                }
                match delivery.await {
                    Ok(kept) => {
                        prop_assert!(!fates.contains(&0));
                        prop_assert_eq!(kept.refused_spans(), fates.iter().filter(|fate| **fate > 1).count());
                    }
                    Err(ExportError::Reject { .. }) => prop_assert!(fates.iter().all(|fate| *fate == 3)),
                    Err(_) => prop_assert!(fates.contains(&0)),
                }
                Ok(())
            })?;
        }
    }
}
