//! The `mlflow` exporter: traces into MLflow, over its REST API or straight into its database.
//!
//! ```text
//!            ┌─ database: map ──────────┐                ┌─> one transaction
//! request ─> route                      ├─> group commit ┤
//!            └─ server: split by target ┘                └─> one request per target
//! ```
//!
//! A request is acknowledged when MLflow holds its spans.

mod batcher;
mod config;
mod connection;
mod mapper;
pub(crate) mod models;
mod report;
mod rest;
mod route;
mod runs;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod start;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use config::{BatchConfig, Compat, MlflowConfig, TraceAssemblyConfig};
pub use models::ModelsConfig;
pub use runs::RunsConfig;
pub use start::StartError;

use crate::pipeline::{Ack, ComponentId, TraceExporter, TraceRequest};
use batcher::Batcher;
use report::Reporter;

/// Writes traces to MLflow.
pub struct MlflowExporter {
    id: ComponentId,
    reporter: Reporter,
    backend: Backend,
    target: String,
    stop: CancellationToken,
    #[cfg(feature = "client")]
    models: Option<models::Watch>,
}

enum Backend {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    Sql(sql::Sql, Batcher<sql::SqlSink>),
    Rest(rest::Rest, Batcher<rest::RestSink>),
}

impl MlflowExporter {
    /// Where the exporter writes, without credentials.
    pub fn target(&self) -> &str {
        &self.target
    }

    async fn take(&self, request: Arc<TraceRequest>, ack: Ack) {
        let spans = request.span_count();
        #[cfg(feature = "client")]
        if let Some(models) = &self.models {
            models.see(&request);
        }
        let failed = match &self.backend {
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Backend::Sql(sql, batcher) => match sql.prepare(request, &self.reporter).await {
                Ok(item) => return batcher.submit(item, ack).await,
                Err(error) => error,
            },
            Backend::Rest(rest, batcher) => match rest.prepare(request, &self.reporter).await {
                Ok(item) => return batcher.submit(item, ack).await,
                Err(error) => error,
            },
        };
        ack.complete(Err(self.reporter.failed(spans, &failed)));
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.stop_writing().await;
        // Last: traces are linked to their models once they are written.
        #[cfg(feature = "client")]
        if let Some(models) = &self.models {
            models.finish().await;
        }
    }

    async fn stop_writing(&self) {
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

impl TraceExporter for MlflowExporter {
    fn id(&self) -> &ComponentId {
        &self.id
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.take(request, ack))
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop())
    }
}
