//! The acknowledgement of a request: owned, used once, and a refusal when dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::otlp::Refusal;

/// What became of a request.
pub type Delivery = Result<Delivered, ExportError>;

/// A request that was kept, but for the refused spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Spans that were not kept and never will be.
    pub refusals: Vec<Refusal>,
}

impl Delivered {
    /// The number of spans that were not kept.
    pub fn refused_spans(&self) -> usize {
        self.refusals.iter().map(|refusal| refusal.spans).sum()
    }
}

/// Why a whole request was not kept; says what the sender should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Passing trouble: the same request may succeed later.
    #[error("{reason}")]
    Retry {
        /// How long to wait, where the exporter knows.
        after: Option<Duration>,
        /// What is wrong.
        reason: String,
    },
    /// Bad data: the same request fails again.
    #[error("{reason}")]
    Reject {
        /// What is wrong with the data.
        reason: String,
    },
    /// Bad configuration or credentials: nothing succeeds until somebody changes them.
    #[error("{reason}")]
    Fatal {
        /// What has to be changed.
        reason: String,
    },
}

impl ExportError {
    /// Passing trouble without a known waiting time.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { after: None, reason: reason.into() }
    }

    /// Bad data.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }

    /// Bad configuration.
    pub fn fatal(reason: impl Into<String>) -> Self {
        Self::Fatal { reason: reason.into() }
    }
}

/// The duty to say what became of a request. Dropping it unused asks the sender to try again.
#[derive(Debug)]
#[must_use = "a dropped ack tells the sender to retry"]
pub struct Ack {
    answer: oneshot::Sender<Delivery>,
    is_urgent: bool,
}

impl Ack {
    /// Others wait for this answer, to know whether the destination works: the request should wait for nothing.
    pub fn urgent(self) -> Self {
        Self { is_urgent: true, ..self }
    }

    /// Whether others wait for the answer.
    pub fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Tells the receiver what became of the request. Does nothing if the receiver has gone.
    pub fn complete(self, delivery: Delivery) {
        // The receiver is gone when its client is: there is nobody left to tell.
        let _ = self.answer.send(delivery);
    }
}

/// Resolves when the [`Ack`] is used or dropped.
#[derive(Debug)]
pub struct DeliveryFuture(oneshot::Receiver<Delivery>);

impl Future for DeliveryFuture {
    type Output = Delivery;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Delivery> {
        Pin::new(&mut self.0).poll(context).map(|received| {
            received.unwrap_or_else(|_| Err(ExportError::retry("the exporter stopped before it finished")))
        })
    }
}

/// An [`Ack`] and the future that it resolves.
pub fn ack_channel() -> (Ack, DeliveryFuture) {
    let (sender, receiver) = oneshot::channel();
    (Ack { answer: sender, is_urgent: false }, DeliveryFuture(receiver))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_ack_asks_for_a_retry() {
        let (ack, delivery) = ack_channel();
        drop(ack);
        assert!(matches!(delivery.await, Err(ExportError::Retry { .. })));
    }

    #[tokio::test]
    async fn a_used_ack_delivers_its_outcome() {
        let (ack, delivery) = ack_channel();
        ack.complete(Ok(Delivered::default()));
        assert_eq!(delivery.await, Ok(Delivered::default()));
    }
}
