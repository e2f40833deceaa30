//! `processors.tail_sampling`: decides on whole traces, and answers for their spans afterwards.
//!
//! ```text
//! request ─> parts by trace ─┬─> decided before: follow the decision
//!                            └─> wait ─(root ended, or time is up)─> policies ─┬─> next stage
//!                                                                              └─> dropped, counted
//! ```
//!
//! A request is answered when all of its traces are decided on and delivered. With a queue before the
//! processors its sender does not wait for that.

mod config;
mod decisions;
mod policy;
mod sampler;
#[cfg(test)]
mod tests;
mod traces;
mod waiting;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use config::*;
pub use decisions::{Decisions, Remembered};

use crate::pipeline::{Ack, ComponentId, TraceExporter, TraceRequest};
use crate::telemetry::{ProcessorMetrics, TaskGuard};
use policy::Policy;
use sampler::Sampler;

/// The id of a trace.
type TraceId = [u8; 16];

impl TailSamplingConfig {
    /// The processor, before the next stage; starts its clock on the current runtime. It follows these decisions,
    /// and adds to them.
    ///
    /// # Errors
    ///
    /// What [`Self::validate`] finds.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        clock: TaskGuard,
        decisions: Decisions,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, super::Problem> {
        let policies = self.policies.iter().map(Policy::new).collect::<Result<_, _>>();
        let policies = policies.map_err(|why| ("policies".to_owned(), why))?;
        let sampler = Sampler::start(self, policies, decisions, (metrics, clock), next);
        Ok(Arc::new(TailSampler(sampler)))
    }
}

/// The stage. Its clock does not hold it: a chain that begins with it is retired when nothing else does.
struct TailSampler(Arc<Sampler>);

impl TraceExporter for TailSampler {
    fn id(&self) -> &ComponentId {
        self.0.outlet.next.id()
    }

    fn export(&self, request: Arc<TraceRequest>, ack: Ack) -> BoxFuture<'_, ()> {
        Box::pin(self.0.take(request, ack))
    }

    fn hurry(&self) {
        self.0.hurry();
        self.0.outlet.next.hurry();
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.finish())
    }
}

impl Drop for TailSampler {
    fn drop(&mut self) {
        self.0.stop();
    }
}
