//! The `service` section: which components run, and how they are joined.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::telemetry::TelemetryConfig;

/// What runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// The extensions that run.
    pub extensions: Vec<String>,
    /// The pipelines by their id: `traces` or `traces/name`.
    pub pipelines: BTreeMap<String, PipelineConfig>,
    /// The collector's own logs.
    pub telemetry: TelemetryConfig,
}

/// One pipeline: where its data comes from and goes to, by the ids of components.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineConfig {
    /// Where the data comes in.
    pub receivers: Vec<String>,
    /// What happens to it on the way, in this order.
    pub processors: Vec<String>,
    /// Where it goes, all of it to each of them.
    pub exporters: Vec<String>,
}
