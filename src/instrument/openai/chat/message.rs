//! Messages of chat completions in the registry's form.

use std::borrow::Cow;

use crate::genai::{Blob, Json, Message, Modality, Part};

/// A message of the request.
pub(in crate::instrument::openai) fn input_message(mut message: Json<'_>) -> Message<'_> {
    let role = message.take_str("role").unwrap_or(Cow::Borrowed("user"));
    let name = message.take_str("name");
    let parts = match role.as_ref() {
        "tool" | "function" => {
            let id = message.take_str("tool_call_id");
            let response = message.take("content").map(joined).unwrap_or_default();
            vec![Part::ToolCallResponse { id, response }]
        }
        _ => assistant_parts(message, None),
    };
    Message { name, ..Message::new(role, parts) }
}

/// Everything that a message may say, in the order in which it was made.
pub(super) fn assistant_parts<'a>(mut message: Json<'a>, audio_format: Option<&str>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    // Not OpenAI's, but what servers of reasoning models answer.
    let reasoning = message.take_str("reasoning_content").or_else(|| message.take_str("reasoning"));
    parts.extend(reasoning.filter(|text| !text.is_empty()).map(Part::Reasoning));
    parts.extend(contents(message.take("content")));
    parts.extend(message.take_str("refusal").map(Part::Refusal));
    if let Some(audio) = message.take("audio") {
        parts.extend(audio_parts(audio, audio_format));
    }
    parts.extend(message.take_array("tool_calls").into_iter().map(requested_tool));
    if let Some(mut call) = message.take("function_call").filter(|call| !call.is_null()) {
        parts.push(tool_call(None, call.take_str("name"), call.take("arguments")));
    }
    parts
}

/// Content is a text or a list of parts.
fn contents(content: Option<Json<'_>>) -> Vec<Part<'_>> {
    match content {
        Some(Json::String(text)) => vec![Part::Text(text)],
        Some(Json::Array(parts)) => parts.into_iter().map(content_part).collect(),
        _ => Vec::new(),
    }
}

fn content_part(mut part: Json<'_>) -> Part<'_> {
    let kind = part.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "text" => part.take_str("text").map(Part::Text),
        "refusal" => part.take_str("refusal").map(Part::Refusal),
        "image_url" => {
            let mut image = part.take("image_url").unwrap_or_default();
            image.take_str("url").or_else(|| image.into_str()).map(|url| data_part(url, Modality::Image))
        }
        "input_audio" => part.take("input_audio").and_then(|mut audio| {
            let format = audio.take_str("format");
            Some(blob(Modality::Audio, media_type("audio", format.as_deref()), audio.take_str("data")?))
        }),
        "file" => part.take("file").and_then(file),
        _ => None,
    }
    .unwrap_or_else(|| other(kind, part))
}

/// A part that is not known: kept as it is, with the type that the schema requires.
fn other(kind: String, part: Json<'_>) -> Part<'_> {
    match part {
        Json::Object(mut members) => {
            members.retain(|(key, _)| key != "type");
            let kind = if kind.is_empty() { "unknown".to_owned() } else { kind };
            members.insert(0, (Cow::Borrowed("type"), kind.into()));
            Part::Other(Json::Object(members))
        }
        Json::String(text) => Part::Text(text),
        value => Part::Other(Json::object([("type", "unknown".into()), ("content", value)])),
    }
}

fn file(mut file: Json<'_>) -> Option<Part<'_>> {
    if let Some(id) = file.take_str("file_id") {
        return Some(Part::File { modality: Modality::Document, file_id: id });
    }
    Some(data_part(file.take_str("file_data")?, Modality::Document))
}

/// What an address holds: the bytes themselves if it is a data URL, else something elsewhere.
pub(in crate::instrument::openai) fn data_part(url: Cow<'_, str>, modality: Modality) -> Part<'_> {
    let Some((media_type, start)) = data_url(&url) else { return Part::Uri { modality, uri: url } };
    let modality = if media_type.is_empty() { modality } else { Modality::of_media_type(&media_type) };
    let content = match url {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(start..).unwrap_or_default().to_owned()),
    };
    blob(modality, Some(media_type).filter(|kind| !kind.is_empty()), content)
}

/// The media type of a base64 data URL (RFC 2397), and where its content starts.
fn data_url(url: &str) -> Option<(String, usize)> {
    let rest = url.strip_prefix("data:")?;
    let comma = rest.find(',')?;
    let (kind, encoding) = rest.get(..comma)?.rsplit_once(';')?;
    let media_type = kind.split(';').next().unwrap_or_default().to_owned();
    (encoding == "base64").then_some((media_type, url.len() - rest.len() + comma + 1))
}

fn blob<'a>(modality: Modality, mime_type: Option<String>, content: Cow<'a, str>) -> Part<'a> {
    Part::Blob(Blob { modality, mime_type: mime_type.map(Cow::Owned), content })
}

/// The media type of OpenAI's short names, such as `wav` or `png`.
pub(in crate::instrument::openai) fn media_type(kind: &str, format: Option<&str>) -> Option<String> {
    Some(match format? {
        "mp3" => "audio/mpeg".to_owned(),
        "pcm16" | "pcm" => "audio/pcm".to_owned(),
        format => format!("{kind}/{format}"),
    })
}

/// Sound that the model made, and what it says in it; in a request only the id of earlier sound.
fn audio_parts<'a>(mut audio: Json<'a>, format: Option<&str>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    match audio.take_str("data") {
        Some(data) => parts.push(blob(Modality::Audio, media_type("audio", format), data)),
        None => parts
            .extend(audio.take_str("id").map(|file_id| Part::File { modality: Modality::Audio, file_id })),
    }
    parts.extend(audio.take_str("transcript").map(Part::Text));
    parts
}

/// A tool call of the model, of the `function` or `custom` kind.
fn requested_tool(mut call: Json<'_>) -> Part<'_> {
    let id = call.take_str("id");
    if let Some(mut custom) = call.take("custom").filter(|custom| !custom.is_null()) {
        return tool_call(id, custom.take_str("name"), custom.take("input"));
    }
    let mut function = call.take("function").unwrap_or_default();
    tool_call(id, function.take_str("name"), function.take("arguments"))
}

/// A tool call. Its arguments are JSON in a text: an object where they are whole, the text where
/// the model broke off or wrote something else.
pub(in crate::instrument::openai) fn tool_call<'a>(
    id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    arguments: Option<Json<'a>>,
) -> Part<'a> {
    let arguments = match arguments.unwrap_or_default() {
        Json::String(text) => match Json::parse(text.as_bytes()) {
            Ok(object @ Json::Object(_)) => object.into_owned(),
            _ => Json::String(text),
        },
        other => other,
    };
    Part::ToolCall { id, name: name.unwrap_or_default(), arguments }
}

/// The tool calls with an id, for the spans of the tools.
pub(in crate::instrument::openai) fn tool_calls<'m>(
    parts: &'m [Part<'_>],
) -> impl Iterator<Item = (String, String, String)> + 'm {
    parts.iter().filter_map(|part| match part {
        Part::ToolCall { id: Some(id), name, arguments } => {
            Some((id.to_string(), name.to_string(), arguments.to_string()))
        }
        _ => None,
    })
}

/// The content of a tool message as one value: a text, or the texts of its parts.
fn joined(content: Json<'_>) -> Json<'_> {
    match content {
        Json::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            if texts.len() == parts.len() { texts.concat().into() } else { Json::Array(parts) }
        }
        other => other,
    }
}
