//! Audio (`POST /audio/speech`, `/audio/transcriptions`, `/audio/translations`).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::facts::Facts;
use super::multipart::Form;
use crate::genai::{Blob, Json, Message, Modality, Part};
use crate::semconv::gen_ai::{self, output_type};

/// What is to be spoken.
pub(super) fn speech_request(mut body: Json<'_>, facts: &mut Facts) {
    facts.string(gen_ai::OUTPUT_TYPE, Some(Cow::Borrowed(output_type::SPEECH)));
    facts.requested_model(body.take_str("model"));
    if let Some(instructions) = body.take_str("instructions") {
        facts.system_instructions(vec![Part::Text(instructions)]);
    }
    if let Some(input) = body.take_str("input") {
        facts.input_messages(vec![Message::new("user", vec![Part::Text(input)])]);
    }
}

/// The sound itself is the answer.
pub(super) fn speech_response(body: &[u8], media_type: Option<&str>, facts: &mut Facts) {
    if facts.wants_content() {
        let sound = Blob {
            modality: Modality::Audio,
            mime_type: media_type.map(|kind| Cow::Owned(kind.to_owned())),
            content: STANDARD.encode(body).into(),
        };
        facts.output_messages(vec![Message::new("assistant", vec![Part::Blob(sound)]).finished("stop")]);
    }
}

/// What is to be written down, as a form.
pub(super) fn transcription_form(form: &Form, facts: &mut Facts) {
    facts.string(gen_ai::OUTPUT_TYPE, Some(Cow::Borrowed(output_type::TEXT)));
    facts.double(gen_ai::REQUEST_TEMPERATURE, form.text("temperature").and_then(|text| text.parse().ok()));
    facts.requested_model(form.text("model"));
    let prompt = form.text("prompt").map(Part::Text);
    let sound = form.files().map(|file| file.part(Modality::Audio));
    facts.input_messages(vec![Message::new("user", prompt.into_iter().chain(sound).collect())]);
}

/// What was said: JSON with a `text`, or plain text (`text`, `srt`, `vtt`).
pub(super) fn transcription_response(body: &[u8], facts: &mut Facts) {
    let text = match Json::parse(body) {
        Ok(mut answer @ Json::Object(_)) => {
            facts.used(answer.get("usage"));
            answer.take_str("text").unwrap_or_default()
        }
        _ => String::from_utf8_lossy(body),
    };
    facts.output_messages(vec![Message::new("assistant", vec![Part::Text(text)]).finished("stop")]);
}
