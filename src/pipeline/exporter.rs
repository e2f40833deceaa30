//! Exporters as a pipeline sees them, and the pipeline itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    Ack, ComponentId, Delivered, Delivery, DeliveryFuture, ExportError, MemoryAccount, TraceRequest,
    ack_channel,
};

/// The end of a pipeline: takes requests, and answers for each of them.
pub trait TraceExporter: Send + Sync + 'static {
    /// Identity in the configuration.
    fn id(&self) -> &ComponentId;

    /// Takes a request over. Waits while the exporter's queue is full; the `ack` is used when the
    /// destination holds the spans, or has refused them.
    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()>;

    /// The answer that a request of at least so many bytes would get now, where that is known without looking at it.
    /// Asked before a request is read, since to read and decode what is refused anyway is what overload is made of.
    fn refusal(&self, _bytes: usize) -> Option<ExportError> {
        None
    }

    /// How long a request may wait, once it is taken over, for others to go to the destination with it.
    fn holds_back(&self) -> Duration {
        Duration::ZERO
    }

    /// The end is near: what waits for more data should wait no longer, now and from now on. Requests still come until
    /// [`Self::shutdown`]. A processor tells the next stage, up to the end of its chain; the exporter behind it, which
    /// other chains may share, is told by whoever made it, and the queue before the processors by nobody.
    fn hurry(&self) {}

    /// Finishes what was taken over. Nothing is given to the exporter after this.
    fn shutdown(&self) -> BoxFuture<'_, ()>;
}

/// Hands each request to every exporter, and joins their answers.
#[derive(Clone)]
pub struct Pipeline {
    exporters: Arc<[Arc<dyn TraceExporter>]>,
    memory: MemoryAccount,
}

impl Pipeline {
    /// A pipeline that ends in these exporters.
    pub fn new(exporters: Vec<Arc<dyn TraceExporter>>) -> Self {
        Self { exporters: exporters.into(), memory: MemoryAccount::default() }
    }

    /// The same pipeline, whose requests count towards this account.
    #[must_use]
    pub fn counting(self, memory: MemoryAccount) -> Self {
        Self { memory, ..self }
    }

    /// Where the memory of requests for this pipeline counts.
    pub fn memory(&self) -> &MemoryAccount {
        &self.memory
    }

    /// The answer that a request of at least so many bytes would get now, where one of the exporters knows it.
    pub fn refusal(&self, bytes: usize) -> Option<ExportError> {
        self.exporters.iter().find_map(|exporter| exporter.refusal(bytes))
    }

    /// Delivers a request. Succeeds when every exporter has kept it; the gravest failure wins.
    ///
    /// # Errors
    ///
    /// What the exporter that failed says.
    pub async fn deliver(&self, request: Arc<TraceRequest>) -> Delivery {
        let Some((last, others)) = self.exporters.split_last() else { return Ok(Delivered::default()) };
        let mut waiting = Vec::with_capacity(self.exporters.len());
        for exporter in others {
            waiting.push(give(exporter, Arc::clone(&request)).await);
        }
        // The last may change it without a copy, and what waits for a write is held by who writes it alone.
        waiting.push(give(last, request).await);
        let mut joined = Ok(Delivered::default());
        for delivery in waiting {
            joined = join(joined, delivery.await);
        }
        joined
    }
}

async fn give(exporter: &Arc<dyn TraceExporter>, request: Arc<TraceRequest>) -> DeliveryFuture {
    let (ack, delivery) = ack_channel();
    exporter.export(request, ack).await;
    delivery
}

/// A retry must win over a rejection, or the exporter that could still succeed loses the request.
fn join(left: Delivery, right: Delivery) -> Delivery {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok(if right.refused_spans() > left.refused_spans() { right } else { left }),
        (Err(retry @ ExportError::Retry { .. }), _) | (_, Err(retry @ ExportError::Retry { .. })) => {
            Err(retry)
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}
