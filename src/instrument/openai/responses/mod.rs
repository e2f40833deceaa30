//! Responses (`POST /responses`, `GET /responses/{id}`).

mod items;
mod stream;

use std::borrow::Cow;

pub(super) use items::input_item;
pub(super) use stream::ResponseStream;

use super::chat::{service_tier, tool_calls};
use super::facts::Facts;
use crate::genai::{Json, Message, Part};
use crate::semconv::gen_ai::{self, output_type, response_status};

/// What the request asks for.
pub(super) fn request(mut body: Json<'_>, facts: &mut Facts) {
    facts.double(gen_ai::REQUEST_TEMPERATURE, body.get("temperature").and_then(Json::as_f64));
    facts.double(gen_ai::REQUEST_TOP_P, body.get("top_p").and_then(Json::as_f64));
    facts.int(gen_ai::REQUEST_MAX_TOKENS, body.get("max_output_tokens").and_then(Json::as_i64));
    facts.string(gen_ai::REQUEST_PREVIOUS_RESPONSE_ID, body.take_str("previous_response_id"));
    let level = body.get("reasoning").and_then(|reasoning| reasoning.get("effort")?.as_str());
    facts.string(gen_ai::REQUEST_REASONING_LEVEL, level.map(Cow::Borrowed));
    facts.constant(gen_ai::OUTPUT_TYPE, output_type(&body));
    service_tier(&body, facts);
    conversation(&mut body, facts);
    facts.requested_model(body.take_str("model"));
    if let Some(prompt) = body.take("prompt") {
        template(prompt, facts);
    }
    if facts.wants_content() {
        let input = body.take("input").unwrap_or_default();
        facts.compacted(items::is_compacted(input.as_array()));
        facts.input_messages(items::input(input));
        instructions_and_tools(&mut body, facts);
    }
}

pub(super) fn instructions_and_tools(body: &mut Json<'_>, facts: &mut Facts) {
    let instructions = match body.take("instructions").unwrap_or_default() {
        Json::String(text) => vec![Part::Text(text)],
        list => items::input(list).into_iter().flat_map(|message| message.parts).collect(),
    };
    facts.system_instructions(instructions);
    facts.tool_definitions(body.take_array("tools").into_iter().map(named).collect());
}

/// The registry's tools have a name; of the provider's own, the type is the name.
fn named(mut tool: Json<'_>) -> Json<'_> {
    let name = tool.get("type").cloned();
    if let (Json::Object(members), Some(name)) = (&mut tool, name)
        && !members.iter().any(|(key, _)| key == "name")
    {
        members.insert(1.min(members.len()), (Cow::Borrowed("name"), name));
    }
    tool
}

fn output_type(body: &Json<'_>) -> Option<&'static str> {
    match body.get("text")?.get("format")?.get("type")?.as_str()? {
        "json_object" | "json_schema" => Some(output_type::JSON),
        _ => Some(output_type::TEXT),
    }
}

/// The conversation, by its id or as an object with one.
fn conversation(body: &mut Json<'_>, facts: &mut Facts) {
    let id = match body.take("conversation") {
        Some(Json::String(id)) => Some(id),
        Some(mut object) => object.take_str("id"),
        None => None,
    };
    facts.conversation(id);
}

/// A template that the provider keeps, with its variables.
fn template(mut prompt: Json<'_>, facts: &mut Facts) {
    facts.unless_scoped(gen_ai::PROMPT_NAME, prompt.take_str("id"));
    facts.unless_scoped(gen_ai::PROMPT_VERSION, prompt.take_str("version"));
    let variables = prompt.take("variables").unwrap_or_default();
    for (name, value) in variables.members().unwrap_or_default() {
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        facts.prompt_variable(format!("{}.{name}", gen_ai::PROMPT_VARIABLE), &text);
    }
}

/// An error that the model's server found after it had accepted the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Option<String>,
    pub(super) message: String,
}

/// What the answer says; of one that failed, why.
pub(super) fn response(mut body: Json<'_>, facts: &mut Facts) -> Option<Failure> {
    let status = body.take_str("status");
    facts.string(gen_ai::RESPONSE_ID, body.take_str("id"));
    whole(body, status.as_deref(), facts)
}

/// What a response that is read again says: also its status, and what it was asked with.
pub(super) fn fetched(mut body: Json<'_>, facts: &mut Facts) -> Option<Failure> {
    let status = body.take_str("status");
    facts.string(gen_ai::RESPONSE_STATUS, status.as_deref().map(Cow::Borrowed));
    if facts.wants_content() {
        instructions_and_tools(&mut body, facts);
    }
    // A failed response was fetched all the same.
    whole(body, status.as_deref(), facts);
    None
}

/// Everything but id and status.
fn whole(mut body: Json<'_>, status: Option<&str>, facts: &mut Facts) -> Option<Failure> {
    facts.responding_model(body.take_str("model"));
    facts.served(body.take_str("service_tier"));
    facts.used(body.get("usage"));
    conversation(&mut body, facts);
    let output = body.take_array("output");
    facts.compacted(items::is_compacted(&output));
    let parts = items::output(output);
    facts.tool_calls.extend(tool_calls(&parts));
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let details = body.get("incomplete_details").and_then(|details| details.get("reason")?.as_str());
    if let Some(reason) = finish_reason(status, details, called) {
        facts.strings(gen_ai::RESPONSE_FINISH_REASONS, vec![reason.into()]);
        facts.output_messages(vec![Message::new("assistant", parts).finished(reason)]);
    }
    let mut error = body.take("error").filter(|error| !error.is_null())?;
    Some(failure(&mut error))
}

pub(super) fn failure(error: &mut Json<'_>) -> Failure {
    Failure {
        code: error.take_str("code").map(Cow::into_owned),
        message: error.take_str("message").map(Cow::into_owned).unwrap_or_default(),
    }
}

/// Why the model stopped, in the words of the registry; nothing while it has not.
fn finish_reason(status: Option<&str>, details: Option<&str>, called: bool) -> Option<&'static str> {
    Some(match (status, details) {
        (Some(response_status::QUEUED | response_status::IN_PROGRESS), _) => return None,
        (Some(response_status::INCOMPLETE), Some("content_filter")) => "content_filter",
        (Some(response_status::INCOMPLETE), _) => "length",
        (Some(response_status::FAILED | response_status::CANCELLED), _) => "error",
        _ if called => "tool_call",
        _ => "stop",
    })
}

/// How the content of an answer is recorded in streams that broke off.
pub(super) fn partial(parts: Vec<Part<'_>>, facts: &mut Facts) {
    facts.tool_calls.extend(tool_calls(&parts));
    if !parts.is_empty() {
        facts.output_messages(vec![Message::new("assistant", parts).finished("error")]);
    }
}
