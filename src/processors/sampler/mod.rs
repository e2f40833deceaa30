//! `processors.probabilistic_sampler`: keeps a share of the traces, the same ones in every gateway.

mod threshold;
mod trace_state;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::matching::Problem;
use super::stage::{Stage, Transform, any_span};
use super::value;
use crate::otlp::model::{ExportTraceServiceRequest, Span};
use crate::pipeline::TraceExporter;
use crate::telemetry::ProcessorMetrics;
use threshold::{ALL, Threshold};
use trace_state::Sampling;

/// Keeps a share of the traces by their ids, without looking at what is in them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProbabilisticSamplerConfig {
    /// The share that is kept, in percent: 0 keeps nothing, 100 and more everything.
    pub sampling_percentage: f32,
    /// Where the chance comes from.
    pub mode: SamplerMode,
    /// Of gateways with the same seed each makes the same choice.
    pub hash_seed: u32,
    /// Whether spans go that have no trace id to choose by.
    pub fail_closed: bool,
    /// Hexadecimal digits of the probability that is written down: 1 to 14.
    pub sampling_precision: u8,
}

/// Where the chance comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamplerMode {
    /// A hash of the trace id and a seed.
    #[default]
    HashSeed,
    /// The trace id itself; a share of what comes in, however much of it was sampled before.
    Proportional,
    /// The trace id itself; a share of what there was before anybody sampled.
    Equalizing,
}

impl Default for ProbabilisticSamplerConfig {
    fn default() -> Self {
        Self {
            sampling_percentage: 0.0,
            mode: SamplerMode::default(),
            hash_seed: 0,
            fail_closed: true,
            sampling_precision: 4,
        }
    }
}

impl ProbabilisticSamplerConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.sampling_percentage.is_nan() || self.sampling_percentage < 0.0 {
            problems.push(("sampling_percentage".to_owned(), "must not be negative".to_owned()));
        }
        if !(1..=14).contains(&self.sampling_precision) {
            problems.push(("sampling_precision".to_owned(), "must be from 1 to 14".to_owned()));
        }
        problems
    }

    /// The processor, before the next stage.
    pub fn build(&self, metrics: ProcessorMetrics, next: Arc<dyn TraceExporter>) -> Arc<dyn TraceExporter> {
        Arc::new(Stage::new(Sampler::new(self), metrics, next))
    }
}

struct Sampler {
    mode: SamplerMode,
    /// From 0 to 1.
    ratio: f64,
    /// Of `hash_seed` and `equalizing`.
    threshold: Threshold,
    seed: u32,
    precision: u8,
    fail_closed: bool,
}

/// What becomes of a span.
enum Choice {
    Drop,
    Keep,
    /// With what is to be written down about it.
    KeepAs(Sampling),
}

impl Sampler {
    fn new(config: &ProbabilisticSamplerConfig) -> Self {
        let percentage = config.sampling_percentage.min(100.0);
        let ratio = f64::from(percentage) / 100.0;
        let mode = config.mode;
        let threshold = match mode {
            SamplerMode::HashSeed => threshold::of_buckets(percentage),
            _ => threshold::of_probability(ratio, config.sampling_precision),
        };
        Self {
            mode,
            ratio,
            threshold,
            seed: config.hash_seed,
            precision: config.sampling_precision,
            fail_closed: config.fail_closed,
        }
    }

    fn choose(&self, span: &Span) -> Choice {
        match value::number(&span.attributes, "sampling.priority") {
            Some(0.0) => return Choice::Drop,
            Some(priority) if priority > 0.0 => return Choice::Keep,
            _ => {}
        }
        let id = value::sixteen(&span.trace_id);
        let before = trace_state::read(&span.trace_state);
        if self.mode == SamplerMode::HashSeed {
            let randomness = threshold::hashed(&id, self.seed);
            // Who samples consistently already keeps its own account.
            let after = match before {
                Sampling { threshold: None, randomness: None } => {
                    Sampling { threshold: Some(self.threshold), randomness: Some(randomness) }
                }
                before => before,
            };
            return keep(randomness >= self.threshold && self.threshold < ALL, after);
        }
        let own = id.iter().any(|byte| *byte != 0).then(|| threshold::low_bits(&id));
        let Some(randomness) = before.randomness.or(own) else {
            return if self.fail_closed { Choice::Drop } else { Choice::Keep };
        };
        let threshold = match (self.mode, before.threshold) {
            (SamplerMode::Proportional, Some(before)) => {
                let left = threshold::probability(before) * self.ratio;
                threshold::of_probability(left, self.precision)
            }
            // Whoever sampled more strictly before has done the work.
            (SamplerMode::Equalizing, Some(before)) => self.threshold.max(before),
            _ => self.threshold,
        };
        let after = Sampling { threshold: Some(threshold), ..before };
        keep(randomness >= threshold && threshold < ALL, after)
    }
}

fn keep(is_kept: bool, after: Sampling) -> Choice {
    if is_kept { Choice::KeepAs(after) } else { Choice::Drop }
}

impl Transform for Sampler {
    const DROPPED: &'static str = "not_sampled";

    fn concerns(&self, body: &ExportTraceServiceRequest) -> bool {
        any_span(body, |_, span| !matches!(self.choose(span), Choice::Keep))
    }

    fn apply(&self, body: &mut ExportTraceServiceRequest) {
        for resource_spans in &mut body.resource_spans {
            for scope_spans in &mut resource_spans.scope_spans {
                scope_spans.spans.retain_mut(|span| match self.choose(span) {
                    Choice::Drop => false,
                    Choice::Keep => true,
                    Choice::KeepAs(after) => {
                        trace_state::write(&mut span.trace_state, after);
                        true
                    }
                });
            }
            resource_spans.scope_spans.retain(|scope_spans| !scope_spans.spans.is_empty());
        }
        body.resource_spans.retain(|resource_spans| !resource_spans.scope_spans.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::testing::{pair, request_of, span, text};
    use super::*;
    use crate::otlp::model::any_value::Value;

    fn sampler(config: serde_json::Value) -> Sampler {
        let config: ProbabilisticSamplerConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate(), []);
        Sampler::new(&config)
    }

    fn with_id(id: u128) -> Span {
        Span { trace_id: id.to_be_bytes().to_vec(), ..span(1, 1, "chat") }
    }

    /// Ids that look drawn at random, the same in every run.
    fn ids() -> impl Iterator<Item = u128> {
        (1..=4_000_u128).map(|number| {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            mixed ^ (mixed >> 61)
        })
    }

    fn kept(sampler: &Sampler) -> Vec<u128> {
        ids().filter(|id| !matches!(sampler.choose(&with_id(*id)), Choice::Drop)).collect()
    }

    #[test]
    fn two_gateways_keep_the_same_traces_and_a_larger_share_keeps_them_too() {
        for base in [json!({"hash_seed": 22}), json!({"mode": "proportional"}), json!({"mode": "equalizing"})]
        {
            let of = |percentage: f32| {
                let mut config = base.clone();
                config["sampling_percentage"] = json!(percentage);
                kept(&sampler(config))
            };
            let few = of(15.3);
            assert_eq!(few, of(15.3));
            assert!((500..720).contains(&few.len()), "{base}: {}", few.len());
            let more = of(50.0);
            assert!(few.iter().all(|id| more.contains(id)), "{base}");
            assert_eq!((of(0.0).len(), of(100.0).len(), of(250.0).len()), (0, 4_000, 4_000));
        }
    }

    #[test]
    fn without_a_mode_and_a_seed_it_is_the_hash_as_in_the_collector() {
        let by_default = kept(&sampler(json!({"sampling_percentage": 25})));
        let hashed = json!({"mode": "hash_seed", "hash_seed": 0, "sampling_percentage": 25});
        assert_eq!(by_default, kept(&sampler(hashed)));
        let proportional = json!({"mode": "proportional", "sampling_percentage": 25});
        assert_ne!(by_default, kept(&sampler(proportional)));
    }

    #[test]
    fn seeds_make_other_choices() {
        let of = |seed: u32| kept(&sampler(json!({"hash_seed": seed, "sampling_percentage": 50})));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn the_priority_of_a_span_comes_first() {
        let nothing = sampler(json!({"sampling_percentage": 0}));
        let everything = sampler(json!({"sampling_percentage": 100}));
        for (attribute, is_kept) in [
            (pair("sampling.priority", Value::Int(1)), true),
            (text("sampling.priority", "2"), true),
            (pair("sampling.priority", Value::Double(0.0)), false),
        ] {
            let span = Span { attributes: vec![attribute], ..span(1, 1, "chat") };
            assert_eq!(!matches!(nothing.choose(&span), Choice::Drop), is_kept);
            assert_eq!(!matches!(everything.choose(&span), Choice::Drop), is_kept);
        }
    }

    #[test]
    fn what_was_sampled_before_counts() {
        // The documentation's example: this randomness is kept at 50 %, and then no longer at 25 %.
        let mut span = with_id(1);
        span.trace_state = "ot=th:0;rv:9b8233f7e3a151".to_owned();
        let half = sampler(json!({"mode": "proportional", "sampling_percentage": 50}));
        let mut body = request_of(vec![span]).body;
        half.apply(&mut body);
        let span = &body.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(span.trace_state, "ot=th:8;rv:9b8233f7e3a151");
        assert!(matches!(half.choose(span), Choice::Drop));
        let equal = sampler(json!({"mode": "equalizing", "sampling_percentage": 50}));
        assert!(matches!(equal.choose(span), Choice::KeepAs(_)));
    }

    #[test]
    fn spans_without_a_trace_id_go_where_it_is_needed() {
        let closed = sampler(json!({"mode": "proportional", "sampling_percentage": 99}));
        let open = sampler(json!({"mode": "proportional", "sampling_percentage": 1, "fail_closed": false}));
        assert!(matches!(closed.choose(&with_id(0)), Choice::Drop));
        assert!(matches!(open.choose(&with_id(0)), Choice::Keep));
    }

    proptest! {
        #[test]
        fn ids_are_numbers_whatever_their_length(id in any::<u128>(), percentage in 0.0_f32..100.0) {
            let sampler = sampler(json!({"hash_seed": 3, "sampling_percentage": percentage}));
            let is_kept = |bytes: Vec<u8>| {
                !matches!(sampler.choose(&Span { trace_id: bytes, ..Span::default() }), Choice::Drop)
            };
            let long = [&[0; 4], id.to_be_bytes().as_slice()].concat();
            let short = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            prop_assert_eq!(is_kept(long), is_kept(id.to_be_bytes().to_vec()));
            prop_assert_eq!(is_kept(short), is_kept(id.to_be_bytes().to_vec()));
        }
    }
}
