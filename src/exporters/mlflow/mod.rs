//! The `mlflow` exporter: traces into MLflow, over its REST API or straight into its database.
//!
//! ```text
//!            ┌ assembly, if ┐   ┌─ database: map ──────────┐                ┌─> one transaction
//! request ─> │  that is on  ├─> route                      ├─> group commit ┤
//!            └ (one trace)  ┘   └─ server: split by target ┘                └─> one request per target
//!                                                             finaliser ─> traces without an end are closed
//! ```
//!
//! A request is acknowledged when MLflow holds its spans.

mod assembly;
mod batcher;
mod config;
mod connection;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod finaliser;
mod mapper;
pub(crate) mod models;
mod report;
mod rest;
mod rest_sink;
mod route;
mod runs;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod start;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use assembly::TraceAssemblyConfig;
pub use config::{BatchConfig, Compat, MlflowConfig};
pub use models::ModelsConfig;
pub(crate) use route::{FallbackExperiment, find_fallback};
pub use runs::RunsConfig;
pub use start::StartError;

use crate::pipeline::{Ack, ComponentId, TraceExporter, TraceRequest};
use crate::store::StoreError;
use assembly::{Assembly, Deliver, Piece};
use batcher::{Batcher, Weight};
use report::Reporter;

/// Writes traces to MLflow.
pub struct MlflowExporter {
    id: ComponentId,
    writer: Arc<Writer>,
    assembly: Option<Assembly>,
    target: String,
    stop: CancellationToken,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    finaliser: Option<finaliser::Finaliser>,
    #[cfg(feature = "client")]
    models: Option<models::Watch>,
}

/// Brings requests into MLflow.
struct Writer {
    reporter: Reporter,
    backend: Backend,
    /// What is submitted together holds at most so much, but for a single request.
    batch: Weight,
}

enum Backend {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    Sql(sql::Sql, Batcher<sql::SqlSink>),
    Rest(rest::Rest, Batcher<rest_sink::RestSink>),
}

impl MlflowExporter {
    /// Where the exporter writes, without credentials.
    pub fn target(&self) -> &str {
        &self.target
    }

    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        #[cfg(feature = "client")]
        if let Some(models) = &self.models {
            models.see(&request);
        }
        match &self.assembly {
            Some(assembly) => assembly.add(request, ack).await,
            None => self.writer.submit(vec![(request, ack)]).await,
        }
    }

    async fn stop(&self) {
        self.stop.cancel();
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        if let Some(finaliser) = &self.finaliser {
            finaliser.stopped().await;
        }
        if let Some(assembly) = &self.assembly {
            assembly.shutdown().await;
        }
        self.writer.stop().await;
        // Last: traces are linked to their models once they are written.
        #[cfg(feature = "client")]
        if let Some(models) = &self.models {
            models.finish().await;
        }
    }
}

impl Writer {
    /// Submits requests together, as many as one write may hold at a time.
    async fn submit(&self, mut pieces: Vec<Piece>) {
        while !pieces.is_empty() {
            let mut total = Weight::default();
            let fitting = pieces.iter().take_while(|(request, _)| {
                total = total.plus(Weight::of(request));
                total.spans <= self.batch.spans && total.bytes <= self.batch.bytes
            });
            let rest = pieces.split_off(fitting.count().max(1));
            self.submit_together(std::mem::replace(&mut pieces, rest)).await;
        }
    }

    async fn submit_together(&self, pieces: Vec<Piece>) {
        match &self.backend {
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Backend::Sql(sql, batcher) => {
                let prepared = self.prepare(pieces, |request| sql.prepare(request, &self.reporter)).await;
                batcher.submit(prepared).await;
            }
            Backend::Rest(rest, batcher) => {
                let prepared = self.prepare(pieces, |request| rest.prepare(request, &self.reporter)).await;
                batcher.submit(prepared).await;
            }
        }
    }

    /// Maps requests in their order; one that cannot be prepared is answered here.
    async fn prepare<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        pieces: Vec<Piece>,
        prepare: impl Fn(Arc<TraceRequest>) -> F,
    ) -> Vec<(T, Ack)> {
        let mut prepared = Vec::with_capacity(pieces.len());
        for (request, ack) in pieces {
            let spans = request.span_count();
            match prepare(request).await {
                Ok(item) => prepared.push((item, ack)),
                Err(error) => ack.complete(Err(self.reporter.failed(spans, &error))),
            }
        }
        prepared
    }

    async fn stop(&self) {
        match &self.backend {
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Backend::Sql(sql, batcher) => {
                batcher.shutdown().await;
                sql.close().await;
            }
            Backend::Rest(rest, batcher) => {
                batcher.shutdown().await;
                rest.close().await;
            }
        }
    }
}

impl Deliver for Writer {
    fn deliver(&self, pieces: Vec<Piece>) -> BoxFuture<'_, ()> {
        Box::pin(self.submit(pieces))
    }
}

impl TraceExporter for MlflowExporter {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.take(request, ack))
    }

    fn holds_back(&self) -> Duration {
        self.assembly.as_ref().map_or(Duration::ZERO, Assembly::longest_wait)
    }

    fn hurry(&self) {
        if let Some(assembly) = &self.assembly {
            assembly.hurry();
        }
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop())
    }
}
