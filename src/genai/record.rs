//! From content to what is recorded of it: redacted, within limits, in the registry's schemas.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::hash::sha256;
use super::{Blob, CapturePolicy, ContentKind, Json, Message, Part};

/// Stands for a secret wherever it appears.
const REDACTED: &str = "[redacted]";

/// Shorter ones would match by chance, such as the empty key of a local server.
const MIN_SECRET_BYTES: usize = 8;

/// How deep a value may nest; what is deeper is recorded as text.
const MAX_DEPTH: usize = 64;

/// Turns the content of one attribute into what is recorded of it.
pub struct Recorder<'p> {
    policy: &'p CapturePolicy,
    secrets: &'p [String],
    /// How many bytes of text the attribute may still take.
    left: usize,
}

impl<'p> Recorder<'p> {
    pub(super) fn new(policy: &'p CapturePolicy, secrets: &'p [String]) -> Self {
        Self { policy, secrets, left: policy.max_content_bytes }
    }

    /// Messages, in the registry's schema. Where not all of them fit, the last ones are kept.
    #[must_use]
    pub fn messages<'a>(mut self, kind: ContentKind, messages: Vec<Message<'a>>) -> Json<'a> {
        let mut recorded: Vec<_> =
            messages.into_iter().rev().map(|message| self.message(kind, message)).collect();
        recorded.reverse();
        Json::Array(recorded)
    }

    /// Instructions given apart from the messages, in the registry's schema.
    #[must_use]
    pub fn parts<'a>(mut self, kind: ContentKind, parts: Vec<Part<'a>>) -> Json<'a> {
        Json::Array(parts.into_iter().map(|part| self.part(kind, part)).collect())
    }

    /// Any other value, such as the tools that were offered or the arguments of a function.
    #[must_use]
    pub fn value<'a>(mut self, kind: ContentKind, value: Json<'a>) -> Json<'a> {
        self.json(kind, value)
    }

    /// A text.
    #[must_use]
    pub fn text<'a>(mut self, kind: ContentKind, text: Cow<'a, str>) -> Cow<'a, str> {
        self.cut(kind, text)
    }

    fn message<'a>(&mut self, kind: ContentKind, message: Message<'a>) -> Json<'a> {
        let mut members = vec![(Cow::Borrowed("role"), Json::String(message.role))];
        let parts = message.parts.into_iter().map(|part| self.part(kind, part)).collect();
        members.push((Cow::Borrowed("parts"), Json::Array(parts)));
        if let Some(name) = message.name {
            members.push((Cow::Borrowed("name"), Json::String(self.cut(kind, name))));
        }
        if let Some(reason) = message.finish_reason {
            members.push((Cow::Borrowed("finish_reason"), Json::String(reason)));
        }
        Json::Object(members)
    }

    fn part<'a>(&mut self, kind: ContentKind, part: Part<'a>) -> Json<'a> {
        match part {
            Part::Text(text) => self.textual("text", kind, text),
            Part::Reasoning(text) => self.textual("reasoning", kind, text),
            Part::Refusal(text) => self.textual("refusal", kind, text),
            Part::ToolCall { id, name, arguments } => {
                let mut members = typed("tool_call", id);
                members.push((Cow::Borrowed("name"), name.into()));
                if !arguments.is_null() {
                    let arguments = self.json(ContentKind::ToolArguments, arguments);
                    members.push((Cow::Borrowed("arguments"), arguments));
                }
                Json::Object(members)
            }
            Part::ToolCallResponse { id, response } => {
                let mut members = typed("tool_call_response", id);
                members.push((Cow::Borrowed("response"), self.json(ContentKind::ToolResult, response)));
                Json::Object(members)
            }
            Part::ServerToolCall { id, name, call } => {
                let mut members = typed("server_tool_call", id);
                members.push((Cow::Borrowed("name"), name.into()));
                members.push((Cow::Borrowed("server_tool_call"), self.json(kind, call)));
                Json::Object(members)
            }
            Part::Blob(blob) => self.blob(blob),
            Part::Uri { modality, uri } => Json::object([
                ("type", "uri".into()),
                ("modality", modality.as_str().into()),
                ("uri", self.cut(kind, uri).into()),
            ]),
            Part::File { modality, file_id } => Json::object([
                ("type", "file".into()),
                ("modality", modality.as_str().into()),
                ("file_id", file_id.into()),
            ]),
            Part::Other(value) => self.json(kind, value),
        }
    }

    fn textual<'a>(&mut self, part: &'static str, kind: ContentKind, text: Cow<'a, str>) -> Json<'a> {
        Json::object([("type", part.into()), ("content", self.cut(kind, text).into())])
    }

    /// Small content as it is, larger as a reference: whoever has the file can tell that it is the one.
    fn blob<'a>(&mut self, blob: Blob<'a>) -> Json<'a> {
        let mut members = vec![(Cow::Borrowed("type"), "blob".into())];
        let small =
            blob.content.len() / 4 * 3 <= self.policy.max_blob_bytes && blob.content.len() <= self.left;
        if !small {
            members = vec![(Cow::Borrowed("type"), "uri".into())];
        }
        members.push((Cow::Borrowed("modality"), blob.modality.as_str().into()));
        if let Some(mime_type) = blob.mime_type {
            members.push((Cow::Borrowed("mime_type"), mime_type.into()));
        }
        if small {
            self.left -= blob.content.len();
            members.push((Cow::Borrowed("content"), blob.content.into()));
        } else {
            let text = blob.content.as_bytes();
            let bytes = decoded(text);
            let bytes = bytes.as_deref().unwrap_or(text);
            members.push((Cow::Borrowed("uri"), format!("urn:sha256:{}", sha256(bytes)).into()));
            members.push((Cow::Borrowed("size"), Json::Int(i64::try_from(bytes.len()).unwrap_or(i64::MAX))));
        }
        Json::Object(members)
    }

    /// A value with every text in it redacted and cut; one that is too big as a whole as cut text.
    fn json<'a>(&mut self, kind: ContentKind, value: Json<'a>) -> Json<'a> {
        if weight(&value) <= self.policy.max_part_bytes.min(self.left) {
            return self.leaves(kind, value, 0);
        }
        match value {
            Json::String(text) => Json::String(self.cut(kind, text)),
            structured => {
                // The hook sees the texts, not their JSON: redact first, then cut the whole.
                let left = std::mem::replace(&mut self.left, usize::MAX);
                let redacted = self.leaves(kind, structured, 0);
                self.left = left;
                Json::String(self.fitted(redacted.to_string().into()))
            }
        }
    }

    fn leaves<'a>(&mut self, kind: ContentKind, value: Json<'a>, depth: usize) -> Json<'a> {
        match value {
            Json::String(text) => Json::String(self.cut(kind, text)),
            deep @ (Json::Array(_) | Json::Object(_)) if depth == MAX_DEPTH => {
                Json::String(self.cut(kind, deep.to_string().into()))
            }
            Json::Array(elements) => Json::Array(
                elements.into_iter().map(|element| self.leaves(kind, element, depth + 1)).collect(),
            ),
            Json::Object(members) => Json::Object(
                members.into_iter().map(|(key, value)| (key, self.leaves(kind, value, depth + 1))).collect(),
            ),
            other => other,
        }
    }

    fn cut<'a>(&mut self, kind: ContentKind, text: Cow<'a, str>) -> Cow<'a, str> {
        let text = self.policy.redacted(kind, &text).map_or(text, Cow::Owned);
        let text = self.without_secrets(text);
        self.fitted(text)
    }

    fn fitted<'a>(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        let limit = self.policy.max_part_bytes.min(self.left);
        if text.len() <= limit {
            self.left -= text.len();
            return text;
        }
        let end = text.floor_char_boundary(limit);
        self.left -= end;
        let kept = text.get(..end).unwrap_or_default();
        Cow::Owned(format!("{kept}… [cut: {end} of {} bytes]", text.len()))
    }

    fn without_secrets<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        self.secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES).fold(text, |text, secret| {
            match text.contains(secret.as_str()) {
                true => Cow::Owned(text.replace(secret.as_str(), REDACTED)),
                false => text,
            }
        })
    }
}

/// The bytes behind base64. Streams send it in pieces, each of which may end in padding.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    if let Ok(bytes) = STANDARD.decode(text) {
        return Some(bytes);
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for piece in text.split(|byte| *byte == b'=') {
        STANDARD_NO_PAD.decode_vec(piece, &mut bytes).ok()?;
    }
    Some(bytes)
}

fn typed<'a>(part: &'static str, id: Option<Cow<'a, str>>) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let mut members = Vec::with_capacity(4);
    members.push((Cow::Borrowed("type"), part.into()));
    if let Some(id) = id {
        members.push((Cow::Borrowed("id"), id.into()));
    }
    members
}

/// About how many bytes the value takes as JSON.
fn weight(value: &Json<'_>) -> usize {
    match value {
        Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_) => 8,
        Json::String(text) => text.len() + 2,
        Json::Array(elements) => elements.iter().map(|element| weight(element) + 1).sum::<usize>() + 2,
        Json::Object(members) => {
            members.iter().map(|(key, value)| key.len() + 4 + weight(value)).sum::<usize>() + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genai::{CaptureMode, Modality};

    fn policy() -> CapturePolicy {
        CapturePolicy::new(CaptureMode::SpanOnly)
    }

    fn said(text: &str) -> Message<'_> {
        Message::new("user", vec![Part::Text(text.into())])
    }

    #[test]
    fn texts_are_cut_at_a_character_and_say_so() {
        let policy = policy().max_part_bytes(5);
        let recorded = policy.recorder(&[]).messages(ContentKind::InputMessage, vec![said("ab\u{1F600}cd")]);
        let text = r#"[{"role":"user","parts":[{"type":"text","content":"ab… [cut: 2 of 8 bytes]"}]}]"#;
        assert_eq!(recorded.to_string(), text);
    }

    #[test]
    fn where_not_all_messages_fit_the_last_is_kept() {
        let policy = policy().max_content_bytes(6);
        let recorded = policy
            .recorder(&[])
            .messages(ContentKind::InputMessage, vec![said("first"), said("last")])
            .to_string();
        assert!(recorded.contains(r#""last""#) && recorded.contains("fi… [cut: 2 of 5 bytes]"), "{recorded}");
    }

    #[test]
    fn binary_content_is_a_reference_above_the_cap() {
        let blob = |content: &'static str| {
            Part::Blob(Blob {
                modality: Modality::Image,
                mime_type: Some("image/png".into()),
                content: content.into(),
            })
        };
        let policy = policy().max_blob_bytes(3);
        let recorded = policy
            .recorder(&[])
            .messages(
                ContentKind::InputMessage,
                vec![Message::new("user", vec![blob("AAAA"), blob("aGVsbG8=")])],
            )
            .to_string();
        assert!(
            recorded
                .contains(r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"AAAA"}"#)
        );
        // The hash of `hello`.
        let uri = "urn:sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert!(recorded.contains(&format!(r#""uri":"{uri}","size":5"#)), "{recorded}");
    }

    #[test]
    fn big_arguments_stay_valid_json() {
        let arguments = Json::object([("list", vec![Json::from("x"); 100].into())]);
        let policy = policy().max_part_bytes(50);
        let recorded = policy.recorder(&[]).value(ContentKind::ToolArguments, arguments);
        let Json::String(text) = &recorded else { panic!("{recorded}") };
        assert!(text.starts_with(r#"{"list":["x""#) && text.contains("[cut: 50 of "), "{text}");
    }

    #[test]
    fn hooks_see_every_text_and_secrets_never_pass() {
        let policy =
            policy().redact(|kind, text| (kind == ContentKind::ToolArguments).then(|| text.to_uppercase()));
        let secrets = ["sk-0123456789".to_owned()];
        let call =
            Part::ToolCall { id: None, name: "find".into(), arguments: Json::object([("q", "name".into())]) };
        let message = Message::new("assistant", vec![call, Part::Text("key sk-0123456789!".into())]);
        let recorded =
            policy.recorder(&secrets).messages(ContentKind::OutputMessage, vec![message]).to_string();
        assert!(recorded.contains(r#""arguments":{"q":"NAME"}"#), "{recorded}");
        assert!(recorded.contains("key [redacted]!"), "{recorded}");
    }
}
