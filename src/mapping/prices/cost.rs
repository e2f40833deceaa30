//! From token counts to money.

use super::{PriceCatalogue, Rates};
use crate::mapping::python::{Dict, Number, Overflow, Value};

/// Token counts of a span.
///
/// Python's numbers, because a client may send any: cost follows MLflow's arithmetic on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// All input tokens, those of the caches included.
    pub input: Number,
    /// Output tokens.
    pub output: Number,
    /// Input tokens read from a cache.
    pub cache_read: Number,
    /// Input tokens written to a cache.
    pub cache_creation: Number,
    /// Those of them that the cache keeps for an hour.
    pub cache_creation_above_1hr: Number,
}

/// Cost of a span in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Cost of the input tokens.
    pub input: f64,
    /// Cost of the output tokens.
    pub output: f64,
    /// Their sum.
    pub total: f64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input: Number::zero(),
            output: Number::zero(),
            cache_read: Number::zero(),
            cache_creation: Number::zero(),
            cache_creation_above_1hr: Number::zero(),
        }
    }
}

impl Usage {
    /// Reads the object of `mlflow.chat.tokenUsage`; none if MLflow cannot compute with it.
    pub fn from_dict(usage: &Dict) -> Option<Self> {
        if usage.is_empty() {
            return None;
        }
        let count = |key| usage.get(key).map_or(Some(Number::zero()), Value::as_number);
        let cached = |key| match usage.get(key) {
            Some(count) if count.is_truthy() => count.as_number(),
            _ => Some(Number::zero()),
        };
        Some(Self {
            input: count("input_tokens")?,
            output: count("output_tokens")?,
            cache_read: cached("cache_read_input_tokens")?,
            cache_creation: cached("cache_creation_input_tokens")?,
            cache_creation_above_1hr: cached("cache_creation_input_tokens_above_1hr")?,
        })
    }
}

impl PriceCatalogue {
    /// The cost that MLflow's server computes for a span without one.
    ///
    /// None without tokens, for an unknown model, for a model name that is a route of MLflow's
    /// gateway, and where a count is beyond the range of a float. A provider that is not a string
    /// in MLflow is one without prices here: pass its JSON text.
    pub fn cost(&self, model: &str, provider: Option<&str>, usage: &Usage) -> Option<Cost> {
        let is_route = model.starts_with("gateway:/") || model.starts_with("endpoints:/");
        if model.is_empty() || is_route || (usage.input.is_zero() && usage.output.is_zero()) {
            return None;
        }
        let is_databricks = model.starts_with("databricks-") || model.starts_with("databricks/");
        let provider = provider
            .filter(|provider| !provider.is_empty())
            .or_else(|| is_databricks.then_some("databricks"));
        cost_of(usage, &self.rates(model, provider)?).ok()
    }
}

/// The order of the operations is MLflow's: another one rounds otherwise.
fn cost_of(usage: &Usage, rates: &Rates) -> Result<Cost, Overflow> {
    let zero = Number::zero();
    let (read, created) = (&usage.cache_read, &usage.cache_creation);
    let regular = usage.input.minus(read)?.minus(created)?;
    let regular = if zero.is_greater_than(&regular) { &zero } else { &regular };
    let long = &usage.cache_creation_above_1hr;
    let long = if long.is_greater_than(created) { created } else { long };
    let short = created.minus(long)?;

    let input_rate = rates.input.unwrap_or(0.0);
    let write_rate = rates.cache_write.unwrap_or(input_rate);
    let mut input = regular.to_f64()? * input_rate;
    for (count, rate) in [
        (read, rates.cache_read.unwrap_or(input_rate)),
        (&short, write_rate),
        (long, rates.cache_write_1hr.unwrap_or(write_rate)),
    ] {
        if count.is_greater_than(&zero) {
            input += count.to_f64()? * rate;
        }
    }
    let output = usage.output.to_f64()? * rates.output.unwrap_or(0.0);
    Ok(Cost { input, output, total: input + output })
}
