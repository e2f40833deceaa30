//! Mapping of requests, large ones away from the runtime's workers.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::report::Reporter;
use super::route::Experiments;
use crate::mapping::{MapContext, MapOptions, Mapped, map};
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
        request: Arc<TraceRequest>,
        experiments: Experiments,
        reporter: &Reporter,
    ) -> Result<Mapped, StoreError> {
        let context = MapContext {
            json: request.metadata.json,
            run_id: request.metadata.run_id.clone(),
            experiments,
            ..MapContext::default()
        };
        let mapped = if request.metadata.bytes < LARGE_BYTES {
            map(&request.body, &context, &self.options)
        } else {
            let _permit = self.large.acquire().await;
            let options = Arc::clone(&self.options);
            let mapping = tokio::task::spawn_blocking(move || map(&request.body, &context, &options));
            let ended = |error| StoreError::retry("mapping ended early").caused_by(error);
            mapping.await.map_err(ended)?
        };
        reporter.refused("mapping", mapped.refusals.iter().map(|refusal| refusal.spans).sum());
        Ok(mapped)
    }
}
