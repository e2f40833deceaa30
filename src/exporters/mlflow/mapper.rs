//! Mapping of requests, large ones away from the runtime's workers.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::route::Experiments;
use crate::mapping::{EnrichedRequest, MapContext, MapOptions, Mapped, Repairs, enrich_request, map};
use crate::pipeline::TraceRequest;
use crate::store::StoreError;

/// Above this size, mapping would hold a worker of the runtime for milliseconds.
const LARGE_BYTES: usize = 256 << 10;

/// Maps requests.
pub(super) struct Mapper {
    options: Arc<MapOptions>,
    /// Large requests that may be mapped at a time.
    large: Semaphore,
}

impl Mapper {
    pub(super) fn new(options: MapOptions) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { options: Arc::new(options), large: Semaphore::new(cores) }
    }

    /// Maps a request whose traces go to these experiments.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] if the mapping ended early: it panicked, or the process is going down.
    pub(super) async fn map(
        &self,
        request: &Arc<TraceRequest>,
        experiments: Experiments,
    ) -> Result<Mapped, StoreError> {
        let context = MapContext { experiments, ..context(request) };
        let mapped = Arc::clone(request);
        self.run(request.metadata.bytes, move |options| map(&mapped.body, &context, options)).await
    }

    /// Adds what the mapping finds out to a request, for a server that maps it again. If nothing is to be
    /// repaired, the server gets the spans as they came.
    ///
    /// # Errors
    ///
    /// As [`Self::map`].
    pub(super) async fn enrich(&self, request: Arc<TraceRequest>) -> Result<EnrichedRequest, StoreError> {
        let (bytes, context) = (request.metadata.bytes, context(&request));
        if self.options.repairs == Repairs::NONE {
            let request = Arc::unwrap_or_clone(request).body;
            return Ok(EnrichedRequest { request, refusals: Vec::new() });
        }
        let enrich =
            move |options: &MapOptions| enrich_request(Arc::unwrap_or_clone(request).body, &context, options);
        self.run(bytes, enrich).await
    }

    /// Runs small work here, and large work on a blocking thread.
    async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&MapOptions) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        if bytes < LARGE_BYTES {
            return Ok(work(&self.options));
        }
        let _permit = self.large.acquire().await;
        let options = Arc::clone(&self.options);
        let working = tokio::task::spawn_blocking(move || work(&options));
        working.await.map_err(|error| StoreError::retry("mapping ended early").caused_by(error))
    }
}

fn context(request: &TraceRequest) -> MapContext {
    MapContext {
        json: request.metadata.json,
        run_id: request.metadata.run_id.clone(),
        ..MapContext::default()
    }
}
