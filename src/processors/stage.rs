//! The frame around processors that look at one request at a time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::careful::careful;
use crate::otlp::footprint;
use crate::otlp::model::{ExportTraceServiceRequest, Span};
use crate::pipeline::{Ack, ComponentId, Delivered, TraceExporter, TraceRequest, ack_channel};
use crate::telemetry::ProcessorMetrics;

/// What a processor does to a request, without state and without waiting.
pub(crate) trait Transform: Send + Sync + 'static {
    /// Why a span is dropped, in one of a few fixed words.
    const DROPPED: &'static str;

    /// Whether a request has anything to change: one that has none is passed on as it came in, with the
    /// fields that this program does not know.
    fn concerns(&self, body: &ExportTraceServiceRequest) -> bool;

    /// Changes the request. Spans that are gone afterwards count as dropped on purpose.
    fn apply(&self, body: &mut ExportTraceServiceRequest);
}

/// A transform between what comes before and the next stage.
pub(crate) struct Stage<T> {
    transform: Arc<T>,
    metrics: ProcessorMetrics,
    next: Arc<dyn TraceExporter>,
}

impl<T: Transform> Stage<T> {
    pub(crate) fn new(transform: T, metrics: ProcessorMetrics, next: Arc<dyn TraceExporter>) -> Self {
        Self { transform: Arc::new(transform), metrics, next }
    }

    async fn run(&self, request: Arc<TraceRequest>, ack: Ack) {
        let before = request.span_count();
        self.metrics.incoming(before);
        let (worker, bytes) = (Arc::clone(&self.transform), request.metadata.bytes);
        let request = match careful(bytes, move || transform(worker.as_ref(), request)).await {
            Ok(request) => request,
            Err(error) => return ack.complete(Err(error)),
        };
        let after = request.span_count();
        let dropped = before.saturating_sub(after);
        self.metrics.outgoing(after);
        if after == 0 {
            self.metrics.dropped(T::DROPPED, dropped);
            return ack.complete(Ok(Delivered::default()));
        }
        self.next.export(request, counting(ack, dropped, T::DROPPED, &self.metrics)).await;
    }
}

fn transform<T: Transform>(transform: &T, request: Arc<TraceRequest>) -> Arc<TraceRequest> {
    if !transform.concerns(&request.body) {
        return request;
    }
    let mut request = Arc::unwrap_or_clone(request);
    transform.apply(&mut request.body);
    // What came in is no longer what goes on.
    request.encoded = None;
    request.held.resize(footprint(&request.body));
    Arc::new(request)
}

/// Counts dropped spans once the rest is delivered: a request that is tried again drops them again.
fn counting(ack: Ack, dropped: usize, reason: &'static str, metrics: &ProcessorMetrics) -> Ack {
    if dropped == 0 {
        return ack;
    }
    let metrics = metrics.clone();
    let (inner, delivery) = ack_channel();
    tokio::spawn(async move {
        let delivery = delivery.await;
        if delivery.is_ok() {
            metrics.dropped(reason, dropped);
        }
        ack.complete(delivery);
    });
    inner
}

impl<T: Transform> TraceExporter for Stage<T> {
    fn id(&self) -> &ComponentId {
        self.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.run(request, ack))
    }

    fn hurry(&self) {
        self.next.hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.next.shutdown()
    }
}

/// The end of a chain: an exporter that other chains may share, so that neither the haste nor the end of one chain is
/// its own. Whoever made the exporter tells it to hurry, and shuts it down after the chains.
pub struct Shared(pub Arc<dyn TraceExporter>);

impl TraceExporter for Shared {
    fn id(&self) -> &ComponentId {
        self.0.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        self.0.export(request, ack)
    }

    fn holds_back(&self) -> Duration {
        self.0.holds_back()
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Keeps the spans that a rule wants, and nothing empty around those it does not.
pub(super) fn retain(
    body: &mut ExportTraceServiceRequest,
    mut keep: impl FnMut(Surroundings<'_>, &Span) -> bool,
) {
    for resource_spans in &mut body.resource_spans {
        let resource = resource_spans.resource.as_ref();
        for scope_spans in &mut resource_spans.scope_spans {
            let scope = scope_spans.scope.as_ref();
            scope_spans.spans.retain(|span| keep(Surroundings { resource, scope }, span));
        }
        resource_spans.scope_spans.retain(|scope_spans| !scope_spans.spans.is_empty());
    }
    body.resource_spans.retain(|resource_spans| !resource_spans.scope_spans.is_empty());
}

/// Whether any span of a request is such.
pub(super) fn any_span(
    body: &ExportTraceServiceRequest,
    mut is_such: impl FnMut(Surroundings<'_>, &Span) -> bool,
) -> bool {
    body.resource_spans.iter().any(|resource_spans| {
        let resource = resource_spans.resource.as_ref();
        resource_spans.scope_spans.iter().any(|scope_spans| {
            let scope = scope_spans.scope.as_ref();
            scope_spans.spans.iter().any(|span| is_such(Surroundings { resource, scope }, span))
        })
    })
}

/// Whose span it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Surroundings<'a> {
    pub(super) resource: Option<&'a crate::otlp::model::Resource>,
    pub(super) scope: Option<&'a crate::otlp::model::InstrumentationScope>,
}

#[cfg(test)]
mod tests {
    use super::super::careful::LARGE_BYTES;
    use super::super::testing::{Recorder, request_of, span};
    use super::*;
    use crate::pipeline::{ExportError, MemoryAccount};
    use crate::telemetry::Metrics;

    /// Drops spans of a name, and panics at another.
    struct Drop;

    impl Transform for Drop {
        const DROPPED: &'static str = "filtered";

        fn concerns(&self, body: &ExportTraceServiceRequest) -> bool {
            any_span(body, |_, span| span.name != "keep")
        }

        fn apply(&self, body: &mut ExportTraceServiceRequest) {
            assert!(!any_span(body, |_, span| span.name == "panic"), "as asked");
            retain(body, |_, span| span.name == "keep");
        }
    }

    fn stage(next: &Arc<Recorder>) -> (Stage<Drop>, Metrics) {
        let metrics = Metrics::default();
        (Stage::new(Drop, metrics.processor("filter"), Arc::clone(next) as Arc<dyn TraceExporter>), metrics)
    }

    fn dropped(metrics: &Metrics, spans: usize) -> bool {
        let line = format!(
            "otel_mlflow_processor_dropped_spans_total{{component=\"filter\",reason=\"filtered\"}} {spans}"
        );
        metrics.render().unwrap().lines().any(|other| other == line)
    }

    #[tokio::test]
    async fn an_untouched_request_goes_on_as_it_came_in() {
        let next = Recorder::new();
        let (stage, _) = stage(&next);
        let mut request = request_of(vec![span(1, 1, "keep")]);
        request.encoded = Some("as it came".into());
        let request = Arc::new(request);
        next.send(&stage, Arc::clone(&request)).await.unwrap();
        assert!(Arc::ptr_eq(&next.taken()[0], &request));
    }

    #[tokio::test]
    async fn dropped_spans_count_once_the_rest_is_delivered() {
        let next = Recorder::new();
        let (stage, metrics) = stage(&next);
        let account = MemoryAccount::default();
        let mut request = request_of(vec![span(1, 1, "keep"), span(1, 2, "drop")]);
        request.encoded = Some("as it came".into());
        request.held = account.hold(footprint(&request.body));
        let request = Arc::new(request);
        next.fail_next(ExportError::retry("later"));
        assert!(next.send(&stage, Arc::clone(&request)).await.is_err());
        assert!(!dropped(&metrics, 1));
        next.send(&stage, request).await.unwrap();
        assert!(dropped(&metrics, 1));
        let taken = next.taken();
        assert_eq!((taken[1].span_count(), &taken[1].encoded), (1, &None));
        drop(taken);
        next.forget();
        assert_eq!(account.used(), 0);
    }

    #[tokio::test]
    async fn a_request_of_which_nothing_is_left_is_acknowledged() {
        let next = Recorder::new();
        let (stage, metrics) = stage(&next);
        next.send(&stage, Arc::new(request_of(vec![span(1, 1, "drop")]))).await.unwrap();
        assert!(next.taken().is_empty());
        assert!(dropped(&metrics, 1));
    }

    #[tokio::test]
    async fn a_panic_rejects_the_request_however_large() {
        for bytes in [0, LARGE_BYTES] {
            let next = Recorder::new();
            let (stage, _) = stage(&next);
            let mut request = request_of(vec![span(1, 1, "panic")]);
            request.metadata.bytes = bytes;
            let answer = next.send(&stage, Arc::new(request)).await;
            assert!(matches!(answer, Err(ExportError::Reject { .. })), "{answer:?}");
        }
    }
}
