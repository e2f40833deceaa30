//! Parts of requests, sent on together, and each answered for itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::join;
use prost::Message as _;
use tokio_util::task::TaskTracker;

use super::acks::Share;
use super::careful::panicked;
use crate::otlp::footprint;
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
        let (joined, portions) = as_one(parts);
        // What is sent alone is not kept here: it comes again if that is needed.
        let kept = (portions.len() > 1).then(|| Arc::clone(&joined));
        let delivery = give(&self.next, joined).await;
        self.waiting.spawn(settle(Arc::clone(&self.next), kept, portions, delivery));
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

/// Gives a request to the next stage. A panic there is the answer to this request, and not the end of the task that
/// gave it.
async fn give(next: &Arc<dyn TraceExporter>, request: Arc<TraceRequest>) -> DeliveryFuture {
    let (ack, delivery) = ack_channel();
    let exporting = async { next.export(request, ack).await };
    if AssertUnwindSafe(exporting).catch_unwind().await.is_ok() {
        return delivery;
    }
    let (ack, delivery) = ack_channel();
    ack.complete(Err(panicked()));
    delivery
}

/// A part of a joined request.
struct Portion {
    /// How many of its resources are of this part.
    resources: usize,
    /// How many bytes of its protobuf.
    bytes: usize,
    share: Share,
}

/// Parts as one request.
fn as_one(parts: Vec<Part>) -> (Arc<TraceRequest>, Vec<Portion>) {
    let portion = |request: &TraceRequest, share| Portion {
        resources: request.body.resource_spans.len(),
        bytes: request.encoded.as_ref().map_or(0, Bytes::len),
        share,
    };
    // Fields that this program does not know are kept, though a part beside it has none: what was changed is written
    // anew here instead of later.
    let any_encoded = parts.len() > 1 && parts.iter().any(|part| part.request.encoded.is_some());
    let mut parts = parts.into_iter().map(|Part { mut request, share }| {
        if any_encoded && request.encoded.is_none() {
            let mut whole = Arc::unwrap_or_clone(request);
            let encoded = whole.to_protobuf();
            whole.held.resize(whole.held.bytes() + encoded.len());
            whole.encoded = Some(encoded);
            request = Arc::new(whole);
        }
        (portion(&request, share), request)
    });
    let Some((first_portion, first)) = parts.next() else { return (Arc::default(), Vec::new()) };
    let mut portions = vec![first_portion];
    if parts.len() == 0 {
        return (first, portions);
    }
    let mut joined = Arc::unwrap_or_clone(first);
    let mut encoded = joined.encoded.take().map(BytesMut::from);
    for (portion, request) in parts {
        let request = Arc::unwrap_or_clone(request);
        joined.body.resource_spans.extend(request.body.resource_spans);
        portions.push(portion);
        joined.metadata.bytes += request.metadata.bytes;
        joined.held.resize(joined.held.bytes() + request.held.bytes());
        // In protobuf, messages behind one another are one message with the lists of both.
        encoded = encoded.zip(request.encoded).map(|(mut all, more)| {
            all.extend_from_slice(&more);
            all
        });
    }
    joined.encoded = encoded.map(BytesMut::freeze);
    (Arc::new(joined), portions)
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
    let Some(joined) = joined.filter(|_| is_mixed) else {
        return portions.into_iter().for_each(|portion| portion.share.complete(delivery.clone()));
    };
    let mut waiting = Vec::with_capacity(portions.len());
    for (alone, share) in apart(Arc::unwrap_or_clone(joined), portions) {
        // All of them before any answer: the next stage may hold back one until another has come.
        waiting.push((give(&next, alone).await, share));
    }
    for (delivery, share) in waiting {
        share.complete(delivery.await);
    }
}

/// The parts of a joined request, each made when it is asked for.
fn apart(joined: TraceRequest, portions: Vec<Portion>) -> impl Iterator<Item = (Arc<TraceRequest>, Share)> {
    let TraceRequest { body, encoded, metadata, mut held } = joined;
    let (mut resource_spans, mut encoded) = (body.resource_spans.into_iter(), encoded);
    portions.into_iter().map(move |Portion { resources, bytes, share }| {
        let body =
            ExportTraceServiceRequest { resource_spans: resource_spans.by_ref().take(resources).collect() };
        let encoded = encoded.as_mut().map(|rest| rest.split_to(bytes.min(rest.len())));
        let size = encoded.as_ref().map_or_else(|| body.encoded_len(), Bytes::len);
        let own = footprint(&body) + encoded.as_ref().map_or(0, Bytes::len);
        held.resize(held.bytes().saturating_sub(own));
        let metadata = RequestMetadata { bytes: size, ..metadata.clone() };
        (Arc::new(TraceRequest { body, encoded, metadata, held: held.more(own) }), share)
    })
}

#[cfg(test)]
mod tests;
