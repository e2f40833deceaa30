//! Which traces are worth keeping.

use regex::Regex;

use super::super::acks::Share;
use super::super::matching::compile;
use super::super::value;
use super::TraceId;
use super::config::{PolicyConfig, PolicyKind, StatusCode};
use super::traces::Fragment;
use crate::otlp::model::any_value::Value;
use crate::otlp::model::{KeyValue, Resource, Span};

/// What the Collector hashes where the configuration names no salt.
const DEFAULT_SALT: &str = "default-hash-seed";

/// Attributes that say how many tokens a call took in and gave out, together.
const TOTAL_TOKENS: [&str; 3] =
    ["gen_ai.usage.total_tokens", "llm.token_count.total", "llm.usage.total_tokens"];

/// Attributes that say it for one direction; of each list the first that a span has counts.
const TOKENS: [&[&str]; 2] = [
    &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"],
    &["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"],
];

/// A compiled policy.
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) is_drop: bool,
    rule: Rule,
}

enum Rule {
    Always,
    Latency {
        least: u64,
        most: u64,
    },
    Status(Vec<StatusCode>),
    Text {
        key: String,
        values: Vec<String>,
        patterns: Vec<Regex>,
    },
    Number {
        key: String,
        least: f64,
        most: f64,
    },
    Boolean {
        key: String,
        value: bool,
    },
    Probability {
        salt: String,
        threshold: u64,
    },
    Spans {
        least: usize,
        most: usize,
    },
    Usage {
        tokens: Option<f64>,
        cost: Option<f64>,
        attributes: Vec<String>,
    },
    All(Vec<Policy>),
    #[cfg(test)]
    Panic,
}

impl Policy {
    /// Compiles a policy.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn new(config: &PolicyConfig) -> Result<Self, String> {
        let is_drop = config.kind == PolicyKind::Drop;
        Ok(Self { name: config.name.clone(), is_drop, rule: rule(config)? })
    }

    /// A policy with a mistake in it.
    #[cfg(test)]
    pub(super) fn panicking() -> Self {
        Self { name: "panic".to_owned(), is_drop: false, rule: Rule::Panic }
    }

    /// Whether the policy is about this trace.
    pub(super) fn wants(&self, trace: &Trace<'_>) -> bool {
        match &self.rule {
            Rule::Always => true,
            Rule::Latency { least, most } => {
                let took = trace.milliseconds();
                took >= *least && (*most == 0 || took <= *most)
            }
            Rule::Status(codes) => trace.any_span(|span| codes.contains(&status(span))),
            Rule::Text { key, values, patterns } => trace.any_attribute(key, |value| {
                matches!(value, Value::String(text) if values.contains(text)
                    || patterns.iter().any(|pattern| pattern.is_match(text)))
            }),
            Rule::Number { key, least, most } => trace.any_attribute(key, |value| match value {
                Value::Int(integer) => (*least..=*most).contains(&(*integer as f64)),
                Value::Double(double) => (*least..=*most).contains(double),
                _ => false,
            }),
            Rule::Boolean { key, value: wanted } => {
                trace.any_attribute(key, |value| matches!(value, Value::Bool(found) if found == wanted))
            }
            Rule::Probability { salt, threshold } => hash(salt, trace.id) <= *threshold && *threshold > 0,
            Rule::Spans { least, most } => {
                let spans = trace.spans().count();
                spans >= *least && (*most == 0 || spans <= *most)
            }
            Rule::Usage { tokens, cost, attributes } => {
                tokens.is_some_and(|least| trace.sum(tokens_of) >= least)
                    || cost.is_some_and(|least| trace.sum(|pairs| cost_of(pairs, attributes)) >= least)
            }
            Rule::All(policies) => policies.iter().all(|policy| policy.wants(trace)),
            #[cfg(test)]
            Rule::Panic => panic!("on purpose"),
        }
    }
}

fn rule(config: &PolicyConfig) -> Result<Rule, String> {
    fn given<'a, T>(settings: &'a Option<T>, key: &str) -> Result<&'a T, String> {
        settings.as_ref().ok_or_else(|| format!("a policy of type {key} needs its settings under `{key}`"))
    }
    Ok(match config.kind {
        PolicyKind::AlwaysSample => Rule::Always,
        PolicyKind::Latency => {
            let settings = given(&config.latency, "latency")?;
            Rule::Latency { least: settings.threshold_ms, most: settings.upper_threshold_ms }
        }
        PolicyKind::StatusCode => {
            Rule::Status(given(&config.status_code, "status_code")?.status_codes.clone())
        }
        PolicyKind::StringAttribute => {
            let settings = given(&config.string_attribute, "string_attribute")?;
            let (mut values, mut patterns) = (settings.values.clone(), Vec::new());
            if settings.enabled_regex_matching {
                let compiled = values.drain(..).map(|pattern| compile(&pattern, "").map_err(|(_, why)| why));
                patterns = compiled.collect::<Result<_, _>>()?;
            }
            Rule::Text { key: settings.key.clone(), values, patterns }
        }
        PolicyKind::NumericAttribute => {
            let settings = given(&config.numeric_attribute, "numeric_attribute")?;
            let (least, most) = (settings.min_value, settings.max_value);
            if least.is_none() && most.is_none() {
                return Err("numeric_attribute needs min_value, max_value or both".to_owned());
            }
            let key = settings.key.clone();
            Rule::Number {
                key,
                least: least.unwrap_or(f64::NEG_INFINITY),
                most: most.unwrap_or(f64::INFINITY),
            }
        }
        PolicyKind::BooleanAttribute => {
            let settings = given(&config.boolean_attribute, "boolean_attribute")?;
            Rule::Boolean { key: settings.key.clone(), value: settings.value }
        }
        PolicyKind::Probabilistic => {
            let settings = given(&config.probabilistic, "probabilistic")?;
            let share = (settings.sampling_percentage / 100.0).clamp(0.0, 1.0);
            let salt = settings.hash_salt.clone().filter(|salt| !salt.is_empty());
            let threshold = (share * u64::MAX as f64) as u64;
            Rule::Probability { salt: salt.unwrap_or_else(|| DEFAULT_SALT.to_owned()), threshold }
        }
        PolicyKind::SpanCount => {
            let settings = given(&config.span_count, "span_count")?;
            Rule::Spans { least: settings.min_spans, most: settings.max_spans }
        }
        PolicyKind::GenAiUsage => {
            let settings = given(&config.gen_ai_usage, "gen_ai_usage")?;
            if settings.min_tokens.is_none() && settings.min_cost.is_none() {
                return Err("gen_ai_usage needs min_tokens, min_cost or both".to_owned());
            }
            Rule::Usage {
                tokens: settings.min_tokens.map(|tokens| tokens as f64),
                cost: settings.min_cost,
                attributes: settings.cost_attributes.clone(),
            }
        }
        PolicyKind::And => Rule::All(all(&given(&config.and, "and")?.and_sub_policy, "and_sub_policy")?),
        PolicyKind::Drop => Rule::All(all(&given(&config.drop, "drop")?.drop_sub_policy, "drop_sub_policy")?),
    })
}

fn all(policies: &[PolicyConfig], key: &str) -> Result<Vec<Policy>, String> {
    if policies.is_empty() {
        return Err(format!("{key} must name at least one policy"));
    }
    let compile = |policy: &PolicyConfig| match policy.kind {
        PolicyKind::Drop => Err(format!("{key} cannot hold a policy of type drop")),
        _ => Policy::new(policy).map_err(|why| format!("{key} `{}`: {why}", policy.name)),
    };
    policies.iter().map(compile).collect()
}

fn status(span: &Span) -> StatusCode {
    match span.status.as_ref().map_or(0, |status| status.code) {
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => StatusCode::Unset,
    }
}

fn tokens_of(attributes: &[KeyValue]) -> f64 {
    let by_direction = TOKENS.map(|keys| keys.iter().find_map(|key| value::number(attributes, key)));
    match by_direction {
        [None, None] => TOTAL_TOKENS.iter().find_map(|key| value::number(attributes, key)).unwrap_or(0.0),
        both => both.into_iter().flatten().sum(),
    }
}

/// What a span cost, by the first attribute that says it: a number, or what MLflow writes, a map in JSON.
fn cost_of(attributes: &[KeyValue], keys: &[String]) -> f64 {
    let of_map = |key: &str| {
        let map: serde_json::Value = serde_json::from_str(value::text(attributes, key)?).ok()?;
        map.get("total_cost")?.as_f64()
    };
    let cost = |key: &String| value::number(attributes, key).or_else(|| of_map(key));
    keys.iter().find_map(cost).unwrap_or(0.0)
}

/// FNV-1a of the salt and the id, as the Collector's policy has it.
fn hash(salt: &str, id: [u8; 16]) -> u64 {
    let bytes = salt.bytes().chain(id);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What is known of a trace.
pub(super) struct Trace<'a> {
    pub(super) id: TraceId,
    pub(super) parts: &'a [(Fragment, Share)],
}

impl Trace<'_> {
    fn resources(&self) -> impl Iterator<Item = &Resource> {
        let resources = self.parts.iter().flat_map(|(fragment, _)| fragment.resources());
        resources.filter_map(|resource_spans| resource_spans.resource.as_ref())
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.parts.iter().flat_map(|(fragment, _)| fragment.spans())
    }

    fn any_span(&self, is_such: impl Fn(&Span) -> bool) -> bool {
        self.spans().any(is_such)
    }

    fn any_attribute(&self, key: &str, is_such: impl Fn(&Value) -> bool) -> bool {
        let of_resources = self.resources().map(|resource| resource.attributes.as_slice());
        let of_spans = self.spans().map(|span| span.attributes.as_slice());
        of_resources.chain(of_spans).any(|pairs| value::find(pairs, key).is_some_and(&is_such))
    }

    fn sum(&self, of: impl Fn(&[KeyValue]) -> f64) -> f64 {
        self.spans().map(|span| of(&span.attributes)).sum()
    }

    /// From the first start to the last end.
    fn milliseconds(&self) -> u64 {
        let start = self.spans().map(|span| span.start_time_unix_nano).min().unwrap_or(0);
        let end = self.spans().map(|span| span.end_time_unix_nano).max().unwrap_or(0);
        end.saturating_sub(start) / 1_000_000
    }
}

#[cfg(test)]
mod tests;
