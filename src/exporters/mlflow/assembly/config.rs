//! `exporters.mlflow.trace_assembly`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Gathering of a trace's spans before they are written, and the end of traces whose root never comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TraceAssemblyConfig {
    /// Whether the spans of a trace are gathered and written at once. A request is answered when its
    /// spans are written, so senders wait; put a durable queue before it.
    pub enabled: bool,
    /// A trace without a root is written when no span of it has come for so long.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How long after the root the other spans of its trace may come.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub root_grace: Duration,
    /// The longest that a span waits for others.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub max_wait: Duration,
    /// The most bytes that are gathered; beyond it the oldest traces are written early.
    #[serde(with = "crate::units::size")]
    #[schemars(with = "String")]
    pub max_bytes: usize,
    /// The most traces that are gathered; beyond it the oldest are written early.
    pub max_traces: usize,
    /// The most requests that wait for their traces; beyond it those of the oldest are written early.
    pub max_requests: usize,
    /// A trace in MLflow whose root has not come is closed when nothing of it has come for so long; 0 for
    /// never. Applies also where `enabled` is `false`, and not with `compat: strict`.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub close_after: Duration,
}

impl Default for TraceAssemblyConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            idle_timeout: Duration::from_secs(30),
            root_grace: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            // Less than a queue lets through at a time, or the queue would stall.
            max_bytes: 8 << 20,
            max_traces: 10_000,
            max_requests: 10_000,
            close_after: Duration::from_secs(3_600),
        }
    }
}

impl TraceAssemblyConfig {
    /// What is wrong with the settings: key, relative to the section, and message.
    pub fn validate(&self) -> Vec<(String, String)> {
        let at_least_one = [
            ("max_bytes", self.max_bytes, "1 byte"),
            ("max_traces", self.max_traces, "1"),
            ("max_requests", self.max_requests, "1"),
        ];
        let mut problems: Vec<_> = at_least_one
            .into_iter()
            .filter(|(_, value, _)| *value == 0)
            .map(|(key, _, least)| (key.to_owned(), format!("must be at least {least}")))
            .collect();
        if self.max_wait < self.root_grace.max(self.idle_timeout) {
            let message = "must be at least `idle_timeout` and `root_grace`, or they have no effect";
            problems.push(("max_wait".to_owned(), message.to_owned()));
        }
        problems
    }
}
