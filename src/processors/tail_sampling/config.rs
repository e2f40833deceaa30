//! Settings of the tail sampler; names as in the Collector's.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::matching::Problem;
use super::policy::Policy;
use crate::units;

/// Decides on whole traces: which are kept is known once the root has ended, or after a time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TailSamplingConfig {
    /// The longest time from a trace's first span to the decision.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub decision_wait: Duration,
    /// The time from the end of the root to the decision, for spans that are still on their way.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub decision_wait_after_root_received: Duration,
    /// The most traces that wait; the oldest is decided on before its time.
    pub num_traces: usize,
    /// The most memory of the spans that wait; the oldest trace is decided on before its time.
    #[serde(with = "units::size")]
    #[schemars(with = "String")]
    pub max_bytes: usize,
    /// How many decisions are remembered, for spans that come later.
    pub decision_cache: DecisionCacheConfig,
    /// A trace is kept if one of these wants it, and no `drop` policy forbids it.
    pub policies: Vec<PolicyConfig>,
}

/// How many decisions are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionCacheConfig {
    /// Of traces that were kept.
    pub sampled_cache_size: usize,
    /// Of traces that were not.
    pub non_sampled_cache_size: usize,
}

impl Default for TailSamplingConfig {
    fn default() -> Self {
        Self {
            decision_wait: Duration::from_secs(30),
            decision_wait_after_root_received: Duration::from_secs(2),
            num_traces: 50_000,
            max_bytes: 64 << 20,
            decision_cache: DecisionCacheConfig::default(),
            policies: Vec::new(),
        }
    }
}

impl Default for DecisionCacheConfig {
    fn default() -> Self {
        Self { sampled_cache_size: 100_000, non_sampled_cache_size: 100_000 }
    }
}

/// A policy: its type, and the settings under the key of the same name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// Stands in the metrics.
    pub name: String,
    /// Which traces it wants.
    #[serde(rename = "type")]
    pub kind: PolicyKind,
    /// Of `latency`.
    #[serde(default)]
    pub latency: Option<LatencyConfig>,
    /// Of `status_code`.
    #[serde(default)]
    pub status_code: Option<StatusCodeConfig>,
    /// Of `string_attribute`.
    #[serde(default)]
    pub string_attribute: Option<StringAttributeConfig>,
    /// Of `numeric_attribute`.
    #[serde(default)]
    pub numeric_attribute: Option<NumericAttributeConfig>,
    /// Of `boolean_attribute`.
    #[serde(default)]
    pub boolean_attribute: Option<BooleanAttributeConfig>,
    /// Of `probabilistic`.
    #[serde(default)]
    pub probabilistic: Option<ProbabilisticConfig>,
    /// Of `span_count`.
    #[serde(default)]
    pub span_count: Option<SpanCountConfig>,
    /// Of `gen_ai_usage`.
    #[serde(default)]
    pub gen_ai_usage: Option<GenAiUsageConfig>,
    /// Of `and`.
    #[serde(default)]
    pub and: Option<AndConfig>,
    /// Of `drop`.
    #[serde(default)]
    pub drop: Option<DropConfig>,
}

/// Which traces a policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// All.
    AlwaysSample,
    /// Those that took long.
    Latency,
    /// Those with a span of a status.
    StatusCode,
    /// Those with a text attribute.
    StringAttribute,
    /// Those with a number attribute.
    NumericAttribute,
    /// Those with a boolean attribute.
    BooleanAttribute,
    /// A share of them, by their ids.
    Probabilistic,
    /// Those with so many spans.
    SpanCount,
    /// Those that used many tokens or cost much. Not in the Collector.
    GenAiUsage,
    /// Those that every policy of a list wants.
    And,
    /// None: what every policy of a list wants is dropped, whatever other policies say.
    Drop,
}

/// Traces that took long, from their first start to their last end.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyConfig {
    /// At least so many milliseconds.
    pub threshold_ms: u64,
    /// At most so many milliseconds; 0 is no limit.
    #[serde(default)]
    pub upper_threshold_ms: u64,
}

/// Traces with a span of one of these statuses.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusCodeConfig {
    /// `ERROR`, `OK`, `UNSET`.
    pub status_codes: Vec<StatusCode>,
}

/// The status of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatusCode {
    /// It failed.
    Error,
    /// It is said to have succeeded.
    Ok,
    /// Nothing is said.
    Unset,
}

/// Traces with an attribute, of a span or of a resource, that has one of these values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StringAttributeConfig {
    /// The key.
    pub key: String,
    /// The values.
    pub values: Vec<String>,
    /// Whether the values are regular expressions.
    #[serde(default)]
    pub enabled_regex_matching: bool,
}

/// Traces with a number attribute, of a span or of a resource, between two values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumericAttributeConfig {
    /// The key.
    pub key: String,
    /// The least.
    #[serde(default)]
    pub min_value: Option<f64>,
    /// The most.
    #[serde(default)]
    pub max_value: Option<f64>,
}

/// Traces with a boolean attribute, of a span or of a resource.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BooleanAttributeConfig {
    /// The key.
    pub key: String,
    /// The value.
    pub value: bool,
}

/// A share of the traces.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbabilisticConfig {
    /// In percent.
    pub sampling_percentage: f64,
    /// Gateways with the same salt make the same choice.
    #[serde(default)]
    pub hash_salt: Option<String>,
}

/// Traces with so many spans, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpanCountConfig {
    /// The least.
    #[serde(default)]
    pub min_spans: usize,
    /// The most; 0 is no limit.
    #[serde(default)]
    pub max_spans: usize,
}

/// Traces that used at least so many tokens, or cost at least so much, all spans together.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenAiUsageConfig {
    /// Tokens in and out, by the `gen_ai.usage.*` attributes and those of OpenInference and Traceloop.
    #[serde(default)]
    pub min_tokens: Option<u64>,
    /// Cost, in the unit in which the spans say it, by `cost_attributes`.
    #[serde(default)]
    pub min_cost: Option<f64>,
    /// The attributes that say what a span cost; of each span the first that it has counts.
    #[serde(default = "default_cost_attributes")]
    pub cost_attributes: Vec<String>,
}

pub(super) fn default_cost_attributes() -> Vec<String> {
    ["gen_ai.usage.cost", "llm.cost.total", "mlflow.llm.cost"].map(str::to_owned).to_vec()
}

/// What every one of these policies wants.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AndConfig {
    /// The policies.
    pub and_sub_policy: Vec<PolicyConfig>,
}

/// What every one of these policies wants, to be dropped.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropConfig {
    /// The policies.
    pub drop_sub_policy: Vec<PolicyConfig>,
}

impl TailSamplingConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: &str| problems.push((key.to_owned(), message.to_owned()));
        if self.decision_wait.is_zero() {
            problem("decision_wait", "must be longer than 0");
        }
        if self.num_traces == 0 {
            problem("num_traces", "must be at least 1");
        }
        if self.max_bytes == 0 {
            problem("max_bytes", "must be at least 1 byte");
        }
        for (key, size) in [
            ("decision_cache.sampled_cache_size", self.decision_cache.sampled_cache_size),
            ("decision_cache.non_sampled_cache_size", self.decision_cache.non_sampled_cache_size),
        ] {
            if size == 0 {
                problem(key, "must be at least 1: a delivery that is tried again follows the decision");
            }
        }
        if self.policies.is_empty() {
            problem("policies", "must name at least one policy, or every trace is dropped");
        }
        let mut names: Vec<&str> = Vec::new();
        for (index, policy) in self.policies.iter().enumerate() {
            let key = format!("policies[{index}]");
            if names.contains(&policy.name.as_str()) {
                problem(&key, &format!("the name `{}` stands here twice", policy.name));
            }
            names.push(&policy.name);
            if let Err(message) = Policy::new(policy) {
                problem(&key, &message);
            }
        }
        problems
    }
}
