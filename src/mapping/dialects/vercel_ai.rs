//! The Vercel AI SDK.

use super::rules::first_source;
use super::{ContentRule, Dialect, Source, TypeRule};
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::{Dict, LoadsError, Value, adumps, loads_text};
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::semconv::mlflow::MESSAGE_FORMAT;
use crate::semconv::vercel_ai::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Attribute(
        OPERATION_ID,
        &[
            ("ai.generateText", "LLM"),
            ("ai.generateText.doGenerate", "LLM"),
            ("ai.toolCall", "TOOL"),
            ("ai.streamText", "LLM"),
            ("ai.streamText.doStream", "LLM"),
            ("ai.generateObject", "LLM"),
            ("ai.generateObject.doGenerate", "LLM"),
            ("ai.streamObject", "LLM"),
            ("ai.streamObject.doStream", "LLM"),
            ("ai.embed", "EMBEDDING"),
            ("ai.embed.doEmbed", "EMBEDDING"),
            ("ai.embedMany", "EMBEDDING"),
        ],
    ),
    inputs: ContentRule::Custom(inputs),
    outputs: ContentRule::Custom(outputs),
    session: Some(SESSION_ID),
    user: Some(USER_ID),
    ..Dialect::NONE
};

const INPUTS: &[Source] =
    &[Source::Key(PROMPT), Source::Key(TOOL_CALL_ARGS), Source::Key(VALUE), Source::Key(VALUES)];

const OUTPUTS: &[Source] = &[
    Source::Key(RESPONSE_TEXT),
    Source::Key(TOOL_CALL_RESULT),
    Source::Key(RESPONSE_OBJECT),
    Source::Key(EMBEDDING),
    Source::Key(EMBEDDINGS),
];

/// How many layers of JSON inside strings are removed.
const LAYERS: usize = 3;

/// Whether the span is a call of a model, whose messages are spread over several attributes.
fn is_model_call(attributes: &Attributes<'_>) -> Result<bool, Unusable> {
    let Some(operation) = attributes.content(OPERATION_ID) else { return Ok(false) };
    let operation = peel(content_value(operation), OPERATION_ID)?;
    Ok(matches!(operation.as_str(), Some("ai.generateText.doGenerate" | "ai.streamText.doStream")))
}

fn inputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    if !is_model_call(attributes)? {
        return Ok(first_source(INPUTS, attributes).map(|text| Content::Text(text.clone())));
    }
    let mut request = unpack(attributes, PROMPT_PREFIX)?;
    if let Some(tools) = request.get("tools") {
        let tools = elements(tools)?.into_iter().map(|tool| peel(tool, "ai.prompt.tools"));
        let tools = tools.collect::<Result<_, _>>()?;
        request.insert("tools", Value::List(tools));
    }
    // MLflow stores this one without the quotes of JSON.
    attributes.set(MESSAGE_FORMAT, Content::Text(Text::Verbatim("vercel_ai".into())));
    Ok(as_content(request))
}

fn outputs<'a>(attributes: &mut Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    if !is_model_call(attributes)? {
        return Ok(first_source(OUTPUTS, attributes).map(|text| Content::Text(text.clone())));
    }
    Ok(as_content(unpack(attributes, RESPONSE_PREFIX)?))
}

fn as_content<'a>(members: Dict) -> Option<Content<'a>> {
    (!members.is_empty()).then(|| Content::Text(Text::Verbatim(adumps(&Value::Dict(members)).into())))
}

/// The attributes of a prefix as one object.
fn unpack(attributes: &Attributes<'_>, prefix: &str) -> Result<Dict, Unusable> {
    let mut members = Dict::new();
    for (key, content) in attributes.iter() {
        if let Some(name) = key.strip_prefix(prefix) {
            members.insert(name, peel(content_value(content), key)?);
        }
    }
    Ok(members)
}

fn content_value(content: &Content<'_>) -> Value {
    match content {
        Content::Text(text) => Value::from(text.json().as_ref()),
        Content::Native(value) => value.clone(),
    }
}

/// Removes the layers of JSON around a value.
fn peel(mut value: Value, key: &str) -> Result<Value, Unusable> {
    for _ in 0..LAYERS {
        let Some(text) = value.as_text() else { break };
        match loads_text(text) {
            Ok(inner) => value = inner,
            Err(LoadsError::Invalid) => break,
            Err(LoadsError::Poison(poison)) => return Err(Unusable::poison(key, poison)),
        }
    }
    Ok(value)
}

/// What Python's `for` goes through: elements, keys, or characters.
fn elements(value: &Value) -> Result<Vec<Value>, Unusable> {
    match value {
        Value::List(values) => Ok(values.clone()),
        Value::Dict(members) => Ok(members.iter().map(|(key, _)| Value::Str(key.clone())).collect()),
        Value::Str(text) => {
            Ok(text.to_utf8_lossy().chars().map(|character| Value::from(character.to_string())).collect())
        }
        _ => Err(Unusable::NotAList("ai.prompt.tools")),
    }
}
