//! Configuration of the models that are logged from traces.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether and how the models behind the calls in traces are logged to MLflow: one per distinct
/// combination of model, system prompt, tools and parameters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// Whether models are logged.
    pub log: bool,
    /// The registered model whose versions they become. Without it they are logged, but not
    /// registered.
    pub registered_name: Option<String>,
    /// Whether the signature says which parameters may change at inference time, with the values of
    /// the call as defaults.
    pub signatures: bool,
    /// Whether the input of the first call is kept as an example: what the user said.
    pub input_examples: bool,
    /// How many different models are logged while the process runs.
    pub max_models: u32,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self { log: false, registered_name: None, signatures: true, input_examples: false, max_models: 100 }
    }
}

impl ModelsConfig {
    /// What is wrong with the settings: key and message.
    pub(in crate::exporters::mlflow) fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str| problems.push((key.to_owned(), message.to_owned()));
        if self.log && !cfg!(feature = "client") {
            problem("log", "this program was built without the feature `client`; set it to false");
        }
        if let Some(name) = &self.registered_name {
            if name.trim().is_empty() || name.contains(['/', ':']) {
                problem("registered_name", "must not be blank, nor hold `/` or `:`");
            }
            if !self.log {
                problem("registered_name", "has no effect unless `log` is true");
            }
        }
        if self.max_models == 0 {
            problem("max_models", "must be at least 1");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_said() {
        let keys =
            |config: ModelsConfig| config.validate().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert!(keys(ModelsConfig::default()).is_empty());
        let named = |name: &str, log| ModelsConfig {
            registered_name: Some(name.to_owned()),
            log,
            ..ModelsConfig::default()
        };
        assert_eq!(keys(named("a/b", true)), ["registered_name"]);
        assert_eq!(keys(named("a", false)), ["registered_name"]);
        assert_eq!(keys(ModelsConfig { max_models: 0, ..ModelsConfig::default() }), ["max_models"]);
    }
}
