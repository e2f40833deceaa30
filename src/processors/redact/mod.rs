//! `processors.redact`: masks secrets wherever a span can hold them.
//!
//! Every text of a request is looked at: attributes of spans, events, links, scopes and resources with
//! their keys, names, messages of statuses. Where a text is JSON, or has JSON in it, the texts inside are
//! looked at one by one, as deep as JSON is put into JSON, and what was JSON is JSON afterwards.

mod json;
mod literal;
mod rules;
mod surfaces;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::matching::{Problem, compile};
use super::stage::{Stage, Transform};
use crate::otlp::model::ExportTraceServiceRequest;
use crate::pipeline::TraceExporter;
use crate::telemetry::ProcessorMetrics;
use rules::Rules;

/// Masks secrets by patterns and by keys. A request that went through is written anew: fields that this
/// program does not know are left out, as nobody can say what they hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedactConfig {
    /// Regular expressions. What they find in a text, or in the digits of a number, is masked; in a key, too.
    pub blocked_values: Vec<String>,
    /// Regular expressions for keys of attributes and of objects in JSON. The whole value of such a key is
    /// masked.
    pub blocked_key_patterns: Vec<String>,
    /// Attributes that are passed on as they are.
    pub ignored_keys: BTreeSet<String>,
    /// What stands in the place of a secret.
    pub mask: String,
}

impl Default for RedactConfig {
    fn default() -> Self {
        Self {
            blocked_values: Vec::new(),
            blocked_key_patterns: Vec::new(),
            ignored_keys: BTreeSet::new(),
            mask: "****".to_owned(),
        }
    }
}

impl RedactConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.blocked_values.is_empty() && self.blocked_key_patterns.is_empty() {
            let message = "needs blocked_values, blocked_key_patterns or both";
            problems.push((String::new(), message.to_owned()));
        }
        for (key, patterns) in
            [("blocked_values", &self.blocked_values), ("blocked_key_patterns", &self.blocked_key_patterns)]
        {
            for (index, pattern) in patterns.iter().enumerate() {
                let key = format!("{key}[{index}]");
                match compile(pattern, &key) {
                    Ok(pattern) if pattern.is_match("") => {
                        let message = format!("`{pattern}` also finds nothing at all, which is everywhere");
                        problems.push((key, message));
                    }
                    Ok(_) => {}
                    Err(problem) => problems.push(problem),
                }
            }
        }
        problems
    }

    /// The processor, before the next stage.
    ///
    /// # Errors
    ///
    /// What [`Self::validate`] finds.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, Problem> {
        Ok(Arc::new(Stage::new(Redact(Rules::new(self)?), metrics, next)))
    }
}

struct Redact(Rules);

impl Transform for Redact {
    const DROPPED: &'static str = "none";

    fn concerns(&self, _: &ExportTraceServiceRequest) -> bool {
        true
    }

    fn apply(&self, body: &mut ExportTraceServiceRequest) {
        surfaces::request(&self.0, body);
    }
}
