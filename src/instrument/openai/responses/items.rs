//! Items of responses in the registry's form.

use std::borrow::Cow;

use super::super::chat::{data_part, media_type, tool_call};
use crate::genai::{Blob, Json, Message, Modality, Part};

/// The input: a text, or items.
pub(super) fn input(input: Json<'_>) -> Vec<Message<'_>> {
    match input {
        Json::String(text) => vec![Message::new("user", vec![Part::Text(text)])],
        list => list.into_array().into_iter().map(input_item).collect(),
    }
}

pub(in crate::instrument::openai) fn input_item(mut item: Json<'_>) -> Message<'_> {
    let role = item.take_str("role");
    let outputs = item.get("type").and_then(Json::as_str).is_some_and(|kind| kind.ends_with("_output"));
    let role = role.unwrap_or(Cow::Borrowed(if outputs { "tool" } else { "assistant" }));
    Message::new(role, item_parts(item))
}

/// All items of an answer, as the parts of one message.
pub(super) fn output(items: Vec<Json<'_>>) -> Vec<Part<'_>> {
    items.into_iter().flat_map(item_parts).collect()
}

/// What one item says.
pub(in crate::instrument::openai) fn item_parts(mut item: Json<'_>) -> Vec<Part<'_>> {
    let kind = item.get("type").and_then(Json::as_str).unwrap_or("message").to_owned();
    match kind.as_str() {
        "message" => contents(item.take("content")),
        "reasoning" => reasoning(&mut item),
        "function_call" => {
            let id = item.take_str("call_id").or_else(|| item.take_str("id"));
            vec![tool_call(id, item.take_str("name"), item.take("arguments"))]
        }
        "custom_tool_call" => {
            vec![tool_call(item.take_str("call_id"), item.take_str("name"), item.take("input"))]
        }
        "compaction" => vec![Part::Other(compaction(item))],
        "image_generation_call" => image(item),
        kind if kind.ends_with("_output") => {
            let response = item.take("output").map(texts_of).unwrap_or_default();
            vec![Part::ToolCallResponse { id: item.take_str("call_id"), response }]
        }
        kind if kind.ends_with("_call") => vec![server_tool(kind, item)],
        _ => vec![Part::Other(item)],
    }
}

fn contents(content: Option<Json<'_>>) -> Vec<Part<'_>> {
    match content {
        Some(Json::String(text)) => vec![Part::Text(text)],
        Some(list) => list.into_array().into_iter().map(content_part).collect(),
        None => Vec::new(),
    }
}

fn content_part(mut part: Json<'_>) -> Part<'_> {
    let kind = part.get("type").and_then(Json::as_str).unwrap_or_default().to_owned();
    let modality = if kind == "input_image" { Modality::Image } else { Modality::Document };
    match kind.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" => part.take_str("text").map(Part::Text),
        "reasoning_text" => part.take_str("text").map(Part::Reasoning),
        "refusal" => part.take_str("refusal").map(Part::Refusal),
        "input_image" | "input_file" => {
            if let Some(file_id) = part.take_str("file_id") {
                return Part::File { modality, file_id };
            }
            let keys = ["image_url", "file_data", "file_url"];
            keys.iter().find_map(|key| part.take_str(key)).map(|url| data_part(url, modality))
        }
        // Realtime sessions keep the sound to themselves and tell what was said.
        "audio" | "output_audio" | "input_audio" if part.get("transcript").is_some() => {
            part.take_str("transcript").map(Part::Text)
        }
        "input_audio" => part.take("input_audio").and_then(|mut audio| {
            let mime_type = media_type("audio", audio.take_str("format").as_deref()).map(Cow::Owned);
            Some(Part::Blob(Blob { modality: Modality::Audio, mime_type, content: audio.take_str("data")? }))
        }),
        _ => None,
    }
    .unwrap_or_else(|| other(part))
}

/// A part that is not known, with the type that the schema requires.
fn other(part: Json<'_>) -> Part<'_> {
    match part.get("type") {
        Some(Json::String(_)) => Part::Other(part),
        _ => Part::Other(Json::object([("type", "unknown".into()), ("content", part)])),
    }
}

/// Summaries of the reasoning, and the reasoning itself where a server gives it.
fn reasoning<'a>(item: &mut Json<'a>) -> Vec<Part<'a>> {
    let pieces = item.take_array("summary").into_iter().chain(item.take_array("content"));
    pieces.filter_map(|mut piece| Some(Part::Reasoning(piece.take_str("text")?))).collect()
}

fn image(mut item: Json<'_>) -> Vec<Part<'_>> {
    let format = item.take_str("output_format");
    let mime_type = media_type("image", format.as_deref().or(Some("png"))).map(Cow::Owned);
    let image = item.take_str("result").map(|content| Blob { modality: Modality::Image, mime_type, content });
    image.map(Part::Blob).into_iter().collect()
}

/// A conversation in short. What only the provider can read is left out.
fn compaction(mut item: Json<'_>) -> Json<'_> {
    let mut members = vec![(Cow::Borrowed("type"), Json::from("compaction"))];
    members.extend(item.take("id").map(|id| (Cow::Borrowed("id"), id)));
    members.extend(item.take("summary").map(|summary| (Cow::Borrowed("content"), texts_of(summary))));
    Json::Object(members)
}

/// Whether an item stands for a longer conversation.
pub(super) fn is_compacted(items: &[Json<'_>]) -> bool {
    items.iter().any(|item| item.get("type").and_then(Json::as_str) == Some("compaction"))
}

/// A tool that the provider ran itself, such as a search of the web.
fn server_tool<'a>(kind: &str, mut item: Json<'a>) -> Part<'a> {
    let id = item.take_str("id");
    let short = kind.trim_end_matches("_call").to_owned();
    let name = item.get("name").and_then(Json::as_str).map_or_else(|| short.clone(), ToOwned::to_owned);
    if let Json::Object(members) = &mut item {
        members.retain(|(key, value)| key != "type" && !value.is_null());
        members.insert(0, (Cow::Borrowed("type"), short.into()));
    }
    Part::ServerToolCall { id, name: name.into(), call: item }
}

/// The result of a tool: a text, or the texts of its parts.
fn texts_of(output: Json<'_>) -> Json<'_> {
    match output {
        Json::Array(parts) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            if texts.len() == parts.len() { texts.concat().into() } else { Json::Array(parts) }
        }
        other => other,
    }
}
