//! Chat completions (`POST /chat/completions`).

mod message;
mod stream;
mod usual;

use std::borrow::Cow;

pub(super) use message::{data_part, input_message, media_type, tool_call, tool_calls};
use opentelemetry::StringValue;
pub(super) use stream::ChatStream;

use self::usual::Usual;
use super::facts::Facts;
use super::shared::shared;
use super::usage::Usage;
use crate::genai::{Json, Message, Part, cow};
use crate::semconv::gen_ai::{self, output_type};
use crate::semconv::openai;

/// What the request asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    common_options(&body, facts);
    let tokens = ["max_completion_tokens", "max_tokens"];
    facts.int(gen_ai::REQUEST_MAX_TOKENS, tokens.iter().find_map(|key| body.get(key)?.as_i64()));
    facts.string(gen_ai::REQUEST_REASONING_LEVEL, body.take_str("reasoning_effort"));
    facts.constant(gen_ai::OUTPUT_TYPE, output_type(&body));
    facts.audio_format =
        body.get("audio").and_then(|audio| audio.get("format")?.as_str()).map(ToOwned::to_owned);
    facts.requested_model(body.take_str("model"));
    if facts.wants_content() {
        facts.input_messages(body.take_array("messages").into_iter().map(input_message).collect());
        let functions = body.take_array("functions").into_iter().map(function);
        facts.tool_definitions(body.take_array("tools").into_iter().map(tool).chain(functions).collect());
    }
}

/// The options that chat and legacy completions share.
pub(super) fn common_options(body: &Json<'_>, facts: &mut Facts) {
    let double = |key: &str| body.get(key).and_then(Json::as_f64);
    let int = |key: &str| body.get(key).and_then(Json::as_i64);
    facts.double(gen_ai::REQUEST_TEMPERATURE, double("temperature"));
    facts.double(gen_ai::REQUEST_TOP_P, double("top_p"));
    facts.double(gen_ai::REQUEST_FREQUENCY_PENALTY, double("frequency_penalty"));
    facts.double(gen_ai::REQUEST_PRESENCE_PENALTY, double("presence_penalty"));
    facts.int(gen_ai::REQUEST_TOP_K, int("top_k"));
    facts.int(gen_ai::REQUEST_SEED, int("seed"));
    facts.int(gen_ai::REQUEST_CHOICE_COUNT, int("n").filter(|choices| *choices != 1));
    facts.strings(gen_ai::REQUEST_STOP_SEQUENCES, body.get("stop").map(texts).unwrap_or_default());
    service_tier(body, facts);
}

/// The tier that was asked for; `auto` is what a request without it means.
pub(super) fn service_tier(body: &Json<'_>, facts: &mut Facts) {
    let tier = body.get("service_tier").and_then(Json::as_str).filter(|tier| *tier != "auto");
    facts.string(openai::REQUEST_SERVICE_TIER, tier.map(Cow::Borrowed));
}

/// One text, or a list of them.
pub(super) fn texts(value: &Json<'_>) -> Vec<StringValue> {
    match value {
        Json::String(text) => vec![shared(text)],
        list => list.as_array().iter().filter_map(|text| text.as_str().map(shared)).collect(),
    }
}

/// `gen_ai.output.type`, where the request has an output format.
fn output_type(body: &Json<'_>) -> Option<&'static str> {
    let modalities = body.get("modalities").map(Json::as_array).unwrap_or_default();
    if modalities.iter().any(|modality| modality.as_str() == Some("audio")) {
        return Some(output_type::SPEECH);
    }
    match body.get("response_format")?.get("type")?.as_str()? {
        "json_object" | "json_schema" => Some(output_type::JSON),
        _ => Some(output_type::TEXT),
    }
}

/// A tool in the registry's flat form: chat puts name, description and parameters one level deeper.
fn tool(mut tool: Json<'_>) -> Json<'_> {
    match tool.take("function").or_else(|| tool.take("custom")) {
        Some(Json::Object(members)) => {
            let kind = tool.take_str("type").unwrap_or(Cow::Borrowed("function"));
            flat(kind, members)
        }
        _ => tool,
    }
}

/// A function of the former form, which stands for a tool.
fn function(function: Json<'_>) -> Json<'_> {
    match function {
        Json::Object(members) => flat(Cow::Borrowed("function"), members),
        other => other,
    }
}

fn flat<'a>(kind: Cow<'a, str>, members: Vec<(Cow<'a, str>, Json<'a>)>) -> Json<'a> {
    Json::Object(std::iter::once((Cow::Borrowed("type"), Json::String(kind))).chain(members).collect())
}

/// What the answer says of itself, if it is of the usual form and its content is not recorded.
pub(super) fn brief_response(body: &[u8], facts: &mut Facts) -> bool {
    if facts.wants_content() {
        return false;
    }
    let Some(answer) = Usual::answer(body) else { return false };
    let (choice,) = answer.choices;
    let reason = choice.finish_reason.map(|reason| reason_value(&reason.0));
    facts.strings(gen_ai::RESPONSE_FINISH_REASONS, reason.into_iter().collect());
    facts.string(gen_ai::RESPONSE_ID, cow(answer.id).filter(|id| !id.is_empty()));
    facts.responding_model(cow(answer.model));
    facts.served(cow(answer.service_tier));
    facts.fingerprint(cow(answer.system_fingerprint));
    facts.usage = answer.usage.map(Usage::from).unwrap_or_default();
    true
}

/// What the answer says.
pub(super) fn response(mut body: Json<'_>, facts: &mut Facts) {
    envelope(&mut body, facts);
    let choices = body.take_array("choices");
    facts.strings(gen_ai::RESPONSE_FINISH_REASONS, choices.iter().filter_map(finish_reason).collect());
    let format = facts.audio_format.clone();
    let messages: Vec<_> =
        choices.into_iter().map(|choice| output_message(choice, format.as_deref())).collect();
    facts.tool_calls = messages.iter().flat_map(|message| tool_calls(&message.parts)).collect();
    facts.output_messages(messages);
}

/// What chat and legacy completions say about themselves.
pub(super) fn envelope(body: &mut Json<'_>, facts: &mut Facts) {
    facts.string(gen_ai::RESPONSE_ID, body.take_str("id").filter(|id| !id.is_empty()));
    facts.responding_model(body.take_str("model"));
    facts.served(body.take_str("service_tier"));
    facts.fingerprint(body.take_str("system_fingerprint"));
    facts.used(body.get("usage"));
}

pub(super) fn finish_reason(choice: &Json<'_>) -> Option<StringValue> {
    choice.get("finish_reason")?.as_str().map(reason_value)
}

/// The reason as it was given. Those of the API are not copied.
fn reason_value(reason: &str) -> StringValue {
    const KNOWN: &[&str] = &["stop", "length", "tool_calls", "content_filter", "function_call"];
    match KNOWN.iter().find(|known| **known == reason) {
        Some(known) => (*known).into(),
        None => shared(reason),
    }
}

fn output_message<'a>(mut choice: Json<'a>, audio_format: Option<&str>) -> Message<'a> {
    let reason = choice.take_str("finish_reason");
    let mut message = choice.take("message").unwrap_or_default();
    let role = message.take_str("role").unwrap_or(Cow::Borrowed("assistant"));
    let parts = message::assistant_parts(message, audio_format);
    let unsaid = unsaid_reason(&parts);
    Message::new(role, parts).finished(schema_reason(reason, unsaid))
}

/// The reason in the words of the registry's schema, where it has one for it. The schema requires a
/// reason: `unsaid` stands where the server gives none.
pub(super) fn schema_reason<'r>(reason: Option<Cow<'r, str>>, unsaid: &'static str) -> Cow<'r, str> {
    match reason {
        Some(reason) if reason == "tool_calls" || reason == "function_call" => Cow::Borrowed("tool_call"),
        Some(reason) => reason,
        None => Cow::Borrowed(unsaid),
    }
}

/// Why a model stopped that has said all, for servers that leave the reason out.
fn unsaid_reason(parts: &[Part<'_>]) -> &'static str {
    match parts.iter().any(|part| matches!(part, Part::ToolCall { .. })) {
        true => "tool_call",
        false => "stop",
    }
}
