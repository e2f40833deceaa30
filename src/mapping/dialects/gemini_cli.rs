//! Gemini CLI, which uses the GenAI conventions with operations and message forms of its own.

use super::rules::first_source;
use super::{ContentRule, Dialect, FormatRule, TypeRule, gen_ai};
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::{Dict, Value, adumps};
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::semconv::gen_ai::{AGENT_NAME, OPERATION_NAME};

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Custom(span_type),
    inputs: ContentRule::Custom(inputs),
    outputs: ContentRule::Custom(outputs),
    message_format: FormatRule::Custom(message_format),
    ..gen_ai::DIALECT
};

const TYPES: TypeRule = TypeRule::Attribute(
    OPERATION_NAME,
    &[("llm_call", "LLM"), ("tool_call", "TOOL"), ("agent_call", "AGENT")],
);

fn is_gemini_cli(attributes: &Attributes<'_>) -> bool {
    attributes.is_string(AGENT_NAME, "gemini-cli")
}

fn span_type(attributes: &Attributes<'_>) -> Result<Option<&'static str>, Unusable> {
    if is_gemini_cli(attributes) { TYPES.read(attributes) } else { Ok(None) }
}

fn message_format(attributes: &Attributes<'_>) -> Option<&'static str> {
    is_gemini_cli(attributes).then_some("gemini")
}

/// The messages as the member `contents` of an object, as Gemini's API has them.
fn inputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    let Some(text) = first_source(gen_ai::INPUTS, attributes).filter(|_| is_gemini_cli(attributes)) else {
        return Ok(None);
    };
    let wrapped = match text.decode() {
        contents @ (Value::List(_) | Value::Str(_)) => {
            Text::Verbatim(adumps(&object([("contents", contents)])).into())
        }
        _ => text.clone(),
    };
    Ok(Some(Content::Text(wrapped)))
}

/// The parts of all messages as one candidate, as Gemini's API has them.
fn outputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    let Some(text) = first_source(gen_ai::OUTPUTS, attributes).filter(|_| is_gemini_cli(attributes)) else {
        return Ok(None);
    };
    let decoded = text.decode();
    let messages = decoded.as_list().into_iter().flatten().filter_map(Value::as_dict);
    let parts = messages.filter_map(|message| message.get("parts")).filter_map(Value::as_list);
    let parts: Vec<Value> = parts.flatten().cloned().collect();
    let wrapped = if parts.is_empty() { text.clone() } else { Text::Verbatim(candidate(parts).into()) };
    Ok(Some(Content::Text(wrapped)))
}

fn candidate(parts: Vec<Value>) -> String {
    let content = object([("role", Value::from("model")), ("parts", Value::List(parts))]);
    adumps(&object([("candidates", Value::List(vec![object([("content", content)])]))]))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Dict(Dict::from_iter(members))
}
