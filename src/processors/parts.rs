//! Parts of requests, sent on together, and each answered for itself.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::join;
use tokio_util::task::TaskTracker;

use super::acks::Share;
use crate::otlp::model::ExportTraceServiceRequest;
use crate::pipeline::{
    Delivered, DeliveryFuture, ExportError, RequestMetadata, TraceExporter, TraceRequest, ack_channel,
};

/// Some or all spans of a request, and the duty to answer for them.
pub(super) struct Part {
    pub(super) request: Arc<TraceRequest>,
    pub(super) share: Share,
}

/// The way to the next stage.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) next: Arc<dyn TraceExporter>,
    waiting: TaskTracker,
}

impl Outlet {
    pub(super) fn new(next: Arc<dyn TraceExporter>) -> Self {
        Self { next, waiting: TaskTracker::new() }
    }

    /// Sends parts on, those that share their metadata as one request. Waits while the next stage is
    /// full, and not for its answers.
    pub(super) async fn send(&self, parts: Vec<Part>) {
        let mut groups: Vec<Vec<Part>> = Vec::new();
        for part in parts {
            let is_same = |group: &&mut Vec<Part>| {
                group.first().is_some_and(|first| are_alike(&first.request, &part.request))
            };
            match groups.iter_mut().find(is_same) {
                Some(group) => group.push(part),
                None => groups.push(vec![part]),
            }
        }
        for group in groups {
            self.send_group(group).await;
        }
    }

    async fn send_group(&self, parts: Vec<Part>) {
        let (joined, shares) = as_one(parts);
        let (ack, delivery) = ack_channel();
        // What is sent alone is not kept here: it comes again if that is needed.
        let kept = (shares.len() > 1).then(|| Arc::clone(&joined));
        self.next.export(joined, ack).await;
        self.waiting.spawn(settle(Arc::clone(&self.next), kept, shares, delivery));
    }

    /// Ends the next stage, and waits for every answer: a stage that waits for more gives its answers
    /// only then.
    pub(super) async fn shutdown(&self) {
        self.waiting.close();
        join(self.next.shutdown(), self.waiting.wait()).await;
    }
}

/// The metadata of a request goes with all of its spans.
fn are_alike(left: &TraceRequest, right: &TraceRequest) -> bool {
    let without_size = |request: &TraceRequest| RequestMetadata { bytes: 0, ..request.metadata.clone() };
    without_size(left) == without_size(right)
}

/// Where the spans of a part stand in the joined request.
type Portion = (Range<usize>, Share);

/// Parts as one request.
fn as_one(parts: Vec<Part>) -> (Arc<TraceRequest>, Vec<Portion>) {
    let mut shares = Vec::with_capacity(parts.len());
    let mut parts = parts.into_iter();
    let Some(Part { request: first, share }) = parts.next() else { return (Arc::default(), shares) };
    shares.push((0..first.body.resource_spans.len(), share));
    if parts.len() == 0 {
        return (first, shares);
    }
    let mut joined = Arc::unwrap_or_clone(first);
    let mut encoded = joined.encoded.take().map(BytesMut::from);
    for Part { request, share } in parts {
        let request = Arc::unwrap_or_clone(request);
        let start = joined.body.resource_spans.len();
        joined.body.resource_spans.extend(request.body.resource_spans);
        shares.push((start..joined.body.resource_spans.len(), share));
        joined.metadata.bytes += request.metadata.bytes;
        joined.held.resize(joined.held.bytes() + request.held.bytes());
        // In protobuf, messages behind one another are one message with the lists of both.
        encoded = encoded.zip(request.encoded).map(|(mut all, more)| {
            all.extend_from_slice(&more);
            all
        });
    }
    joined.encoded = encoded.map(BytesMut::freeze);
    (Arc::new(joined), shares)
}

/// Answers for each part. What was refused of a joined request cannot be told apart, and one bad part
/// must not spoil the others: then each part is sent alone, which the destination takes as a repetition.
async fn settle(
    next: Arc<dyn TraceExporter>,
    joined: Option<Arc<TraceRequest>>,
    portions: Vec<Portion>,
    delivery: DeliveryFuture,
) {
    let delivery = delivery.await;
    let is_mixed = match &delivery {
        Ok(Delivered { refusals }) => !refusals.is_empty(),
        Err(error) => matches!(error, ExportError::Reject { .. }),
    };
    match joined.filter(|_| is_mixed) {
        None => portions.into_iter().for_each(|(_, share)| share.complete(delivery.clone())),
        Some(joined) => {
            for (range, share) in portions {
                let resource_spans = joined.body.resource_spans.get(range).unwrap_or_default().to_vec();
                let body = ExportTraceServiceRequest { resource_spans };
                let metadata = joined.metadata.clone();
                let alone = TraceRequest { body, metadata, ..TraceRequest::default() };
                let (ack, delivery) = ack_channel();
                next.export(Arc::new(alone), ack).await;
                share.complete(delivery.await);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::acks::split;
    use super::super::testing::{Recorder, request_of, span, spans};
    use super::*;
    use crate::otlp::Refusal;
    use crate::pipeline::MemoryAccount;

    fn part(request: TraceRequest) -> (Part, DeliveryFuture) {
        let (ack, delivery) = ack_channel();
        let share = split(ack, &[request.span_count()]).pop().unwrap();
        (Part { request: Arc::new(request), share }, delivery)
    }

    fn encoded(ids: &[u8]) -> TraceRequest {
        let mut request = request_of(ids.iter().map(|id| span(1, *id, "chat")).collect());
        request.encoded = Some(request.body.encode_to_vec().into());
        request
    }

    #[tokio::test]
    async fn parts_of_one_kind_are_one_request_and_others_are_not() {
        let next = Recorder::new();
        let outlet = Outlet::new(Arc::clone(&next) as Arc<dyn TraceExporter>);
        let account = MemoryAccount::default();
        let mut first = encoded(&[1]);
        first.held = account.hold(100);
        let mut second = encoded(&[2, 3]);
        second.held = account.hold(50);
        let mut other = encoded(&[4]);
        other.metadata.experiment_id = Some("7".into());
        let (parts, deliveries): (Vec<_>, Vec<_>) = [first, other, second].map(part).into_iter().unzip();
        outlet.send(parts).await;
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        outlet.shutdown().await;
        assert_eq!(next.span_ids(), [vec![1, 2, 3], vec![4]]);
        let joined = &next.taken()[0];
        let decoded = ExportTraceServiceRequest::decode(joined.encoded.clone().unwrap()).unwrap();
        assert_eq!(decoded, joined.body);
        assert_eq!(account.used(), 150);
        next.forget();
        assert!(*next.stopped.lock().unwrap());
    }

    /// Scenario: one of three parts can never be stored.
    /// Guarantees: only its own sender hears of it, whether the destination refuses it alone or
    /// rejects all that came with it.
    #[tokio::test]
    async fn one_bad_part_does_not_spoil_the_others() {
        for rejects in [true, false] {
            let next = Recorder::new();
            next.judge_by(move |request| {
                let is_bad = spans(&request.body).iter().any(|span| span.name == "bad");
                match (is_bad, rejects) {
                    (false, _) => Ok(Delivered::default()),
                    (true, true) => Err(ExportError::reject("bad")),
                    (true, false) => {
                        Ok(Delivered { refusals: vec![Refusal { spans: 1, reason: "bad".into() }] })
                    }
                }
            });
            let outlet = Outlet::new(Arc::clone(&next) as Arc<dyn TraceExporter>);
            let bad = request_of(vec![span(1, 9, "bad")]);
            let (parts, deliveries): (Vec<_>, Vec<_>) =
                [encoded(&[1]), bad, encoded(&[2])].map(part).into_iter().unzip();
            outlet.send(parts).await;
            let mut answers = Vec::new();
            for delivery in deliveries {
                answers.push(delivery.await);
            }
            assert_eq!(answers[0], Ok(Delivered::default()));
            assert_eq!(answers[2], Ok(Delivered::default()));
            match &answers[1] {
                Ok(delivered) => assert_eq!((delivered.refused_spans(), rejects), (1, false)),
                Err(error) => assert_eq!((error, rejects), (&ExportError::reject("bad"), true)),
            }
        }
    }
}
