//! Processors: what happens to requests between a pipeline's queue and an exporter.
//!
//! ```text
//! request + Ack ─> memory_limiter ─> redact ─> … ─> batch ─> Shared(exporter)
//!                     every stage is a TraceExporter, and knows the next one
//! ```
//!
//! Each pipeline has a chain of its own for each of its exporters, so that a slow destination holds up no
//! other. A stage passes the [`Ack`](crate::pipeline::Ack) on, or splits and joins it: a request is
//! acknowledged when all that it held is delivered, dropped on purpose and counted, or refused.
//!
//! Knows no protocol and no backend.

mod acks;
mod attributes;
mod batch;
mod careful;
mod filter;
mod matching;
mod memory_limiter;
mod parts;
mod redact;
mod sampler;
mod stage;
mod tail_sampling;
#[cfg(test)]
mod testing;
mod value;

pub use attributes::{ActionConfig, ActionKind, AttributesConfig};
pub use batch::BatchProcessorConfig;
pub use filter::{FilterConfig, FilterSpans};
pub use matching::{AttributeMatch, LibraryMatch, MatchConfig, MatchType, Problem};
pub use memory_limiter::MemoryLimiterConfig;
pub use redact::RedactConfig;
pub use sampler::{ProbabilisticSamplerConfig, SamplerMode};
pub use stage::Shared;
pub use tail_sampling::{
    AndConfig, BooleanAttributeConfig, DecisionCacheConfig, Decisions, DropConfig, GenAiUsageConfig,
    LatencyConfig, NumericAttributeConfig, PolicyConfig, PolicyKind, ProbabilisticConfig, Remembered,
    SpanCountConfig, StatusCode, StatusCodeConfig, StringAttributeConfig, TailSamplingConfig,
};
