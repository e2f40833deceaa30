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

pub mod prices;
pub mod python;
pub mod routing;

mod any_value;
mod attributes;
mod bytes;
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
mod trace;
mod unusable;
mod update;
mod usage;

pub use enriched::{EnrichedRequest, enrich_request};
pub use map::{MapContext, Mapped, map};
pub use merge::{TRACKING_STORE, merge};
pub use options::{Backend, MapOptions};
pub use repairs::Repairs;
pub use update::{SpanUsage, StoredSpan, StoredTrace, TraceRepairs, TraceUpdate, TraceWrite};
pub use usage::{COST_KEYS, TOKEN_KEYS, Tally};
