//! OTLP spans to MLflow records, as pure functions.
//!
//! Mapping happens in two steps, so that the first needs no database and the second no spans:
//!
//! 1. [`map`] turns one export request into [`TraceUpdate`]s, one per trace: rows, and facts.
//! 2. [`merge`] folds the updates of one trace, in the order of their arrival, into what is stored
//!    ([`StoredTrace`]) and gives what has to be written ([`TraceWrite`]).
//!
//! Both are deterministic: no clock, no randomness, no waiting. A store calls the second step
//! inside its transaction, with the rows it has locked.
//!
//! ```
//! use opentelemetry_mlflow::mapping::prices::PriceCatalogue;
//! use opentelemetry_mlflow::mapping::{Backend, MapContext, MapOptions, Repairs, map};
//! use opentelemetry_mlflow::otlp::model::{ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span};
//!
//! let span = Span {
//!     trace_id: vec![0x5b; 16],
//!     span_id: vec![0xee; 8],
//!     name: "chat gpt-4o-mini".to_owned(),
//!     start_time_unix_nano: 1_735_689_600_000_000_000,
//!     end_time_unix_nano: 1_735_689_601_000_000_000,
//!     ..Span::default()
//! };
//! let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
//! let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
//! let request = ExportTraceServiceRequest { resource_spans };
//!
//! let options =
//!     MapOptions { backend: Backend::Sqlite, prices: PriceCatalogue::bundled(), repairs: Repairs::default() };
//! let mapped = map(&request, &MapContext::default(), &options);
//! assert_eq!(mapped.updates[0].trace_id, "tr-5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b");
//! assert_eq!(mapped.updates[0].spans[0].name, "chat gpt-4o-mini");
//! ```

pub mod prices;
pub mod python;
pub mod routing;
pub mod runs;

mod any_value;
mod attributes;
mod bytes;
mod chat_view;
mod content;
mod details;
mod dialects;
mod enrich;
mod enriched;
mod facts;
mod identities;
mod limits;
mod map;
mod merge;
mod naming;
mod options;
mod preview;
mod repairs;
mod short_json;
mod span;
mod stored;
mod tags;
mod text;
mod tokens;
mod tools;
mod trace;
mod unusable;
mod update;
mod usage;

pub use enriched::{EnrichedRequest, enrich_request};
pub use map::{MapContext, Mapped, map};
pub use merge::{TRACKING_STORE, merge};
pub use options::{Backend, MapOptions};
pub use repairs::Repairs;
pub use update::{EndMark, SpanUsage, StoredSpan, StoredTrace, TraceRepairs, TraceUpdate, TraceWrite};
pub use usage::{COST_KEYS, TOKEN_KEYS, Tally};
