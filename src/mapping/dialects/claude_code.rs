//! Claude Code.

use super::rules::event_attribute;
use super::{ContentRule, Dialect, Events, Tokens, TypeRule, UsageRule};
use crate::mapping::any_value::to_python;
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::{Dict, Int, LoadsError, Value, adumps, dumps, int_from_str, loads, loads_text};
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::semconv::claude_code::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Custom(span_type),
    inputs: ContentRule::Custom(inputs),
    outputs: ContentRule::Custom(outputs),
    usage: UsageRule::Custom(usage),
    ..Dialect::NONE
};

/// What Claude Code writes in place of content that the user did not want recorded.
const REDACTED: &str = "<REDACTED>";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Interaction,
    LlmRequest,
    Tool,
}

fn kind(attributes: &Attributes<'_>) -> Option<Kind> {
    let name = attributes.get(SPAN_TYPE)?.as_string()?;
    match name.strip_prefix("claude_code.").unwrap_or(&name) {
        "interaction" => Some(Kind::Interaction),
        "llm_request" => Some(Kind::LlmRequest),
        "tool" => Some(Kind::Tool),
        _ => None,
    }
}

fn span_type(attributes: &Attributes<'_>) -> Result<Option<&'static str>, Unusable> {
    Ok(kind(attributes).map(|kind| match kind {
        Kind::Interaction => "AGENT",
        Kind::LlmRequest => "LLM",
        Kind::Tool => "TOOL",
    }))
}

fn content<'s, 'a>(attributes: &'s Attributes<'a>, key: &str) -> Option<&'s Text<'a>> {
    attributes.usable(key).filter(|text| text.as_string().is_none_or(|text| text != REDACTED))
}

fn inputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    let text = match kind(attributes) {
        Some(Kind::Interaction) => {
            content(attributes, USER_PROMPT).or_else(|| content(attributes, NEW_CONTEXT))
        }
        Some(Kind::LlmRequest) => content(attributes, NEW_CONTEXT),
        Some(Kind::Tool) => match content(attributes, TOOL_INPUT) {
            None => return Ok(tool_details(attributes)),
            found => found,
        },
        None => None,
    };
    Ok(text.map(|text| Content::Text(text.clone())))
}

/// What is known of a tool call whose arguments are not.
fn tool_details<'a>(attributes: &Attributes<'a>) -> Option<Content<'a>> {
    let keys = [FULL_COMMAND, FILE_PATH, SKILL_NAME, SUBAGENT_TYPE];
    let known = keys.into_iter().filter_map(|key| Some((key, content(attributes, key)?.decode())));
    let details = Dict::from_iter(known);
    (!details.is_empty()).then(|| Content::Text(Text::Verbatim(adumps(&Value::Dict(details)).into())))
}

fn outputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    let text = match kind(attributes) {
        Some(Kind::LlmRequest) => content(attributes, RESPONSE_MODEL_OUTPUT),
        Some(Kind::Tool) => content(attributes, NEW_CONTEXT),
        _ => None,
    };
    Ok(text.map(|text| Content::Text(text.clone())))
}

/// What a tool returned, as an event.
pub(super) fn tool_output<'a>(
    events: &Events<'a>,
    attributes: &Attributes<'a>,
) -> Result<Option<Content<'a>>, Unusable> {
    if kind(attributes) != Some(Kind::Tool) {
        return Ok(None);
    }
    for event in events.named(EVENT_TOOL_OUTPUT) {
        for key in [EVENT_OUTPUT, EVENT_CONTENT, EVENT_DIFF] {
            let Some(raw) = event_attribute(event, key) else { continue };
            let value = decode_event(to_python(raw), key)?;
            if value.is_truthy() && value.as_str() != Some(REDACTED) {
                let json = dumps(&value).map_err(|error| Unusable::surrogate(key, error))?;
                return Ok(Some(Content::Text(Text::Verbatim(json.into()))));
            }
        }
    }
    Ok(None)
}

/// The value that a text holds as JSON; any other value as it is.
fn decode_event(value: Value, key: &str) -> Result<Value, Unusable> {
    let decoded = match &value {
        Value::Str(text) => loads_text(text),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => loads(text),
            Err(_) => return Err(Unusable::Bytes(key.to_owned())),
        },
        _ => return Ok(value),
    };
    match decoded {
        Ok(decoded) => Ok(decoded),
        Err(LoadsError::Invalid) => Ok(value),
        Err(LoadsError::Poison(poison)) => Err(Unusable::poison(key, poison)),
    }
}

/// Counts of a model call. Here the input tokens leave out what came from or went into a cache.
fn usage(attributes: &Attributes<'_>) -> Result<Tokens, Unusable> {
    if kind(attributes) != Some(Kind::LlmRequest) {
        return Ok(Tokens::default());
    }
    let cache_read = count(attributes, CACHE_READ_TOKENS)?;
    let cache_creation = count(attributes, CACHE_CREATION_TOKENS)?;
    let cached = [&cache_read, &cache_creation].into_iter().flatten();
    let input =
        count(attributes, INPUT_TOKENS)?.map(|input| cached.fold(input, |sum, count| sum.plus(count)));
    let output = count(attributes, OUTPUT_TOKENS)?;
    let [input, output, cache_read, cache_creation] =
        [input, output, cache_read, cache_creation].map(|count| count.map(Value::Int));
    Ok(Tokens { input, output, total: None, cache_read, cache_creation })
}

/// Python's `int()` of what the attribute holds.
fn count(attributes: &Attributes<'_>, key: &str) -> Result<Option<Int>, Unusable> {
    Ok(match attributes.get(key).map(Text::decode) {
        Some(Value::Int(value)) => Some(value),
        Some(Value::Bool(value)) => Some(Int::from(i64::from(value))),
        Some(Value::Str(text)) => text.as_utf8().and_then(int_from_str),
        Some(Value::Float(value)) if value.is_infinite() => return Err(Unusable::Infinite(key.to_owned())),
        Some(Value::Float(value)) => Int::from_f64(value),
        _ => None,
    })
}
