//! Exporters of others, made safe: they find a runtime, end in time, and what they lose is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;

use crate::exporter::LazyIo;

/// What was not delivered, of all exporters.
#[derive(Debug, Default)]
pub(super) struct Losses {
    pub(super) spans: AtomicU64,
    pub(super) log_records: AtomicU64,
}

/// An exporter that works on the runtime of a thread of ours.
#[derive(Debug)]
pub(super) struct Tended<E> {
    pub(super) exporter: E,
    pub(super) io: Handle,
    /// Keeps the thread as long as it is needed.
    pub(super) _thread: Arc<LazyIo>,
    pub(super) timeout: Duration,
    pub(super) losses: Arc<Losses>,
}

impl<E> Tended<E> {
    async fn run(&self, export: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        let timeout = self.timeout;
        let limited = async move {
            match tokio::time::timeout(timeout, export).await {
                Ok(outcome) => outcome,
                Err(_) => Err(OTelSdkError::Timeout(timeout)),
            }
        };
        Within::new(&self.io, limited).await
    }
}

impl<E: SpanExporter> SpanExporter for Tended<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let outcome = self.run(self.exporter.export(batch)).await;
        if outcome.is_err() {
            self.losses.spans.fetch_add(count, Ordering::Relaxed);
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Tended<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count() as u64;
        let outcome = self.run(self.exporter.export(batch)).await;
        if outcome.is_err() {
            self.losses.log_records.fetch_add(count, Ordering::Relaxed);
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Tended<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.run(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// A future that finds the given runtime wherever it is polled.
struct Within<F> {
    handle: Handle,
    future: Pin<Box<F>>,
}

impl<F: Future> Within<F> {
    fn new(handle: &Handle, future: F) -> Self {
        Self { handle: handle.clone(), future: Box::pin(future) }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _inside = this.handle.enter();
        this.future.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn timers_work_without_a_runtime_of_the_caller() {
        let io = LazyIo::new(false);
        let sleeping =
            Within::new(&io.handle().unwrap(), async { tokio::time::sleep(Duration::from_millis(1)).await });
        let (done, waiting) = mpsc::sync_channel(1);
        let polled = std::thread::spawn(move || {
            // A runtime without timers: only the thread's own has them.
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(sleeping);
            done.send(()).unwrap();
        });
        waiting.recv_timeout(Duration::from_secs(60)).unwrap();
        polled.join().unwrap();
    }
}
