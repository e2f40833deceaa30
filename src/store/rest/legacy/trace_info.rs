//! Metadata and tags of a trace, as both trace APIs carry them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::spans::Spans;
use crate::mapping::TraceWrite;
use crate::mlflow::records::{Cost, TokenUsage};
use crate::semconv::mlflow::{ARTIFACT_LOCATION, SPANS_LOCATION, TRACE_NAME, TRACE_USER};

/// MLflow's own clients cut here: what every one of its stores can hold.
const MAX_METADATA_CHARACTERS: usize = 250;
const MAX_TAG_KEY_CHARACTERS: usize = 250;
const MAX_TAG_VALUE_CHARACTERS: usize = 4_096;

const SCHEMA_VERSION: &str = "mlflow.trace_schema.version";
const TRACE_INPUTS: &str = "mlflow.traceInputs";
const TRACE_OUTPUTS: &str = "mlflow.traceOutputs";
const SESSION: &str = "mlflow.trace.session";
const SOURCE_RUN: &str = "mlflow.sourceRun";
const TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
const COST: &str = "mlflow.trace.cost";

/// Texts by key.
pub(super) type Texts = BTreeMap<String, String>;

/// The metadata of a trace, for a schema version of 2 or 3.
pub(super) fn metadata(write: &TraceWrite<'_>, spans: &Spans, schema_version: &str) -> Texts {
    let record = &write.record;
    let (inputs, outputs) = spans.root_texts();
    let texts = [
        (SCHEMA_VERSION, Some(schema_version.to_owned())),
        (TRACE_INPUTS, inputs.map(|text| shorten(&text))),
        (TRACE_OUTPUTS, outputs.map(|text| shorten(&text))),
        (SESSION, record.session_id.clone()),
        (SOURCE_RUN, write.run_ids.first().map(|run_id| (*run_id).to_owned())),
        (TOKEN_USAGE, tokens_text(&record.tokens)),
        (COST, cost_text(&record.cost)),
    ];
    let own = texts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let mapped = write.metadata.iter().cloned();
    own.chain(mapped).map(|(key, value)| (key, cut(&value, MAX_METADATA_CHARACTERS))).collect()
}

/// The tags of a trace, but for those that say where a server keeps it.
pub(super) fn tags(write: &TraceWrite<'_>) -> Texts {
    let name = write.record.trace_name.iter().map(|name| (TRACE_NAME.to_owned(), name.clone()));
    let mapped =
        write.tags.iter().filter(|(key, _)| key != SPANS_LOCATION && key != ARTIFACT_LOCATION).cloned();
    mapped
        .chain(name)
        .map(|(key, value)| (cut(&key, MAX_TAG_KEY_CHARACTERS), cut(&value, MAX_TAG_VALUE_CHARACTERS)))
        .collect()
}

/// What a server's trace says about itself in texts.
#[derive(Default)]
pub(super) struct FoundTexts {
    pub(super) location: Option<String>,
    pub(super) name: Option<String>,
    pub(super) session: Option<String>,
    pub(super) has_user: bool,
    pub(super) tokens: TokenUsage,
    pub(super) cost: Cost,
}

impl FoundTexts {
    pub(super) fn new(metadata: &Texts, tags: &Texts) -> Self {
        let tokens = metadata.get(TOKEN_USAGE).and_then(|text| serde_json::from_str(text).ok());
        let cost = metadata.get(COST).and_then(|text| serde_json::from_str(text).ok());
        Self {
            location: tags.get(ARTIFACT_LOCATION).cloned(),
            name: tags.get(TRACE_NAME).cloned(),
            session: metadata.get(SESSION).cloned(),
            has_user: metadata.contains_key(TRACE_USER),
            tokens: tokens.map(TokensText::into_record).unwrap_or_default(),
            cost: cost.map(CostText::into_record).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct TokensText {
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    total_tokens: Option<i64>,
    cache_read_input_tokens: Option<i64>,
    cache_creation_input_tokens: Option<i64>,
    cache_creation_input_tokens_above_1hr: Option<i64>,
}

impl TokensText {
    fn into_record(self) -> TokenUsage {
        TokenUsage {
            input: self.input_tokens,
            output: self.output_tokens,
            total: self.total_tokens,
            cache_read: self.cache_read_input_tokens,
            cache_creation: self.cache_creation_input_tokens,
            cache_creation_above_1hr: self.cache_creation_input_tokens_above_1hr,
        }
    }
}

#[derive(Deserialize)]
struct CostText {
    input_cost: Option<f64>,
    output_cost: Option<f64>,
    total_cost: Option<f64>,
}

impl CostText {
    fn into_record(self) -> Cost {
        Cost { input: self.input_cost, output: self.output_cost, total: self.total_cost }
    }
}

fn tokens_text(tokens: &TokenUsage) -> Option<String> {
    object_text([
        ("input_tokens", tokens.input.map(Value::from)),
        ("output_tokens", tokens.output.map(Value::from)),
        ("total_tokens", tokens.total.map(Value::from)),
        ("cache_read_input_tokens", tokens.cache_read.map(Value::from)),
        ("cache_creation_input_tokens", tokens.cache_creation.map(Value::from)),
    ])
}

fn cost_text(cost: &Cost) -> Option<String> {
    object_text([
        ("input_cost", cost.input.map(|cost| json!(cost))),
        ("output_cost", cost.output.map(|cost| json!(cost))),
        ("total_cost", cost.total.map(|cost| json!(cost))),
    ])
}

/// The JSON text of the members that are there, if any is.
fn object_text<const N: usize>(members: [(&str, Option<Value>); N]) -> Option<String> {
    let known: Map<_, _> =
        members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
    (!known.is_empty()).then(|| Value::Object(known).to_string())
}

/// Cuts as MLflow's clients cut inputs and outputs.
fn shorten(text: &str) -> String {
    if text.chars().count() <= MAX_METADATA_CHARACTERS {
        return text.to_owned();
    }
    cut(text, MAX_METADATA_CHARACTERS - 3) + "..."
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_back_as_they_were_written() {
        let tokens = TokenUsage { input: Some(3), cache_read: Some(0), ..TokenUsage::default() };
        let cost = Cost { total: Some(0.25), ..Cost::default() };
        let metadata = [(TOKEN_USAGE, tokens_text(&tokens)), (COST, cost_text(&cost))];
        let metadata = metadata.into_iter().map(|(key, text)| (key.to_owned(), text.unwrap())).collect();
        let found = FoundTexts::new(&metadata, &Texts::new());
        assert_eq!((found.tokens, found.cost), (tokens, cost));
        assert_eq!(tokens_text(&TokenUsage::default()), None);
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shorten(&"é".repeat(250)), "é".repeat(250));
        assert_eq!(shorten(&"é".repeat(251)), "é".repeat(247) + "...");
    }
}
