//! The end of the way behind a queue: what stands before the destination, and tells the queue how it is.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::config::RetryOnFailure;
use super::gate::Gate;
use crate::pipeline::{Ack, ComponentId, ExportError, TraceExporter, TraceRequest, ack_channel};

/// What a queue knows of its destination. Whatever stands between them, such as processors that drop a request or
/// wait for more, is no answer of the destination: so the exporter is wrapped for its queue.
///
/// ```text
/// queue ─> processors ─> Watch::before(exporter)
///   └──── is it down? ────┘
/// ```
#[derive(Clone, Debug)]
pub struct Watch {
    pub(super) gate: Arc<Gate>,
}

impl Watch {
    /// For the queue of a pipeline and an exporter, and its retries.
    pub fn new(pipeline: &str, exporter: &ComponentId, retry: RetryOnFailure) -> Self {
        Self { gate: Arc::new(Gate::new(format!("{pipeline}/{exporter}"), retry)) }
    }

    /// The exporter, asked no more than its queue finds sensible. While it is down, one request at a time gets
    /// through to it, and the others wait here.
    pub fn before(&self, exporter: Arc<dyn TraceExporter>) -> Arc<dyn TraceExporter> {
        Arc::new(Watched { gate: Arc::clone(&self.gate), exporter })
    }
}

struct Watched {
    gate: Arc<Gate>,
    exporter: Arc<dyn TraceExporter>,
}

impl Watched {
    async fn ask(&self, request: Arc<TraceRequest>, ack: Ack) {
        let Some(attempt) = self.gate.attempt(self.exporter.holds_back()).await else {
            return ack.complete(Err(ExportError::retry("the collector is shutting down")));
        };
        let (inner, delivery) = ack_channel();
        let inner = if attempt.is_probe() { inner.urgent() } else { inner };
        self.exporter.export(request, inner).await;
        tokio::spawn(async move {
            let delivery = delivery.await;
            // Before the queue hears of it, so that what it does next is by the state after it.
            attempt.answered(&delivery);
            ack.complete(delivery);
        });
    }
}

impl TraceExporter for Watched {
    fn id(&self) -> &ComponentId {
        self.exporter.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.ask(request, ack))
    }

    fn holds_back(&self) -> Duration {
        self.exporter.holds_back()
    }

    fn hurry(&self) {
        self.exporter.hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.exporter.shutdown()
    }
}
