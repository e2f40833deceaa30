//! An exporter that can be exchanged for another while requests come in.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Ack, ComponentId, TraceExporter, TraceRequest};

/// How often it is looked whether the last request has left an exporter.
const LOOK: Duration = Duration::from_millis(20);

/// Stands in a pipeline for an exporter, and passes every request on to the one that is in force. What is built
/// around it stays as it is when the exporter changes, such as a queue with a lock on its directory.
pub struct Swap {
    id: ComponentId,
    inner: RwLock<Arc<dyn TraceExporter>>,
}

impl Swap {
    /// Begins with this exporter.
    pub fn new(exporter: Arc<dyn TraceExporter>) -> Self {
        Self { id: exporter.id().clone(), inner: RwLock::new(exporter) }
    }

    /// Passes requests to another exporter from now on, and gives back the one before. That may still be given a
    /// request that came in just before: [`retire`] waits for it.
    pub fn replace(&self, exporter: Arc<dyn TraceExporter>) -> Arc<dyn TraceExporter> {
        std::mem::replace(&mut *self.inner.write().unwrap_or_else(PoisonError::into_inner), exporter)
    }

    fn inner(&self) -> Arc<dyn TraceExporter> {
        Arc::clone(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TraceExporter for Swap {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let exporter = self.inner();
            exporter.export(request, ack).await;
        })
    }

    fn holds_back(&self) -> Duration {
        self.inner().holds_back()
    }

    fn hurry(&self) {
        self.inner().hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let exporter = self.inner();
            exporter.shutdown().await;
        })
    }
}

/// Stops an exporter that was taken out of its pipelines, after the last request that still found it there.
pub async fn retire(exporter: Arc<dyn TraceExporter>) {
    while Arc::strong_count(&exporter) > 1 {
        tokio::time::sleep(LOOK).await;
    }
    exporter.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::super::{Delivered, Pipeline};
    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// Takes a request over when its gate opens, and answers at once.
    struct Gated {
        id: ComponentId,
        gate: Semaphore,
        log: Log,
    }

    impl Gated {
        fn new(name: &str, permits: usize, log: &Log) -> Arc<Self> {
            let (id, gate) = (ComponentId::parse(name), Semaphore::new(permits));
            Arc::new(Self { id, gate, log: Arc::clone(log) })
        }

        fn say(&self, what: &str) {
            self.log.lock().unwrap().push(format!("{} {what}", self.id));
        }
    }

    impl TraceExporter for Gated {
        fn id(&self) -> &ComponentId {
            &self.id
        }

        fn export(&self, _request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                self.say("asked");
                self.gate.acquire().await.unwrap().forget();
                self.say("took");
                ack.complete(Ok(Delivered::default()));
            })
        }

        fn shutdown(&self) -> BoxFuture<'_, ()> {
            Box::pin(async { self.say("stopped") })
        }
    }

    /// Scenario: the exporter is exchanged while a request waits to be taken over by the old one.
    /// Guarantees: the old one stops only after it, and requests from then on go to the new one.
    #[tokio::test]
    async fn an_exchanged_exporter_ends_after_its_last_request() {
        let log = Log::default();
        let (old, new) = (Gated::new("old", 0, &log), Gated::new("new", 9, &log));
        let gate = Arc::downgrade(&old);
        let swap = Arc::new(Swap::new(old));
        let pipeline = Pipeline::new(vec![Arc::clone(&swap) as Arc<dyn TraceExporter>]);
        let first = tokio::spawn({
            let pipeline = pipeline.clone();
            async move { pipeline.deliver(Arc::default()).await }
        });
        while log.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let before = swap.replace(new);
        let retired = tokio::spawn(retire(before));
        pipeline.deliver(Arc::default()).await.unwrap();
        gate.upgrade().unwrap().gate.add_permits(1);
        first.await.unwrap().unwrap();
        retired.await.unwrap();
        let expected = ["old asked", "new asked", "new took", "old took", "old stopped"];
        assert_eq!(*log.lock().unwrap(), expected);
    }
}
