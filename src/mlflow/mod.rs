//! MLflow's own vocabulary: the records it stores, and the limits it sets.
//!
//! Nothing here knows of a span as OpenTelemetry sees it.

pub mod entities;
#[cfg(feature = "client")]
pub mod model;
pub mod records;
pub mod tracking_uri;
#[cfg(feature = "client")]
pub(crate) mod yaml;
