//! Runs from traces: which traces share a run, and what a run says of its traces.
//!
//! ```text
//! request ── run_keys ──> key of each trace ──> RunKey::run_id
//! what is stored of the run's traces ── TraceFacts::read ──> RunView::fold ──> what the run should hold
//! ```
//!
//! Everything is a pure function of what is stored, so that retries, spans that come again, restarts
//! and several gateways end with the same run.

mod content;
mod evaluation;
mod facts;
mod fold;
mod key;
mod table;

pub use evaluation::{Evaluation, evaluations};
pub use facts::{StoredRunTrace, TRACE_TAGS, TraceFacts, TraceVersion};
pub use fold::{EXISTING_TAGS, Point, RunView, Series, VARYING};
pub use key::{RunKey, RunKeys, RunMode, run_keys};
pub use table::{TABLE_FILE, prediction_table};
