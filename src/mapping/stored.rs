//! Usage of a span that is already stored, read back from its content.

use super::python::{Dict, Value, loads};
use super::update::SpanUsage;
use super::usage::{COST_KEYS, TOKEN_KEYS, Tally};
use crate::semconv::mlflow::{CHAT_TOKEN_USAGE, LLM_COST};

/// Reads token counts and cost from the JSON text of a stored span.
///
/// With `true_totals`, usage that has no total is completed.
pub(super) fn stored_usage(content: &str, true_totals: bool) -> SpanUsage {
    if !content.contains(CHAT_TOKEN_USAGE) && !content.contains(LLM_COST) {
        return SpanUsage::default();
    }
    let content = loads(content).unwrap_or(Value::None);
    let attributes = content.as_dict().and_then(|content| content.get("attributes")).and_then(Value::as_dict);
    let member = |key, keys| attributes.and_then(|attributes: &Dict| tally(attributes.get(key)?, keys));
    let mut usage = SpanUsage {
        tokens: member(CHAT_TOKEN_USAGE, &TOKEN_KEYS[..]),
        cost: member(LLM_COST, &COST_KEYS[..]),
    };
    if true_totals {
        usage.complete();
    }
    usage
}

/// The numbers of an attribute that is an object, or the JSON text of one.
fn tally(value: &Value, keys: &[&'static str]) -> Option<Box<Tally>> {
    let parsed = value.as_str().and_then(|text| loads(text).ok());
    let members = parsed.as_ref().unwrap_or(value).as_dict()?;
    Some(Box::new(Tally::from_dict(members, keys)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_usage_as_text_and_as_object() {
        let text = r#"{"attributes": {"mlflow.chat.tokenUsage": "{\"input_tokens\": 4}"}}"#;
        let object = r#"{"attributes": {"mlflow.chat.tokenUsage": {"input_tokens": 4}}}"#;
        for content in [text, object] {
            let tokens = stored_usage(content, false).tokens.unwrap();
            assert_eq!(tokens.to_tokens().input, Some(4), "{content}");
        }
        assert_eq!(stored_usage(r#"{"attributes": {"k": "mlflow.llm.cost"}}"#, true), SpanUsage::default());
    }
}
