//! Configuration of runs from traces.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::mapping::runs::RunMode;

/// Which traces share a run, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunsConfig {
    /// Which traces share a run.
    pub mode: RunMode,
    /// In mode `attribute`: the attribute of a span or of its resource that names the run. Traces with
    /// `mlflow.run_id` belong to that run instead.
    pub attribute: String,
    /// Name of a run: a text with `{key}` (what its traces share) and `{mode}` in it.
    pub name: String,
    /// A run without a new span for so long is ended; a later span opens it again. A run of mode `trace`
    /// ends with its trace.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// A run is brought up to date so long after its first new span, in one go for all that came
    /// meanwhile.
    #[serde(with = "crate::units::duration")]
    #[schemars(with = "String")]
    pub flush_interval: Duration,
    /// Whether to keep `genai_predictions.json`, a table of requests and responses.
    pub table: bool,
    /// Rows of the table: those of the latest traces.
    pub table_rows: usize,
    /// Runs that are kept up to date at a time; for one more, the one that has been idle longest is ended
    /// early.
    pub max_open: usize,
}

impl Default for RunsConfig {
    fn default() -> Self {
        Self {
            mode: RunMode::Off,
            attribute: "mlflow.run_name".to_owned(),
            name: "{key}".to_owned(),
            idle_timeout: Duration::from_secs(300),
            flush_interval: Duration::from_secs(1),
            table: true,
            table_rows: 1_000,
            max_open: 10_000,
        }
    }
}

impl RunsConfig {
    /// What is wrong: key, and message.
    pub fn validate(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut problem = |key, message: &str| problems.push((key, message.to_owned()));
        if self.attribute.is_empty() {
            problem("attribute", "must name an attribute, such as `mlflow.run_name`");
        }
        if !self.name.contains("{key}") {
            problem("name", "must have `{key}` in it: without it all runs would have one name");
        }
        if self.idle_timeout.is_zero() {
            problem("idle_timeout", "must be more than 0, such as `5m`");
        }
        if self.flush_interval.is_zero() {
            problem("flush_interval", "must be more than 0, such as `1s`");
        }
        if self.table && self.table_rows == 0 {
            problem("table_rows", "must be at least 1; for no table set `table: false`");
        }
        if self.max_open == 0 {
            problem("max_open", "must be at least 1");
        }
        problems
    }

    /// The name of a run whose traces share this.
    pub(super) fn name_of(&self, key: &str) -> String {
        self.name.replace("{mode}", self.mode.as_str()).replace("{key}", key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_found_and_the_defaults_have_none() {
        assert_eq!(RunsConfig::default().validate(), []);
        let config = RunsConfig {
            attribute: String::new(),
            name: "run".to_owned(),
            idle_timeout: Duration::ZERO,
            flush_interval: Duration::ZERO,
            table_rows: 0,
            max_open: 0,
            ..RunsConfig::default()
        };
        let keys: Vec<_> = config.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["attribute", "name", "idle_timeout", "flush_interval", "table_rows", "max_open"]);
    }

    #[test]
    fn names_follow_the_template() {
        let config =
            RunsConfig { mode: RunMode::Session, name: "{mode} {key}".to_owned(), ..RunsConfig::default() };
        assert_eq!(config.name_of("s-1"), "session s-1");
    }
}
