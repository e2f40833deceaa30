//! Token counts, from the several forms that the APIs give them in.

use opentelemetry::KeyValue;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::genai::Json;
use crate::semconv::{gen_ai, otel_mlflow};

/// What a call used. Absent is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) input: Option<i64>,
    pub(crate) output: Option<i64>,
    cache_read: Option<i64>,
    cache_creation: Option<i64>,
    reasoning: Option<i64>,
    input_audio: Option<i64>,
    output_audio: Option<i64>,
}

impl Usage {
    /// Reads the `usage` object of any API: chat and completions call the counts `prompt_tokens`
    /// and `completion_tokens`, the others `input_tokens` and `output_tokens`.
    pub(crate) fn read(usage: &Json<'_>) -> Option<Self> {
        usage.members()?;
        let count = |json: &Json<'_>, keys: &[&str]| {
            keys.iter().find_map(|key| json.get(key)?.as_i64()).filter(|count| *count >= 0)
        };
        let details = |keys: &[&str]| keys.iter().find_map(|key| usage.get(key)).unwrap_or(&Json::Null);
        let input = details(&["prompt_tokens_details", "input_tokens_details", "input_token_details"]);
        let output = details(&["completion_tokens_details", "output_tokens_details", "output_token_details"]);
        let read = Self {
            input: count(usage, &["prompt_tokens", "input_tokens"]),
            output: count(usage, &["completion_tokens", "output_tokens"]),
            cache_read: count(input, &["cached_tokens"])
                .or_else(|| count(usage, &["prompt_cache_hit_tokens", "cache_read_input_tokens"])),
            cache_creation: count(input, &["cache_creation_tokens", "cache_write_tokens"])
                .or_else(|| count(usage, &["cache_creation_input_tokens"])),
            reasoning: count(output, &["reasoning_tokens"]),
            input_audio: count(input, &["audio_tokens"]),
            output_audio: count(output, &["audio_tokens"]),
        };
        (read != Self::default()).then_some(read)
    }

    /// The counts as attributes.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = KeyValue> {
        [
            (gen_ai::USAGE_INPUT_TOKENS, self.input),
            (gen_ai::USAGE_OUTPUT_TOKENS, self.output),
            (gen_ai::USAGE_CACHE_READ_INPUT_TOKENS, self.cache_read),
            (gen_ai::USAGE_CACHE_CREATION_INPUT_TOKENS, self.cache_creation),
            (gen_ai::USAGE_REASONING_OUTPUT_TOKENS, self.reasoning),
            (otel_mlflow::USAGE_INPUT_AUDIO_TOKENS, self.input_audio),
            (otel_mlflow::USAGE_OUTPUT_AUDIO_TOKENS, self.output_audio),
        ]
        .into_iter()
        .filter_map(|(key, count)| Some(KeyValue::new(key, count?)))
    }
}

/// The `usage` of chat and legacy completions with the members that OpenAI gives it, read without
/// building a tree. With any other member, or a count in another form, it is none of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChatUsage {
    prompt_tokens: Option<i64>,
    completion_tokens: Option<i64>,
    #[serde(default, rename = "total_tokens")]
    _total: IgnoredAny,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptDetails {
    cached_tokens: Option<i64>,
    audio_tokens: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompletionDetails {
    reasoning_tokens: Option<i64>,
    audio_tokens: Option<i64>,
    #[serde(default, rename = "accepted_prediction_tokens")]
    _accepted: IgnoredAny,
    #[serde(default, rename = "rejected_prediction_tokens")]
    _rejected: IgnoredAny,
}

impl From<ChatUsage> for Usage {
    fn from(usage: ChatUsage) -> Self {
        let count = |count: Option<i64>| count.filter(|count| *count >= 0);
        let input = usage.prompt_tokens_details.unwrap_or_default();
        let output = usage.completion_tokens_details.unwrap_or_default();
        Self {
            input: count(usage.prompt_tokens),
            output: count(usage.completion_tokens),
            cache_read: count(input.cached_tokens),
            cache_creation: None,
            reasoning: count(output.reasoning_tokens),
            input_audio: count(input.audio_tokens),
            output_audio: count(output.audio_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(usage: &str) -> Vec<String> {
        let usage = Usage::read(&Json::parse(usage.as_bytes()).unwrap()).unwrap_or_default();
        usage.attributes().map(|a| format!("{}={}", a.key, a.value)).collect()
    }

    #[test]
    fn chat_usage_keeps_zeros_and_details() {
        let usage = r#"{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9,
            "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":3},
            "completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":null}}"#;
        assert_eq!(
            read(usage),
            [
                "gen_ai.usage.input_tokens=9",
                "gen_ai.usage.output_tokens=0",
                "gen_ai.usage.cache_read.input_tokens=0",
                "gen_ai.usage.reasoning.output_tokens=2",
                "otel_mlflow.usage.input.audio_tokens=3",
            ]
        );
    }

    #[test]
    fn the_usual_form_is_read_as_the_tree_is() {
        for usage in [
            r#"{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}"#,
            r#"{"prompt_tokens":-1,"completion_tokens":null,"completion_tokens_details":null}"#,
            r#"{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,
                "prompt_tokens_details":{"cached_tokens":2,"audio_tokens":3},
                "completion_tokens_details":{"reasoning_tokens":4,"audio_tokens":5,
                "accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        ] {
            let usual: Usage = serde_json::from_str::<ChatUsage>(usage).unwrap().into();
            let tree = Usage::read(&Json::parse(usage.as_bytes()).unwrap()).unwrap_or_default();
            assert_eq!(usual, tree, "{usage}");
        }
        for other in [r#"{"prompt_tokens":9.0}"#, r#"{"prompt_cache_hit_tokens":9}"#, r#"{"cost":0.1}"#] {
            assert!(serde_json::from_str::<ChatUsage>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn other_apis_have_other_names() {
        let usage = r#"{"input_tokens":7,"output_tokens":5,"input_tokens_details":{"cached_tokens":4}}"#;
        assert_eq!(
            read(usage),
            [
                "gen_ai.usage.input_tokens=7",
                "gen_ai.usage.output_tokens=5",
                "gen_ai.usage.cache_read.input_tokens=4"
            ]
        );
    }

    #[test]
    fn what_is_no_count_is_left_out() {
        assert!(read(r#"{"prompt_tokens":-1,"completion_tokens":"many"}"#).is_empty());
        assert!(read("null").is_empty());
        assert!(read(r#"{"type":"duration","seconds":3}"#).is_empty());
    }
}
