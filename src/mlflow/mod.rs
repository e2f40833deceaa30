//! MLflow's own vocabulary: the records it stores, and the limits it sets.
//!
//! Nothing here knows of a span as OpenTelemetry sees it.

pub mod records;
pub mod tracking_uri;
