//! LiveKit Agents; its events are those of the former GenAI conventions, whoever sends them.

use super::rules::{event_attribute, usable_event_attribute};
use super::{ContentRule, Dialect, Events, FormatRule, Source, TypeRule, gen_ai};
use crate::mapping::any_value::{holds_bytes, to_python};
use crate::mapping::attributes::{Attributes, Content};
use crate::mapping::python::{Dict, LoadsError, Value, adumps, loads_text};
use crate::mapping::text::Text;
use crate::mapping::unusable::Unusable;
use crate::otlp::model::span::Event;
use crate::semconv::gen_ai::{OPERATION_NAME, REQUEST_MODEL};
use crate::semconv::gen_ai_former::{
    EVENT_ASSISTANT_MESSAGE, EVENT_CHOICE, EVENT_CONTENT, EVENT_ROLE, EVENT_SYSTEM_MESSAGE,
    EVENT_USER_MESSAGE,
};
use crate::semconv::livekit::*;

pub(super) const DIALECT: Dialect = Dialect {
    span_type: TypeRule::Custom(span_type),
    inputs: ContentRule::First(&[
        Source::Key(USER_INPUT),
        Source::Key(USER_TRANSCRIPT),
        Source::Key(CHAT_CTX),
        Source::Key(INPUT_TEXT),
    ]),
    outputs: ContentRule::First(&[Source::Key(RESPONSE_TEXT), Source::Key(RESPONSE_FUNCTION_CALLS)]),
    message_format: FormatRule::Custom(message_format),
    ..gen_ai::DIALECT
};

/// A model makes a model call; else the operation decides, in any case of letters; else LiveKit's
/// own attributes, the first of them.
fn span_type(attributes: &Attributes<'_>) -> Result<Option<&'static str>, Unusable> {
    if attributes.contains(REQUEST_MODEL) {
        return Ok(Some("LLM"));
    }
    let operation = attributes.get(OPERATION_NAME).and_then(Text::as_string).map(|name| name.to_lowercase());
    let by_operation = operation.and_then(|name| {
        gen_ai::OPERATION_TYPES.iter().find(|(known, _)| name == *known).map(|(_, span_type)| *span_type)
    });
    Ok(by_operation.or_else(|| attributes.iter().find_map(|(key, _)| type_of_key(key))))
}

fn type_of_key(key: &str) -> Option<&'static str> {
    match key {
        RETRY_COUNT => Some("LLM"),
        _ if key.starts_with(FUNCTION_TOOL_PREFIX) => Some("TOOL"),
        AGENT_NAME | INSTRUCTIONS | GENERATION_ID => Some("AGENT"),
        INPUT_TEXT | USER_TRANSCRIPT | TRANSCRIPT_CONFIDENCE | TRANSCRIPTION_DELAY => Some("UNKNOWN"),
        _ if key.starts_with(TTS_PREFIX) => Some("UNKNOWN"),
        _ => None,
    }
}

fn message_format(attributes: &Attributes<'_>) -> Option<&'static str> {
    attributes.iter().any(|(key, _)| key.starts_with(PREFIX)).then_some("livekit")
}

/// The messages given to the model, one event for each.
pub(super) fn messages<'a>(events: &Events<'a>, _: &Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    conversation(*events, |event| match event.name.as_str() {
        EVENT_SYSTEM_MESSAGE => Ok(Some(Value::from("system"))),
        EVENT_USER_MESSAGE => Ok(Some(Value::from("user"))),
        EVENT_ASSISTANT_MESSAGE => Ok(Some(Value::from("assistant"))),
        _ => Ok(None),
    })
}

/// The answers of the model, one event for each.
pub(super) fn choices<'a>(events: &Events<'a>, _: &Attributes<'a>) -> Result<Option<Content<'a>>, Unusable> {
    conversation(*events, |event| match event.name.as_str() {
        EVENT_CHOICE => match event_attribute(event, EVENT_ROLE) {
            None => Ok(Some(Value::from("assistant"))),
            Some(role) if holds_bytes(role) => Err(Unusable::Bytes(EVENT_ROLE.to_owned())),
            Some(role) => decode(to_python(role), EVENT_ROLE).map(Some),
        },
        _ => Ok(None),
    })
}

/// The events that have a role and content, as a list of messages.
fn conversation<'a>(
    events: Events<'a>,
    role: impl Fn(&Event) -> Result<Option<Value>, Unusable>,
) -> Result<Option<Content<'a>>, Unusable> {
    let mut messages = Vec::new();
    for event in events.iter() {
        let Some(content) = usable_event_attribute(event, EVENT_CONTENT) else { continue };
        let Some(role) = role(event)? else { continue };
        if event_attribute(event, EVENT_CONTENT).is_some_and(holds_bytes) {
            return Err(Unusable::Bytes(EVENT_CONTENT.to_owned()));
        }
        let content = decode(content, EVENT_CONTENT)?;
        messages.push(Value::Dict(Dict::from_iter([("role", role), ("content", content)])));
    }
    let list = (!messages.is_empty()).then(|| adumps(&Value::List(messages)));
    Ok(list.map(|json| Content::Text(Text::Verbatim(json.into()))))
}

/// The value that a text holds as JSON; any other value as it is.
fn decode(value: Value, key: &str) -> Result<Value, Unusable> {
    match value.as_text().map(loads_text) {
        Some(Ok(decoded)) => Ok(decoded),
        Some(Err(LoadsError::Poison(poison))) => Err(Unusable::poison(key, poison)),
        Some(Err(LoadsError::Invalid)) | None => Ok(value),
    }
}
